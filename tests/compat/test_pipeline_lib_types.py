"""The facade of pipeline_lib: what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Annotated, Any

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


def tagged() -> Iterable[Annotated[int, "pixels"]]:
    yield 1


def named() -> Any:
    yield 1


def take_named(items: Any) -> None: ...


# A name that only type checkers know, in a module without `from __future__ import annotations`.
named.__annotations__["return"] = take_named.__annotations__["items"] = Iterable["Missing"]  # type: ignore[name-defined]  # noqa: F821


def unreadable() -> Iterable[Missing]:  # type: ignore[name-defined]  # noqa: F821
    yield 1


def with_default(limit: int = 3) -> Iterable[int]:
    yield limit


def any_number(*limits: int) -> Iterable[int]:
    yield from limits


def any_names(**limits: int) -> Iterable[int]:
    yield from limits.values()


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
        ([PipelineTask(tasks.count), DRAIN], r"In task count, expected constants \['limit'\], received constants \[\]"),
        ([PipelineTask(tasks.count, {"limit": 1, "more": 2}), DRAIN], r".* received constants \['limit', 'more'\]"),
        ([PipelineTask(texts), DRAIN], "In task add, expected input <class 'int'>, received input <class 'str'>"),
        ([PipelineTask(tagged), DRAIN], r"In task add, expected input <class 'int'>, received input .*Annotated\[int"),
        (
            [PipelineTask(named), DRAIN],
            r"In task add, expected input <class 'int'>, received input Missing",
        ),
        (
            [COUNT, PipelineTask(tasks.doubled)],
            "In final task doubled, expected output type None, actual type <cl.* 'int'>",
        ),
        ([COUNT, DRAIN, DRAIN], "None return type not allowed in any task except the final one: task add"),
        ([COUNT, PipelineTask(nothing)], "In task nothing, expected input None, received input <class 'int'>"),
        ([COUNT, PipelineTask(one)], r"First argument must be an Iterable\[...\] .*, was <class 'int'>: task one"),
        (
            [PipelineTask(iterator), DRAIN],
            r"Return type annotation must be an Iterable\[...\] .*Iterator\[int\]: task iter",
        ),
        ([PipelineTask(bare), DRAIN], r"Return type annotation must be an Iterable\[...\] .*: task bare"),
        ([PipelineTask(unannotated), DRAIN], "function return type must have type annotation: task unannotated"),
        ([PipelineTask(unannotated_argument, {"limit": 1}), DRAIN], "all arguments must have annotations: .* 'limit'"),
        (
            [PipelineTask(unreadable), DRAIN],
            "In task unreadable, a type hint cannot be read: name 'Missing' is not def",
        ),
        ([PipelineTask(with_default), DRAIN], "default arguments not supported: task with_default, 'limit'"),
        ([PipelineTask(any_number), DRAIN], "varargs not supported: task any_number, 'limits'"),
        ([PipelineTask(any_names), DRAIN], "varkw not supported: task any_names, 'limits'"),
        ([PipelineTask(dict), DRAIN], "In task dict, the signature cannot be read: no signature found"),
    ],
)
def test_tasks_that_do_not_fit_are_refused_before_anything_starts(chain: list[PipelineTask], what: str) -> None:
    for check in (type_check_tasks, execute):
        with pytest.raises(PipelineTypeError, match=f"^{what}"):
            check(chain)


def test_hints_with_a_name_that_cannot_be_found_are_compared_as_they_are() -> None:
    type_check_tasks([PipelineTask(named), PipelineTask(take_named)])


def test_no_tasks_fit() -> None:
    type_check_tasks([])


def test_the_first_fault_is_reported_in_the_order_of_pipeline_lib() -> None:
    wrong = [PipelineTask(tasks.count, num_workers=0), DRAIN]
    with pytest.raises(PipelineTypeError, match="num_workers"):
        execute(wrong, "fork")  # type: ignore[arg-type]
    with pytest.raises(PipelineTypeError, match="expected constants"):
        execute([PipelineTask(tasks.count), DRAIN], "fork")  # type: ignore[arg-type]


@pytest.mark.parametrize("last", [Total().add, Total(), partial(Total.add, Total())])
def test_methods_objects_and_partials_are_tasks(last: Callable[..., None]) -> None:
    type_check_tasks([COUNT, PipelineTask(last)])


@pytest.mark.parametrize(
    "options, what",
    [
        ({"num_workers": 0}, "num_workers value 0 needs to be positive"),
        ({"num_workers": 129, "packets_in_flight": 129}, "num_workers value 129 was greater than hard limit 128"),
        ({"num_workers": 2}, "packets_in_flight 1 is less than num_workers 2"),
        ({"packets_in_flight": 0}, "packets_in_flight 0 is less than num_workers 1"),
        ({"shared_buffer": True}, "shared_buffer=True, but max_message_size is None"),
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
