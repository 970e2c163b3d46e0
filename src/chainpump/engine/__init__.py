"""One execution of a plan: wiring, supervision, and the account of every item."""
