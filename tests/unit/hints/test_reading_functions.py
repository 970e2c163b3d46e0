"""What is read from whatever is passed as a function: overloads, decorators, partials, classes, methods, libraries."""

from __future__ import annotations

import enum
import functools
import itertools
import json
import math
import operator
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    ParamSpec,
    Protocol,
    Self,
    TypeGuard,
    TypeVar,
    overload,
)
from unittest.mock import Mock

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from typing_extensions import TypeIs

from chainpump import Inline, Pipeline, PlanError, StageTypeError, Tasks, Threads, sink, source, stage
from chainpump.hints.objects import name_of

if TYPE_CHECKING:
    from nowhere import Ghost

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
UserName = NewType("UserName", str)


def of(hint: Any) -> Pipeline[Any]:
    """A pipeline of items of this type."""
    return Pipeline([None]).map(lambda item: item, returns=hint, on=Inline())


def yields(pipeline: Any) -> str:
    """The text of what its last stage yields."""
    return str(pipeline.plan().stages[-1].yields_text)


def mapped(hint: Any, function: Any, **options: Any) -> str:
    return yields(of(hint).map(function, on=Inline(), **options))


# ------------------------------------------------------------------------------------------- hints of somebody else


def of_ghost(item: Ghost) -> Ghost:
    return item


def from_ghost(item: Ghost) -> int:
    return 1


def test_a_hint_of_a_function_of_one_item_that_cannot_be_read_is_unknown() -> None:
    assert mapped(int, of_ghost) == "?"
    assert mapped(int, from_ghost) == "int"
    assert mapped(int, of_ghost, returns=str) == "str"
    strict = Pipeline(source(range, 3), strict=True)
    with pytest.raises(
        StageTypeError, match=r"^\.map\(from_ghost\) has a hint that cannot be read: Ghost of parameter"
    ):
        strict.map(from_ghost)
    with pytest.raises(StageTypeError, match=r"^\.map\(from_ghost\) has a hint that cannot be read"):
        strict.map(from_ghost, returns=int)


def test_functions_of_libraries_are_taken_as_they_are() -> None:
    assert mapped(Path, PillowImage.open) == "?"
    assert mapped(int, np.sqrt) == "?"
    assert mapped(str, operator.itemgetter(1)) == mapped(str, operator.methodcaller("upper")) == "?"
    assert mapped(int, Mock()) == "?"
    for made in (
        source(Path().glob, "*"),
        source(open, "/etc/hosts"),
        source(itertools.starmap, max, [(1, 2)]),
    ):
        assert yields(Pipeline(made)) in ("?", "Path")
    assert of(str).into(Counter)
    assert of(str).then(itertools.pairwise)
    assert of(str).then(stage(functools.partial(map, len)))


@pytest.mark.parametrize("function", [operator.neg, PillowImage.open, str.upper, Path.read_text])
def test_nobody_is_told_to_edit_a_library(function: Any) -> None:
    strict = Pipeline(source(range, 3), strict=True)
    with pytest.raises(StageTypeError) as caught:
        strict.map(function)
    text = str(caught.value)
    assert "Annotate" not in text
    assert f"Let '{function.__name__}'" not in text
    assert text.endswith("\n  Put a stage between them.") or f"Name it: .map({function.__name__}, returns=...)." in text


@pytest.mark.parametrize(
    "hint, function, result",
    [
        (str, len, "int"),
        (str, str.upper, "str"),
        (str, str.split, "list[str]"),
        (str, ",".join, "str"),
        (list[int], sorted, "list[int]"),
        (list[int], max, "int"),
        (list[float], sum, "float"),
        (dict[str, int], dict.keys, "KeysView[str]"),
        (dict[str, int], list, "list[str]"),
        (int, abs, "int"),
        (float, abs, "float"),
        (str, json.loads, "?"),
        (Path, os.path.basename, "str"),
        (Path, os.path.getsize, "int"),
        (Path, Path.read_text, "str"),
        (str, Path, "Path"),
        (list[str], Counter, "Counter[str]"),
        (int, math.sqrt, "float"),
        (tuple[int, str], operator.itemgetter(1), "?"),
    ],
)
def test_what_well_known_functions_of_the_standard_library_take_and_give(hint: Any, function: Any, result: str) -> None:
    assert mapped(hint, function) == result


