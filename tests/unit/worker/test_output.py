"""The sending side of a worker: how items become frames, and when these leave."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import pytest

from chainpump.errors import Cancelled
from chainpump.ipc.board import Board, Cell
from chainpump.ipc.descriptors import Descriptor
from chainpump.ipc.wait_times import UNCOUNTED
from chainpump.pickling.copies import Copies
from chainpump.pickling.items import ItemFault, Pickling
from chainpump.pickling.large_bytes import LARGE_BYTES
from chainpump.pickling.sizes import deep_size
from chainpump.transport.credits import Credits
from chainpump.transport.flow import (
    FIRST_ITEMS,
    FLUSH_BYTES,
    FLUSH_NS,
    FRAME_BYTES,
    HELD_BYTES,
    MAX_HINT,
    MAX_WINDOW,
    next_hint,
)
from chainpump.transport.frames import Frame, Span
from chainpump.transport.reorder_buffer import ReorderBuffer
from chainpump.transport.send_limit import Gate, Gates, Limit
from chainpump.worker import output as output_module
from chainpump.worker.output import Output


class Clock:
    """Stands in for the `time` module: time passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000 * FLUSH_NS

    def monotonic_ns(self) -> int:
        return self.now

    def pass_by(self, ns: int) -> None:
        self.now += ns


