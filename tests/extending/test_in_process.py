"""The operator, the codec, the policy and the observer of `docs/extending.md`, in pipelines, with their faults."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from interpreter import Interpreter
from json_lines import JsonLines
from picture import Picture, blank, encode
from retry_after import BusyError, RetryAfter, ask
from split_when import far_apart, split_when

import chainpump
from chainpump import (
    DeadItem,
    Executor,
    Inline,
    Pipeline,
    Processes,
    Progress,
    Retry,
    RunError,
    StageError,
    StageOptionError,
    StageTypeError,
    Tasks,
    Threads,
    TooManyFailuresError,
    UnpicklableItemError,
    register_codec,
    source,
    stage,
)
from chainpump.extending import Action, Policy, Verdict
from chainpump.pickling import registry
from support.gate import Gate

PLACES = {
    "inline": Inline(),
    "threads": Threads(2),
    "processes": Processes(2),
    "programs": Interpreter(2, python=sys.executable),
}
PLACE = pytest.mark.parametrize("on", PLACES.values(), ids=PLACES)
ONE = pytest.mark.parametrize("on", [Inline(), Threads(), Processes()], ids=["inline", "threads", "processes"])


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the codec of the example alone, whatever tests do to it."""
    monkeypatch.setattr(registry, "_REGISTERED", {Picture: vars(registry)["_REGISTERED"].get(Picture) or _codec()})


def _codec() -> registry.Codec:
    from picture import decode

    return registry.Codec(Picture, encode, decode)


# ------------------------------------------------------------------------------------------------------- all at once


def number_of(visit: list[float]) -> int:
    """Refuses the first visit of the day."""
    if visit[0] == 0:
        raise BusyError(0.0)
    return len(visit)


def drawn(number: int) -> Picture:
    return Picture(number, bytearray([number]) * 200_000)


def width_of(picture: Picture) -> tuple[int, int, str]:
    return picture.width, sum(picture.pixels[:2]), type(picture.pixels).__name__


def test_all_five_work_together(tmp_path: Path) -> None:
    programs = Interpreter(2, python=sys.executable)
    seconds = [0.0, 60.0, 7200.0, 7260.0, 7300.0, 90_000.0]
    widths = (
        Pipeline(seconds)
        .then(stage(split_when, far_apart), on=Threads())
        .map(number_of, on=programs, on_error=RetryAfter(times=2))
        .map(drawn, on=Processes())
        .map(width_of, on=programs)
    )
    lines = JsonLines(tmp_path / "progress.jsonl")
    report = widths.into(list, on=Inline()).run(observe=lines)
    assert report.value == [(3, 6, "memoryview"), (1, 2, "memoryview")]
    assert [letter.item for letter in report.dead_letters] == [[0.0, 60.0]]
    last = json.loads(lines.path.read_text().splitlines()[-1])
    assert (last["is_over"], last["items"]) == (True, 2)
    assert [(each["stage"], each["dead"], each["retried"]) for each in last["stages"]][2] == ("number_of", 1, 2)


# ------------------------------------------------------------------------------------------------------ the operator


@ONE
@pytest.mark.parametrize("length", [0, 1, 2, 100])
def test_an_operator_gives_what_it_gives_as_a_plain_generator(length: int, on: Executor) -> None:
    seconds = [number * (1000.0 if number % 3 else 2000.0) for number in range(length)]
    visits = Pipeline(seconds).then(stage(split_when, far_apart), on=on)
    assert list(visits) == list(split_when(seconds, far_apart))


def split_at_nought(first: float, second: float) -> bool:
    return 1 / second > first


@ONE
def test_an_operator_that_fails_is_blamed_with_its_item(on: Executor) -> None:
    with pytest.raises(StageError, match=r"^stage 'split_when' \(.*\) raised ZeroDivisionError on item 2:"):
        list(Pipeline([1.0, 2.0, 0.0]).then(stage(split_when, split_at_nought), on=on))


def test_an_operator_is_checked_as_every_stage() -> None:
    visits = Pipeline(source(range, 3)).then(stage(split_when, far_apart))
    assert visits.plan().stages[-1].yields_text == "list[int]"
    with pytest.raises(StageTypeError, match="cannot follow"):
        visits.map(ask)  # type: ignore[arg-type]  # it takes one number, and here come lists


