"""The plan: what will run where."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import FrozenInstanceError

import pytest

from chainpump import Pipeline
from chainpump.errors import StageOptionError

# By its text.
from chainpump.executors.inline import Inline
from chainpump.executors.processes import Processes
from chainpump.executors.tasks import Tasks
from chainpump.executors.threads import Threads
from chainpump.hints.objects import name_of, where_of
from chainpump.messages.names import Role
from chainpump.plan import placement
from chainpump.plan.bound import Bound, Sink, Source, Stage, sink, source, stage
from chainpump.plan.placement import Capabilities, Workers, check_workers, copies_of
from chainpump.plan.plan import Plan
from chainpump.plan.planned_stage import PlannedStage


def planned(role: Role = Role.STAGE, name: str = "decode", **fields: object) -> PlannedStage:
    bound = Stage(planned) if role is Role.STAGE else Source(range, (3,))
    return PlannedStage(role, name, bound, Threads(2), **fields)  # type: ignore[arg-type]  # the tests know their types


def same(items: Iterable[int]) -> Iterator[int]:
    yield from items


def test_a_plan_is_a_table_of_its_stages() -> None:
    line = planned.__code__.co_firstlineno
    stages = (planned(Role.SOURCE, "range", yields_text="int"), planned(in_flight=4, yields_text="list[int]"))
    assert str(Plan(stages)) == (
        "stage   role    on                  in flight  order      yields     defined at\n"
        "range   source  Threads(workers=2)  by bytes   undefined  int        built in\n"
        f"decode  stage   Threads(workers=2)  4          undefined  list[int]  {__file__}:{line}"
    )


def test_a_plan_tells_behind_which_stage_order_is_undefined() -> None:
    numbers = Pipeline(range(3))
    ordered = numbers.map(abs, on=Threads(3)).then(same, on=Threads(1)).filter(bool, on=Threads(2))
    assert ordered.plan().orders == ["kept"] * 4
    assert ordered.then(same, on=Threads(2)).map(abs).plan().orders == ["kept"] * 4 + ["undefined"] * 2
    assert numbers.map(abs, ordered=False).map(abs).plan().orders == ["kept", "undefined", "undefined"]


def test_order_is_kept_behind_workers_that_may_be_replaced_whatever_was_asked_for() -> None:
    replaced = Pipeline(range(9)).map(abs, ordered=False).map(abs, on=Processes(2, restarts=1), ordered=False)
    assert replaced.plan().orders == ["kept"] * 3
    behind = replaced.then(same, on=Threads(1)).map(abs, on=Threads(2), ordered=False)
    assert behind.plan().orders == ["kept"] * 4 + ["undefined"]


def test_order_is_undefined_where_the_only_worker_that_could_restore_it_may_be_replaced() -> None:
    mixed = Pipeline(range(9)).map(abs, on=Processes(2))
    assert mixed.each(print, on=Processes()).plan().orders == ["kept"] * 3
    assert mixed.each(print, on=Processes(restarts=1)).plan().orders == ["kept", "kept", "undefined"]
    assert mixed.each(print, on=Processes(), timeout=9).plan().orders == ["kept", "kept", "undefined"]
    alone = Pipeline(range(9)).map(abs, on=Processes(1)).each(print, on=Processes(restarts=1))
    assert alone.plan().orders == ["kept"] * 3


def test_restarts_restore_no_order_where_several_workers_take_the_items() -> None:
    replaced = Pipeline(range(9)).map(abs, on=Processes(2, restarts=1), ordered=False)
    assert replaced.each(print, on=Processes(2)).plan().orders == ["kept", "undefined", "undefined"]
    assert replaced.each(print, on=Processes(1)).plan().orders == ["kept"] * 3


def test_in_one_thread_order_is_kept_whatever_was_asked_for() -> None:
    assert Pipeline(range(9)).map(abs, on=Inline(), ordered=False).plan().orders == ["kept"] * 2


def test_a_plan_never_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        Plan((planned(),)).stages = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        planned().in_flight = 3  # type: ignore[misc]


@pytest.mark.parametrize("role,label", [(Role.SOURCE, "source 'x'"), (Role.STAGE, "stage 'x'")])
def test_a_stage_is_called_by_its_role_and_its_name(role: Role, label: str) -> None:
    assert planned(role, "x").label == label


@pytest.mark.parametrize("workers", [0, -1, True, 2.0, "2", None, "Auto", "auto ", b"auto"])
@pytest.mark.parametrize("executor", [Processes, Threads])
def test_an_executor_needs_a_whole_number_of_workers(executor: Callable[[object], object], workers: object) -> None:
    with pytest.raises(StageOptionError, match=f"workers must be a whole number of at least 1 but got: {workers!r}"):
        executor(workers)


def test_the_message_about_workers_names_the_executor() -> None:
    with pytest.raises(StageOptionError) as caught:
        check_workers(Threads(1), 0, or_auto=True)
    assert str(caught.value) == (
        "Threads: workers must be a whole number of at least 1 but got: 0.\n"
        '  Threads() runs one worker; Threads("auto") runs as many as are of use.'
    )


def test_tasks_have_a_number_of_their_own() -> None:
    with pytest.raises(StageOptionError) as caught:
        Tasks("auto")  # type: ignore[arg-type]  # whether it is refused is the question
    assert str(caught.value) == (
        "Tasks: workers must be a whole number of at least 1 but got: 'auto'.\n"
        "  Tasks() runs one worker; Tasks(100) deals with a hundred at once."
    )


@pytest.mark.parametrize("processors,copies", [(1, 2), (8, 8), (500, 32)])
def test_auto_workers_are_several_on_any_machine_and_no_crowd(
    processors: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "processors", lambda: processors)
    assert (copies_of(Threads("auto")), copies_of(Processes("auto"))) == (copies, copies)


def test_an_unknown_start_method_is_told_with_the_known_ones() -> None:
    message = "Processes: start_method must be one of forkserver, spawn, fork but got: 'clone'."
    with pytest.raises(StageOptionError, match=f"^{message}$"):
        Processes(start_method="clone")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text,facts",
    [
        ("Processes(workers=8, start_method='forkserver')", (8, True, True, False)),
        ("Processes(workers=1, start_method='spawn')", (1, True, True, False)),
        ("Processes(workers=2, start_method='fork')", (2, True, False, False)),
        ("Processes(workers='auto', start_method='forkserver')", ("auto", True, True, False)),
        ("Threads(workers='auto')", ("auto", False, False, False)),
        ("Threads(workers=16)", (16, False, False, False)),
        ("Inline()", (1, False, False, True)),
    ],
)
def test_executors_are_values(text: str, facts: tuple[Workers, bool, bool, bool]) -> None:
    one, same = eval(text), eval(text)
    able = one.capabilities
    assert (one.workers, able.own_process, able.pickles_functions, able.shares_thread) == facts
    assert repr(one) == text
    assert one == same
    assert hash(one) == hash(same)


@pytest.mark.parametrize("own_process", [False, True])
def test_the_consequences_of_a_process_of_its_own_have_names(own_process: bool) -> None:
    able = Capabilities(own_process=own_process)
    assert (able.has_own_interpreter, able.has_own_pid, able.can_be_killed, able.can_stop_calls) == (own_process,) * 4
    assert Capabilities(runs_async=True).can_stop_calls


class Scale:
    """A callable object with a state, and the same as a method."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, value: int) -> int:
        return self.factor * value

    def method(self, value: int) -> int:
        return self.factor * value


