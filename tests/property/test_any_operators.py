"""Any chain of operators, on any executors and with any options, gives what it gives inline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import dropwhile
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainpump import (
    DeadLetter,
    Executor,
    Inline,
    Pipeline,
    Processes,
    Raise,
    Retry,
    RunError,
    Skip,
    Threads,
    source,
    stage,
)
from property import chains
from support.scaling import ForcedScaling

# Python 3.12 and later warn of a fork beside threads, which the tests themselves have.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

# An example starts up to two dozen processes: so few of them, unless they are searched for.
SOME = settings(max_examples=settings().max_examples // (10 if settings().derandomize else 2))

SMALL = st.integers(1, 5)
FEW = st.none() | SMALL
SINGLE = st.sampled_from([Threads(), Inline(), Processes(), Processes(start_method="fork")])
SEVERAL = st.builds(
    lambda kind, workers: kind(workers), st.sampled_from([Threads, Processes]), st.integers(2, 3) | st.just("auto")
)
POLICY = st.sampled_from([Skip(), DeadLetter(ValueError), Retry(1, otherwise=Skip()), Retry(1, otherwise=DeadLetter())])


@pytest.fixture(autouse=True, scope="module")
def workers_come_and_go() -> Iterator[None]:
    """Those of auto stages, by chance."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        ForcedScaling(monkeypatch).shuffle(seed=1)
        yield


# ----------------------------------------------------------- functions of one item, which take numbers and lists alike


def is_kept(item: Any, number: int) -> bool:
    return chains.weight(item) % number != 0


def similar(item: Any, number: int) -> int:
    return chains.weight(item) // number


def copies(item: Any, number: int) -> Iterator[list[Any]]:
    yield from ([item, copy] for copy in range(chains.weight(item) % (number + 1)))


def listed_copies(item: Any, number: int) -> list[Any]:
    return [item] * (chains.weight(item) % (number + 1))


def rarely_many(item: Any, number: int) -> Iterator[int]:
    """Of one item in 97 so many that they fill several frames; one of each other."""
    yield from range(number * 5 if chains.weight(item) % 97 == 5 else 1)


def spelled(item: Any) -> int:
    """A number that takes a while to find, for some."""
    return sum(map(ord, repr(item)[:200])) % chains.MODULUS


def fallible(item: Any, number: int) -> Any:
    if chains.weight(item) % (number + 3) == 2:
        raise ValueError(f"cannot take {chains.weight(item)}")
    return item


def fallible_copies(item: Any, number: int) -> Iterator[Any]:
    yield item
    yield fallible(item, number)


def failing_at(item: Any, at: int) -> tuple[Any]:
    if item == at:
        raise ValueError(f"cannot take {item}")
    return (item,)


def twice(item: Any) -> Any:
    return item * 2


def itself(item: Any) -> tuple[Any]:
    return (item,)


# -------------------------------------------------------------------------------------------------- random chains


class Link(NamedTuple):
    """One stage of a random chain: how it is added to a pipeline, and with which options.

    keeps_order: what it gives has an order, if what it is given has one.
    """

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def keeps_order(self) -> bool:
        return self.options.get("ordered", True) and (self.method != "then" or self.options["on"].workers == 1)

    def __call__(self, pipeline: Pipeline[Any]) -> Pipeline[Any]:
        return getattr(pipeline, self.method)(*self.arguments, **self.options)


def linked(method: str, argument: st.SearchStrategy[Any], on: st.SearchStrategy[Executor], **options: Any) -> Any:
    chosen = st.fixed_dictionaries({"on": on, "in_flight": FEW, **options})
    return st.builds(lambda argument, options: Link(method, (argument,), options), argument, chosen)


def unnamed(method: str, on: st.SearchStrategy[Executor], **options: Any) -> Any:
    chosen = st.fixed_dictionaries({"on": on, "in_flight": FEW, **options})
    return st.builds(lambda options: Link(method, (), options), chosen)


