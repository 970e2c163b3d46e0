"""Functions and items to bytes and back, also those that plain pickle refuses or copies."""
