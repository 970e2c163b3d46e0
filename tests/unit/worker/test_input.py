"""The receiving side of a worker: one iterator over what arrives, which tells an end from a failure."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from chainpump.errors import Cancelled
from chainpump.ipc.board import Board, Cell, State
from chainpump.ipc.checkpoint import Checkpoint
from chainpump.ipc.descriptors import Descriptor
from chainpump.messages.item_repr import short_repr
from chainpump.pickling.items import ItemFault
from chainpump.transport.channel import EventLoop
from chainpump.transport.credits import CreditReturn, Credits
from chainpump.transport.frames import Frame, Span
from chainpump.transport.reorder_buffer import ReorderBuffer
from chainpump.worker import input as input_module
from chainpump.worker.input import Input

# Rows of the board.
PRODUCER, WORKER = 0, 1


class Script:
    """A receiver whose frames, or faults, were written beforehand; then its channel has no more writers."""

    descriptors: Sequence[Descriptor] = ()

    def __init__(self) -> None:
        self.frames: list[Frame | ItemFault | OSError] = []
        self.settled = 0
        self.has_waited = False
        self.credits: Credits | None = None
        self.checkpoint: Checkpoint | None = None

    def open(self) -> None:
        """Nothing to open."""

    def receive(self, wait: bool) -> Frame | None:
        if not self.frames:
            return None
        if not wait and not self.has_waited:
            raise BlockingIOError
        self.has_waited = False
        frame = self.frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return frame

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        raise NotImplementedError

    def settle(self) -> None:
        self.settled += 1
        if self.checkpoint is not None:
            self.checkpoint.clear()

    def wait(self, seconds: float) -> bool:
        # The end takes its time.
        self.has_waited = bool(self.frames) or seconds > 0
        return self.has_waited

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(autouse=True)
def the_producer_is_done(board: Board) -> None:
    board.row(PRODUCER)[Cell.STATE] = State.DONE


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def credits(script: Script) -> Iterator[Credits]:
    script.credits = Credits.of(0)
    yield script.credits
    for descriptor in script.credits.descriptors:
        descriptor.close()


@pytest.fixture
def worker_input(script: Script, board: Board) -> Input:
    return Input(script, board, WORKER, 1, [PRODUCER], None)


def frames(*sizes: int) -> list[Frame | ItemFault | OSError]:
    """Frames of so many items each; the items count from 0."""
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    return [frame(list(range(start, start + size)), start) for start, size in zip(starts, sizes, strict=True)]


def frame(entries: list[Any], start: int = 0, origin: int = 0, decode: Callable[[Any], Any] | None = None) -> Frame:
    """A frame of one entry for each number from `start` on."""
    return Frame(0, Span(start, start + len(entries), origin=origin), entries, decode=decode)


def test_frames_become_one_iterator(worker_input: Input, script: Script) -> None:
    script.frames = frames(3, 1, 2)
    assert list(worker_input) == list(range(6))
    assert worker_input.ended


def test_snapshots_become_items_as_they_are_asked_for(worker_input: Input, script: Script) -> None:
    script.frames = [frame([pickle.dumps([1]), pickle.dumps([2])], decode=pickle.loads)]
    assert list(worker_input) == [[1], [2]]


def test_asking_again_goes_on_where_it_stopped(worker_input: Input, script: Script) -> None:
    script.frames = frames(3, 3)
    first = iter(worker_input)
    assert [next(first), next(first)] == [0, 1]
    second = iter(worker_input)
    assert [next(second), next(second)] == [2, 3]
    assert [next(first), next(second)] == [4, 5]
    assert list(worker_input) == []


def test_each_frame_is_settled_once_when_the_next_one_is_asked_for(worker_input: Input, script: Script) -> None:
    script.frames = frames(2, 1)
    settled = [script.settled for _ in worker_input]
    assert [*settled, script.settled] == [0, 0, 1, 2]


def test_a_frame_without_items_is_passed_over(worker_input: Input, script: Script) -> None:
    script.frames = [*frames(1), Frame(0, Span(1, 9), []), frame([9], 9)]
    assert list(worker_input) == [0, 9]
    assert worker_input.ended


def test_frames_come_one_by_one_with_an_iterator_over_what_was_decoded(worker_input: Input, script: Script) -> None:
    script.frames = [frame([pickle.dumps(4), pickle.dumps(5)], decode=pickle.loads), *frames(1)]
    assert [(given.span, given.entries, list(items)) for given, items in worker_input.frames()] == [
        (Span(0, 2), [4, 5], [4, 5]),
        (Span(0, 1), [0], [0]),
    ]


def test_the_item_given_last_has_a_number_within_its_span(worker_input: Input, script: Script) -> None:
    script.frames = [frame(["a", "b"], 10), Frame(0, Span(3, 9, (7,)), ["c", "d"], [4, 4])]
    assert [(worker_input.number(), worker_input.current_item()) for _ in worker_input] == [
        (10, (0, 10, "'a'")),
        (11, (0, 11, "'b'")),
        (4, (0, 7, "'c'")),
        (4, (0, 7, "'d'")),
    ]


def test_a_wait_tells_whether_an_item_or_the_end_is_there(worker_input: Input, script: Script) -> None:
    assert not worker_input.wait(0)
    script.frames = [Frame(0, Span(0, 3), []), frame(["a", "b"], 3)]
    assert worker_input.wait(0)
    # It has not been taken yet.
    assert worker_input.wait(0)
    items = iter(worker_input)
    assert next(items) == "a"
    # There is one more in hand.
    assert worker_input.wait(0)
    assert next(items) == "b"
    assert not worker_input.wait(0)
    # The end.
    assert worker_input.wait(60)
    assert list(items) == []
    assert worker_input.ended
    assert worker_input.wait(0)


def test_a_wait_is_cancelled_as_a_receive_is(worker_input: Input, script: Script, board: Board) -> None:
    board.flag(1)[0] = 1
    script.frames = frames(1)
    with pytest.raises(Cancelled):
        worker_input.wait(60)
    assert worker_input.cancelled


def test_who_waits_for_more_has_asked_for_it(credits: Credits, script: Script, board: Board) -> None:
    script.frames = frames(1)
    worker_input = Input(script, board, WORKER, 1, [PRODUCER], None)
    next(iter(worker_input))
    worker_input.wait(0)
    # So that one more can come.
    assert credits.take()


def test_a_reorder_buffer_restores_the_order_and_tells_how_many_have_passed(script: Script, board: Board) -> None:
    script.frames = [frame([3, 4], 3), Frame(0, Span(0, 3), [0, 2], [0, 2]), Frame(0, Span(5, 7), [])]
    credits = Credits.of(0)
    worker_input = Input(script, board, WORKER, 1, [PRODUCER], None, ReorderBuffer(CreditReturn(credits)))
    given = []
    for item in worker_input:
        count = 0
        while credits.take():
            count += 1
        given.append((item, count))
    # An item that came to nothing has given its credit back as well.
    assert given == [(0, 0), (2, 2), (3, 1), (4, 1)]
    assert [credits.take() for _ in range(4)] == [True, True, True, False]
    assert board.row(WORKER)[Cell.PASSED] == 7
    assert worker_input.ended
    worker_input.close()


def test_the_end_stays_the_end(worker_input: Input, script: Script) -> None:
    assert list(worker_input) == []
    script.frames = frames(1)
    assert list(worker_input) == []


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING])
def test_an_end_that_no_producer_has_announced_is_cancelled(worker_input: Input, board: Board, state: State) -> None:
    board.row(PRODUCER)[Cell.STATE] = state
    with pytest.raises(Cancelled):
        list(worker_input)
    assert worker_input.cancelled
    assert not worker_input.ended


def test_cancelled_comes_again_however_often_it_is_asked(worker_input: Input, script: Script, board: Board) -> None:
    board.flag(1)[0] = 1
    with pytest.raises(Cancelled):
        list(worker_input)
    board.flag(1)[0] = 0
    # Whatever comes now is not believed.
    script.frames = frames(2)
    for ask in (worker_input.more, lambda: next(iter(worker_input)), lambda: list(worker_input)):
        with pytest.raises(Cancelled):
            ask()


def test_a_cancelled_run_gives_no_frame_that_is_queued(worker_input: Input, script: Script, board: Board) -> None:
    script.frames = frames(2, 2)
    items = iter(worker_input)
    next(items)
    board.flag(1)[0] = 1
    # In hand already.
    assert next(items) == 1
    with pytest.raises(Cancelled):
        next(items)


def test_an_end_that_comes_with_the_cancel_is_no_clean_end(
    worker_input: Input, script: Script, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hung_up(wait: bool) -> None:
        board.flag(1)[0] = 1

    monkeypatch.setattr(script, "receive", hung_up)
    with pytest.raises(Cancelled):
        # All producers are done: it is the flag alone.
        worker_input.more()


def test_more_tells_whether_one_more_item_comes(worker_input: Input, script: Script) -> None:
    script.frames = frames(1, 1)
    assert [worker_input.more(), worker_input.more(), worker_input.more()] == [True, True, False]


def test_in_hand_is_the_item_given_last(worker_input: Input, script: Script) -> None:
    script.frames = [frame(["a", "b"], 10, origin=3), frame([pickle.dumps("c")], 7, origin=1, decode=pickle.loads)]
    items = iter(worker_input)
    assert worker_input.current_item() is None
    seen = []
    for _ in range(3):
        next(items)
        seen.append(worker_input.current_item())
    assert seen == [(3, 10, "'a'"), (3, 11, "'b'"), (1, 7, "'c'")]
    assert list(items) == []
    assert worker_input.current_item() is None


def test_delivered_counts_items_not_frames(worker_input: Input, script: Script) -> None:
    script.frames = frames(3, 3)
    items = iter(worker_input)
    counts = [worker_input.delivered]
    for _ in range(4):
        next(items)
        counts.append(worker_input.delivered)
    assert counts == [0, 1, 2, 3, 4]


def test_the_board_tells_what_was_received_and_what_was_finished(
    worker_input: Input, script: Script, board: Board
) -> None:
    script.frames = frames(3, 2)
    row = board.row(WORKER)
    items = iter(worker_input)
    next(items)
    assert (row[Cell.RECEIVED], row[Cell.FINISHED], row[Cell.FIRST]) == (3, 0, 0)
    for _ in range(3):
        next(items)
    assert (row[Cell.RECEIVED], row[Cell.FINISHED], row[Cell.FIRST]) == (5, 3, 3)
    assert len(list(items)) == 1
    assert (row[Cell.RECEIVED], row[Cell.FINISHED]) == (5, 5)


class Item:
    """Something that a weak reference can watch."""


def test_who_waits_for_a_frame_holds_nothing_of_the_one_before(
    worker_input: Input, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = Item()
    watch = weakref.ref(item)
    script.frames = [frame([item]), *frames(1)]
    del item
    receive = script.receive
    held = []

    def receive_and_look(wait: bool) -> Frame | None:
        held.append(watch() is not None)
        return receive(wait)

    monkeypatch.setattr(script, "receive", receive_and_look)
    for given in worker_input:
        del given
    assert held == [True, True, False, False, False]


class Broken:
    """An item that pickles, and does not load."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_an_item_that_cannot_be_rebuilt_cancels_and_is_named(worker_input: Input, script: Script) -> None:
    entries = [pickle.dumps(item) for item in ("a", "b", Broken(), "d")]
    script.frames = [frame(entries, 40, origin=2, decode=pickle.loads)]
    given = []
    with pytest.raises(Cancelled):
        given.extend(worker_input)
    assert given == ["a", "b"]
    assert worker_input.fault is not None
    assert (worker_input.fault.producer, worker_input.fault.index) == (2, 42)
    assert worker_input.fault.reason.startswith("ValueError: invalid literal for int()")


