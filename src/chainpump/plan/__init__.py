"""What runs where: functions, operators and planned stages, without the code that runs them.

* `batches`: the parts of a batch that a policy splits
* `bound`: a function bound to its arguments: `source`, `stage`, `sink`
* `diagram`: the content of a picture of a plan
* `generator_stages`: the generator stages of the library, which group, select and order items
* `item_checks`: checks of items against their declared types
* `joining`: which stages of the library run in the worker of a neighbour
* `lengths`: how many items a pipeline yields
* `mermaid`: a plan as a Mermaid flowchart
* `nested_source`: pipelines as the source of a pipeline
* `operators`: operators on single items: map, filter, tap, flat_map, each
* `per_worker`: a factory of a function of one item, one call for each worker
* `placement`: what an executor declares about its workers
* `plan`: the plan: all stages of a pipeline
* `planned_stage`: one stage of a plan
* `repetition`: whether stages give the same items when they run again
* `sections`: which stages share a worker, and where the order of items is kept or restored
* `seeking`: sources that can begin at any of their items
* `sequence_stages`: stages of the library, for items that come as sequences
* `start_number`: the number of the first item that a source has to make
* `svg`: a plan as an SVG picture
* `variables`: the environment variables that an executor gives to each of its workers
"""
