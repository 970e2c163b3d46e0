"""Type hints: read from what a user passes, compared, and shown; nothing here knows of pipelines."""
