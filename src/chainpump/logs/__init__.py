"""How log records and warnings of worker processes reach the main process.

* `handler`: the log handler of a worker process
* `message_pipe`: messages of any length over a pipe with several writers
* `receiver`: reads them in the main process
* `records`: log records and warnings as messages
* `sender`: sends them
* `worker_setup`: sets up a worker process for that
"""
