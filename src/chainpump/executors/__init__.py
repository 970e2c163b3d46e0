"""Where a worker runs.

* `base`: the contract: an executor, and the handle of a started worker
* `blocking`: async functions where there is no event loop
* `blocking_thread`: a thread that makes blocking calls for an event loop
* `bootstrap`: what a worker process does before it imports the program
* `control_pipe`: messages about a worker of another machine, between two processes of this one
* `fork_hazards`: what a fork of this process may hang in
* `fork_server`: the fork server of `multiprocessing`
* `fork_server_preload`: what the fork server imports
* `inline`: the calling thread
* `keeping`: starts workers in processes that are kept
* `kept_loop`: what a kept process does between two workers
* `kept_process`: a worker process that is kept for further workers
* `leftovers`: processes that a worker has started and left behind
* `loop_source`: items that an event loop of the program makes ahead
* `native_threads`: how many threads of a library compute in this process
* `own_loop`: an event loop in the thread of a worker
* `process_end`: how a worker process ends
* `process_handle`: a worker process, as the main process sees it
* `process_main`: what a worker process runs
* `process_run`: one worker in a worker process
* `processes`: processes of this machine
* `program_loop`: an event loop of the program, in which a worker runs coroutines
* `program_main`: what a worker in a program of its own runs
* `program_process`: a program that this process has started, and the descriptors that it inherits
* `programs`: programs that an executor of the user starts
* `remote`: a worker of another machine, as the main process sees it
* `report_pipe`: the pipe on which a worker process reports its end
* `signals`: Ctrl-C and SIGTERM in main and in workers
* `start_methods`: forkserver, spawn and fork
* `swallowed_cancellations`: cancellations that Python prints and drops
* `task_flow`: the items of a stage in an event loop
* `task_pool`: the tasks that process items
* `task_results`: results that wait to be sent
* `task_room`: how many items tasks may hold
* `task_sender`: sends the results of tasks
* `task_timeouts`: time limits of tasks
* `tasks`: asyncio tasks in one event loop
* `tasks_handle`: the worker of an event loop, as the supervisor sees it
* `thread_handle`: a worker thread, as the supervisor sees it
* `threads`: threads of the main process
"""