@pytest.mark.parametrize("function", [len, str.upper, list, sorted, chr, json.loads, ",".join, Path, os.walk])
def test_well_known_functions_refuse_what_they_cannot_take(function: Any) -> None:
    with pytest.raises(StageTypeError, match=r"cannot follow '<lambda>'"):
        mapped(complex, function)


def test_streams_of_well_known_functions() -> None:
    assert yields(Pipeline(source(os.walk, "."))) == "tuple[str, list[str], list[str]]"
    assert yields(of(int).then(itertools.pairwise)) == "tuple[int, int]"
    assert yields(of(int).then(stage(itertools.islice, 3))) == "int"
    assert yields(of(int).then(enumerate)) == "tuple[int, int]"
    assert yields(of(int).into(list)) == "list[int]"
    with pytest.raises(StageTypeError, match=r"^sink 'len' takes Sized"):
        of(int).into(len)


# --------------------------------------------------------------------------------------------------------- overloads


@overload
def parsed(item: str) -> int: ...
@overload
def parsed(item: bytes) -> float: ...
@overload
def parsed(item: list[T]) -> T: ...
def parsed(item: Any) -> Any:
    return item


class Reader:
    @overload
    def read(self, item: str) -> int: ...
    @overload
    def read(self, item: bytes) -> float: ...
    def read(self, item: Any) -> Any:
        return item

    @overload
    def __init__(self, item: int = 0) -> None: ...
    @overload
    def __init__(self, item: str, strict: bool = False) -> None: ...
    def __init__(self, item: Any = 0, strict: bool = False) -> None:
        pass


@overload
def scaled(items: Iterable[int], factor: int) -> Iterator[int]: ...
@overload
def scaled(items: Iterable[str], factor: int, unit: str) -> Iterator[str]: ...
def scaled(items: Any, *arguments: Any) -> Any:
    return items


def test_the_first_overload_that_fits_says_what_comes_of_it() -> None:
    assert mapped(str, parsed) == mapped(str, Reader().read) == mapped(str, functools.partial(parsed)) == "int"
    assert mapped(bytes, parsed) == mapped(bytes, Reader().read) == "float"
    assert mapped(list[Path], parsed) == "Path"
    assert mapped(str | bytes, parsed) == "int | float", "each member by an overload of its own"
    assert mapped(Any, parsed) == "?", "all of them fit"
    assert mapped(int, Reader) == mapped(str, Reader) == "Reader"
    with pytest.raises(StageTypeError, match=r"'parsed' expects +str \| bytes \| list\[T\]"):
        mapped(Path, parsed)
    with pytest.raises(StageTypeError, match=r"'Reader' expects +int \| str"):
        mapped(Path, Reader)


def test_an_overload_that_cannot_be_called_so_is_not_meant() -> None:
    assert yields(of(int).then(stage(scaled, 3))) == "int"
    assert yields(of(str).then(stage(scaled, 3, "kg"))) == "str"
    with pytest.raises(StageTypeError, match=r"'scaled' expects +int"):
        of(str).then(stage(scaled, 3))


# -------------------------------------------------------------------------------------------------------- decorators


def listed(function: Callable[P, Iterable[R]]) -> Callable[P, list[R]]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> list[R]:
        return list(function(*args, **kwargs))

    return inner


def optional(times: int) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def inner(*args: P.args, **kwargs: P.kwargs) -> R | None:
            return function(*args, **kwargs) if times else None

        return inner

    return decorate


def from_text(function: Callable[[int], R]) -> Callable[[str], R]:
    @functools.wraps(function)
    def inner(text: str) -> R:
        return function(int(text))

    return inner


def timed(function: F) -> F:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner  # type: ignore[return-value]  # as decorators do


