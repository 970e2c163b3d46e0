"""The thread that hands on what workers log, where its start is broken into."""

from __future__ import annotations

import logging
import pickle
import threading

import pytest

from chainpump.errors import Cancelled
from chainpump.logs.message_pipe import ChunkWriter
from chainpump.logs.receiver import Logs
from chainpump.logs.records import Logged
from chainpump.messages.names import Role, WorkerName


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
