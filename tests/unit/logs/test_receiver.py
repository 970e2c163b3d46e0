"""The thread that hands on what workers and the library log, where its start is broken into or comes late."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import threading
from contextlib import closing

import pytest

from chainpump.errors import Cancelled
from chainpump.logs.message_pipe import ChunkWriter
from chainpump.logs.receiver import Logs
from chainpump.logs.records import Logged
from chainpump.messages.names import Role, WorkerName
from support.gate import LIMIT


@pytest.mark.parametrize("begins", ["at once", "once all is closed", "never"])
def test_logs_are_handed_on_once_though_cancelled_breaks_into_the_start_of_their_thread(
    begins: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def broken_into(thread: threading.Thread) -> None:
        started.append(thread)
        if begins == "at once":
            start(thread)
        raise Cancelled("in the start")

    logs = Logs()
    end = logs.pipe(WorkerName(Role.SOURCE, "numbers", 1, 1))
    monkeypatch.setattr(threading.Thread, "start", broken_into)
    with pytest.raises(Cancelled):
        logs.start()
    monkeypatch.undo()

    said = Logged.packed(logging.makeLogRecord({"name": "worker", "msg": "said", "levelno": logging.ERROR}), None)
    ChunkWriter(end.pipe).send(pickle.dumps(said))
    end.pipe.close()
    logs.end()
    logs.close(went_well=True)
    if begins == "once all is closed":
        start(started[0])
    if begins != "never":
        started[0].join()
    assert [record.getMessage() for record in caplog.records] == ["said"]


def test_a_warning_of_a_run_without_processes_is_logged_while_the_run_goes_on() -> None:
    receiver, handler = Logs(), Kept()
    logging.getLogger("chainpump").addHandler(handler)
    try:
        for text in ("first", "second"):
            receiver.warn(text)
            record = handler.records.get(timeout=LIMIT)
            assert (record.getMessage(), record.threadName) == (text, "chainpump logs")
    finally:
        logging.getLogger("chainpump").removeHandler(handler)
        receiver.start()
        receiver.end()
        receiver.close(went_well=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "chainpump logs"]


@pytest.mark.parametrize("refused", ["chainpump.logs.receiver.pipe", "threading.Thread.start"])
def test_a_warning_that_finds_no_room_for_a_thread_is_logged_at_the_end(
    refused: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError if refused.endswith("pipe") else RuntimeError

    receiver = Logs()
    monkeypatch.setattr(refused, refuse)
    receiver.warn("late", logger="chainpump.stalls")
    assert caplog.records == []
    receiver.end()
    receiver.close(went_well=False)
    assert caplog.record_tuples == [("chainpump.stalls", logging.WARNING, "late")]


class Kept(logging.Handler):
    """Keeps records for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put(record)


def test_output_is_shown_in_whole_lines_and_at_the_end_also_a_line_without_its_end() -> None:
    receiver, shown = Logs(), list[str]()
    with closing(receiver.output_pipe(shown.append)) as end:
        for text in (b"first\nsec", b"ond\n\n", b"10 %\r50 %\r99 %\r\n", b"\xff\n", b"no end"):
            os.write(end.fileno(), text)
        receiver.end()
        receiver.close(went_well=True)
    assert "\n".join(shown).split("\n") == ["first", "second", "", "99 %", "\\xff", "no end"]
