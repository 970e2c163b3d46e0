"""Workers on another machine, beside a switchboard that the test plays on the other end of the control pipe."""

from __future__ import annotations

import pickle
import select
from collections.abc import Iterator
from typing import Any

import pytest

from chainpump.durable.content import Checkpoint as Made
from chainpump.durable.notes import Notes
from chainpump.errors import DeadItem, WorkerLostError
from chainpump.executors.base import Lost, LostWithMachine
from chainpump.executors.control_pipe import (
    AskStack,
    Command,
    ControlPipe,
    Died,
    Event,
    Gone,
    Interrupt,
    Kill,
    Placed,
    Remains,
    Report,
    Stack,
    Start,
    Strike,
    Taken,
    control_pipe,
    pack,
)
from chainpump.executors.remote import RemoteHandle, RemoteSlot
from chainpump.ipc.board import Board, Cell
from chainpump.ipc.checkpoint import Checkpoint, Position
from chainpump.messages.names import Role, WorkerName
from chainpump.worker.outcome import Failed, Finished, Interrupted, PackedDeadItem, SuccessorWanted

WHO = WorkerName(Role.STAGE, "f", 1, 2, host="n1")


class Far:
    """A slot whose worker is on another machine, and the other end of its pipe."""

    def __init__(self) -> None:
        near, far = control_pipe()
        self.board = Board(4, 1, 2)
        self.letters: list[DeadItem] = []
        self.notes: list[Notes] = []
        self.switchboard = ControlPipe(far)
        self.slot = RemoteSlot(ControlPipe(near), WHO, 3, self.board, [2], [self.letters.append], self.notes.append)

    def commands(self) -> list[tuple[int, Command]]:
        return [(generation, pickle.loads(message)) for generation, message in self.switchboard.receive()]

    def tell(self, event: Event, generation: int = 0) -> None:
        self.switchboard.send(generation, pack(event))

    def close(self) -> None:
        self.slot.close()
        self.switchboard.close()
        self.board.release(with_views=True)


@pytest.fixture
def far() -> Iterator[Far]:
    far = Far()
    yield far
    far.close()


def is_ready(handle: RemoteHandle) -> bool:
    poll = select.poll()
    for fd in handle.waitables:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def test_a_start_carries_the_rows_of_the_board_as_they_are(far: Far) -> None:
    far.board.row(2)[Cell.RESTARTS] = 3
    far.slot.start(5)
    [(generation, command)] = far.commands()
    assert (generation, command) == (5, Start(3, [(2, far.board.row(2).tobytes())], {}))
    assert far.board.row(2)[Cell.HOST] == 3


def test_what_the_supervisor_orders_arrives_in_order(far: Far) -> None:
    handle = far.slot.start(0)
    far.commands()
    far.board.row(2)[Cell.ITEM], far.board.row(2)[Cell.SINCE] = 4, 1234
    handle.interrupt()
    handle.ask_stack()
    handle.strike()
    handle.kill()
    assert far.commands() == [(0, each) for each in (Interrupt(), AskStack(), Strike(4, 1234), Kill())]


def test_its_process_id_is_known_once_it_has_started(far: Far) -> None:
    handle = far.slot.start(0)
    assert (handle.pid, handle.poll()) == (0, None)
    far.tell(Placed(4711))
    assert is_ready(handle)
    assert handle.poll() is None
    assert handle.pid == 4711


@pytest.mark.parametrize("outcome", [Finished([1, 2]), Interrupted(), Finished(early=True)])
def test_an_outcome_is_returned_once_and_the_process_may_go_on(far: Far, outcome: Any) -> None:
    handle = far.slot.start(0)
    far.tell(Report(outcome.packed(WHO)))
    assert is_ready(handle)
    assert handle.poll() == outcome
    assert handle.poll() is None
    assert handle.waitables
    far.tell(Gone())
    assert handle.poll() is None
    assert not handle.waitables


def test_a_death_sets_the_position_of_its_replacement(far: Far) -> None:
    checkpoint = Checkpoint(16)
    handle = far.slot.start(0, checkpoint)
    far.tell(Died(-9, Position(2, 30, 29, 0, 0)))
    assert handle.poll() == Lost(-9)
    assert checkpoint.position.received == 30
    checkpoint.close()


def test_notes_for_a_journal_are_passed_on(far: Far) -> None:
    notes = Notes(checkpoints=[Made(2, 30, 60)])
    handle = far.slot.start(0)
    far.tell(Report(notes))
    assert handle.poll() is None
    assert far.notes == [notes]


def test_dead_letters_come_before_the_outcome(far: Far) -> None:
    handle = far.slot.start(0)
    letter = DeadItem("f", 7, {"n": 7}, ValueError("bad"), "")
    far.tell(Report(PackedDeadItem.packed(letter)))
    far.tell(Report(Finished().packed(WHO)))
    assert handle.poll() == Finished()
    assert [(each.index, each.item, str(each.error)) for each in far.letters] == [(7, {"n": 7}, "bad")]