def test_a_frame_that_cannot_be_rebuilt_cancels_and_is_named(worker_input: Input, script: Script) -> None:
    script.frames = [*frames(1), fault := ItemFault("TypeError: no", 0, 1)]
    with pytest.raises(Cancelled):
        list(worker_input)
    assert worker_input.fault is fault


def test_what_the_system_refuses_cancels_and_is_remembered(worker_input: Input, script: Script) -> None:
    script.frames = [*frames(1), refused := OSError("no descriptor")]
    items = iter(worker_input)
    assert next(items) == 0
    with pytest.raises(Cancelled):
        next(items)
    assert worker_input.cancelled
    assert worker_input.refused is refused


def test_a_credit_goes_back_when_the_next_item_is_asked_for(credits: Credits, script: Script, board: Board) -> None:
    script.frames = frames(2)
    items = iter(Input(script, board, WORKER, 1, [PRODUCER], None))
    next(items)
    assert not credits.take()
    next(items)
    assert credits.take()
    assert list(items) == []
    assert credits.take()
    assert not credits.take()


@pytest.mark.parametrize("dropped", [False, True], ids=["the first is still there", "the first was dropped"])
def test_asking_through_another_iterator_gives_the_credit_back(
    credits: Credits, script: Script, board: Board, dropped: bool
) -> None:
    script.frames = frames(2)
    worker_input = Input(script, board, WORKER, 1, [PRODUCER], None)
    first = iter(worker_input)
    next(first)
    if dropped:
        del first
    assert worker_input.more()
    assert credits.take()
    assert not credits.take()


