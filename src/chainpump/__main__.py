"""The command line: `python -m chainpump`, and the command `chainpump`."""

__all__ = ["main"]


def main() -> int:
    """Run the command line. Worker processes import the main module again, so nothing here may take time at import."""
    from .cli.main import main as run

    return run()


if __name__ == "__main__":
    import sys

    sys.exit(main())
