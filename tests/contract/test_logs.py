"""What worker processes log and warn arrives in the main process: all of it, in order, with who said it."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from chainpump import Pipeline, Processes, RunError, StageError, WorkerLostError, source, stage
from chainpump.worker.worker import Worker
from contract import speaking
from faults.executors import on
from faults.places import FORKING, MOST_WORKERS, PROCESSES, places
from support.gate import LIMIT, WHOLE, Gate, Journal
from support.processes import until, wait_asleep
from support.threads import meanwhile


class Kept(logging.Handler):
    """Keeps what it is given, and does first what it is asked to do."""

    def __init__(self, first: Callable[[logging.LogRecord], object] = lambda _: None) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._first = first

    def emit(self, record: logging.LogRecord) -> None:
        self._first(record)
        self.records.append(record)

    def said_by(self, stage: str, worker: int = 1) -> list[str]:
        """The messages of one worker."""
        return [
            record.getMessage()
            for record in self.records
            if (record.stage, record.worker) == (stage, worker)  # type: ignore[attr-defined]
        ]


@contextmanager
def listening(kept: Kept, level: int = logging.INFO) -> Iterator[Kept]:
    """Have this handler on the logger of the workers."""
    speaking.LOG.addHandler(kept)
    speaking.LOG.setLevel(level)
    try:
        yield kept
    finally:
        speaking.LOG.removeHandler(kept)
        speaking.LOG.setLevel(logging.NOTSET)


@pytest.fixture
def kept() -> Iterator[Kept]:
    with listening(Kept()) as handler:
        yield handler


def texts(n: int) -> list[str]:
    """The numbers below n, as workers say them."""
    return [str(number) for number in range(n)]


# -------------------------------------------------------------------------------------------------------- all, in order


# A worker gets its pipe and its levels by its start method. What it logs then travels the same way, so that other tests
# leave out `spawn`, which takes longest to start.
@pytest.mark.parametrize("place", PROCESSES)
def test_records_arrive_in_order_of_each_worker_with_its_stage_number_and_pid(place: str, kept: Kept) -> None:
    numbers = Pipeline(source(speaking.counted, 300), on=on(place))
    assert sorted(numbers.then(speaking.said, on=on(place, 2))) == list(range(300))
    assert kept.said_by("counted") == [f"made {number}" for number in range(300)]
    parts = [[int(text) for text in kept.said_by("said", worker)] for worker in (1, 2)]
    assert parts == [sorted(part) for part in parts]
    assert sorted(parts[0] + parts[1]) == list(range(300))
    workers = {(record.stage, record.worker): (record.pid, record.process) for record in kept.records}  # type: ignore[attr-defined]
    assert all(pid == process != os.getpid() for pid, process in workers.values())
    assert len(set(workers.values())) == len(workers)


@pytest.mark.parametrize("place", FORKING)
def test_none_of_10_000_records_is_lost_at_the_end(place: str, kept: Kept) -> None:
    assert len(list(Pipeline(range(10_000)).then(speaking.said, on=on(place)))) == 10_000
    assert kept.said_by("said") == texts(10_000)


@pytest.mark.parametrize("place", FORKING)
def test_none_is_lost_when_the_worker_raises(place: str, kept: Kept) -> None:
    with pytest.raises(StageError, match="the last one"):
        list(Pipeline(range(1_000)).then(stage(speaking.raised_at, 500), on=on(place)))
    assert kept.said_by("raised_at") == texts(501)


@pytest.mark.parametrize("place", FORKING)
def test_what_a_killed_worker_has_logged_arrives(place: str, kept: Kept, gate: Gate) -> None:
    gate.release()
    with pytest.raises(WorkerLostError, match="killed by SIGKILL"):
        list(Pipeline(range(1_000)).then(stage(speaking.said_until, 500, gate), on=on(place)))
    assert kept.said_by("said_until") == texts(501)


@pytest.mark.parametrize("place", FORKING)
def test_what_a_worker_logs_as_the_caller_breaks_off_arrives(place: str, kept: Kept) -> None:
    with Pipeline(source(speaking.counted_and_cleaned_up, 1 << 60), on=on(place)).open(grace=LIMIT) as run:
        for number in run:
            if number == 200:
                break
    said = kept.said_by("counted_and_cleaned_up")
    assert len(said) > 201
    assert said == [*(f"made {number}" for number in range(len(said) - 1)), "cleaned up"]


@pytest.mark.parametrize("place", FORKING)
def test_records_of_several_threads_of_a_worker_are_not_mixed(place: str, kept: Kept) -> None:
    list(Pipeline(source(speaking.said_by_threads, 50), on=on(place)))
    said = kept.said_by("said_by_threads")
    for letter in "abcd":
        ours = [text for text in said if text.startswith(letter)]
        assert ours == [f"{letter}{number} " + letter * 10_000 for number in range(50)]
    assert len(said) == 200


def test_what_was_logged_before_another_worker_could_not_be_started_arrives(kept: Kept, gate: Gate) -> None:
    class Refusing(Processes):
        def start(self, worker: Worker) -> NoReturn:
            gate.wait_held()
            raise OSError("no room")

    numbers = Pipeline(source(speaking.counted_and_announced, 3, gate), on=Processes())
    with pytest.raises(RunError, match="no room"):
        list(numbers.then(speaking.said, on=Refusing()))
    assert kept.said_by("counted_and_announced") == ["made 0", "made 1", "made 2"]


def test_records_of_a_worker_and_of_its_successor_arrive(kept: Kept, gate: Gate) -> None:
    said_once = partial(speaking.said_once, gate=gate)
    with meanwhile(
        lambda: list(Pipeline(range(6)).map(said_once, on=Processes(restarts=1), name="said_once"))
    ) as found:
        os.kill(gate.wait_held(), signal.SIGKILL)
        assert gate.wait_held() != kept.records[0].process
        gate.release()
    assert found.result() == list(range(6))
    assert kept.said_by("said_once")[:4] == texts(4)
    assert kept.said_by("said_once")[-3:] == ["3", "4", "5"]
    assert len({record.pid for record in kept.records}) == 2  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------------------- slow handlers


@pytest.mark.parametrize("place", FORKING)
def test_a_handler_that_takes_its_time_loses_nothing_and_changes_no_order(place: str) -> None:
    """It is done with the first record only when the worker has no room for another one."""
    waited_for: list[int] = []

    def wait(record: logging.LogRecord) -> None:
        if not waited_for:
            assert record.process is not None
            wait_asleep(record.process)
            waited_for.append(record.process)

    with listening(Kept(wait)) as kept:
        assert len(list(Pipeline(source(speaking.counted, 10_000), on=on(place)))) == 10_000
    assert waited_for
    assert kept.said_by("counted") == [f"made {number}" for number in range(10_000)]


@pytest.mark.parametrize("place", FORKING)
def test_a_worker_that_waits_for_a_handler_wakes_when_it_is_cancelled(place: str, gate: Gate, journal: Journal) -> None:
    free = threading.Event()
    with listening(Kept(lambda _: free.wait(LIMIT))) as kept:
        with Pipeline(source(speaking.said_for_ever, gate, journal), on=on(place)).open(grace=LIMIT) as run:
            wait_asleep(gate.wait_held())
            run.cancel()
            until(lambda: journal.lines == ["woken"], "the worker to wake")
            free.set()
        *before, last = kept.said_by("said_for_ever")
    assert set(before) == {"still here"}
    assert last == "cleaned up"


@pytest.mark.parametrize("place", FORKING)
def test_a_handler_that_never_returns_keeps_neither_the_workers_nor_the_run(
    place: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainpump.logs.receiver.PATIENCE", 0.1)
    free = threading.Event()
    with listening(Kept(lambda _: free.wait(LIMIT))) as kept:
        with Pipeline(source(speaking.counted, 1 << 60), on=on(place)).open() as run:
            assert next(iter(run)) == 0
        assert kept.records == []
        free.set()
        for thread in threading.enumerate():
            if thread.name == "chainpump logs":
                thread.join(LIMIT)
        assert len(kept.records) == 1


# ---------------------------------------------------------------------------------------------- handlers that misbehave


@pytest.mark.parametrize("heard", [True, False])
def test_a_handler_that_raises_is_told_as_logging_tells_it_and_loses_nothing(
    heard: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", heard)

    def refuse(record: logging.LogRecord) -> None:
        if record.getMessage() == "2":
            raise SystemExit("not this one")

    with listening(Kept(refuse)) as kept:
        assert list(Pipeline(range(5)).then(speaking.said)) == list(range(5))
    assert kept.said_by("said") == ["0", "1", "3", "4"]
    noise = capsys.readouterr().err
    assert noise.count("--- Logging error ---") == noise.count("SystemExit: not this one") == int(heard)


def test_a_handler_may_log() -> None:
    with listening(Kept(lambda record: record.stage == "said" and deeper.info("heard %s", record.msg))) as kept:  # type: ignore[attr-defined]
        deeper = logging.getLogger("deeper")
        deeper.addHandler(kept)
        deeper.setLevel(logging.INFO)
        kept.addFilter(lambda record: vars(record).setdefault("stage", "main") is not None)
        kept.addFilter(lambda record: vars(record).setdefault("worker", 0) is not None)
        try:
            list(Pipeline(range(3)).then(speaking.said))
        finally:
            deeper.removeHandler(kept)
    assert [record.getMessage() for record in kept.records] == ["heard 0", "0", "heard 1", "1", "heard 2", "2"]


def test_arguments_that_do_not_fit_are_told_by_the_worker_and_what_follows_arrives(
    kept: Kept, capfd: pytest.CaptureFixture[str]
) -> None:
    list(Pipeline(source(speaking.misfit), on=Processes(start_method="spawn")))
    assert kept.said_by("misfit") == ["afterwards"]
    assert "--- Logging error ---" in capfd.readouterr().err


# ----------------------------------------------------------------------------------------------------------- as in main


@pytest.mark.parametrize("place", PROCESSES)
def test_levels_filters_and_handlers_are_those_of_the_main_process(place: str, kept: Kept) -> None:
    loud, quiet, apart = (logging.getLogger(f"spoken.{name}") for name in ("loud", "quiet", "apart"))
    root = logging.getLogger()
    top, own = Kept(), Kept()
    heard = Kept()
    drop = logging.Filter("spoken.nothing")
    try:
        loud.setLevel(logging.DEBUG)
        quiet.setLevel(logging.CRITICAL)
        apart.propagate = False
        apart.addHandler(own)
        root.addHandler(top)
        list(Pipeline(source(speaking.of_all_kinds), on=on(place)))
        speaking.LOG.addHandler(heard)
        speaking.LOG.addFilter(drop)
        list(Pipeline(source(speaking.of_all_kinds), on=on(place)))
    finally:
        speaking.LOG.removeFilter(drop)
        speaking.LOG.removeHandler(heard)
        root.removeHandler(top)
        apart.removeHandler(own)
        apart.propagate = True
        loud.setLevel(logging.NOTSET)
        quiet.setLevel(logging.NOTSET)
    first, second, third, fourth, fifth = kept.records[:5]
    assert first.getMessage() == f"argument of {threading.Lock!r}"
    others = vars(second)
    assert (others["stage"], others["worker"], others["path"], others["only"]) == ("my own", 1, [1, 2], "<only here>")
    assert others["lock"].startswith("<unlocked _th")
    assert logging.Formatter("%(message)s!").format(third).splitlines()[::3] == ["failed!", '    raise KeyError("key")']
    assert logging.Formatter("%(message)s!").format(third).endswith("KeyError: 'key'")
    assert "of_all_kinds" in (fourth.stack_info or "")
    assert fifth.getMessage() == "above the level of its logger"
    assert [record.name for record in kept.records[5:]] == ["spoken.loud"]
    assert [record.name for record in heard.records] == ["spoken.loud"]
    assert [record.getMessage() for record in own.records] == ["not for the root logger"] * 2
    assert [record.getMessage() for record in top.records].count("of the root logger") == 2
    assert "not for the root logger" not in {record.getMessage() for record in top.records}


def test_what_the_main_process_has_disabled_costs_a_worker_nothing(kept: Kept) -> None:
    logging.disable(logging.INFO)
    try:
        list(Pipeline(range(5)).then(speaking.said))
    finally:
        logging.disable(logging.NOTSET)
    assert kept.records == []


@pytest.mark.parametrize("place", PROCESSES)
def test_a_handler_that_a_worker_adds_stays_beside(place: str, kept: Kept, tmp_path: Path) -> None:
    list(Pipeline(source(speaking.with_a_handler_of_its_own, str(tmp_path / "log")), on=on(place)))
    assert (tmp_path / "log").read_text() == "for both\n"
    assert kept.said_by("with_a_handler_of_its_own") == ["for both"]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_process_that_a_worker_forks_speaks_for_itself(place: str, kept: Kept) -> None:
    list(Pipeline(source(speaking.from_a_fork), on=on(place)))
    assert kept.said_by("from_a_fork") == ["from the worker"]


def test_pytests_own_log_has_what_workers_say(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        list(Pipeline(range(2)).then(speaking.said))
    assert [(record.message, record.levelname) for record in caplog.records] == [("0", "INFO"), ("1", "INFO")]


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_workers_of_a_run_inside_a_worker_are_named_by_that_run(place: str, kept: Kept) -> None:
    list(Pipeline(source(speaking.inner, place), on=Processes()))
    assert {(record.stage, record.getMessage()) for record in kept.records} == (  # type: ignore[attr-defined]
        {("said" if place != "threads" else "inner", str(number)) for number in range(3)}
    )


# ------------------------------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize("place", PROCESSES)
def test_warnings_are_warnings_of_the_main_process(place: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        # From Python 3.12 on, CPython warns of each fork beside threads, in the main process.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        list(Pipeline(source(speaking.warned, "careful"), on=on(place)))
    assert [(each.category, str(each.message)) for each in caught] == [
        (RuntimeWarning, "careful"),
        (speaking.CustomWarning, "careful"),
    ]
    assert {each.filename for each in caught} == {speaking.__file__}


def test_warnings_are_logged_where_the_main_process_logs_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        logging.captureWarnings(True)
        try:
            list(Pipeline(source(speaking.warned, "careful")))
        finally:
            logging.captureWarnings(False)
    assert [record.name for record in caplog.records] == ["py.warnings", "py.warnings"]


def test_a_showwarning_that_raises_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_value))

    def refuse(*_: object) -> None:
        raise LookupError("not this one")

    monkeypatch.setattr(warnings, "showwarning", refuse)
    assert list(Pipeline(source(speaking.warned, "careful"))) == [0]
    assert [str(error) for error in told] == ["not this one"] * 2


# ------------------------------------------------------------------------------------------------------- whole programs


def printed(folder: Path, place: str, script: str, *options: str) -> tuple[str, str]:
    """What a program prints, and what it writes to standard error; `PLACE` in it stands for a start method."""
    path = folder / "program.py"
    path.write_text(script.replace("PLACE", place))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, *options, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=True, env=environment)
    return done.stdout, done.stderr


CONFIGURED_FOR_ALL = """\
import logging
from collections.abc import Iterator
from chainpump import Pipeline, Processes, source