def functions(number: st.SearchStrategy[int], *kinds: Callable[..., Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda kind, number: partial(kind, number=number), st.sampled_from(kinds), number)


ANY = SINGLE | SEVERAL
MAPPED = st.sampled_from([chains.weight, spelled])
FALLIBLE = functions(SMALL, fallible)


def element_wise(ordered: st.SearchStrategy[bool]) -> st.SearchStrategy[Link]:
    """Operators that several workers may share, whatever their input is."""
    how = {"ordered": ordered}
    return (
        linked("map", MAPPED, ANY, **how)
        | linked("filter", functions(st.integers(2, 5), is_kept), ANY, **how)
        | linked("tap", MAPPED, ANY, **how)
        | linked("tap", FALLIBLE, ANY, on_error=POLICY, **how)
        | linked("flat_map", functions(SMALL, copies, listed_copies), ANY, **how)
        | linked("flat_map", functions(st.sampled_from([30, 700]), rarely_many), ANY, **how)
        | linked("map", FALLIBLE, ANY, on_error=POLICY, **how)
        | linked("filter", FALLIBLE, ANY, on_error=POLICY, **how)
        | linked("flat_map", functions(SMALL, fallible_copies), ANY, on_error=POLICY, **how)
    )


KEPT = functions(st.integers(2, 5), is_kept)
ACROSS = (
    linked("batch", SMALL, SINGLE)
    | linked("skip", st.sampled_from([0, 1, 10, 500]), SINGLE)
    | linked("skip_while", KEPT, SINGLE)
    | linked("enumerate", st.integers(-2, 2), SINGLE)
    | linked("shuffle", st.sampled_from([1, 3, 100]), SINGLE, seed=SMALL)
    | unnamed("distinct", SINGLE, key=MAPPED, within=FEW)
    | unnamed("batch", SINGLE, n=FEW, by=MAPPED, most=st.sampled_from([1, 10, 1_000]))
    | linked("group_by", functions(SMALL, similar), SINGLE, most=FEW)
    | linked("window", st.integers(1, 3), SINGLE, step=SMALL)
    | linked("then", st.sampled_from([stage(chains.same), stage(chains.summed), stage(chains.changes)]), SINGLE)
    | linked("then", st.builds(lambda n: stage(chains.last, n), SMALL), SINGLE)
)
TAKEN = linked("take", st.sampled_from([0, 1, 2, 10, 500]), SINGLE) | linked("take_while", KEPT, SINGLE)
STOPPING = ("take", "take_while")
UNLIKE = st.builds(lambda on, few: Link("then", (stage(chains.same),), {"on": on, "in_flight": few}), SEVERAL, FEW)
LENGTHS = st.sampled_from([0, 1, 2, 10]) | st.integers(0, 1_000)


def is_bounded(links: list[Link]) -> bool:
    """Whether no item has thousands of results that have thousands of results again."""
    functions = [link.arguments[0] for link in links if link.method == "flat_map"]
    many = [each.keywords["number"] for each in functions if each.func is rarely_many]
    return len(many) <= 2 and many.count(700) <= 1


ORDERED = st.lists(element_wise(st.just(True)) | ACROSS | TAKEN, min_size=1, max_size=4).filter(is_bounded)
MIXED = st.lists(element_wise(st.booleans()) | UNLIKE, min_size=1, max_size=3).filter(is_bounded)


def chain(length: int, on: Executor, links: list[Link]) -> Pipeline[Any]:
    pipeline: Pipeline[Any] = Pipeline(source(range, length), on=on)
    for link in links:
        pipeline = link(pipeline)
    return pipeline


def result(pipeline: Pipeline[Any], numbered: bool = True) -> tuple[list[Any], list[tuple[object, ...]]]:
    """The items in their order, and the dead letters without one. numbered: with the numbers of their items."""
    with pipeline.open() as run:
        items = list(run)
    return items, sorted(
        (letter.stage, letter.index if numbered else 0, repr(letter.item), repr(letter.error))
        for letter in run.dead_letters
    )


def numbers_like_inline(on: Executor, links: list[Link]) -> bool:
    """Whether items have the numbers of their source: not where it shares a thread with a stage, and slots bound both.

    A slot is for an item that leaves the thread, so these are what is counted there.
    """
    behind = list(dropwhile(lambda link: isinstance(link.options["on"], Inline), links))
    joined = isinstance(on, Inline) and len(behind) < len(links)
    return not (joined and any(link.options["in_flight"] for link in behind))


@SOME
@given(LENGTHS, SINGLE, ORDERED)
def test_ordered_operators_give_the_same_items_in_the_same_order(length: int, on: Executor, links: list[Link]) -> None:
    pipeline, numbered = chain(length, on, links), numbers_like_inline(on, links)
    items, letters = result(pipeline, numbered)
    expected, dead = result(pipeline.inline(), numbered)
    assert items == expected
    # What is before it may have gone further.
    if not any(link.method in STOPPING for link in links):
        assert letters == dead


@SOME
@given(LENGTHS, SINGLE, MIXED)
def test_operators_without_order_give_the_same_items(length: int, on: Executor, links: list[Link]) -> None:
    pipeline = chain(length, on, links)
    numbered = numbers_like_inline(on, links)
    items, letters = result(pipeline, numbered)
    expected, dead = result(pipeline.inline(), numbered)
    if all(link.keeps_order for link in links):
        assert items == expected
    assert Counter(map(repr, items)) == Counter(map(repr, expected))
    # They number the items anew.
    if all(link.method != "then" for link in links):
        assert letters == dead


@SOME
@given(LENGTHS, SINGLE, ORDERED, SINGLE, FEW)
def test_a_sink_behind_operators_returns_the_same_value(
    length: int, on: Executor, links: list[Link], end: Executor, in_flight: int | None
) -> None:
    runnable = chain(length, on, links).into(chains.summed_up, on=end, in_flight=in_flight)
    report, expected = runnable.run(), runnable.inline().run()
    assert report.value == expected.value
    if not any(link.method in STOPPING for link in links):
        assert [ledger(each) for each in report.stages] == [ledger(each) for each in expected.stages]


def ledger(account: Any) -> tuple[object, ...]:
    return account.stage, account.received, account.finished, account.skipped, account.dead


def outcome(pipeline: Pipeline[Any], numbered: bool) -> object:
    """The items, or who is to blame for what, and on which item. numbered: with its number."""
    try:
        return list(pipeline)
    except RunError as error:
        first = error.failures[0]
        return type(error), error.stage, first.index if numbered else 0, first.item, repr(error.__cause__)


FAULTY = st.builds(
    lambda method, at, options: Link(method, (partial(failing_at, at=at),), options),
    st.sampled_from(["map", "filter", "flat_map", "tap"]),
    st.integers(0, 300),
    st.fixed_dictionaries({"on": ANY, "in_flight": FEW, "on_error": st.sampled_from([Raise(), Skip(KeyError)])}),
)
NEVER_FAILING = st.lists(
    linked("filter", functions(st.integers(2, 5), is_kept), ANY)
    | linked("map", st.just(twice), ANY)
    | linked("flat_map", st.just(itself), ANY),
    max_size=3,
)


@SOME
@given(LENGTHS, SINGLE, NEVER_FAILING, FAULTY, NEVER_FAILING)
def test_an_operator_that_fails_is_blamed_as_it_is_inline(
    length: int, on: Executor, before: list[Link], faulty: Link, behind: list[Link]
) -> None:
    links = [*before, faulty, *behind]
    pipeline, numbered = chain(length, on, links), numbers_like_inline(on, links)
    assert outcome(pipeline, numbered) == outcome(pipeline.inline(), numbered)
