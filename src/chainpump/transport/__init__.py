"""How items get from the workers of one stage to those of the next.

* `channel`: the contract of a channel
* `credits`: the exact bound of `in_flight=n`
* `flow`: decisions on sizes of frames and memory, as pure functions
* `flusher`: the thread that sends frames which have waited long enough
* `frames`: frames: batches of items that cross a channel
* `free_ranges`: which ranges of a file are free
* `order`: the order of items, as values
* `pipe_wire`: the portable wire: a pipe of short records
* `process_channel`: a channel between processes
* `reorder_buffer`: restores the order of items
* `room`: the contract of what bounds the items on their way
* `send_limit`: how far ahead of the next item workers may send
* `slab_allocator`: the producer's side of slabs
* `slabs`: shared memory for large buffers
* `socket_wire`: the wire of Linux: a SOCK_SEQPACKET pair
* `thread_channel`: a channel between threads
* `wire`: the contract of a wire
"""
