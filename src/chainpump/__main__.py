"""`python -m chainpump`: the command line."""

# Worker processes import the main module again, under another name: for them nothing here may cost anything.
if __name__ == "__main__":
    import sys

    from .cli import main

    sys.exit(main())
