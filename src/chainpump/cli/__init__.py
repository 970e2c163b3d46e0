"""The command line: `run`, `check`, `graph`, `stacks`, and what a shell completes."""
