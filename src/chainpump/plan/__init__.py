"""What is to run where.

* `bound`: a function bound to its arguments: `source`, `stage`, `sink`
* `diagram`: what a picture of a plan shows
* `generator_stages`: generator stages that come along: batch, unbatch, take, window
* `item_checks`: items checked against their declared types
* `mermaid`: a plan as a Mermaid flowchart
* `nested_source`: pipelines as the source of a pipeline
* `operators`: operators on single items: map, filter, flat_map, each
* `placement`: what an executor declares about its workers
* `plan`: the plan: all stages of a pipeline
* `planned_stage`: one stage of a plan
* `sections`: which stages share a worker, and where the order of items is kept or restored
* `svg`: a plan as an SVG picture
"""
