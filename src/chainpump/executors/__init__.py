"""Where a worker runs.

* `base`: the contract: an executor, and the handle of a started worker
* `blocking`: async functions where there is no event loop
* `bootstrap`: what a worker process does before it imports the program
* `fork_hazards`: what a fork of this process may hang in
* `fork_server`: the fork server of `multiprocessing`
* `fork_server_preload`: what the fork server imports
* `inline`: the calling thread
* `keeping`: starts workers in processes that are kept
* `kept_loop`: what a kept process does between two workers
* `kept_process`: a worker process that is kept for further workers
* `leftovers`: processes that a worker has started and left behind
* `native_threads`: how many threads of a library compute in this process
* `process_end`: how a worker process ends
* `process_handle`: a worker process, as the main process sees it
* `process_main`: what a worker process runs
* `process_run`: one worker in a worker process
* `processes`: processes of this machine
* `program_main`: what a worker in a program of its own runs
* `programs`: programs that an executor of the user starts
* `report_pipe`: the pipe on which a worker process reports its end
* `signals`: Ctrl-C and SIGTERM in main and in workers
* `start_methods`: forkserver, spawn and fork
* `swallowed_cancellations`: cancellations that Python prints and drops
* `task_per_item`: one asyncio task for each item
* `task_room`: how many items tasks may hold
* `task_timeouts`: time limits of tasks
* `tasks`: asyncio tasks in one event loop
* `tasks_handle`: the thread of an event loop
* `thread_handle`: a worker thread, as the supervisor sees it
* `threads`: threads of the main process
"""
