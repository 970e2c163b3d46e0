"""What a run looks like, and what it looked like.

* `bottleneck`: which stage holds up the others
* `charts`: the drawings of a page
* `display`: what `progress=True` shows, and where
* `history`: samples of a run in bounded number
* `hops`: whether a function takes less than the way of its items
* `html`: a report as a page
* `html_table`: tables of pages and notebooks
* `latency`: how long items take from source to sink
* `live`: the live table of a terminal, and the lines above it
* `live_table`: the table that it draws
* `observer_thread`: the thread that takes snapshots for observers
* `otel`: OpenTelemetry metrics and spans
* `oversubscription`: whether workers compute on more threads than there are processors
* `prometheus`: Prometheus metrics
* `reading`: one reading of the board
* `report`: the report of a run
* `run_record`: the data of a report
* `scaling_rule`: how many workers each "auto" stage should have
* `snapshot`: the progress of a run at one moment
"""