def unannotated(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


class Memo(Generic[P, R]):
    def __init__(self, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)


@listed
def words(text: str) -> Iterator[str]:
    yield text


def doubled(number: int) -> int:
    return 2 * number


async def fetched(number: int) -> str:
    return ""


def test_a_decorator_says_what_it_makes_of_a_function() -> None:
    assert mapped(str, words) == "list[str]"
    assert mapped(int, optional(3)(doubled)) == "int | None"
    assert mapped(str, from_text(doubled)) == "int"
    assert mapped(int, timed(doubled)) == mapped(int, Memo(doubled)) == mapped(int, functools.cache(doubled)) == "int"
    for function in (optional(3)(doubled), timed(doubled), Memo(doubled), functools.cache(doubled)):
        with pytest.raises(StageTypeError, match=r"'doubled' expects +int"):
            mapped(str, function)
    with pytest.raises(StageTypeError, match=r"'doubled' expects +str"):
        mapped(int, from_text(doubled))


def test_what_a_decorator_makes_that_says_nothing_is_unknown() -> None:
    assert mapped(str, unannotated(doubled)) == "?"
    with pytest.raises(
        StageTypeError, match=r"Annotate its decorator, which hides its hints, or name it: \.map\(doubl"
    ):
        Pipeline(source(range, 3), strict=True).map(unannotated(doubled))
    assert yields(of(int).map(unannotated(fetched), on=Tasks())) == "?"


def test_decorators_of_functions_that_run_are_found_too() -> None:
    def paired(function: Callable[P, R]) -> Callable[P, tuple[R, R]]:
        @functools.wraps(function)
        def inner(*args: P.args, **kwargs: P.kwargs) -> tuple[R, R]:
            return function(*args, **kwargs), function(*args, **kwargs)

        return inner

    assert mapped(int, paired(doubled)) == "tuple[int, int]"


def test_other_types_may_be_registered_for_a_single_dispatch_function() -> None:
    @functools.singledispatch
    def shown(item: int) -> str:
        return ""

    assert mapped(Path, shown) == "str"


# ------------------------------------------------------------------------------- partials, classes, methods, objects


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    def get(self) -> T:
        return self.item

    def same(self) -> Self:
        return self

    @classmethod
    def made_of(cls, item: T) -> list[Self]:
        return [cls(item)]

    def with_it(self, other: S) -> tuple[T, S]:
        return self.item, other


class IntBox(Box[int]): ...


@dataclass
class Row:
    number: int


@attrs.define
class Attr:
    number: int


class Named(NamedTuple):
    number: int


class Colour(enum.Enum):
    RED = 1


def keyed(key: S, item: T) -> dict[S, T]:
    return {key: item}


def test_a_partial_of_anything_gives_what_that_gives() -> None:
    assert mapped(int, functools.partial(Row)) == "Row"
    assert mapped(int, functools.partial(Box)) == mapped(int, Box) == "Box[int]"
    assert mapped(int, functools.partial(keyed, "key")) == "dict[str, int]"
    assert mapped(int, functools.partial(functools.partial(keyed), "key")) == "dict[str, int]"
    assert mapped(int, functools.partial(Box("a").with_it)) == "tuple[Any, int]"


@pytest.mark.parametrize("cls", [Row, Attr, Named])
def test_a_class_takes_what_its_fields_are(cls: type) -> None:
    assert mapped(int, cls) == cls.__name__
    with pytest.raises(StageTypeError, match=rf"'{cls.__name__}' expects +int +\(parameter 'number', {__file__}:\d+\)"):
        mapped(str, cls)


def test_a_generic_class_with_arguments_takes_and_gives_these() -> None:
    assert mapped(int, Box[int]) == "Box[int]"
    assert mapped(str, UserName) == "UserName"
    for function in (Box[int], UserName):
        with pytest.raises(StageTypeError, match=rf"'{name_of(function)}' expects +(int|str)"):
            mapped(bytes, function)


def test_self_is_the_class_of_the_object() -> None:
    assert mapped(Box[int], Box.same) == "Box[int]"
    assert mapped(int, IntBox(1).made_of) == mapped(int, IntBox.made_of) == "list[IntBox]"


def test_an_argument_of_a_partial_is_checked_as_that_of_a_stage() -> None:
    with pytest.raises(StageTypeError, match=r"^\.map\(scale\) is given str as 'factor', and expects int"):
        of(int).map(functools.partial(scale, factor="3"))
    with pytest.raises(StageTypeError, match=r"is given int as 'function', and expects Callable"):
        of(int).into(functools.partial(folded, function=3))
    assert mapped(int, functools.partial(scale, factor=3)) == "int"


def scale(number: int, factor: int) -> int:
    return number * factor


def test_well_known_functions_may_be_called_in_other_ways() -> None:
    assert yields(Pipeline(source(dict, a=1))) == yields(Pipeline(source(iter, int, 3))) == "?"
    assert yields(of(list[int]).into(functools.partial(sum, start=[]))) == "?"


def test_an_enum_takes_any_value() -> None:
    assert mapped(int, Colour) == "Colour"


def test_a_method_knows_the_class_of_its_object() -> None:
    assert mapped(Box[str], Box.get) == "str"
    assert mapped(IntBox, Box.get) == "int"
    assert mapped(str, IntBox(3).with_it) == mapped(str, Box[int](3).with_it) == "tuple[int, str]"
    with pytest.raises(StageTypeError, match=r"'get' expects +Box"):
        mapped(int, Box.get)
    with pytest.raises(StageTypeError, match=r"'upper' expects +str"):
        mapped(int, str.upper)
    assert yields(Pipeline(source(boxes), strict=True).map(Box.get)) == "int"


def boxes() -> Iterator[Box[int]]:
    yield Box(1)


# ----------------------------------------------------------------------------------------- arguments, async, filters


def converted(items: Iterable[T], function: Callable[[T], S]) -> Iterator[S]:
    return map(function, items)


def test_functions_among_the_arguments_are_checked_and_tell_what_comes() -> None:
    assert yields(of(int).then(stage(converted, doubled))) == "int"
    assert yields(of(int).then(stage(converted, str))) == "str"
    assert yields(of(int).then(stage(converted, lambda number: number))) == "?"
    with pytest.raises(
        StageTypeError, match=r"^stage 'converted' is given doubled as 'function', and expects Callable"
    ):
        of(str).then(stage(converted, doubled))
    with pytest.raises(StageTypeError, match=r"^sink 'folded' is given"):
        of(str).into(sink(folded, doubled))


def test_plain_values_among_the_arguments_are_checked() -> None:
    with pytest.raises(StageTypeError, match=r"^stage 'scaled_by' is given str as 'factor', and expects int \("):
        of(int).then(stage(scaled_by, "3"))
    with pytest.raises(StageTypeError, match=r"^source 'up_to' is given str as 'limit', and expects int \("):
        Pipeline(source(up_to, "3"))
    with pytest.raises(StageTypeError, match=r"is given int as 'unit', and expects Literal\['kg', 'g'\] \("):
        of(int).then(stage(scaled_by, 3, unit=3))
    assert of(int).then(stage(scaled_by, True, unit="g", among=[1], maker=AnswersAll()))
    assert of(int).then(stage(scaled_by, 3, among=None)), "as one may write the default"


class Factory(Protocol):
    def __call__(self, number: int) -> Box[int]: ...


def made(items: Iterable[int], factory: Factory, box: type[Box[int]], client: Client) -> Iterator[Box[int]]:
    yield from map(factory, items)


def test_classes_and_objects_among_the_arguments_are_taken_as_what_they_are() -> None:
    for client in (Client(), Mock(), AnswersAll(), Mock(spec=Client)):
        assert of(int).then(stage(made, Box, Box, client), on=Inline())
        assert of(int).then(stage(made, IntBox, IntBox, client), on=Inline())
    with pytest.raises(StageTypeError, match=r"is given type\[str\] as 'box', and expects type\[Box\[int\]\]"):
        of(int).then(stage(made, Box, str, Client()))
    with pytest.raises(StageTypeError, match=r"is given doubled as 'factory', and expects Factory"):
        of(int).then(stage(made, doubled, Box, Client()))


def scaled_by(
    items: Iterable[int],
    factor: int,
    unit: Literal["kg", "g"] = "kg",
    among: list[str] = None,  # type: ignore[assignment]  # noqa: RUF013  # as one may write it
    maker: Box[int] | None = None,
) -> Iterator[int]:
    yield from items


def up_to(limit: int) -> Iterator[int]:
    yield limit


def folded(items: Iterable[T], function: Callable[[T, T], T]) -> T:
    return functools.reduce(function, items)


def requested(number: int) -> Awaitable[str]:
    return fetched(number)


def begun(number: int) -> Coroutine[Any, Any, list[str]]:
    raise NotImplementedError


class Client:
    async def get(self, number: int) -> str:
        return ""


def test_on_tasks_what_is_awaited_counts() -> None:
    for function in (fetched, requested, Client().get, functools.partial(fetched), timed(fetched), timed(requested)):
        assert yields(of(int).map(function, on=Tasks())) == "str"
    with pytest.raises(StageTypeError, match="is not async, and Tasks runs async functions"):
        of(int).map(doubled, on=Tasks())


def is_text(item: object) -> TypeGuard[str]:
    return isinstance(item, str)


def is_number(item: float | str) -> TypeIs[float]:
    return isinstance(item, float)


def test_a_filter_that_says_so_narrows() -> None:
    assert yields(of(int | str).filter(is_text, on=Inline())) == "str"
    assert yields(of(float | str).filter(is_number, on=Inline())) == "float"
    assert yields(of(int).filter(is_number, on=Threads())) == "int", "which is narrower"
    assert yields(of(int).filter(bool, on=Inline())) == "int"
    with pytest.raises(StageTypeError, match=r"'is_text' yields +str"):
        of(int | str).filter(is_text, on=Inline()).map(doubled)


# ----------------------------------------------------------------------------------------------------------- hostile


class Raising:
    """Raises whenever it is asked for anything of that name."""

    def __init__(self, name: str, error: type[Exception]) -> None:
        self._name, self._error = name, error

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "_name"):
            raise object.__getattribute__(self, "_error")(name)
        return object.__getattribute__(self, name)

    def __call__(self, item: int) -> int:
        return item