def test_each_dead_letter_has_a_receipt_that_counts_those_of_its_worker(far: Far) -> None:
    handle = far.slot.start(4)
    far.commands()
    for index in range(2):
        far.tell(Report(PackedDeadItem.packed(DeadItem("f", index, None, ValueError(), ""))), generation=4)
    assert handle.poll() is None
    assert (len(far.letters), far.commands()) == (2, [(4, Taken(1)), (4, Taken(2))])


def test_a_request_does_not_hide_the_outcome_that_came_with_it(far: Far) -> None:
    handle = far.slot.start(0)
    far.tell(Report(SuccessorWanted()))
    far.tell(Report(Finished(retired=True).packed(WHO)))
    assert handle.poll() == Finished(retired=True)


def test_a_report_that_another_handle_has_read_still_wakes_the_supervisor(far: Far) -> None:
    first, second = far.slot.start(0), far.slot.start(1)
    far.tell(Report(Finished().packed(WHO)), generation=1)
    assert first.poll() is None
    assert is_ready(second)
    assert second.poll() == Finished()
    assert not is_ready(second)


def test_processes_that_are_left_are_named_until_they_have_ended(far: Far) -> None:
    handle = far.slot.start(0)
    far.tell(Died(1, None))
    far.tell(Remains(["sleep (pid 12)"]))
    assert handle.poll() == Lost(1)
    assert handle.remains == ["sleep (pid 12)"]
    far.tell(Gone())
    handle.poll()
    assert (handle.remains, handle.waitables) == ((), ())


def test_the_stack_is_the_one_that_has_arrived(far: Far) -> None:
    handle = far.slot.start(0)
    assert handle.read_stack() == ""
    far.tell(Stack("at f"))
    handle.poll()
    assert handle.read_stack() == "at f"


def test_the_loss_of_a_machine_is_the_failure_of_its_workers_and_names_it(far: Far) -> None:
    handle = far.slot.start(0)
    far.tell(Placed(4711))
    far.slot.receive()
    far.slot.lose("n1 has not answered for 5 s")
    failed = handle.poll()
    assert isinstance(failed, Failed)
    assert failed.failure.error is WorkerLostError
    assert failed.failure.headline == "stage 'f' lost worker 1 of 2 (pid 4711 on n1): n1 has not answered for 5 s."
    assert not handle.waitables
    assert far.slot.reports_loss
    # A worker that is started there later is lost as well.
    again = far.slot.start(1)
    assert is_ready(again)
    assert isinstance(again.poll(), Failed)
    assert not again.waitables


def test_the_loss_of_a_machine_does_not_change_an_outcome(far: Far) -> None:
    handle = far.slot.start(0)
    far.tell(Report(Finished().packed(WHO)))
    assert handle.poll() == Finished()
    far.slot.lose("n1 has died")
    assert handle.poll() is None
    assert not handle.waitables
    assert not far.slot.reports_loss


def test_a_worker_is_lost_with_its_machine_and_the_next_one_starts_on_another_one(far: Far) -> None:
    handle = far.slot.start(0)
    far.commands()
    far.slot.move(4, "n2", "n1 has died")
    assert handle.poll() == LostWithMachine(machine="n1 has died")
    assert not handle.waitables
    assert not far.slot.reports_loss
    again = far.slot.start(1)
    [(generation, start)] = far.commands()
    assert isinstance(start, Start)
    assert (generation, start.host) == (1, 4)
    # Whatever was on its way from the lost machine is about a worker that is lost.
    far.tell(Report(Finished().packed(WHO)), generation=0)
    assert (again.poll(), far.slot.who.host) == (None, "n2")


def test_what_a_worker_has_reported_before_its_machine_was_lost_counts(far: Far) -> None:
    handle = far.slot.start(0)
    far.tell(Report(Finished().packed(WHO)))
    far.slot.move(4, "n2", "n1 has died")
    assert handle.poll() == Finished()
    assert not handle.waitables


def test_all_workers_are_lost_if_the_switchboard_dies(far: Far) -> None:
    handle = far.slot.start(0)
    far.switchboard.close()
    assert is_ready(handle)
    failed = handle.poll()
    assert isinstance(failed, Failed)
    assert "the process that connects this machine with the others has died" in failed.failure.headline
    # It does not wait for a process that does not read, or raise.
    handle.kill()


def test_a_message_that_is_larger_than_the_pipe_arrives_whole(far: Far) -> None:
    handle = far.slot.start(0)
    far.commands()
    far.tell(Report(Finished(bytes(4_000_000)).packed(WHO)))
    assert far.switchboard.has_unsent
    outcome = None
    while outcome is None:
        outcome = handle.poll()
        far.switchboard.flush()
    assert outcome == Finished(bytes(4_000_000))
    assert not far.switchboard.has_unsent
