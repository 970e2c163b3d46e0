"""A lazy dataclass is one as `dataclasses` makes it, but for when its methods are made."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from chainpump import Processes, Retry, lazy_dataclass

T = TypeVar("T")


def classes_of(made_by: Any) -> SimpleNamespace:
    """One class of each shape that the package has."""
    dataclass, field = made_by.dataclass, made_by.field

    @dataclass(frozen=True, slots=True)
    class Frozen:
        name: str
        size: float = 1.5
        shape: ClassVar[str] = "round"

    @dataclass(slots=True)
    class Open:
        names: list[str] = field(default_factory=list)
        _open: dict[int, int] = field(default_factory=dict)

    @dataclass(frozen=True, slots=True)
    class Checked:
        workers: int = 1
        restarts: int = field(default=0, kw_only=True)
        joins: bool = field(default=False, init=False, repr=False)

        def __post_init__(self) -> None:
            if self.workers < 1:
                raise ValueError(self.workers)

    @dataclass(frozen=True, slots=True)
    class Longer(Checked):
        more: int = 7

    class Plain(Checked):
        __slots__ = ()

    @dataclass(frozen=True)
    class Base:
        function: Callable[..., Any]
        args: tuple[Any, ...] = ()

        def __repr__(self) -> str:
            return "base"

    @dataclass(frozen=True, repr=False)
    class Derived(Base, Generic[T]):
        verb: ClassVar[str] = "map"
        ordered: bool = True

    @dataclass(frozen=True, slots=True, init=False)
    class Own:  # noqa: PLW1641  # on purpose
        types: tuple[type, ...]

        def __init__(self, *types: type) -> None:
            object.__setattr__(self, "types", types)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, type(self))

    @dataclass(frozen=True, slots=True)
    class Empty:
        pass

    return SimpleNamespace(**{name: each for name, each in locals().items() if isinstance(each, type)})


LAZY = classes_of(lazy_dataclass)
STANDARD = classes_of(dataclasses)

CALLS: dict[str, Callable[[Any], Any]] = {
    "frozen": lambda classes: classes.Frozen("a"),
    "frozen, all given": lambda classes: classes.Frozen(size=2.5, name="a"),
    "open": lambda classes: classes.Open(),
    "open, given": lambda classes: classes.Open(["b"], {1: 2}),
    "checked": lambda classes: classes.Checked(3, restarts=2),
    "longer": lambda classes: classes.Longer(3, 4, restarts=2),
    "plain": lambda classes: classes.Plain(3, restarts=2),
    "base": lambda classes: classes.Base(print),
    "derived": lambda classes: classes.Derived(print, ordered=False),
    "of a type": lambda classes: classes.Derived[int](print),
    "own": lambda classes: classes.Own(int, str),
    "empty": lambda classes: classes.Empty(),
}


def told(look: Callable[[Any], object], value: object) -> object:
    """What it gives as a text, or what it raises."""
    try:
        return repr(look(value)).replace("<made by each object>", "<factory>")
    except Exception as error:
        return type(error), str(error)


def classes_with(value: object) -> SimpleNamespace:
    return LAZY if isinstance(value, tuple(vars(LAZY).values())) else STANDARD


def set_in_copy(value: Any, name: str) -> object:
    copied = copy.copy(value)
    setattr(copied, name, 5)
    return copied


def delete_in_copy(value: Any, name: str) -> object:
    copied = copy.copy(value)
    delattr(copied, name)
    return hasattr(copied, name)


@pytest.mark.parametrize("make", CALLS.values(), ids=CALLS)
def test_objects_of_lazy_dataclasses_behave_as_those_of_dataclasses(make: Callable[[Any], Any]) -> None:
    lazy, standard = make(LAZY), make(STANDARD)
    looks: list[Callable[[Any], object]] = [
        repr,
        lambda one: one == make(classes_with(one)),
        lambda one: hash(one) == hash(make(classes_with(one))),
        lambda one: one == 1,
        lambda one: inspect.signature(type(one)),
        lambda one: type(one).__match_args__,
        lambda one: getattr(type(one), "__slots__", None),
        dataclasses.is_dataclass,
        dataclasses.fields,
        dataclasses.asdict,
        dataclasses.replace,
        lazy_dataclass.replace,
        lambda one: lazy_dataclass.replace(one, joins=True),
        lambda one: lazy_dataclass.replace(one, workers=9),
        lambda one: lazy_dataclass.replace(one, workers=0),
        lambda one: type(one).__dataclass_params__.frozen,
        copy.copy,
        vars,
        lambda one: one.shape,
        *(partial(set_in_copy, name=name) for name in dataclasses.asdict(standard)),
        *(partial(delete_in_copy, name=name) for name in dataclasses.asdict(standard)),
        lambda one: type(one)(1, 2, 3, 4, 5),
    ]
    for look in looks:
        assert told(look, lazy) == told(look, standard)


def test_every_class_of_the_package_has_the_fields_that_dataclasses_sees() -> None:
    for each in (Processes, type(Processes(2))):
        assert [field.name for field in dataclasses.fields(each)][:3] == ["workers", "start_method", "restarts"]


def test_lazy_dataclasses_that_can_be_imported_cross_by_pickle() -> None:
    there = pickle.loads(pickle.dumps(Processes(3, restarts=2)))
    assert there == Processes(3, restarts=2)
    assert hash(there) == hash(Processes(3, restarts=2))


@dataclasses.dataclass(frozen=True)
class Named(Retry):
    """A dataclass of a user, of one of the package."""

    label: str = ""


def test_a_dataclass_may_derive_from_a_lazy_one() -> None:
    named = Named(2, backoff=0.5, label="slow")
    assert lazy_dataclass.replace(named, times=3) == Named(3, backoff=0.5, label="slow")
    assert dataclasses.replace(named, times=3).label == "slow"
    assert named != Named(2, label="slow")
    with pytest.raises(dataclasses.FrozenInstanceError):
        named.label = "fast"  # type: ignore[misc]


def test_dataclasses_is_not_imported_until_somebody_asks_for_it() -> None:
    script = """if True:
        import sys
        from chainpump.lazy_dataclass import dataclass, replace
        @dataclass(frozen=True, slots=True)
        class Point:
            x: int
            y: int = 2
        assert repr(replace(Point(1), x=3)) == 'Point(x=3, y=2)' and Point(1) == Point(1) and {Point(1)}
        print('dataclasses' in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
