"""What a worker does: it receives items, runs a stage and sends the results. The same on every executor.

* `channel_errors`: errors of a channel, apart from those of user code
* `current_worker`: which worker runs this code
* `endpoints`: the ends of the channels of one worker
* `input`: frames received as one iterator
* `operator_run`: runs an operator on single items, with its policy
* `outcome`: how a worker ended
* `outcome_report`: the report of a worker's outcome, sent once
* `output`: items collected into frames and sent
* `retirement`: when a worker retires, and a fresh one goes on in its place
* `seeds`: random numbers of workers
* `set_up`: what factories make for a worker, and its tear-down
* `stage_run`: runs a stage
* `standard_streams`: stdin, stdout and stderr as the main process has them
* `surroundings`: environment, directory, umask and streams of the program
* `turn`: the turn of a worker that waits until its predecessor has retired
* `worker`: the loop that every executor runs
"""
