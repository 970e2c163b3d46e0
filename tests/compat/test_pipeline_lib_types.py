"""The facade of pipeline_lib: what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from chainpump.compat.pipeline_lib import PipelineTask, PipelineTypeError, execute, type_check_tasks
from compat import pipeline_lib_tasks as tasks
from support.gate import Journal


def texts() -> Iterable[str]:
    yield "a"


def iterator() -> Iterator[int]:
    yield 1


def bare() -> Iterable:  # type: ignore[type-arg]
    yield 1


def nothing() -> None: ...


def unannotated():  # type: ignore[no-untyped-def]
    yield 1


def unannotated_argument(limit) -> Iterable[int]:  # type: ignore[no-untyped-def]
    yield limit


def unreadable() -> Iterable[Missing]:  # type: ignore[name-defined]  # noqa: F821
    yield 1


def with_default(limit: int = 3) -> Iterable[int]:
    yield limit


def any_number(*limits: int) -> Iterable[int]:
    yield from limits


def one(item: int) -> None: ...


class Total:
    """A sink as a method, and as an object."""

    def add(self, items: Iterable[int]) -> None:
        tasks.drain(items)

    __call__ = add


COUNT = PipelineTask(tasks.count, {"limit": 3})
DRAIN = PipelineTask(Total().add)


@pytest.mark.parametrize(
    "chain, what",
    [
        ([PipelineTask(tasks.count), DRAIN], r"count, expected constants \['limit'\], received constants \[\]"),
        ([PipelineTask(tasks.count, {"limit": 1, "more": 2}), DRAIN], r"received constants \['limit', 'more'\]"),
        (
            [PipelineTask(texts), DRAIN],
            "add, expected input <class 'int'>, received input <class 'str'> from",
        ),
        ([COUNT, PipelineTask(tasks.doubled)], "doubled, the final task must return None"),
        ([COUNT, DRAIN, DRAIN], "add, None is returned; only the final task may do that"),
        ([COUNT, PipelineTask(nothing)], "nothing, expected input None, received input <class 'int'>"),
        ([COUNT, PipelineTask(one)], r"one, parameter 'item' must be annotated as Iterable\[...\]"),
        ([PipelineTask(iterator), DRAIN], r"iterator, the return type must be annotated as Iterable\[...\]"),
        ([PipelineTask(bare), DRAIN], r"bare, the return type must be annotated as Iterable\[...\]"),
        ([PipelineTask(unannotated), DRAIN], "unannotated, the return type must have an annotation"),
        ([PipelineTask(unannotated_argument, {"limit": 1}), DRAIN], "parameter 'limit' must have an annotation"),
        ([PipelineTask(unreadable), DRAIN], "unreadable, a type hint cannot be read: name 'Missing' is not defined"),
        ([PipelineTask(with_default), DRAIN], "parameter 'limit' has a default, which is not supported"),
        ([PipelineTask(any_number), DRAIN], "parameter 'limits' takes any number of arguments"),
    ],
)
def test_tasks_that_do_not_fit_are_refused_before_anything_starts(chain: list[PipelineTask], what: str) -> None:
    for check in (type_check_tasks, execute):
        with pytest.raises(PipelineTypeError, match=what):
            check(chain)


@pytest.mark.parametrize("last", [Total().add, Total(), partial(Total.add, Total())])
def test_methods_objects_and_partials_are_tasks(last: Callable[..., None]) -> None:
    type_check_tasks([COUNT, PipelineTask(last)])


@pytest.mark.parametrize(
    "options, what",
    [
        ({"num_workers": 0}, "num_workers must be at least 1 but is 0"),
        ({"num_workers": 129, "packets_in_flight": 129}, "num_workers must be at most 128 but is 129"),
        ({"num_workers": 2}, "packets_in_flight must be at least num_workers, which is 2, but is 1"),
        ({"packets_in_flight": 0}, "packets_in_flight must be at least num_workers, which is 1, but is 0"),
        ({"shared_buffer": True}, "shared_buffer=True needs a max_message_size"),
    ],
)
@pytest.mark.parametrize("type_check_pipeline", [True, False])
def test_options_that_cannot_work_are_refused(options: dict[str, Any], what: str, type_check_pipeline: bool) -> None:
    chain = [PipelineTask(tasks.count, {"limit": 3}, **options), DRAIN]
    with pytest.raises(PipelineTypeError, match=f"^In task count, {what}"):
        execute(chain, type_check_pipeline=type_check_pipeline)


@pytest.mark.parametrize("parallelism", ["thread", "process-fork", "coroutine"])
def test_without_type_checks_tasks_need_no_hints(parallelism: Any, journal: Journal) -> None:
    chain = [
        PipelineTask(lambda: iter("abc")),
        PipelineTask(lambda items: map(str.upper, items)),
        PipelineTask(lambda items: journal.write("".join(items))),
    ]
    execute(chain, parallelism, type_check_pipeline=False)
    assert journal.lines == ["ABC"]
