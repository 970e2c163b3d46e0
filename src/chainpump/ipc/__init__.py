"""What the processes of a run share.

* `board`: one shared mapping: what each worker has done, and who is cancelled
* `checkpoint`: the frame that a worker is in and its position, for its replacement
* `counters`: counts in the kernel, as semaphores
* `cpus`: how many processors this process may use
* `descriptors`: owned file descriptors
* `memory`: shared files: writing, mapping, giving pages back
* `system`: what the operating system offers
* `wait_times`: how long a worker has waited, and for what
* `wakeups`: wake-ups that a signal handler may use
"""
