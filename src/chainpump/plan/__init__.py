"""What a pipeline is before it runs: bound functions, the plan, and its checks."""
