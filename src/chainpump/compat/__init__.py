"""Facades of earlier libraries: their users change one import. Each is a thin layer on the public pipeline.

* `pipeline_lib`: generator pipelines with strict rules: docs/from_pipeline_lib.md
* `pypeln`: concurrent operators on processes, threads, tasks, or in the calling thread: docs/from_pypeln.md
"""
