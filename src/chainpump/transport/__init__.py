"""How items get from the workers of one stage to those of the next.

* `allowance`: the limit of a stage that numbers items in a durable run
* `challenge`: both sides of a link prove that they know the key of the run
* `channel`: the contract of a channel
* `credits`: the exact bound of `in_flight=n`
* `flow`: decisions on sizes of frames and memory, as pure functions
* `flusher`: the thread that sends frames which have waited long enough
* `frames`: frames: batches of items that cross a channel
* `free_ranges`: which ranges of a file are free
* `heartbeat`: when to send a heartbeat, and when a peer counts as lost
* `link`: messages over a stream of bytes, between hosts
* `order`: the order of items, as values
* `packet_writer`: writes frames to a wire as packets
* `pairing`: which host sends its next frame to which host
* `pipe_wire`: the portable wire: a pipe of short records
* `process_channel`: a channel between processes
* `raw_ends`: take frames from one channel and put them into another one, unread
* `reorder_buffer`: restores the order of items
* `retained`: the frames that a host keeps to send them again
* `room`: the contract of what bounds the items on their way
* `send_limit`: how far ahead of the next item workers may send
* `slab_allocator`: the producer's side of slabs
* `slab_source`: the contract of what gives a producer its slabs
* `slabs`: shared memory for large buffers
* `socket_wire`: the wire of Linux: a SOCK_SEQPACKET pair
* `thread_channel`: a channel between threads
* `wire`: the contract of a wire
"""
