"""Which input a worker has: a usual one, or one that tells the journal of a durable run what has passed it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..durable.notes import Notes
from .checkpoint_input import CheckpointInput
from .output import Output
from .span_sender import SpanSender
from .stage_run import ChannelInput
from .work import Assignment, Work

__all__ = ["kind_of_input"]


def kind_of_input(
    usual: Callable[..., ChannelInput],
    work: Work,
    first: Assignment,
    output: Output | None,
    spans: SpanSender | None,
    note: Callable[[Notes], object],
) -> Callable[..., ChannelInput]:
    """What makes the input of a worker. first: its first stage. spans: if it is at the end of a durable run."""
    # Tasks end in any order, so that their input does not know what is done.
    if spans is not None:
        return usual if work.awaits else spans.input
    if first.goes_on.tells and output is not None:
        return partial(CheckpointInput, first, output, note)
    return usual
