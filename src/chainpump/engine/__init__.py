"""The engine: one execution of a plan.

* `asyncio_bridge`: a run inside an event loop of the program
* `autoscaler`: chooses how many workers each "auto" stage has
* `connections`: the board, the channels and the room that connect workers in one process
* `dead_letters`: keeps dead letters, or passes them to the function of the policy
* `durable_plan`: which chains can go on, and the stages of a durable run
* `durable_start`: how a durable run begins
* `elsewhere`: the part of a run that is on other machines, as the engine sees it
* `ending`: how a run has ended, from records of failures to the exception for the caller
* `execution`: one execution, whether the caller takes its items or its report
* `fault_injection`: wraps workers, channels and executors so that they fail when a test requests that
* `fault_rules`: which faults `CHAINPUMP_FAULTS` requests
* `finished_items`: which items are finished, from spans that arrive in any order
* `groups`: which stages share their workers, and which groups restore order
* `grown_input`: finds that the input of a durable run has grown after a stage has made an item at its end
* `handing_on`: the items of a run in other threads
* `introspection`: answers other processes that request the stacks of a run
* `items`: the items of a run as one iterator that threads may share
* `kept_hints`: the batch sizes of a run, for the next run of the same stages
* `ledger`: checks that no item was lost
* `lifecycle`: the life of a run as a pure state machine
* `meter`: reads the board while a run goes on
* `nested`: pipelines as the source of a pipeline: runs inside a run
* `no_recorder`: a run without a journal
* `opening`: what ends the waits of a run that is being opened
* `position_keeper`: keeps the position of a run, for a program that stores it
* `recorder`: writes to the journal what is done
* `replacement`: decides about workers that have died or exceed the time limit
* `retry_recorder`: the same for a run that does the items of dead letters again
* `run`: the runs of pipelines with and without a sink, as their users see them
* `run_settings`: how a run is executed, as one value
* `run_stacks`: the stacks of all workers of a run
* `shared_run`: a run whose items are the source of several pipelines
* `stalls`: detects that no item has moved for too long
* `started_worker`: the steps that end a worker
* `starter`: starts workers, and successors of workers that retire
* `supervisor`: the one thread that waits for workers
* `utilisation`: how busy workers and processors were in a short window of time
* `warm_pool`: keeps worker processes between runs
* `wiring`: the groups of a run, their slots, and the workers in them
* `worker_maker`: makes the workers of a run, in its main process or in another one
* `worker_slot`: a position in which one worker after another runs, and all that belongs to it
* `worker_status`: the status of every worker by the board
* `worker_surroundings`: the surroundings of the program, with the variables of each worker
"""
