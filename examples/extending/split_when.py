"""An operator: lists of neighbouring items; a new one begins where two neighbours differ enough."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from chainpump import Inline, Pipeline, stage

T = TypeVar("T")


def split_when(items: Iterable[T], differ: Callable[[T, T], bool]) -> Iterator[list[T]]:
    """Yield lists of neighbours; none is empty."""
    rest = iter(items)
    found = list(islice(rest, 1))
    for item in rest:
        if differ(found[-1], item):
            yield found
            found = []
        found.append(item)
    if found:
        yield found


def far_apart(first: float, second: float) -> bool:
    """Whether two events are of different visits: more than half an hour lies between them."""
    return second - first > 30 * 60


if __name__ == "__main__":
    seconds = Pipeline([0.0, 60.0, 7200.0, 7260.0])
    for visit in seconds.then(stage(split_when, far_apart), on=Inline()):
        print(visit)  # [0.0, 60.0], then [7200.0, 7260.0]