def decorated(value: int) -> int:
    return value


@functools.wraps(decorated)
def wrapper(value: int) -> int:
    return decorated(value)


@pytest.mark.parametrize(
    "function,name,place",
    [
        pytest.param(planned, "planned", planned, id="a function"),
        pytest.param(functools.partial(planned, Role.SINK), "planned", planned, id="a partial"),
        pytest.param(Scale, "Scale", Scale.__init__, id="a class"),
        pytest.param(Scale(3), "Scale", Scale.__call__, id="a callable object"),
        pytest.param(Scale(3).method, "method", Scale.method, id="a method"),
        pytest.param(wrapper, "decorated", decorated, id="a decorated function"),
        pytest.param(range, "range", None, id="a builtin"),
    ],
)
def test_a_function_is_named_and_found(function: object, name: str, place: Callable[..., object] | None) -> None:
    assert name_of(function) == name
    assert where_of(function) == (None if place is None else f"{__file__}:{place.__code__.co_firstlineno}")


@pytest.mark.parametrize(
    "bound,text",
    [
        (source(range, 3), "source(range, 3)"),
        (stage(map, "x"), "stage(map, 'x')"),  # type: ignore[arg-type]  # nothing is called
        (sink(sum), "sink(sum)"),
        (source(Scale, factor=2), "source(Scale, factor=2)"),  # type: ignore[arg-type]
    ],
)
def test_a_bound_function_reads_as_it_was_written(bound: Bound, text: str) -> None:
    assert repr(bound) == text


def test_a_bound_function_puts_its_input_before_its_arguments() -> None:
    def show(*args: object, **kwargs: object) -> object:
        return args, kwargs

    assert Sink(show, (1, 2), {"three": 3}).call("items") == (("items", 1, 2), {"three": 3})
    assert Source(show, (1,)).call() == ((1,), {})