class Recorder:
    """A sender that takes snapshots, and keeps what it is given instead of sending it."""

    descriptors: Sequence[Descriptor] = ()
    flush_bytes = FLUSH_BYTES

    def __init__(self) -> None:
        self.frames: list[tuple[list[Any], bool, Span]] = []
        self.numbers: list[Sequence[int] | None] = []
        # What it says that an item takes.
        self.bytes_each = 0
        self.credits: Credits | None = None
        self.is_closed = False
        self.is_hung_up = False
        self.refusal: OSError | None = None
        self._arrived = threading.Condition()
        self._pickling = Pickling()
        self.copies = Copies()

    def open(self) -> None:
        """Nothing to open."""

    def admit(self, item: Any) -> tuple[Any, int]:
        entry = self._pickling.snapshot(item)
        self.copies.learn(type(item))
        return entry, len(entry) if isinstance(entry, bytes) else entry.size

    def send(
        self, entries: list[Any], snapshots: bool, span: Span, numbers: Sequence[int] | None, waits=UNCOUNTED
    ) -> int:
        with self._arrived:
            self.frames.append((entries, snapshots, span))
            self.numbers.append(numbers)
            self._arrived.notify_all()
            if self.is_hung_up:
                raise Cancelled("the channel was closed")
            if self.refusal is not None:
                raise self.refusal
        if not snapshots:
            self._pickling.frame(entries)
        return self.bytes_each * len(entries)

    def close(self) -> None:
        self.is_closed = True

    def wait_for(self, frames: int) -> None:
        """Return once this many frames have come."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.frames) >= frames, timeout=60)

    @property
    def items(self) -> list[list[Any]]:
        """The items of each frame."""
        return [[_item(entry) if snapshots else entry for entry in entries] for entries, snapshots, _ in self.frames]


def _item(entry: Any) -> Any:
    return pickle.loads(entry) if isinstance(entry, bytes) else pickle.loads(entry.data, buffers=entry.buffers)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(output_module, "time", clock)
    return clock


@pytest.fixture
def sender() -> Recorder:
    return Recorder()


@pytest.fixture
def output(sender: Recorder, board: Board, clock: Clock) -> Iterator[Output]:
    output = Output(sender, board.row(0), board.hint(0), board.flag(0))
    yield output
    output.close()


@pytest.fixture
def credits(sender: Recorder, board: Board, clock: Clock) -> Iterator[Credits]:
    sender.credits = Credits.of(2)
    yield sender.credits
    for descriptor in sender.credits.descriptors:
        descriptor.close()


def send(output: Output, items: Iterable[Any]) -> None:
    """As a generator makes them, one after the other."""
    output.pump(item for item in items)
    output.finish()


def test_a_lone_item_leaves_at_once(output: Output, sender: Recorder) -> None:
    def stage() -> Iterator[int]:
        yield 1
        assert sender.items == [[1]]

    send(output, stage())


def test_each_item_leaves_at_once_when_they_come_slowly(
    output: Output, sender: Recorder, board: Board, clock: Clock
) -> None:
    board.hint(0)[0] = 100

    def stage() -> Iterator[int]:
        for item in range(3):
            yield item
            assert sender.items[-1] == [item]
            clock.pass_by(FLUSH_NS)

    send(output, stage())


@pytest.mark.parametrize(
    "hint,frames",
    [
        pytest.param(0, [[0], [1], [2], [3], [4], [5]], id="nobody has said: one by one"),
        pytest.param(1, [[0], [1], [2], [3], [4], [5]], id="one"),
        pytest.param(3, [[0], [1, 2, 3], [4, 5]], id="three, after the lone first one"),
        pytest.param(100, [[0], [1, 2, 3, 4, 5]], id="more than there are"),
    ],
)
def test_a_frame_leaves_when_it_holds_what_the_consumer_asked_for(
    output: Output, sender: Recorder, board: Board, hint: int, frames: list[list[int]]
) -> None:
    board.hint(0)[0] = hint
    send(output, range(6))
    assert sender.items == frames


@pytest.mark.parametrize("item", [b"x" * 10_000, "x" * 10_000, ["x" * 10_000]], ids=["bytes", "str", "snapshot"])
def test_a_frame_leaves_when_it_holds_enough_bytes(
    output: Output, sender: Recorder, board: Board, item: object
) -> None:
    board.hint(0)[0] = 1_000
    send(output, [item] * 20)
    first, *full, _ = map(len, sender.items)
    assert first == 1
    assert full == [-(-FLUSH_BYTES // 10_000)] * len(full)
    assert sum(map(len, sender.items)) == 20


def test_frames_are_numbered_by_their_first_item(output: Output, sender: Recorder, board: Board) -> None:
    board.hint(0)[0] = 2
    send(output, range(6))
    assert [span for _, _, span in sender.frames] == [Span(0, 1), Span(1, 3), Span(3, 5), Span(5, 6)]
    assert sender.numbers == [None] * 4


@pytest.mark.parametrize("kind", [list, tuple, iter, dict.fromkeys, reversed], ids=lambda kind: kind.__name__)
def test_items_that_are_all_there_come_through_in_order(
    output: Output, sender: Recorder, board: Board, kind: Callable[[Sequence[int]], Iterable[int]]
) -> None:
    board.hint(0)[0] = 4
    items = list(range(10))
    output.pump(kind(items))
    output.finish()
    assert [item for frame in sender.items for item in frame] == list(kind(items))
    assert board.row(0)[Cell.SENT] == 10
    assert max(map(len, sender.items)) <= 4


def test_items_that_are_all_there_leave_in_full_frames_at_once(output: Output, sender: Recorder, board: Board) -> None:
    board.hint(0)[0] = 4
    output.pump([0, [1], "2", None, 4, 5, 6, 7, 8])
    assert sender.items == [[0, [1], "2", None], [4, 5, 6, 7], [8]]
    assert [span for _, _, span in sender.frames] == [Span(0, 4), Span(4, 8), Span(8, 9)]


def test_the_flusher_sends_what_has_waited_for_2_ms(
    output: Output, sender: Recorder, board: Board, clock: Clock
) -> None:
    board.hint(0)[0] = 100

    def stage() -> Iterator[int]:
        yield 1
        yield 2
        yield 3
        clock.pass_by(FLUSH_NS)
        # Although the stage is busy and asks for nothing.
        sender.wait_for(frames=2)
        yield 4

    send(output, stage())
    assert sender.items == [[1], [2, 3], [4]]


class Crowded(list[Any]):
    """What is pending, where another item comes while the flusher takes what was there."""

    def __delitem__(self, taken: Any) -> None:
        self.append("late")
        super().__delitem__(taken)


def test_an_item_that_comes_while_the_flusher_takes_the_one_before_is_not_forgotten(
    output: Output, sender: Recorder, clock: Clock
) -> None:
    output._pending = Crowded(["early"])
    clock.pass_by(FLUSH_NS)
    # It looks again in 2 ms: nobody else would.
    assert output.flush_old() == FLUSH_NS
    assert sender.items == [["early"]]
    assert output._pending == ["late"]


def many_then(slow: Iterable[int]) -> Iterator[int]:
    """Numbers that come so quickly that they are taken without a look at each, and others."""
    yield from range(1000)
    yield from slow


def test_numbers_in_a_row_that_begin_to_come_slowly_leave_one_by_one(
    output: Output, sender: Recorder, board: Board, clock: Clock
) -> None:
    board.hint(0)[0] = 4096

    def slow() -> Iterator[int]:
        clock.pass_by(FLUSH_NS)
        # As the flusher does, or a wait for input.
        output.flush()
        assert sum(map(len, sender.items)) == 1000
        for number in range(1000, 1005):
            clock.pass_by(FLUSH_NS)
            yield number
            assert sender.items[-1] == [number]

    send(output, many_then(slow()))
    assert [item for items in sender.items for item in items] == list(range(1005))


def test_a_number_behind_those_that_the_flusher_takes_out_of_a_row_is_sent_by_it_too(
    output: Output, sender: Recorder, board: Board, clock: Clock
) -> None:
    board.hint(0)[0] = 4096

    def slow() -> Iterator[int]:
        clock.pass_by(FLUSH_NS)
        # All that is pending leaves by the flusher's thread.
        sender.wait_for(frames=2)
        yield 1000
        clock.pass_by(FLUSH_NS)
        sender.wait_for(frames=3)

    send(output, many_then(slow()))


@pytest.mark.parametrize("hint", [1, 7, 300, 4096])
def test_numbers_and_other_items_keep_their_order_and_their_types(
    output: Output, sender: Recorder, board: Board, hint: int
) -> None:
    board.hint(0)[0] = hint
    changing: list[int] = []

    def mixed() -> Iterator[Any]:
        for number in range(3000):
            yield number
            if number % 700 == 0:
                yield float(number)
                yield number % 1400 == 0
                yield "text"
                changing.append(number)
                yield changing
                yield None

    expected = [list(item) if isinstance(item, list) else item for item in mixed()]
    changing.clear()
    send(output, mixed())
    got = [item for items in sender.items for item in items]
    assert got == expected
    assert list(map(type, got)) == list(map(type, expected))
    assert max(map(len, sender.items)) <= hint


@pytest.mark.parametrize("other", [None, 2.5, "text", [1]], ids=repr)
def test_an_item_of_another_type_is_not_lost_if_a_row_of_numbers_is_sent_as_it_ends(
    output: Output, sender: Recorder, board: Board, clock: Clock, other: object
) -> None:
    board.hint(0)[0] = 4096

    def ending() -> Iterator[object]:
        for number in range(3):
            yield from range(1000)
            clock.pass_by(FLUSH_NS)
            # As the flusher does: the row ends at the next item, and there is no place for another number any more.
            output.flush()
            yield other
            yield number

    send(output, ending())
    row = [*range(1000)]
    assert [item for items in sender.items for item in items] == [*row, other, 0, *row, other, 1, *row, other, 2]


@pytest.mark.parametrize("hint", [3, 8, 16, 17, 4096])
def test_numbers_behind_a_snapshot_are_snapshots_too(output: Output, sender: Recorder, board: Board, hint: int) -> None:
    board.hint(0)[0] = hint

    def mixed() -> Iterator[object]:
        for number in range(100):
            yield from (number, None, str(number), {number}, number / 2)

    send(output, mixed())
    assert [item for items in sender.items for item in items] == list(mixed())
    assert any(snapshots for _, snapshots, _ in sender.frames)


def test_numbers_before_an_exception_are_sent(output: Output, sender: Recorder, board: Board) -> None:
    board.hint(0)[0] = 4096

    def failing() -> Iterator[int]:
        yield from range(1000)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        output.pump(failing())
    output.finish()
    assert sum(map(len, sender.items)) == 1000


def test_what_stops_the_flusher_is_raised_in_the_worker(
    output: Output, sender: Recorder, board: Board, clock: Clock
) -> None:
    board.hint(0)[0] = 100

    def stage() -> Iterator[int]:
        yield 1
        yield 2
        sender.is_hung_up = True
        clock.pass_by(FLUSH_NS)
        sender.wait_for(frames=2)
        sender.is_hung_up = False

    with pytest.raises(Cancelled):
        send(output, stage())


def test_what_stops_the_flusher_is_told_although_the_stage_asks_for_nothing(
    sender: Recorder, board: Board, clock: Clock
) -> None:
    told: SimpleQueue[BaseException] = SimpleQueue()
    output = Output(sender, board.row(0), board.hint(0), board.flag(0), failed=told.put)
    board.hint(0)[0] = 100

    def stage() -> Iterator[int]:
        yield 1
        yield 2
        sender.refusal = OSError("no room")
        clock.pass_by(FLUSH_NS)
        assert isinstance(told.get(timeout=60), Cancelled)
        assert output.refused is sender.refusal

    with pytest.raises(Cancelled):
        send(output, stage())
    output.close()


def test_an_item_is_snapshot_at_the_yield(output: Output, sender: Recorder, board: Board) -> None:
    board.hint(0)[0] = 100

    def stage() -> Iterator[list[int]]:
        item: list[int] = []
        for number in range(4):
            item.append(number)
            yield item

    send(output, stage())
    assert sender.items == [[[0]], [[0, 1], [0, 1, 2], [0, 1, 2, 3]]]


class Text(str):  # noqa: SLOT000  # it has a state on purpose
    """A str that can change: not the exact type."""


@pytest.mark.parametrize(
    "item,waits",
    [
        *((item, True) for item in (1, 2.5, True, None, 3j, "text", b"bytes")),
        *((item, False) for item in ([1], (1,), {"a": 1}, Text("text"), bytearray(b"bytes"))),
    ],
)
def test_only_exact_immutables_wait_for_their_frame_to_be_pickled(
    output: Output, sender: Recorder, item: object, waits: bool
) -> None:
    send(output, [item])
    assert sender.frames == [([item if waits else pickle.dumps(item, 5)], not waits, Span(0, 1))]


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([1, "a", [2], 3, {"b": 4}, None, 5.0], id="mixed"),
        pytest.param([[1], 2, 3, 4, [5], 6], id="first one that can change"),
        pytest.param([1, 2, 3, [4]], id="last one that can change"),
        pytest.param([0, [1], b"x" * FLUSH_BYTES, 3, [4], "y" * FLUSH_BYTES, 6, 7], id="frames full in between"),
        pytest.param([0, 1, bytearray(LARGE_BYTES), 2], id="a plain large one"),
    ],
)
@pytest.mark.parametrize("hint", [1, 2, 100])
def test_order_is_kept_whatever_is_pickled_when(
    output: Output, sender: Recorder, board: Board, items: list[object], hint: int
) -> None:
    board.hint(0)[0] = hint
    send(output, items)
    assert [item for frame in sender.items for item in frame] == items
    ends = [sum(map(len, sender.items[:n])) for n in range(len(sender.items) + 1)]
    assert [span for _, _, span in sender.frames] == [Span(*each) for each in pairwise(ends)]


def test_an_item_with_large_buffers_travels_alone(output: Output, sender: Recorder, board: Board) -> None:
    board.hint(0)[0] = 100
    large = pickle.PickleBuffer(bytearray(LARGE_BYTES))
    send(output, [0, 1, large, 2, large, large, 3])
    assert [len(entries) for entries, _, _ in sender.frames] == [1, 1, 1, 1, 1, 1, 1]
    assert [span for _, _, span in sender.frames] == [Span(number, number + 1) for number in range(7)]


@pytest.mark.parametrize("before", [[], [0], [0, 1, 2], [[0], 1], [0, [1], 2, 3]], ids=len)
def test_an_item_that_cannot_be_pickled_is_named_by_its_number(
    output: Output, board: Board, before: list[object]
) -> None:
    board.hint(0)[0] = 3
    with pytest.raises(ItemFault) as caught:
        send(output, [*before, threading.Lock()])
    assert caught.value.index == len(before)


def test_what_is_pending_is_sent_before_a_wait(output: Output, sender: Recorder, board: Board) -> None:
    board.hint(0)[0] = 100

    def stage() -> Iterator[int]:
        yield from range(3)
        # Its input has run dry.
        output.before_wait()
        assert sender.items == [[0], [1, 2]]

    send(output, stage())


def test_a_cancelled_run_sends_nothing_more(output: Output, sender: Recorder, board: Board) -> None:
    board.flag(0)[0] = 1
    with pytest.raises(Cancelled):
        send(output, [1])
    assert sender.frames == []


def test_closing_sends_nothing(output: Output, sender: Recorder, board: Board) -> None:
    board.hint(0)[0] = 100
    output.pump(item for item in range(3))
    output.close()
    assert sender.items == [[0]]
    assert sender.is_closed


def test_nothing_to_send_is_no_frame(output: Output, sender: Recorder, board: Board) -> None:
    send(output, [])
    assert sender.frames == []
    assert board.row(0)[Cell.SENT] == 0


def test_what_the_system_refuses_cancels_and_is_remembered(output: Output, sender: Recorder) -> None:
    sender.refusal = OSError("no memory")
    with pytest.raises(Cancelled):
        output.pump([1])
    assert output.cancelled
    assert output.refused is sender.refusal


def test_what_a_stage_raises_passes_through(output: Output, sender: Recorder) -> None:
    def stage() -> Iterator[int]:
        yield 1
        raise OSError("user")

    with pytest.raises(OSError, match="user"):
        send(output, stage())
    assert sender.items == [[1]]


def test_the_board_counts_what_was_sent(output: Output, board: Board) -> None:
    board.hint(0)[0] = 4
    send(output, range(10))
    assert board.row(0)[Cell.SENT] == 10


def test_an_output_without_a_wait_needs_no_thread(output: Output) -> None:
    before = threading.active_count()
    # One by one: nobody has asked for more.
    send(output, range(100))
    assert threading.active_count() == before


def test_a_closed_output_goes_with_its_last_reference(sender: Recorder, board: Board, clock: Clock) -> None:
    board.hint(0)[0] = 100
    output = Output(sender, board.row(0), board.hint(0), board.flag(0))
    # With a flusher.
    send(output, range(3))
    output.close()
    alive = weakref.ref(output)
    # What it holds, the board's memory among it, must not wait for a collection.
    gc.disable()
    try:
        del output
        assert alive() is None
    finally:
        gc.enable()


def available(credits: Credits) -> int:
    """How many credits there are; puts them back."""
    count = 0
    while credits.take():
        count += 1
    if count:
        credits.give(count)
    return count


def test_a_credit_is_taken_before_the_next_item_is_made(credits: Credits, output: Output) -> None:
    def stage() -> Iterator[int]:
        assert available(credits) == 1
        yield 1
        assert available(credits) == 0
        # As a consumer that has finished the first item and asks for the next.
        credits.give()
        yield 2

    send(output, stage())


def test_the_credit_of_an_item_that_was_never_made_goes_back(credits: Credits, output: Output) -> None:
    send(output, [1])
    assert available(credits) == 1


def test_a_worker_that_waits_for_input_lends_its_credit(credits: Credits, output: Output) -> None:
    def stage() -> Iterator[int]:
        held = output.before_wait()
        assert (held, available(credits)) == (True, 2)
        output.after_wait(held)
        assert available(credits) == 1
        yield 1

    send(output, stage())


def test_a_worker_that_waits_for_a_credit_leaves_nothing_pending(
    credits: Credits, output: Output, sender: Recorder, board: Board
) -> None:
    board.hint(0)[0] = 100

    def consume() -> None:
        for frames in (1, 2, 3):
            sender.wait_for(frames)
            credits.give(2)

    consumer = threading.Thread(target=consume)
    consumer.start()
    send(output, range(6))
    consumer.join()
    assert [item for frame in sender.items for item in frame] == list(range(6))


def test_a_worker_that_waits_for_a_credit_is_woken_by_the_cancel(
    credits: Credits, output: Output, sender: Recorder, board: Board
) -> None:
    def cancel() -> None:
        # Both credits are taken.
        sender.wait_for(frames=2)
        board.flag(0)[0] = 1
        credits.wake_all()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Cancelled):
        send(output, range(100))
    canceller.join()
    assert sender.items == [[0], [1]]


# --------------------------------------------------------------------------------------------------- element-wise


def test_a_worker_that_numbers_its_items_tells_which_one_it_is(sender: Recorder, board: Board, clock: Clock) -> None:
    board.hint(0)[0] = 2
    output = Output(sender, board.row(0), board.hint(0), board.flag(0), origin=3)
    send(output, range(3))
    output.close()
    assert [span for _, _, span in sender.frames] == [Span(0, 1, origin=3), Span(1, 3, origin=3)]


def test_results_carry_the_numbers_of_the_items_that_they_are_made_of(
    output: Output, sender: Recorder, board: Board
) -> None:
    board.hint(0)[0] = 100
    at = 0
    output.number_by(lambda: at)

    def stage() -> Iterator[str]:
        nonlocal at
        output.open_span(Span(40, 50), distinct=False)
        for at in (40, 43, 43, 47):
            yield "abcdefgh"[at - 40]
        output.close_span(50)
        output.open_span(Span(60, 65), distinct=True)
        at = 64
        yield "z"
        output.close_span(65)

    send(output, stage())
    assert sender.frames == [
        # A lone one leaves at once, though more may come of it.
        (["a"], False, Span(0, 1, (40,))),
        ([], False, Span(1, 1, (40,), last=True)),
        (["d", "d", "h"], False, Span(41, 50)),
        (["z"], False, Span(60, 65)),
    ]
    assert [*map(list, filter(None, sender.numbers))] == [[43, 43, 47], [64]]
    assert board.row(0)[Cell.SENT] == 5


def test_a_span_of_which_nothing_is_left_is_told(output: Output, sender: Recorder) -> None:
    output.open_span(Span(40, 50, origin=2), distinct=True)
    output.close_span(50)
    assert sender.frames == [([], False, Span(40, 50, origin=2))]


def test_results_of_whole_frames_need_numbers_only_behind_an_item_that_came_to_nothing(
    output: Output, sender: Recorder, board: Board
) -> None:
    board.hint(0)[0] = 2
    output.open_span(Span(40, 50), distinct=True)
    output.extend("abc")
    output.flush_full()
    output.skip()
    output.extend("ef", lambda count: range(44, 44 + count))
    output.flush_full()
    output.close_span(50)
    assert [(entries, span) for entries, _, span in sender.frames] == [
        (["a", "b"], Span(40, 42)),
        (["c", "e"], Span(42, 45)),
        (["f"], Span(45, 50)),
    ]
    assert sender.numbers == [None, [42, 44], [45]]


def test_results_before_an_exception_are_kept(output: Output, sender: Recorder) -> None:
    def made() -> Iterator[str]:
        yield "a"
        yield "b"
        raise OSError("user")

    output.open_span(Span(40, 50), distinct=True)
    with pytest.raises(OSError, match="user"):
        output.extend(made(), lambda count: range(41, 41 + count))
    output.close_span(50)
    assert [(entries, span) for entries, _, span in sender.frames] == [(["a", "b"], Span(40, 50))]
    assert sender.numbers == [[41, 42]]


def test_fewer_items_than_asked_for_fill_a_frame_where_they_are_large(
    output: Output, sender: Recorder, board: Board
) -> None:
    board.hint(0)[0] = 100
    sender.bytes_each = FLUSH_BYTES // 10
    output.open_span(Span(0, 200), distinct=True)
    output.extend(range(100))
    output.flush_full()
    output.extend(range(100, 200))
    output.flush_full()
    assert [len(entries) for entries, _, _ in sender.frames] == [100, *[10] * 10]


@pytest.mark.parametrize(
    "span,at,index", [(Span(40, 50), 42, 42), (Span(40, 50, (7,)), 42, 7)], ids=["an item", "part of an item"]
)
@pytest.mark.parametrize("is_snapshot", [True, False], ids=["at the yield", "with its frame"])
def test_a_result_that_cannot_be_pickled_is_named_by_the_item_that_it_was_made_of(
    output: Output, span: Span, at: int, index: int, is_snapshot: bool
) -> None:
    output.open_span(span, distinct=True)
    output.number_by(lambda: at)
    with pytest.raises(ItemFault) as caught:  # noqa: PT012  # the fault comes now, or with the frame
        if is_snapshot:
            output.pump([threading.Lock()])
        else:
            output.extend([1, 2, threading.Lock()])
            output.flush()
    assert caught.value.index == index


@pytest.fixture
def gates(board: Board) -> Iterator[Gates]:
    """Of worker 0, whose items worker 1 puts in order; one at a time."""
    gates = Gates(1, [0], least=1)
    yield gates
    gates.close()


def gated(gates: Gates, sender: Recorder, board: Board) -> tuple[Output, Gate, Limit]:
    gate, limit = gates.sending(0), gates.returning()
    assert gate is not None
    gate.open(board)
    limit.open(board)
    return Output(sender, board.row(0), board.hint(0), board.flag(0), room=gate), gate, limit


def test_who_is_too_far_ahead_waits_at_the_gate(gates: Gates, sender: Recorder, board: Board, clock: Clock) -> None:
    output, gate, limit = gated(gates, sender, board)
    # One item.
    limit.move(0, HELD_BYTES, 0.0, 0)
    sent = []

    def order() -> None:
        for passed in range(1, 8):
            sender.wait_for(frames=passed)
            sent.append(len(sender.items))
            limit.move(passed, HELD_BYTES, 0.0, passed)

    orderer = threading.Thread(target=order)
    orderer.start()
    send(output, range(8))
    orderer.join()
    for end in (output, gate, limit):
        end.close()
    assert sender.items == [[number] for number in range(8)]
    assert sent == list(range(1, 8))


def test_who_waits_at_the_gate_is_woken_by_the_cancel(
    gates: Gates, sender: Recorder, board: Board, clock: Clock
) -> None:
    output, gate, limit = gated(gates, sender, board)
    limit.move(0, HELD_BYTES, 0.0, 0)

    def cancel() -> None:
        sender.wait_for(frames=1)
        board.flag(0)[0] = 1
        gates.wake_all()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Cancelled):
        send(output, range(100))
    canceller.join()
    for end in (output, gate, limit):
        end.close()
    assert sender.items == [[0]]


class SlowStarter:
    """A gate of whose items the consumer takes the next frame only once the producer has to wait.

    Each frame takes the consumer 20 us, and each item 0.1 us more.
    """

    def __init__(self, gate: Gate, reorder_buffer: ReorderBuffer, sender: Recorder, hint: memoryview) -> None:
        self._gate = gate
        self._reorder_buffer = reorder_buffer
        self._sender = sender
        self._hint = hint
        self._taken = 0

    def may_send(self, span: Span) -> bool:
        return self._gate.may_send(span)

    def wait(self) -> None:
        entries, _, span = self._sender.frames[self._taken]
        self._taken += 1
        self._reorder_buffer.push(Frame(0, span, entries))
        assert self._reorder_buffer.next() is not None
        self._hint[0] = next_hint(self._hint[0] or 1, 20_000 / len(entries) + 100)
        self._reorder_buffer.release()


def test_few_small_frames_leave_before_the_consumer_can_say_how_many_items_it_wants(
    gates: Gates, sender: Recorder, board: Board, clock: Clock
) -> None:
    gates.begin(board)
    output, gate, limit = gated(gates, sender, board)
    reorder_buffer = ReorderBuffer(limit)
    output._room = SlowStarter(gate, reorder_buffer, sender, board.hint(0))  # type: ignore[assignment]
    items = 2 * MAX_WINDOW
    output.pump(range(items))
    output.finish()
    for end in (output, gate, limit):
        end.close()
    assert [item for frame in sender.items for item in frame] == list(range(items))
    assert len(sender.frames) <= items // MAX_HINT + FIRST_ITEMS + 16


def test_frames_of_what_weighs_more_than_its_pickle_are_full_from_the_second_on(
    output: Output, sender: Recorder, board: Board
) -> None:
    board.hint(0)[0] = MAX_HINT
    records = [{"id": number, "name": "item", "score": number * 0.5} for number in range(20 * MAX_HINT)]
    output.pump(records)
    output.finish()
    lengths = list(map(len, sender.items))
    assert sum(lengths) == len(records)
    weight = deep_size(records[-1])
    assert all(0.9 * FRAME_BYTES <= weight * length <= 1.3 * FRAME_BYTES for length in lengths[3:-1])


@pytest.mark.parametrize("at_once", [True, False], ids=["when it is full", "when it is old"])
def test_where_the_size_of_results_jumps_each_large_one_leaves_alone(
    output: Output, sender: Recorder, board: Board, at_once: bool
) -> None:
    board.hint(0)[0] = 64 if at_once else 1000
    output.open_span(Span(0, 64), distinct=True)
    output.extend([bytes(100)] * 40)
    output.extend([(number, bytes(2 * FRAME_BYTES)) for number in range(24)])
    output.flush_full()
    output.close_span(64)
    assert [len(entries) for entries, _, _ in sender.frames] == [40, *[1] * 24]
    assert [span.stop for _, _, span in sender.frames] == list(range(40, 65))


def test_credits_of_several_bounds_are_taken_and_lent_together(
    credits: Credits, sender: Recorder, board: Board
) -> None:
    further = Credits.of(3)
    output = Output(sender, board.row(0), board.hint(0), board.flag(0), further)
    output.take_credits()
    # For the same item.
    output.take_credits()
    assert (available(credits), available(further)) == (1, 2)
    assert output.before_wait()
    assert (available(credits), available(further)) == (2, 3)
    output.close()
    further.close()


def test_a_single_producer_takes_all_free_credits_at_once() -> None:
    credits = Credits.of(3, one_taker=True)
    other = credits.dup()
    assert credits.take()
    # The other two are taken, too. A credit that is put back belongs to the count again.
    assert not other.take()
    credits.put_back()
    assert [credits.take() for _ in range(4)] == [True, True, True, False]
    other.give()
    assert credits.take()
    credits.close()
    other.close()
