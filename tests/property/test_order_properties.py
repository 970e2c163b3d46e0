"""Whatever element-wise stages make of numbered items, in whatever frames, the order of a nested loop comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chainpump.transport.frames import Frame
from chainpump.transport.order import Numbering, Order, SpanSplitter

# Number at the source, then which of its results at each stage.
Item = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """An element-wise stage: makes between least and most items of each, always the same number of the same one."""

    least: int
    most: int
    seed: int

    def results(self, item: Item) -> list[Item]:
        count = self.least + hash((self.seed, item)) % (self.most - self.least + 1)
        return [(*item, part) for part in range(count)]


@dataclass(frozen=True)
class Habits:
    """How often a worker sends what it has, from never to after each result."""

    random: Random
    flushes: float

    def flush_now(self) -> bool:
        return self.random.random() < self.flushes


# The least and most results of an item: of map, filter, flat_map, and of one that expands what it does not drop.
KINDS = st.sampled_from([(1, 1), (0, 1), (0, 2), (2, 3), (0, 9)])
STEPS = st.lists(st.builds(lambda kind, seed: Step(kind[0], kind[1], seed), KINDS, st.integers(0, 99)), max_size=3)
HABITS = st.builds(Habits, st.integers(0, 2**32).map(Random), st.sampled_from([0.0, 0.1, 0.5, 1.0]))


def source(items: int, origin: int, habits: Habits) -> Iterator[Frame]:
    """Numbers the items, and cuts them anywhere."""
    numbering = Numbering(origin)
    pending: list[Item] = []
    sent = 0
    for number in range(items):
        pending.append((number,))
        if habits.flush_now() or number == items - 1:
            yield from framed(numbering, pending, sent)
            sent = number + 1


def work(frame: Frame, step: Step, habits: Habits) -> Iterator[Frame]:
    """One item after the other, as `Output.pump` does: each result comes with its number."""
    distinct = frame.numbers is None and step.most <= 1
    numbering = Numbering(frame.span.origin, SpanSplitter(frame.span), distinct)
    pending: list[Item] = []
    for position, item in enumerate(frame.entries):
        for result in step.results(item):
            numbering.numbers.append(frame.number(position))
            pending.append(result)
            if habits.flush_now():
                yield from framed(numbering, pending)
    yield from framed(numbering, pending, done=frame.span.stop, end=True)


def work_by_frames(frame: Frame, step: Step, habits: Habits) -> Iterator[Frame]:
    """A run of items at once, as `Output.extend` does: numbers only from where an item has come to nothing."""
    numbering = Numbering(frame.span.origin, SpanSplitter(frame.span), frame.numbers is None)
    pending: list[Item] = []
    spelled = frame.numbers is not None
    for position, item in enumerate(frame.entries):
        made = step.results(item)
        if not made and not spelled:
            spelled = True
            numbering.spell_out(len(pending))
        pending.extend(made)
        numbering.numbers.extend([frame.number(position)] * len(made) if spelled else [])
        if pending and habits.flush_now():
            most = habits.random.randint(1, len(pending))
            yield from framed(numbering, pending, most=most)
    yield from framed(numbering, pending, done=frame.span.stop, end=True)


def guard(frame: Frame, step: Step, habits: Habits, begin: int = 0) -> Iterator[tuple[Frame, int]]:
    """Item by item, none of them sent in part, as workers do that may be replaced; with where a successor begins."""
    span = frame.span if begin == 0 else frame.span._replace(start=frame.number(begin))
    numbering = Numbering(frame.span.origin, SpanSplitter(span))
    pending: list[Item] = []
    for position, item in enumerate(frame.entries[begin:], begin + 1):
        made = step.results(item)
        pending.extend(made)
        numbering.numbers.extend([frame.number(position - 1)] * len(made))
        following = frame.number(position) if position < len(frame.entries) else None
        if following is not None and following != frame.number(position - 1) and habits.flush_now():
            for piece in framed(numbering, pending, done=following):
                yield piece, position
    for piece in framed(numbering, pending, done=frame.span.stop, end=True):
        yield piece, len(frame.entries)


def with_successors(frames: Sequence[Frame], step: Step, habits: Habits) -> Iterator[Frame]:
    """As made by workers that die after any frame that they send, some before they have marked that it was sent."""
    for frame in frames:
        begin, deaths = 0, habits.random.randint(0, 3)
        while begin is not None:
            marked, begin = begin, None
            for piece, position in guard(frame, step, habits, marked):
                yield piece
                if deaths and position < len(frame.entries) and habits.random.random() < 0.3:
                    deaths -= 1
                    begin = habits.random.choice([marked, position])
                    break
                marked = position


def framed(
    numbering: Numbering,
    pending: list[Any],
    sent: int = 0,
    *,
    most: int | None = None,
    done: int | None = None,
    end: bool = False,
) -> Iterator[Frame]:
    """Send what is pending, or the first of it."""
    entries = pending[:most]
    del pending[: len(entries)]
    for piece in numbering.pieces(entries, sent, done, end):
        yield Frame(0, piece.span, piece.entries, piece.numbers)


def passed_on(frames: Iterator[Frame], step: Step, habits: Habits) -> Iterator[Frame]:
    """By whichever worker of the stage takes it."""
    for frame in frames:
        kind = work_by_frames if step.most <= 1 and habits.random.random() < 0.5 else work
        yield from kind(frame, step, habits)


def chain(items: int, steps: Sequence[Step], origin: int, habits: Habits) -> list[Frame]:
    frames = source(items, origin, habits)
    for step in steps:
        frames = passed_on(frames, step, habits)
    return list(frames)


def nested_loop(items: int, steps: Sequence[Step]) -> list[Item]:
    """What it should be."""
    made: list[Item] = [(number,) for number in range(items)]
    for step in steps:
        made = [result for item in made for result in step.results(item)]
    return made


def restored(frames: Sequence[Frame], random: Random) -> tuple[list[Frame], Order]:
    """What comes out of an order that is asked now and then."""
    order, ready = Order(), []
    for frame in frames:
        order.push(frame)
        if random.random() < 0.5:
            ready.extend(order.ready())
    return [*ready, *order.ready()], order


def entries_of(frames: Sequence[Frame]) -> list[Item]:
    return [entry for frame in frames for entry in frame.entries]


@given(st.integers(0, 9), STEPS, HABITS, st.integers(0, 3))
def test_frames_of_element_wise_stages_come_back_in_the_order_of_a_nested_loop(
    items: int, steps: list[Step], habits: Habits, origin: int
) -> None:
    frames = chain(items, steps, origin, habits)
    twice = habits.random.sample(frames, habits.random.randint(0, len(frames)))
    mixed = [*frames, *twice]
    habits.random.shuffle(mixed)
    ready, order = restored(mixed, habits.random)
    assert entries_of(ready) == nested_loop(items, steps)
    assert order.next == (items,)
    assert order.waiting == 0
    assert {frame.span.origin for frame in ready} <= {origin}


@given(st.integers(1, 9), STEPS, HABITS)
def test_spans_tile_the_whole_without_a_gap(items: int, steps: list[Step], habits: Habits) -> None:
    position: tuple[int, ...] = (0,)
    for frame in chain(items, steps, 0, habits):
        begins = frame.span.position
        # There, or with the first part of what is there.
        assert begins == position + (0,) * (len(begins) - len(position))
        span, numbers = frame.span, [frame.number(place) for place in range(len(frame.entries))]
        assert numbers == sorted(numbers)
        assert all(span.start <= number < span.stop for number in numbers)
        assert frame.numbers is not None or not numbers or len(numbers) == span.stop - span.start
        position = span.after
    assert position == (items,)


@given(st.integers(1, 9), STEPS, HABITS)
def test_each_entry_knows_the_item_at_the_source_that_it_was_made_of(
    items: int, steps: list[Step], habits: Habits
) -> None:
    for frame in chain(items, steps, 0, habits):
        assert [frame.item_index(position) for position in range(len(frame.entries))] == [
            item[0] for item in frame.entries
        ]


@given(st.integers(1, 9), STEPS, HABITS, st.data())
def test_nothing_passes_a_frame_that_is_missing(
    items: int, steps: list[Step], habits: Habits, data: st.DataObject
) -> None:
    frames = chain(items, steps, 0, habits)
    missing = data.draw(st.sampled_from(frames))
    rest = [frame for frame in frames if frame is not missing]
    habits.random.shuffle(rest)
    ready, order = restored(rest, habits.random)
    assert entries_of(ready) == entries_of(frames[: frames.index(missing)])
    assert order.next < missing.span.after
    order.push(missing)
    assert entries_of([*ready, *order.ready()]) == nested_loop(items, steps)
    assert order.next == (items,)


@given(st.integers(0, 9), STEPS, STEPS, HABITS)
def test_order_that_was_restored_in_between_can_be_passed_on(
    items: int, before: list[Step], behind: list[Step], habits: Habits
) -> None:
    frames = chain(items, before, 0, habits)
    habits.random.shuffle(frames)
    for step in behind:
        ready, _ = restored(frames, habits.random)
        frames = list(passed_on(iter(ready), step, habits))
        habits.random.shuffle(frames)
    ready, order = restored(frames, habits.random)
    assert entries_of(ready) == nested_loop(items, [*before, *behind])
    assert order.next == (items,)


@given(st.integers(0, 9), STEPS, KINDS, st.integers(0, 99), HABITS)
def test_what_successors_send_again_comes_once(
    items: int, before: list[Step], kind: tuple[int, int], seed: int, habits: Habits
) -> None:
    step = Step(*kind, seed)
    frames = list(with_successors(chain(items, before, 0, habits), step, habits))
    habits.random.shuffle(frames)
    ready, order = restored(frames, habits.random)
    assert entries_of(ready) == nested_loop(items, [*before, step])
    assert order.next == (items,)
    assert order.waiting == 0


@given(st.integers(0, 9), st.integers(0, 2), st.integers(0, 99), HABITS)
def test_what_successors_send_again_comes_once_though_others_cut_it_anew(
    items: int, maps: int, seed: int, habits: Habits
) -> None:
    # One result at most of each, and none left out but by the last: then a number means the same in whatever frame.
    steps = [*[Step(1, 1, 0)] * (maps + 1), Step(0, 1, seed)]
    frames: Iterator[Frame] = with_successors(chain(items, [], 0, habits), steps[0], habits)
    for step in steps[1:]:
        frames = passed_on(frames, step, habits)
    mixed = list(frames)
    habits.random.shuffle(mixed)
    ready, order = restored(mixed, habits.random)
    assert entries_of(ready) == nested_loop(items, steps)
    assert order.next == (items,)
