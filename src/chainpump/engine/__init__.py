"""How one execution of a plan goes.

* `asyncio_bridge`: a run inside an event loop of the program
* `autoscaler`: how many workers each "auto" stage has
* `dead_letters`: dead letters: kept, or handed to the function of the policy
* `ending`: how a run has ended, from records of failures to the exception for the caller
* `fault_injection`: faults that a test asks for: workers, channels and executors wrapped so that they fail
* `fault_rules`: which faults `CHAINPUMP_FAULTS` asks for
* `groups`: which stages share their workers, and where order is restored
* `introspection`: answers to other processes that ask for the status of a run
* `items`: the items of a run as one iterator that threads may share
* `ledger`: whether the counts of all stages add up
* `lifecycle`: the life of a run as a pure state machine
* `meter`: reads the board while a run goes on
* `nested`: pipelines as the source of a pipeline: runs inside a run
* `replacement`: what becomes of a worker that died or exceeded its time limit
* `run`: one execution as its user sees it
* `run_settings`: how a run is executed, as one value
* `stalls`: when no item has moved for too long
* `started_worker`: the steps that end a worker
* `supervisor`: the one thread that waits on workers
* `utilisation`: which share of a short time workers and processors were busy
* `wiring`: workers and channels made from a plan
* `worker_slot`: one place for a worker, which is filled by one worker after another, and all that belongs to it
* `worker_status`: what every worker is doing, as the board says
"""
