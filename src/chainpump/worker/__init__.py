"""What a worker does, whatever its executor: receive items, run a stage, send the results."""