# --------------------------------------------------------------------------------------------------------- the codec


@pytest.mark.parametrize("on", [Processes(), Interpreter(python=sys.executable)], ids=["processes", "programs"])
def test_a_codec_crosses_and_its_buffer_is_a_view(on: Executor) -> None:
    found = list(Pipeline(source(blank, 3), on=on).map(width_of, on=on))
    assert found == [(1000, 0, "memoryview")] * 3


def refuse(_: Picture) -> tuple[list[Any], int]:
    raise ValueError("no pixels")


def forget(_: Any, __: int) -> Picture:
    raise ValueError("no picture")


@pytest.mark.parametrize("on", [Processes(), Interpreter(python=sys.executable)], ids=["processes", "programs"])
def test_a_codec_that_fails_to_encode_names_the_item(on: Executor) -> None:
    register_codec(Picture, refuse, forget)
    with pytest.raises(UnpicklableItemError, match=r"item 0.*\n.*its codec raised ValueError: no pixels"):
        list(Pipeline(source(blank, 2), on=on))


@pytest.mark.parametrize("on", [Processes(), Interpreter(python=sys.executable)], ids=["processes", "programs"])
def test_a_codec_that_fails_to_decode_names_the_item(on: Executor) -> None:
    register_codec(Picture, encode, forget)
    with pytest.raises(RunError, match=r"item 0.*\n.*ValueError: no picture"):
        list(Pipeline(source(blank, 2), on=on))


# -------------------------------------------------------------------------------------------------------- the policy


@dataclass(frozen=True)
class Says:
    """Whatever it was told to."""

    answer: Any
    to: Any = field(default=None, kw_only=True)

    def decide(self, error: BaseException, tries: int) -> Any:
        if self.answer is KeyError:
            raise KeyError("which?")
        return self.answer


def even(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


@PLACE
def test_a_policy_retries_and_puts_aside(on: Executor) -> None:
    asked = Pipeline(range(6)).map(ask, on=on, on_error=RetryAfter(times=2))
    with asked.open() as run:
        assert list(run) == [0, 2, 4]
        asking = run.progress().stages[1]
    assert Counter(letter.item for letter in run.dead_letters) == Counter([1, 3, 5])
    assert (asking.dead, asking.retried) == (3, 6)
    assert all(isinstance(letter.error, BusyError) for letter in run.dead_letters)


@PLACE
def test_a_policy_ends_the_run_for_what_it_is_not_for(on: Executor) -> None:
    with pytest.raises(StageError, match=r"^stage 'even' \(.*\) raised ValueError on item 1:\n  1 is odd"):
        list(Pipeline(range(2)).map(even, on=on, on_error=RetryAfter()))


async def even_later(number: int) -> int:
    return even(number)


# Of several tasks, the one that is through with item 0 goes on with item 3 before the others have begun.
POLICIES: dict[str, tuple[Policy, type[RunError], str]] = {
    "raises": (Says(KeyError), StageError, r"raised KeyError on item [13]:"),
    "decides nothing": (Says(None), StageError, r"raised TypeError on item [13]:\n  decide must return a Verdict but"),
    "leaves out too many": (Says(Verdict(Action.SKIP, limit=1)), TooManyFailuresError, "item 3: ValueError: 3 is odd"),
}


@PLACE
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_that_fails_ends_the_run_and_is_named(policy: str, on: Executor) -> None:
    on_error, error, message = POLICIES[policy]
    with pytest.raises(error, match=message) as caught:
        list(Pipeline(range(6)).map(even, on=on, on_error=on_error))
    assert caught.value.stage == "even"
    if error is StageError:
        notes = getattr(caught.value.__cause__, "__notes__", [])
        assert any(note.startswith(f"on_error={on_error!r} raised this when it was asked about ") for note in notes)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_that_fails_among_tasks_ends_the_run_and_is_named(policy: str) -> None:
    on_error, error, message = POLICIES[policy]
    with pytest.raises(error, match=message):
        list(Pipeline(range(6)).map(even_later, on=Tasks(3), on_error=on_error))


def held_at_1(number: int, gate: Gate) -> int:
    return gate.hold(number) if number == 1 else number


LATE: dict[str, tuple[Policy, str]] = {
    "raises": (Says(KeyError), r"raised KeyError on item 1:"),
    "decides nothing": (
        Says(None),
        r"raised TypeError on item 1:\n  decide must return a Verdict but returned: None",
    ),
    "ends the run": (Says(Verdict(Action.RAISE)), r"took longer than"),
}


@pytest.mark.parametrize("policy", LATE)
def test_a_policy_is_asked_in_the_main_process_about_an_item_that_takes_too_long(policy: str, gate: Gate) -> None:
    on_error, message = LATE[policy]
    late = Pipeline(range(3)).map(partial(held_at_1, gate=gate), on=Processes(), timeout=0.3, on_error=on_error)
    with pytest.raises(RunError, match=message):
        list(late)


def killed_at_1(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_policy_decides_about_an_item_that_costs_workers() -> None:
    on_error = Says(Verdict(Action.DEAD_LETTER))
    with Pipeline(range(4)).map(killed_at_1, on=Processes(restarts=9), on_error=on_error).open() as run:
        assert list(run) == [0, 2, 3]
    assert [letter.item for letter in run.dead_letters] == [1]


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "behind a Retry"])
def test_a_policy_may_say_who_takes_its_dead_letters(wrapped: bool) -> None:
    taken: list[DeadItem] = []
    policy: Policy = Says(Verdict(Action.DEAD_LETTER), to=taken.append)
    with (
        Pipeline(range(4))
        .map(even, on=Threads(), on_error=Retry(1, otherwise=policy) if wrapped else policy)
        .open() as run
    ):
        assert list(run) == [0, 2]
    assert [letter.item for letter in taken] == [1, 3]
    assert not run.dead_letters


