"""What a durable run keeps on disk: which items are done, and what is needed to go on after a crash.

* `checkpoints`: the moments at which stages held nothing, and which of them a later run goes on from
* `content`: what a journal holds, and one change of it, as values
* `digest`: a digest of an item that is the same in every process
* `fingerprint`: what a chain of stages is made of, and how two chains differ
* `journal`: which journal a run keeps, and how
* `journal_access`: how the file is made, opened and checked, and what its errors mean
* `journal_file`: the file: one transaction for each change
* `journal_lock`: one run at a time holds a journal
* `journal_tables`: the tables of the file, and how they are read
* `letter_rows`: dead letters as rows of the file
* `notes`: what a worker tells the journal while it works
* `position`: the progress of a run as a short text
* `ranges`: a set of numbers as ranges
* `reserve`: how far a run may go ahead of its journal
* `resume_points`: where each stage that numbers its own items goes on
* `samples`: samples of the items of a source, to compare them with those of the next attempt
"""
