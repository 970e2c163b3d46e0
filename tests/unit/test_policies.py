"""What becomes of an item whose function raises: one pure decision."""

# Wrong values are given on purpose.
# pyright: reportArgumentType=false
from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from chainpump.errors import StageOptionError
from chainpump.policies import Action, DeadLetter, Policy, Raise, Retry, Skip, Verdict, decide

RAISE = Verdict(Action.RAISE)
SKIP = Verdict(Action.SKIP)
BURY = Verdict(Action.DEAD_LETTER)
AGAIN = Verdict(Action.RETRY)


@pytest.mark.parametrize(
    "policy,error,tries,expected",
    [
        pytest.param(Raise(), ValueError(), 1, RAISE, id="raise"),
        pytest.param(Skip(), ValueError(), 1, SKIP, id="skip"),
        pytest.param(Skip(ValueError), ValueError(), 1, SKIP, id="skip what it is for"),
        pytest.param(Skip(OSError), FileNotFoundError(), 1, SKIP, id="skip a subclass"),
        pytest.param(Skip(OSError, ValueError), ValueError(), 1, SKIP, id="skip one of several"),
        pytest.param(Skip(ValueError), OSError(), 1, RAISE, id="skip nothing else"),
        pytest.param(Skip(), KeyboardInterrupt(), 1, RAISE, id="all exceptions are those of programs"),
        pytest.param(Skip(limit=0), ValueError(), 1, Verdict(Action.SKIP, limit=0), id="skip with a limit"),
        pytest.param(Skip(ValueError, limit=0), OSError(), 1, RAISE, id="the limit is not of what is raised"),
        pytest.param(DeadLetter(), ValueError(), 1, BURY, id="bury"),
        pytest.param(
            DeadLetter(ValueError, limit=9), ValueError(), 1, Verdict(Action.DEAD_LETTER, limit=9), id="with a limit"
        ),
        pytest.param(DeadLetter(ValueError), OSError(), 1, RAISE, id="bury nothing else"),
        pytest.param(Retry(1), ValueError(), 1, AGAIN, id="retry"),
        pytest.param(Retry(1), ValueError(), 2, RAISE, id="retry so often only"),
        pytest.param(Retry(3), ValueError(), 3, AGAIN, id="retry for the last time"),
        pytest.param(Retry(3, on=OSError), ValueError(), 1, RAISE, id="retry nothing else"),
        pytest.param(Retry(3, on=(OSError, ValueError)), ValueError(), 2, AGAIN, id="retry one of several"),
        pytest.param(
            Retry(3, on=OSError, otherwise=Skip()), ValueError(), 1, SKIP, id="otherwise, for other exceptions"
        ),
        pytest.param(Retry(1, otherwise=Skip()), ValueError(), 2, SKIP, id="otherwise, after the last try"),
        pytest.param(
            Retry(1, otherwise=Skip(limit=4)), ValueError(), 2, Verdict(Action.SKIP, limit=4), id="with its limit"
        ),
        pytest.param(Retry(1, otherwise=Skip(OSError)), ValueError(), 2, RAISE, id="otherwise has types of its own"),
        pytest.param(Retry(1, otherwise=DeadLetter()), ValueError(), 2, BURY, id="bury after the last try"),
        pytest.param(Skip(split=True), ValueError(), 1, Verdict(Action.SKIP, split=True), id="skip a part"),
        pytest.param(
            Retry(1, otherwise=DeadLetter(split=True)),
            ValueError(),
            2,
            Verdict(Action.DEAD_LETTER, split=True),
            id="bury a part",
        ),
    ],
)
def test_a_policy_decides(policy: Policy, error: BaseException, tries: int, expected: Verdict) -> None:
    assert decide(policy, error, tries) == expected


def test_the_pause_doubles_before_each_further_try() -> None:
    policy = Retry(4, backoff=0.5, otherwise=Skip())
    decisions = [decide(policy, ValueError(), tries) for tries in range(1, 6)]
    assert decisions == [*(Verdict(Action.RETRY, pause) for pause in (0.5, 1.0, 2.0, 4.0)), SKIP]


