"""Whether a pipeline is right: every check that is made as it is built, and the planned stages that come out of it.

* `bound_arguments`: arguments that are bound to a function, checked against its parameters
* `checked_function`: a function of all items, checked: what it takes and returns, and the errors that refuse it
* `checked_item_function`: the same for a function of one item, which needs no hints
* `checked_per_worker`: a factory of a function of one item, and the function that it makes
* `checks`: what is checked of a source, a stage, a sink, an iterable
* `control_flow`: whether a piece of code surely reaches an instruction, and whether it returns nothing
* `elsewhere_checks`: whether stages can run on other machines
* `forgotten_results`: a stage without `yield`, and `map` of a function that returns nothing
* `generator_operators`: the methods of a pipeline that add the generator stages of the library
* `item_operators`: the methods of a pipeline that call a function for each item
* `main_guard`: whether a worker that imports the main file would start the run again
* `misuses`: uses of a pipeline that cannot work, each with what to write instead
* `patched_programs`: programs patched by gevent or eventlet, which are refused
* `problems`: problems collected, so that one error lists all of them
* `recycling_checks`: whether a fresh worker can go on where a worker of a stage has retired
* `restart_checks`: whether workers of a pipeline can be replaced
* `split_checks`: whether a policy can split the batches of a stage
* `stage_builder`: planned stages made of what the user passes
"""
