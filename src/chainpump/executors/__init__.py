"""Where workers run: each executor is a frozen value, and one module."""
