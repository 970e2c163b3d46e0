"""What the processes of a run share.

* `board`: a shared mapping with the state and counters of each worker, and the cancel flags
* `board_copies`: what has changed on the board, for a copy on another machine
* `checkpoint`: the current frame of a worker and its position in it, for its replacement
* `counters`: counters in the kernel, used like semaphores
* `cpus`: how many processors this process may use
* `descriptors`: owned file descriptors
* `local_counter`: a counter of threads in one process
* `memory`: shared files: writing them, mapping them, returning their pages to the system
* `parcels`: values with descriptors, sent to a running process
* `system`: what the operating system offers
* `wait_times`: how long a worker has waited, and for what
* `wakeups`: wake-ups and events that a signal handler may use
"""