@pytest.mark.parametrize("policy", [RetryAfter, object(), None, "skip"])
def test_what_cannot_decide_is_no_policy(policy: Any) -> None:
    with pytest.raises(StageOptionError, match=r"on_error must be a policy but got: "):
        Pipeline(range(3)).map(even, on=Inline(), on_error=policy)


@pytest.mark.parametrize(
    "build,message",
    [
        (lambda: Verdict("skip"), r"^Verdict: action must be an Action but got: 'skip'\.$"),  # type: ignore[arg-type]
        (lambda: Verdict(Action.RETRY, pause=-1), r"^Verdict: pause must be a number of seconds but got: -1\.$"),
        (lambda: Verdict(Action.SKIP, limit=1.5), r"^Verdict: limit must be a whole number of at least 0, or None"),  # type: ignore[arg-type]
    ],
)
def test_a_verdict_that_means_nothing_is_refused(build: Any, message: str) -> None:
    with pytest.raises(StageOptionError, match=message):
        build()


def test_a_policy_of_one_s_own_travels_as_a_value() -> None:
    assert pickle.loads(pickle.dumps(RetryAfter(2))) == RetryAfter(2)


# ------------------------------------------------------------------------------------------------------ the observer


@PLACE
def test_an_observer_sees_the_end_of_every_run(on: Executor, tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "progress.jsonl")
    Pipeline(range(100)).map(str, on=on).into(list, on=Inline()).run(observe=lines)
    last = json.loads(lines.path.read_text().splitlines()[-1])
    assert last["is_over"]
    assert [(each["stage"], each["received"], each["sent"]) for each in last["stages"]] == [
        ("range", 0, 100),
        ("str", 100, 100),
        ("list", 100, 0),
    ]


def test_an_observer_that_raises_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "nowhere" / "progress.jsonl")
    with pytest.warns(RuntimeWarning, match=r"^observe=.*JsonLines object .* raised FileNotFoundError: ") as caught:
        report = Pipeline(range(100)).map(str, on=Threads(2)).into(list, on=Inline()).run(observe=lines)
    assert len(caught) == 1
    assert len(report.value) == 100


def test_an_observer_is_told_of_a_run_that_fails() -> None:
    seen: list[Progress] = []
    with pytest.raises(StageError):
        Pipeline(range(3)).map(even, on=Threads()).into(list, on=Inline()).run(observe=seen.append)
    assert [each.is_over for each in seen] == [True]


def test_public_names_of_the_module_say_what_they_are() -> None:
    from chainpump import extending

    assert {name for name in extending.__all__ if not getattr(extending, name).__doc__} <= {"Observer", "Workers"}
    assert not set(extending.__all__) & set(chainpump.__all__)
