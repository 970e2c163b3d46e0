"""How it is said: texts for people.

* `call_stacks`: stacks and tracebacks, cut to the calls of user code
* `failure_texts`: the text of each failure
* `item_repr`: a short text of an item
* `names`: workers, items and exceptions, as messages name them
* `printable`: escapes control characters
* `refusals`: advice on what the operating system refuses
* `run_texts`: the text of each failure of a run as a whole
* `set_up_texts`: texts of set-ups and tear-downs that fail
* `shadowing`: files that hide modules of the standard library
* `source_files`: the file of a piece of code
* `table`: plain text tables
"""
