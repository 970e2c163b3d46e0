"""Functions that run on Ray in these tests. Workers import them from here."""

from __future__ import annotations

import os
from collections.abc import Sequence

from support.gate import Gate, Journal

# Tests say `work.around`.
__all__: list[str] = []


def around(names: Sequence[str], journal: Journal, gate: Gate, item: int) -> int:
    """Write some environment variables, and hold."""
    journal.write(" ".join(os.environ.get(name, "") for name in names))
    return gate.hold(item)
