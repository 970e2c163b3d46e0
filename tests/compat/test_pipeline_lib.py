"""The facade of pipeline_lib: what its tasks do, where they run, and what they may hold."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import pytest

from chainpump.compat import pipeline_lib
from chainpump.compat.pipeline_lib import (
    PARALLELISM_STRATEGIES,
    PipelineTask,
    execute,
    mp_execution,
    seq_execution,
    tr_execution,
)
from compat import pipeline_lib_tasks as tasks
from support.gate import Journal

FASTEST = ("thread", "process-fork", "coroutine")
# The first shared value of a process creates memory that `multiprocessing` keeps for the next ones.
KEPT = multiprocessing.RawValue("i")
everywhere = pytest.mark.parametrize("parallelism", PARALLELISM_STRATEGIES)
in_all_but_spawned = pytest.mark.parametrize("parallelism", FASTEST)
in_processes = pytest.mark.parametrize("parallelism", ["process-fork", "process-spawn"])
with_bounds = pytest.mark.parametrize("parallelism", ["thread", "process-fork"])


def counted(limit: int = 10, **options: Any) -> PipelineTask:
    return PipelineTask(tasks.count, {"limit": limit}, **options)


@everywhere
def test_tasks_run_in_every_strategy(parallelism: Any, journal: Journal) -> None:
    doubled, written = PipelineTask(tasks.doubled), PipelineTask(tasks.write, {"journal": journal})
    execute([counted(4), doubled, written], parallelism=parallelism)
    assert journal.lines == ["0", "2", "4", "6"]


def test_strategies_are_the_four_of_the_type() -> None:
    assert pipeline_lib.PARALLELISM_STRATEGIES == ("thread", "process-fork", "process-spawn", "coroutine")
    assert pipeline_lib.ParallelismStrategy.__args__ == pipeline_lib.PARALLELISM_STRATEGIES  # type: ignore[attr-defined]


def test_another_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^`execute`'s parallelism argument must be one of .* got: 'fork'\.$"):
        execute([counted(), PipelineTask(tasks.doubled)], "fork", type_check_pipeline=False)  # type: ignore[arg-type]


@in_all_but_spawned
def test_a_sink_may_return_something_which_is_ignored(parallelism: Any, journal: Journal) -> None:
    written = PipelineTask(tasks.write_sum, {"journal": journal})
    assert execute([counted(), written], parallelism, type_check_pipeline=False) is None  # type: ignore[func-returns-value]
    assert journal.lines == ["45"]


@in_all_but_spawned
def test_a_task_may_return_a_list(parallelism: Any, journal: Journal) -> None:
    execute([counted(3), PipelineTask(tasks.listed), PipelineTask(tasks.write, {"journal": journal})], parallelism)
    assert journal.lines == ["0", "1", "2"]


@everywhere
def test_a_single_task_runs_in_the_calling_thread(parallelism: Any) -> None:
    threads: list[threading.Thread] = []
    execute([PipelineTask(tasks.keep_thread, {"threads": threads})], parallelism)
    assert threads == [threading.current_thread()]


@everywhere
def test_a_single_task_raises_its_own_exception(parallelism: Any) -> None:
    with pytest.raises(tasks.AppError) as caught:
        execute([PipelineTask(tasks.raise_alone)], parallelism)
    assert caught.value.__cause__ is None


def test_no_tasks_do_nothing() -> None:
    execute([])
    execute([], "coroutine", inactivity_timeout=1)


def test_each_strategy_has_a_function_of_its_own(journal: Journal) -> None:
    def chain() -> list[PipelineTask]:
        return [counted(2), PipelineTask(tasks.write, {"journal": journal})]

    tr_execution.execute_tr(chain(), inactivity_timeout=60)
    seq_execution.execute_seq(chain())
    mp_execution.execute_mp(chain(), "fork", inactivity_timeout=60)
    assert journal.lines == ["0", "1"] * 3


def test_a_task_has_the_name_of_its_function_and_its_constants() -> None:
    task = PipelineTask(tasks.count, {"limit": 3})
    assert (task.name, task.constants_dict, PipelineTask(tasks.doubled).constants_dict) == ("count", {"limit": 3}, {})
    assert task == PipelineTask(tasks.count, {"limit": 3}, 1, 1, None, False)


# -------------------------------------------------------------------------------------------------- workers


@with_bounds
def test_workers_share_the_items(parallelism: Any, journal: Journal) -> None:
    doubled = PipelineTask(tasks.doubled, num_workers=2, packets_in_flight=4)
    execute([counted(50, packets_in_flight=4), doubled, PipelineTask(tasks.write, {"journal": journal})], parallelism)
    assert sorted(map(int, journal.lines)) == list(range(0, 100, 2))


@with_bounds
def test_each_worker_of_the_first_task_runs_all_of_it(parallelism: Any, journal: Journal) -> None:
    first = counted(3, num_workers=2, packets_in_flight=2)
    execute([first, PipelineTask(tasks.write, {"journal": journal})], parallelism)
    assert sorted(journal.lines) == ["0", "0", "1", "1", "2", "2"]


# ------------------------------------------------------------------------------------------ packets in flight


@with_bounds
def test_with_one_packet_in_flight_tasks_take_turns(parallelism: Any, journal: Journal) -> None:
    made = PipelineTask(tasks.write_made, {"limit": 5, "journal": journal}, packets_in_flight=1)
    execute([made, PipelineTask(tasks.write_taken, {"journal": journal})], parallelism)
    assert journal.lines == [f"{word} {number}" for number in range(5) for word in ("made", "taken")]


@with_bounds
def test_a_packet_has_its_place_before_it_is_made(parallelism: Any, journal: Journal) -> None:
    made = PipelineTask(tasks.write_made, {"limit": 20, "journal": journal}, packets_in_flight=3)
    execute([made, PipelineTask(tasks.write_taken, {"journal": journal})], parallelism)
    ahead = most = 0
    for line in journal.lines:
        ahead += 1 if line.startswith("made") else -1
        most = max(most, ahead)
    # A taken packet is written before its place is given back, and that comes before the next packet is made.
    assert most <= 3


# ------------------------------------------------------------------------------------------------ constants


@everywhere
def test_constants_may_hold_shared_values_and_events(parallelism: Any) -> None:
    context = multiprocessing.get_context("spawn" if parallelism == "process-spawn" else "fork")
    total, done = context.Value("i", 0), context.Event()
    first = PipelineTask(tasks.add_each, {"limit": 10, "total": total})
    execute([first, PipelineTask(tasks.set_event, {"done": done})], parallelism)
    assert total.value == 10
    assert done.is_set()


def test_a_shared_value_of_forks_is_refused_by_spawned_processes_with_the_reason() -> None:
    first = PipelineTask(tasks.add_each, {"limit": 1, "total": multiprocessing.get_context("fork").Value("i", 0)})
    with pytest.raises(RuntimeError, match="fork context"):
        execute([first, PipelineTask(tasks.drain)], "process-spawn", type_check_pipeline=False)


# ---------------------------------------------------------------------------------------------------- items


@in_all_but_spawned
def test_received_arrays_can_be_written_to(parallelism: Any, journal: Journal) -> None:
    first = PipelineTask(tasks.arrays, {"number": 3}, max_message_size=None)
    execute([first, PipelineTask(tasks.write_to_arrays, {"journal": journal})], parallelism)
    assert journal.lines == ["1", "2", "3"]


@in_all_but_spawned
def test_an_array_that_a_message_holds_twice_arrives_as_one(parallelism: Any, journal: Journal) -> None:
    first = PipelineTask(tasks.pairs_of_one_array)
    execute([first, PipelineTask(tasks.check_pairs, {"journal": journal})], parallelism)
    assert journal.lines == ["True"]


@pytest.mark.parametrize("parallelism", PARALLELISM_STRATEGIES)
def test_functions_without_a_name_travel_as_items(parallelism: Any, journal: Journal) -> None:
    execute([PipelineTask(tasks.functions), PipelineTask(tasks.call_each, {"journal": journal})], parallelism)
    assert journal.lines == ["42"]


def test_a_message_within_its_limit_passes(journal: Journal) -> None:
    first = PipelineTask(tasks.arrays, {"number": 2}, max_message_size=500_000, shared_buffer=True)
    execute([first, PipelineTask(tasks.write_to_arrays, {"journal": journal})], "process-fork")
    assert journal.lines == ["1", "2"]


@in_processes
@pytest.mark.parametrize(
    "made, options, size",
    [
        (tasks.arrays, {"number": 3}, r"400\d+"),
        # The last ones of a frame.
        (tasks.texts, {"lengths": [*[9] * 50, 2000, 9]}, r"20\d\d"),
        (tasks.dicts_of_texts, {"lengths": [*[9] * 50, 2000, 9]}, r"20\d\d"),
    ],
)
def test_a_message_over_its_limit_is_a_value_error(parallelism: Any, made: Any, options: Any, size: str) -> None:
    first = PipelineTask(made, options, packets_in_flight=60, max_message_size=1000)
    with pytest.raises(
        ValueError,
        match=rf"^Tried to pass item of serialized size {size}, but max_message_size of its task is 1000\.",
    ) as caught:
        execute([first, PipelineTask(tasks.drain)], parallelism, type_check_pipeline=False)
    assert type(caught.value) is ValueError
    assert made.__name__ in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "parallelism, ignored",
    [("thread", "max_message_size"), ("coroutine", "num_workers, packets_in_flight, max_message_size")],
)
def test_options_without_an_effect_are_a_warning(parallelism: Any, ignored: str) -> None:
    first = counted(num_workers=2, packets_in_flight=2, max_message_size=10)
    with pytest.warns(UserWarning, match=rf"^Task 'count': '{parallelism}' ignores {ignored}\.$"):
        execute([first, PipelineTask(tasks.drain)], parallelism, type_check_pipeline=False)
