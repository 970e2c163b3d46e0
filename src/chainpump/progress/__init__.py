"""What a run looks like, and looked like: snapshots, reports, and who is shown them."""