def test_consumers_publish_how_many_items_take_them_a_millisecond(
    worker_input: Input, script: Script, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 0

        def monotonic_ns(self) -> int:
            return self.now

    clock = Clock()
    monkeypatch.setattr(input_module, "time", clock)
    script.frames = frames(1, 1, 1, 1, 1)
    hints = []
    for _ in worker_input:
        # 0.1 ms of work on each item.
        clock.now += 100_000
        hints.append(board.hint(0)[0])
    assert hints == [0, 4, 10, 10, 10]


@pytest.mark.parametrize("item,text", [("a", "'a'"), (list(range(100)), "[0, 1, 2, 3, 4, 5, ...]")])
def test_short_repr_is_short(item: object, text: str) -> None:
    assert short_repr(item) == text


def test_short_repr_survives_a_repr_that_raises() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    text = short_repr(Odd())
    assert "Odd" in text or "RuntimeError" in text


# ------------------------------------------------------------------------------------------- a worker that retires


def test_a_worker_that_is_to_retire_finishes_its_frame_and_then_sees_the_end(
    worker_input: Input, script: Script, board: Board
) -> None:
    # Others go on with what comes from there.
    board.row(PRODUCER)[Cell.STATE] = State.RUNNING
    script.frames = frames(2, 3)
    items = iter(worker_input)
    assert next(items) == 0
    board.row(WORKER)[Cell.RETIRES] = 1
    assert list(items) == [1]
    assert (worker_input.ended, len(script.frames)) == (True, 1)


def test_a_successor_that_is_to_retire_first_goes_on_with_what_is_in_its_hand(
    worker_input: Input, script: Script, board: Board
) -> None:
    """Nobody else has that."""
    script.frames = frames(2, 3)
    script.checkpoint = Checkpoint(8)
    script.checkpoint.packet[0] = 1
    board.row(WORKER)[Cell.RETIRES] = 1
    assert list(worker_input) == [0, 1]
    assert len(script.frames) == 1
    script.checkpoint.close()
    # The memory goes with it.
    script.checkpoint = None


def test_a_worker_that_is_to_stay_after_all_goes_on(worker_input: Input, script: Script, board: Board) -> None:
    script.frames = frames(2, 3)
    items = iter(worker_input)
    next(items)
    board.row(WORKER)[Cell.RETIRES] = 1
    board.row(WORKER)[Cell.RETIRES] = 0
    assert list(items) == [1, 2, 3, 4]


def test_a_cancelled_run_is_no_end_for_a_worker_that_is_to_retire(
    worker_input: Input, script: Script, board: Board
) -> None:
    script.frames = frames(2, 3)
    items = iter(worker_input)
    next(items)
    board.row(WORKER)[Cell.RETIRES] = board.flag(1)[0] = 1
    with pytest.raises(Cancelled):
        list(items)


def test_a_stage_that_returned_before_it_was_asked_to_retire_has_stopped_early(
    worker_input: Input, script: Script, board: Board
) -> None:
    script.frames = frames(1, 1)
    next(iter(worker_input))
    board.row(WORKER)[Cell.RETIRES] = 1
    assert worker_input.more()


def test_a_worker_that_retires_while_it_waits_for_a_time_has_seen_its_end(
    worker_input: Input, script: Script, board: Board
) -> None:
    script.frames = frames(1, 1)
    items = iter(worker_input)
    next(items)
    board.row(WORKER)[Cell.RETIRES] = 1
    assert worker_input.wait(0.1)
    assert list(items) == []