def test_defaults_skip_and_bury_every_exception_without_limit() -> None:
    assert (Skip().types, Skip().limit) == ((Exception,), None)
    assert (DeadLetter().types, DeadLetter().limit, DeadLetter().to) == ((Exception,), None, None)


@pytest.mark.parametrize(
    "build,message",
    [
        pytest.param(
            lambda: Skip("ValueError"),
            "Skip: each type must be a class of exceptions, such as ValueError, but got: 'ValueError'.",
            id="a name",
        ),
        pytest.param(
            lambda: Skip(ValueError()),
            "Skip: each type must be a class of exceptions, such as ValueError, but got: ValueError().",
            id="an instance",
        ),
        pytest.param(
            lambda: DeadLetter((ValueError, "OSError")),
            "DeadLetter: each type must be a class of exceptions, such as ValueError, but got: 'OSError'.",
            id="a tuple",
        ),
        pytest.param(
            lambda: DeadLetter(int),
            "DeadLetter: each type must be a class of exceptions, such as ValueError, but got: <class 'int'>.",
            id="another class",
        ),
        *(
            pytest.param(
                lambda kind=kind, limit=limit: kind(limit=limit),
                f"{kind.__name__}: limit must be a whole number of at least 0, or None but got: {limit!r}.",
                id=f"{kind.__name__}, limit {limit!r}",
            )
            for kind in (Skip, DeadLetter)
            for limit in (-1, 1.5, "3", True)
        ),
        pytest.param(
            lambda: DeadLetter(split=1), "DeadLetter: split must be True or False but got: 1.", id="split by a number"
        ),
        pytest.param(
            lambda: DeadLetter(to="file.jsonl"),
            "DeadLetter: to must be a function of one dead letter but got: 'file.jsonl'.",
            id="no function",
        ),
        *(
            pytest.param(
                lambda times=times: Retry(times),
                f"Retry: times must be a whole number of at least 1 but got: {times!r}.",
                id=f"{times!r} times",
            )
            for times in (0, -1, 2.0, "2", True, None)
        ),
        *(
            pytest.param(
                lambda on=on: Retry(1, on=on),
                f"Retry: on must be a class of exceptions, such as ValueError, but got: {named!r}.",
                id=f"on {on!r}",
            )
            for on, named in (
                ("OSError", "OSError"),
                (int, int),
                ((OSError, 3), 3),
                (None, None),
                ([OSError, 3], 3),
            )
        ),
        *(
            pytest.param(
                lambda backoff=backoff: Retry(1, backoff=backoff),
                f"Retry: backoff must be a number of seconds but got: {backoff!r}.",
                id=f"backoff {backoff!r}",
            )
            for backoff in (-0.1, float("inf"), float("nan"), "1", True, None)
        ),
        *(
            pytest.param(
                lambda otherwise=otherwise: Retry(1, otherwise=otherwise),
                f"Retry: otherwise must be Raise(), Skip(...) or DeadLetter(...) but got: {otherwise!r}.",
                id=f"otherwise {otherwise!r}",
            )
            for otherwise in (Skip, None, Retry(1))
        ),
    ],
)
def test_options_that_cannot_work_are_refused_where_they_are_given(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(StageOptionError, match=f"^{re.escape(message)}$"):
        build()


@pytest.mark.parametrize(
    "policy",
    [
        Raise(),
        Skip(ValueError, limit=3),
        DeadLetter(OSError, limit=3, to=print, split=True),
        Retry(3, on=(OSError,), backoff=0.5, otherwise=Skip()),
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_a_policy_is_a_value_that_travels(policy: Policy) -> None:
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert hash(pickle.loads(pickle.dumps(policy))) == hash(policy)


@pytest.mark.parametrize("policy,field", [(Skip(), "limit"), (DeadLetter(), "to"), (Retry(1), "times")], ids=repr)
def test_a_policy_never_changes(policy: Policy, field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(policy, field, None)
