"""Rule 6: the ledger closes; what one stage sent the next one received, or the run is an error."""

import pytest

from chainpump import LedgerError, Pipeline, Processes, RunError, source, stage
from chainpump.engine.supervisor import Supervisor
from faults import stages
from faults.places import EVERYWHERE, FORKING, on
from support.gate import Gate


@pytest.mark.parametrize("place", FORKING)
def test_frame_that_is_lost_on_its_way_is_an_error(place: str, gate: Gate) -> None:
    """A stage steals a frame off its own descriptor."""
    pipeline = Pipeline(source(stages.count, 5000), on=on(place), name="made").then(
        stage(stages.steal_frame), on=on(place), name="thief"
    )
    first_line = r"^the ledger of stage 'thief' does not close: 'made' sent 5000 items, of which \d+ arrived\.\n"
    with pytest.raises(LedgerError, match=first_line) as caught:
        list(pipeline)
    assert caught.value.stage == "thief"
    assert caught.value.worker == 0


@pytest.mark.parametrize("place", FORKING)
def test_frame_that_arrives_twice_is_an_error(place: str) -> None:
    """A stage passes on a copy of a frame, behind the back of its own sender."""
    pipeline = (
        Pipeline(source(stages.count, 5000), on=on(place))
        .then(stages.double_frame, on=on(place), name="forger")
        .then(stages.same, on=on(place), name="victim")
    )
    first_line = r"^the ledger of stage 'victim' does not close: 'forger' sent \d+ items, of which \d+ arrived\.\n"
    with pytest.raises(LedgerError, match=first_line):
        list(pipeline)


@pytest.mark.parametrize("place", EVERYWHERE)
def test_accounts_of_a_clean_run_close(place: str) -> None:
    report = (
        Pipeline(source(stages.count, 1000), on=on(place))
        .then(stages.same, on=on(place, 2))
        .into(stages.tally, on=on(place))
        .run()
    )
    counts = [(account.received, account.finished, account.sent) for account in report.stages]
    assert counts == [(0, 0, 1000), (1000, 1000, 1000), (1000, 1000, 0)]


def test_descriptors_closed_by_user_code_end_the_run_with_blame(worker_noise) -> None:
    """As old daemonizing code does."""
    with pytest.raises(RunError, match=r"^stage 'close_everything' ") as caught:
        list(Pipeline(source(stages.count, 5000)).then(stages.close_everything, on=Processes(1)))
    assert caught.value.stage == "close_everything"
    # Its process could not say how it ended.
    assert "Bad file descriptor" in worker_noise.read()


def test_worker_that_has_closed_everything_does_not_keep_the_supervisor_busy(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its report pipe is at its end, and stays so for as long as the worker has to end."""
    ready, looks = Supervisor._ready, []
    monkeypatch.setattr(Supervisor, "_ready", lambda *given: looks.append(given) or ready(*given))
    with pytest.raises(RunError):
        list(Pipeline(source(stages.count, 5000)).then(stage(stages.close_everything_and_stay, gate), on=Processes(1)))
    assert len(looks) < 100


def test_worker_that_cannot_say_how_it_ends_is_blamed_although_the_run_had_to_kill_it(gate: Gate) -> None:
    """Its neighbours find their channels broken, and are heard first."""
    who = r"^stage 'close_everything_and_stay' \(worker 1 of 1\) lost its channel, although no worker died\.\n"
    with pytest.raises(RunError, match=who):
        list(Pipeline(source(stages.count, 5000)).then(stage(stages.close_everything_and_stay, gate), on=Processes(1)))
