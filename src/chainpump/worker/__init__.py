"""What a worker does: it receives items, runs a stage and sends the results. The same on every executor.

* `async_output`: items of an event loop collected into frames and sent
* `channel_errors`: errors of a channel, apart from those of user code
* `checkpoint_input`: the input of a generator stage that can go on in the middle
* `commits`: how a sink says that what it has taken is done
* `current_worker`: which worker runs this code
* `endpoints`: the ends of the channels of one worker
* `entries`: which items need not be pickled at once
* `frame_room`: room for the frames of Python calls
* `input`: frames received as one iterator
* `interruption`: when Cancelled may be raised in a worker
* `kind_of_input`: which input a worker has
* `left_out`: items that a policy leaves out, and dead letters
* `limited_items`: the items of an origin up to a limit that moves
* `link`: the previous stage in the same worker as an input
* `metered_output`: takes the credits of a worker before it makes items
* `numbering_link`: how results are numbered by the items of a stage in the same worker
* `numbers_in_a_row`: takes numbers at the speed of C
* `operator_run`: runs an operator on single items, with its policy
* `outcome`: how a worker ended
* `outcome_report`: the report of a worker's outcome, sent once
* `output`: items collected into frames and sent
* `receipts`: which dead letters of a worker on another machine have arrived
* `recorded_input`: the input at the end of a durable run
* `resumed_origin`: a source or a generator stage of which some items are done
* `retirement`: when a worker retires, and a fresh one goes on in its place
* `sampled_items`: the items of a source, of which some are looked at
* `seeds`: random numbers of workers
* `set_up`: what factories make for a worker, and its tear-down
* `span_sender`: tells which items a worker has done
* `stage_run`: runs a stage
* `standard_streams`: stdin, stdout and stderr as the main process has them
* `surroundings`: environment, directory, umask and streams of the program
* `taken_items`: what the end of a durable run has taken, and which of it is done
* `turn`: the turn of a worker that waits until its predecessor has retired
* `work`: what workers have to do, as values without functions
* `worker`: the loop that every executor runs
"""
