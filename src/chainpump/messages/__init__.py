"""Texts for people: of failures, tables, items, and what a terminal may be shown."""
