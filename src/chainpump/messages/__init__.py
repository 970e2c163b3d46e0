"""How it is said: texts for people.

* `call_stacks`: stacks and tracebacks, cut to the calls of user code
* `extras`: packages that an option needs, and that are missing or too old
* `failure_texts`: the text of each failure
* `host_texts`: the text of the loss of another machine
* `item_repr`: a short text of an item
* `item_texts`: the texts of failures of single items
* `names`: workers, items and exceptions, as messages name them
* `printable`: escapes control characters
* `ray_texts`: texts about Ray clusters that cannot be used
* `refusals`: advice on what the operating system refuses
* `run_texts`: the text of each failure of a run as a whole
* `set_up_texts`: texts of set-ups and tear-downs that fail
* `shadowing`: files that hide modules of the standard library
* `source_files`: the file of a piece of code
* `stand_ins`: what stands for an exception that cannot be pickled
* `table`: plain text tables
* `user_call`: errors about a call end at the line of the program that has made it
"""
