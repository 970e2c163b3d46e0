"""The command line.

* `arguments`: `--set`: arguments for a function that makes a pipeline
* `commands`: what each command does
* `completion`: what a shell completes
* `journals`: `chainpump journal`: the journals of durable runs
* `main`: the parser, and the exit status
* `stacks`: `chainpump stacks`: the runs of another process
* `target`: `file.py:name`: what the command line names
"""