logging.basicConfig(level=logging.INFO, format="%(process)d %(message)s")

def numbers() -> Iterator[int]:
    logging.info("said")
    yield 1

if __name__ == "__main__":
    for _ in Pipeline(source(numbers), on=Processes(start_method="PLACE")):
        logging.info("said")
"""


@pytest.mark.parametrize("place", PROCESSES)
def test_a_main_file_that_configures_logging_for_all_who_import_it_prints_each_record_once(
    place: str, tmp_path: Path
) -> None:
    out, err = printed(tmp_path, place, CONFIGURED_FOR_ALL)
    assert out == ""
    assert [line.split()[1] for line in err.splitlines()] == ["said", "said"]
    assert len({line.split()[0] for line in err.splitlines()}) == 2


UNCONFIGURED = """\
import sys, warnings
from collections.abc import Iterator
from chainpump import Pipeline, Processes, source

def numbers() -> Iterator[bool]:
    yield "logging" in sys.modules
    import logging
    logging.getLogger("some").info("not shown")
    logging.getLogger("some").warning("shown")
    warnings.warn("careful")

if __name__ == "__main__":
    warnings.showwarning = lambda message, *_: print(message)
    print(list(Pipeline(source(numbers), on=Processes(start_method="PLACE"))))
"""


@pytest.mark.parametrize("place", places("forkserver", "spawn"))
def test_where_nobody_configures_logging_no_worker_imports_it_and_warnings_arrive(place: str, tmp_path: Path) -> None:
    assert printed(tmp_path, place, UNCONFIGURED) == ("careful\n[False]\n", "shown\n")


LEVELS = """\
import logging
from chainpump import Pipeline, Processes

