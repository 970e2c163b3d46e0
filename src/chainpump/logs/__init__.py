"""What worker processes log, warn and print, and its way to the main process."""