class AnswersAll:
    def __getattr__(self, name: str) -> Any:
        # With which hypothesis shows it.
        if name == "_repr_pretty_":
            raise AttributeError(name)
        return AnswersAll()

    def __call__(self, item: int) -> int:
        return item


def changed(**attributes: object) -> Any:
    """A function with these attributes, and new hints."""

    def function(item: int) -> int:
        return item

    for name, value in attributes.items():
        setattr(function, name, value)
    return function


def cyclic() -> Any:
    first, second = changed(), changed()
    first.__wrapped__, second.__wrapped__ = second, first
    return first


NAMES = ["__signature__", "__wrapped__", "__name__", "__qualname__", "__module__", "__class__", "__annotations__"]
ATTRIBUTES = [*NAMES, "__call__", "__func__", "__code__", "__defaults__", "__self__", "__dict__", "__type_params__"]
HINTS = st.sampled_from([3, None, "Ghost", "1 / 0", object(), {"item": "1 / 0"}, {"item": []}, int, print])
VALUES = HINTS | st.builds(AnswersAll)
HOSTILE = st.one_of(
    st.builds(Raising, st.sampled_from(ATTRIBUTES), st.sampled_from([ValueError, AttributeError, KeyError, TypeError])),
    st.builds(lambda value: changed(__signature__=value), VALUES),
    st.builds(lambda value: changed(__wrapped__=value), VALUES),
    st.builds(lambda a, b: changed(__annotations__={"item": a, "return": b}), HINTS, HINTS),
    st.builds(cyclic),
    st.builds(AnswersAll),
    st.builds(Mock),
    st.builds(functools.partial, st.sampled_from([AnswersAll(), cyclic(), Mock(), print])),
    st.builds(lambda value: type("Odd", (), {"__init__": value, "__call__": value}), VALUES),
)


# The machine may be busy.
@settings(deadline=None)
@given(HOSTILE, st.sampled_from(["map", "filter", "flat_map", "each", "then", "into"]), st.booleans())
def test_whatever_a_function_is_there_is_a_verdict(function: Any, method: str, strict: bool) -> None:
    pipeline: Any = Pipeline(source(range, 3), on=Inline(), strict=strict)
    try:
        getattr(pipeline, method)(function, on=Inline())
    except PlanError:
        pass
