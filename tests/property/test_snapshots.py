"""What a generator does to an item after its `yield` never reaches the receiver."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump.ipc.board import Cell, State
from support.lines import line
from support.records import FrozenSlots, Number, Plain, Point, Record, Slots, Text

LEAVES = st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
# Made anew for each item, since they are changed later.
FRESH_PARTS: list[Callable[[], Any]] = [
    *(lambda: [1], lambda: {"x": 1}, lambda: bytearray(b"x"), lambda: Number(1), lambda: Text("x")),
]
PARTS: st.SearchStrategy[Callable[[], Any]] = LEAVES.map(lambda leaf: lambda: leaf) | st.sampled_from(FRESH_PARTS)
WRAPS: list[Callable[[Any, Any], Any]] = [
    *(Record, Slots, FrozenSlots, Plain, Point),
    *(lambda one, other: [one, other], lambda one, other: (one, other), lambda one, other: {"a": one, "b": other}),
    *(lambda one, _: one, lambda one, _: {Text("a"): one}),
]


def change(item: Any) -> None:
    """Change an item, its parts, and what is in them, wherever that is possible."""
    parts = [getattr(item, name, None) for name in ("id", "name")]
    if isinstance(item, dict):
        parts = [*item, *item.values()]
        item["new"] = 1
    elif isinstance(item, list | tuple):
        parts = list(item)
    for each in [item, *parts]:
        if isinstance(each, list | bytearray):
            each.append(1)
        elif isinstance(each, dict):
            each["later"] = 1
        elif isinstance(each, Number | Text | Record | Plain):
            each.__dict__["later"] = 1
        elif isinstance(each, Slots | FrozenSlots):
            object.__setattr__(each, "id", "later")


def described(item: Any) -> Any:
    """Of each object: type, value and attributes."""
    if isinstance(item, list | tuple):
        return type(item), [described(each) for each in item]
    if isinstance(item, dict):
        return dict, [(described(key), described(value)) for key, value in item.items()]
    if isinstance(item, Slots | FrozenSlots):
        return type(item), described([item.id, item.name])
    if isinstance(item, Record | Plain):
        return type(item), described(vars(item))
    return type(item), repr(item), getattr(item, "__dict__", None)


# Items of one or two sorts: what is learned of one is used for the next.
MAKINGS = st.lists(st.sampled_from(WRAPS), min_size=1, max_size=2).flatmap(
    lambda wraps: st.lists(st.tuples(st.sampled_from(wraps), PARTS, PARTS, st.booleans()), max_size=12)
)


Making: TypeAlias = tuple[Callable[[Any, Any], Any], Callable[[], Any], Callable[[], Any], bool]


@given(MAKINGS, st.sampled_from([1, 3, 1_000]), st.none() | st.integers(1, 4))
def test_an_item_that_is_changed_after_its_yield_arrives_as_it_was(
    makings: list[Making], hint: int, in_flight: int | None
) -> None:
    check(makings, hint, in_flight)


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("part", [*FRESH_PARTS, lambda: 5, lambda: "text"])
def test_each_item_of_a_row_of_one_sort_arrives_as_it_was(
    wrap: Callable[[Any, Any], Any], part: Callable[[], Any]
) -> None:
    # The first ones show how items of this sort can be copied.
    check([(wrap, int, int, False)] * 2 + [(wrap, int, part, True)] * 2 + [(wrap, part, int, True)] * 2, 1_000, None)


def check(makings: Sequence[Making], hint: int, in_flight: int | None) -> None:
    expected: list[Any] = []

    def stage() -> Iterator[Any]:
        for wrap, one, other, twice in makings:
            item = wrap(one(), other())
            for _ in range(2 if twice else 1):
                expected.append(described(pickle.loads(pickle.dumps(item))))
                yield item
                change(item)

    with line(hint, in_flight) as (output, worker_input):

        def send() -> None:
            output.pump(stage())
            output.finish()
            output._row[Cell.STATE] = State.DONE
            output.close()

        sender = Thread(target=send)
        sender.start()
        received = [described(item) for item in worker_input]
        sender.join()
    assert received == expected
