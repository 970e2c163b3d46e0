"""How results are numbered if the stage that makes the items shares a worker with element-wise stages behind it."""

from __future__ import annotations

from collections.abc import Sequence

from ..transport.frames import Span
from .link import Link
from .operator_run import OperatorRun
from .output import Output
from .stage_run import StageRun

__all__ = ["numbering_link"]


def numbering_link(
    output: Output | None, stages: Sequence[StageRun], links: Sequence[Link], origin: int, *, several: bool
) -> Link | None:
    """Number the results by the items of the last stage that makes items, and return the link behind that stage.

    None if the results are numbered as usual. several: whether an item may have several results.
    """
    if output is None or output.is_bounded or not isinstance(stages[-1], OperatorRun):
        return None
    made = [index for index, stage in enumerate(stages) if not isinstance(stage, OperatorRun)]
    if not made:
        return None
    link = links[made[-1]]
    output.open_span(Span(0, 0, origin=origin), distinct=not several)
    output.number_by(lambda: link.delivered - 1)
    return link
