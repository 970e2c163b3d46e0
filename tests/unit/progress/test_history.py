"""How a run went over time, in bounded number."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from chainpump.progress.history import MOST, History, Sample
from chainpump.progress.snapshot import Progress, StageProgress

LOAD = StageProgress("load", "source", "Inline()", 1, 1, 0, 0, 0.0, 0, 1.0, 0.0, 0.0)
SAVE = StageProgress("save", "sink", "Inline()", 1, 1, 0, 0, 0.0, 0, 1.0, 0.0, 0.0)


def progress(second: int, *, is_over: bool = False) -> Progress:
    stages = (replace(LOAD, sent=3 * second), replace(SAVE, received=2 * second, in_flight=second % 7))
    return Progress(float(second), 1.0, 2 * second, 2.0, None, None, None, None, stages, is_over)


def kept(seconds: int) -> tuple[Sample, ...]:
    history = History()
    for second in range(seconds):
        history.add(progress(second))
    history.add(progress(seconds, is_over=True))
    return history.samples


def test_a_sample_has_what_each_stage_has_moved_and_holds() -> None:
    assert kept(9)[8] == Sample(8.0, (24, 16), (0, 1))


def test_all_snapshots_of_a_short_run_are_kept() -> None:
    assert [sample.at for sample in kept(20)] == list(range(21))


def test_of_a_long_run_there_are_never_too_many_and_they_are_evenly_spread() -> None:
    samples = kept(100_000)
    assert MOST / 2 <= len(samples) <= MOST
    gaps = {late.at - early.at for early, late in pairwise(samples[:-1])}
    assert len(gaps) == 1
    assert (samples[0].at, samples[-1].at) == (0, 100_000)
