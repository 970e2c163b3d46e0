"""Inside `warm()`, runs of the same stages use the same worker processes; afterwards none of them is left."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainpump import Pipeline, Processes, StageError, StageOptionError, per_worker, source, warm
from chainpump.plan.operators import ItemFunction
from chainpump.plan.placement import StartMethod
from contract import lasting
from contract.test_logs import Kept
from support.gate import Gate, Journal
from support.processes import gone, until, watching
from support.threads import meanwhile

METHODS = ("forkserver", "spawn")
each_method = pytest.mark.parametrize("method", METHODS)


def mapped(
    function: ItemFunction[Any, Any], method: StartMethod = "forkserver", workers: int = 1, items: Any = range(4)
) -> Any:
    return Pipeline(items).map(function, on=Processes(workers, start_method=method), name="same")


@each_method
def test_second_run_uses_the_processes_of_the_first_one(method):
    pipeline = mapped(lasting.calls, method)
    with warm() as pool:
        first = list(pipeline)
        second = list(pipeline)
        assert pool.idle_pids == [first[0][0]]
    assert first == [(first[0][0], count) for count in (1, 2, 3, 4)]
    assert second == [(first[0][0], count) for count in (5, 6, 7, 8)]


@each_method
def test_source_generator_stage_and_sink_are_kept_too(method):
    on = Processes(start_method=method)
    runnable = Pipeline(source(lasting.pids, [1]), on=on).then(lasting.pids, on=on).into(list, on=on)
    with warm() as pool:
        runnable.run()
        before = sorted(pool.idle_pids)
        runnable.run()
        assert sorted(pool.idle_pids) == before
        assert len(before) == 3


def test_forked_workers_are_not_kept():
    pipeline = mapped(lasting.calls, "fork")
    with warm() as pool:
        assert [count for _, count in [*pipeline, *pipeline]] == [1, 2, 3, 4, 1, 2, 3, 4]
        assert not pool.idle_pids


def test_equal_pipeline_that_is_built_again_uses_the_same_processes():
    """As the requests of a service do."""
    with warm():
        found = {pid for _ in range(3) for pid, _ in mapped(lasting.calls)}
    assert len(found) == 1


def test_other_function_arguments_name_or_number_of_workers_has_processes_of_its_own():
    def offset(by: int) -> Callable[[int], tuple[int, int]]:
        return lambda item: (os.getpid(), item + by)

    with warm():
        runs = [
            mapped(lasting.pid),
            mapped(lasting.calls),
            mapped(offset(1)),
            mapped(offset(2)),
            Pipeline(range(4)).map(lasting.pid, on=Processes(), name="other"),
            mapped(lasting.pid, workers=2),
        ]
        used = [{each[0] if isinstance(each, tuple) else each for each in run} for run in runs]
        again = [{each[0] if isinstance(each, tuple) else each for each in run} for run in runs[:5]]
    assert used[:5] == again
    assert len(set.union(*used)) == sum(map(len, used))


def test_each_worker_keeps_its_number():
    pipeline = mapped(lasting.number, workers=3, items=range(300))
    with warm():
        found = [dict(pipeline) for _ in range(4)]
    merged: dict[int, set[int]] = {}
    for run in found:
        for number, pid in run.items():
            merged.setdefault(number, set()).add(pid)
    assert all(len(pids) == 1 for pids in merged.values())


def test_worker_does_not_fit_once_variables_or_directory_of_the_program_have_changed(monkeypatch, tmp_path):
    pipeline = mapped(lasting.around, items=["CHAINPUMP_TEST_WARM"])
    with warm():
        before, start = list(pipeline), str(Path.cwd())
        assert list(pipeline) == before
        monkeypatch.setenv("CHAINPUMP_TEST_WARM", "set")
        ((second, *found),) = pipeline
        assert found == ["set", start]
        monkeypatch.chdir(tmp_path)
        ((third, *found),) = pipeline
        assert found == ["set", str(tmp_path)]
    assert len({before[0][0], second, third}) == 3


def test_variables_of_a_stage_are_part_of_what_has_to_fit():
    def run(value: str) -> tuple[int, str | None, str]:
        (found,) = Pipeline(["A"]).map(lasting.around, on=Processes(env=lambda _: {"A": value}))
        return found

    with warm():
        first, second, again = run("1"), run("2"), run("1")
    assert (first[1], second[1]) == ("1", "2")
    assert again == first


@each_method
def test_what_a_factory_has_made_stays_until_the_process_ends(method, journal: Journal):
    pipeline = mapped(per_worker(lasting.model, journal), method).into(list)
    with warm():
        first, second = pipeline.run(), pipeline.run()
        assert journal.lines == ["entered"]
    assert journal.lines == ["entered", "left"]
    assert first.value == second.value
    assert second.stages[1].set_up < first.stages[1].set_up


def test_factory_of_a_worker_that_fails_is_left_with_the_run(journal: Journal):
    with warm() as pool:
        with pytest.raises(StageError):
            list(mapped(per_worker(lasting.failing_model, journal)))
        assert journal.lines == ["entered", "left"]
        assert pool.idle_pids == []


def test_factory_that_cannot_be_left_at_the_end_of_the_block_is_told_of(capfd):
    with warm():
        list(mapped(per_worker(lasting.model_that_cannot_be_left)))
    assert "could not be torn down: model_that_cannot_be_left raised OSError: cannot be left" in capfd.readouterr().err


@each_method
def test_failed_worker_is_not_kept_and_its_run_leaves_the_others(method):
    def stages(limit: int) -> Pipeline[int]:
        on = Processes(start_method=method)
        return Pipeline(source(range, limit), on=on).map(lasting.raise_at_two, on=on)

    with warm() as pool:
        with pytest.raises(StageError, match="ValueError"):
            list(stages(3))
        failed = set(pool.idle_pids)
        assert len(failed) <= 1
        assert not failed & set(stages(2))


def test_cancelled_workers_are_not_kept(gate: Gate):
    with warm() as pool:
        with mapped(gate.hold).open():
            held = gate.wait_held()
        assert pool.idle_pids == []
        with watching([held]) as watched:
            assert gone(watched)
        for _ in mapped(lasting.pid, items=iter(int, 1)):
            break
        assert pool.idle_pids == []


@each_method
def test_process_that_dies_while_idle_is_replaced_silently(method, caplog):
    pipeline = mapped(lasting.calls, method)
    with warm() as pool:
        list(pipeline)
        (pid,) = pool.idle_pids
        with watching([pid]) as watched:
            os.kill(pid, signal.SIGKILL)
            assert gone(watched)
        assert [count for _, count in pipeline] == [1, 2, 3, 4]
        assert pid not in pool.idle_pids
    assert not caplog.records


def test_idle_processes_end_after_the_time():
    with warm(idle=0.05) as pool:
        (pid, *_) = set(mapped(lasting.pid))
        with watching([pid]) as watched:
            assert gone(watched)
        until(lambda: not pool.idle_pids, "the pool to be empty")
        assert pid not in set(mapped(lasting.pid))


@each_method
def test_two_runs_at_once_take_different_processes(method, gate: Gate):
    pipeline = mapped(gate.hold, method, items=[1])
    with warm() as pool:
        with meanwhile(lambda: list(pipeline)):
            first = gate.wait_held()
            with meanwhile(lambda: list(pipeline)):
                second = gate.wait_held()
                gate.release(2)
        assert first != second
        assert sorted(pool.idle_pids) == sorted([first, second])


def test_run_inside_a_run_uses_the_pool():
    inner = mapped(lasting.pid, items=range(2))
    with warm() as pool:
        list(Pipeline.concat(inner, inner))
        assert len(pool.idle_pids) == 1


def test_last_opened_pool_is_used_until_it_is_closed():
    pipeline = mapped(lasting.pid)
    outer = warm()
    (first,) = set(pipeline)
    inner = warm()
    (second,) = set(pipeline)
    assert (outer.idle_pids, inner.idle_pids) == ([first], [second])
    inner.close()
    assert set(pipeline) == {first}
    outer.close()
    outer.close()
    assert first not in set(pipeline)
    assert repr(outer) == "<WarmPool: closed>"


@each_method
def test_end_of_the_block_runs_exit_handlers_and_leaves_no_process(method, journal: Journal):
    pipeline = mapped(lasting.write_at_exit, method, items=[journal])
    with warm() as pool:
        list(pipeline)
        list(pipeline)
        (pid,) = pool.idle_pids
        assert journal.lines == []
        with watching([pid]) as watched:
            pool.close()
            assert gone(watched, within=0)
    assert journal.lines == ["left"]


def test_exception_that_leaves_the_block_kills_what_does_not_end(gate: Gate, caplog):
    pool = warm(grace=0.2)
    list(mapped(lasting.end_never, items=[gate]))
    (pid,) = pool.idle_pids
    with pytest.raises(KeyError), pool:
        raise KeyError
    with watching([pid]) as watched:
        assert gone(watched, within=0)
    assert "did not end within 0.2 s" in caplog.text


def test_what_a_kept_process_has_started_ends_with_it(caplog):
    pool = warm(grace=0.1)
    (child,) = mapped(lasting.start_child, items=[1])
    with pytest.raises(KeyError), pool:
        raise KeyError
    with watching([child]) as watched:
        assert gone(watched)
    assert "sleep 1000" in caplog.text


@each_method
def test_log_records_and_output_go_to_the_run_that_makes_them(method, tmp_path):
    import logging

    with warm():
        used = set()
        for word in ("first", "second"):
            handler = Kept()
            logging.getLogger().addHandler(handler)
            kept = os.dup(1)
            try:
                with (tmp_path / word).open("wb") as file:
                    os.dup2(file.fileno(), 1)
                used |= set(mapped(lasting.speak, method, items=[word]))
            finally:
                os.dup2(kept, 1)
                os.close(kept)
                logging.getLogger().removeHandler(handler)
            assert handler.said_by("same") == [word]
            assert (tmp_path / word).read_text() == f"{word}\n"
    assert len(used) == 1


def test_kept_process_holds_no_descriptor_and_no_memory_of_earlier_runs():
    pipeline = mapped(lasting.files, items=[bytearray(1 << 20) for _ in range(4)])
    with warm():
        runs = [list(pipeline) for _ in range(6)]
    assert len({pid for run in runs for pid, _ in run}) == 1
    opened = [set(filter(re.compile(r"(pipe|socket):").match, run[-1][1])) for run in runs]
    # These belong to the process: the lifeline, and the socket for further workers.
    assert opened[1] & opened[2] == opened[2] & opened[3] == opened[1] & opened[3]
    counts = [sum("chainpump" in name for name in run[-1][1]) for run in runs]
    # Some are made when they are first used.
    assert max(counts) < min(counts) + 4


def test_item_that_a_function_keeps_survives_the_run():
    """Its memory was shared with a process of the run before."""
    with warm():
        for _ in range(3):
            list(mapped(lasting.keep, items=[bytearray(b"x" * (1 << 20))]))
        (same,) = {tuple(run) for run in [mapped(lasting.keep, items=[bytearray(b"y")])]}
    assert same


def test_fork_of_the_program_has_no_part_in_the_pool():
    with warm() as pool:
        (pid,) = set(mapped(lasting.pid))
        child = os.fork()
        if not child:
            pool.close()
            os._exit(len(pool.idle_pids))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert set(mapped(lasting.pid)) == {pid}


def test_pool_that_was_closed_meanwhile_keeps_nothing(gate: Gate):
    pool = warm()
    with meanwhile(lambda: list(mapped(gate.hold, items=[1]))):
        held = gate.wait_held()
        pool.close()
        gate.release()
    with watching([held]) as watched:
        assert gone(watched)


def test_report_counts_only_the_cost_of_its_own_run():
    pipeline = mapped(lasting.busy, items=[0.2, 0.0]).into(list)
    with warm():
        first = pipeline.run()
        second = mapped(lasting.busy, items=[0.0, 0.0]).into(list).run()
    assert first.stages[1].cpu >= 0.2
    assert second.stages[1].cpu < first.stages[1].cpu


def test_seed_of_a_run_gives_the_same_numbers_in_kept_processes():
    pipeline = mapped(lasting.random_number).into(list)
    with warm():
        first, second, third = (pipeline.run(seed=seed).value for seed in (1, 2, 1))
    assert first == third != second


def test_wrong_time_is_an_error():
    wrongs: tuple[Any, ...] = (-1, "1", True, float("inf"))
    for wrong in wrongs:
        with pytest.raises(StageOptionError, match=r"warm: idle must be a number of seconds"):
            warm(idle=wrong)