def told(number: int) -> int:
    for name in ("quiet", "other"):
        logging.getLogger(name).warning("%s is shown", name)
    return logging.getLogger("verbose").getEffectiveLevel()

if __name__ == "__main__":
    logging.getLogger("quiet").setLevel(logging.ERROR)
    logging.getLogger("verbose").setLevel(logging.DEBUG)
    print(list(Pipeline([0]).map(told, on=Processes(start_method="PLACE"))))
"""


@pytest.mark.parametrize("place", PROCESSES)
def test_levels_of_the_main_process_hold_where_it_has_no_handler(place: str, tmp_path: Path) -> None:
    assert printed(tmp_path, place, LEVELS) == ("[10]\n", "other is shown\n")


PRINTING = """\
from collections.abc import Iterable, Iterator
from chainpump import Pipeline, Processes

def shown(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        print(f"{number}", "=" * (number % 3000), f"{number}")
        yield number

if __name__ == "__main__":
    for _ in Pipeline(range(3000)).then(shown, on=Processes(4, start_method="PLACE")):
        pass
"""


@pytest.mark.parametrize("place", PROCESSES)
@pytest.mark.parametrize("options", [[], ["-u"]], ids=["buffered", "unbuffered"])
def test_lines_that_workers_print_stay_whole(place: str, options: list[str], tmp_path: Path) -> None:
    out, err = printed(tmp_path, place, PRINTING, *options)
    assert err == ""
    found = [re.fullmatch(r"(\d+) (=*) (\d+)", line) for line in out.splitlines()]
    assert sorted((int(it[1]), len(it[2]), int(it[3])) for it in found if it) == [(n, n, n) for n in range(3000)]
    assert len(found) == 3000
