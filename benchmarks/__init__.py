"""Measurements of chainpump beside its peers: `python -m benchmarks` (see benchmarks/README.md)."""
