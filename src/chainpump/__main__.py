"""`python -m chainpump`, and the command `chainpump`: the command line."""

__all__ = ["main"]


def main() -> int:
    """Run the command line. Worker processes import the main module again: for them nothing here may cost anything."""
    from .cli.main import main as run

    return run()


if __name__ == "__main__":
    import sys

    sys.exit(main())
