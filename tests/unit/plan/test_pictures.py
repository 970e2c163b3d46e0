"""Pictures of a plan: what they say, and that nothing in them overlaps."""

import re
from collections.abc import Iterable, Iterator
from html import unescape

import pytest

from chainpump import Inline, Pipeline, Plan, Processes, Tasks, Threads, sink, source
from chainpump.plan.svg import COLUMNS
from support.pictures import SVG, Picture


def numbers(limit: int) -> Iterator[int]:
    yield from range(limit)


def parse(number: int) -> dict[str, list[tuple[int, float | None, str]]]:
    return {}


async def fetch(number: int) -> int:
    return number


def total(found: Iterable[int], unit: str) -> str:
    return f"{sum(found)} {unit}"


SUMMED = Pipeline(source(numbers, 9)).filter(bool, on=Threads(4), in_flight=3, ordered=False).into(sink(total, "m"))
FETCHED = Pipeline(range(3), name="pages").map(fetch, on=Tasks(100))
BOTH = Pipeline.concat(Pipeline(source(numbers, 2)), Pipeline([1]), name="both")
JOINED = Pipeline.merge(FETCHED, BOTH, name="all")
LONG = JOINED.map(parse, on=Processes(4, restarts=10)).take(3, on=Inline()).map(str, on=Inline())
PLANS = [SUMMED.plan(), JOINED.plan(), LONG.plan(), LONG.inline().plan()]


def test_a_picture_names_every_stage_with_its_workers_and_what_it_sends() -> None:
    assert Picture(SUMMED.plan().svg()).lines() == [
        "numbers",
        "source · Processes · 1 worker",
        *("int", "in order · at most 3 in flight"),
        "bool",
        "stage · Threads · 4 workers",
        *("int", "as they come · bounded by bytes"),
        "total",
        "sink · Processes · 1 worker",
        "returns str",
    ]


def test_a_picture_says_what_may_stop_what_is_replaced_and_which_loop_takes_the_items() -> None:
    long = "dict[str, list[tuple[int, float | None, str]]]"
    assert Picture(LONG.plan().svg()).lines()[-16:] == [
        "parse",
        "stage · Processes · 4 workers",
        "each replaced up to 10 times",
        *(long, "in order · bounded by bytes"),
        "take(3)",
        "stage · Inline",
        "may stop before its input ends",
        *(long, "in order · one at a time"),
        "str",
        "stage · Inline",
        *("str", "in order · one at a time"),
        "iteration",
        "the loop that takes the items",
    ]


def test_a_picture_says_which_stages_have_as_many_workers_as_are_of_use() -> None:
    plan = Pipeline(range(3)).map(bool, on=Threads("auto")).each(bool, on=Processes("auto")).plan()
    lines = Picture(plan.svg()).lines()
    assert {"stage · Threads · auto", "sink · Processes · auto"} < set(lines)
    assert "· auto" in plan.mermaid()
    assert "Threads(workers='auto')" in str(plan)


def test_a_picture_shows_the_parts_of_joined_pipelines_within_their_source() -> None:
    picture = Picture(JOINED.plan().svg())
    assert picture.lines() == [
        "all",
        "source · Merge of 2 pipelines",
        *("pages", "source · Inline", "int", "in order · bounded by bytes"),
        *("fetch", "stage · Tasks · 1 worker, 100 items at once", "int", "in order"),
        *("both", "source · Concat of 2 pipelines"),
        *("numbers", "source · Processes · 1 worker", "int", "in order"),
        *("list", "source · Inline", "an unknown type", "in order"),
        *("an unknown type", "in order"),
        *("an unknown type", "in order · one at a time"),
        "iteration",
        "the loop that takes the items",
    ]
    around, pages, fetched, both, *parts, loop = picture.rectangles()
    assert [each.is_within(around) for each in (pages, fetched, both, loop)] == [True, True, True, False]
    assert [each.is_within(both) for each in (pages, fetched, *parts)] == [False, False, True, True]


@pytest.mark.parametrize("plan", PLANS)
def test_nothing_in_a_picture_overlaps(plan: Plan) -> None:
    picture = Picture(plan.svg())
    assert picture.rectangles()
    assert list(picture.collisions()) == []


def test_a_picture_fits_a_phone_and_shows_what_it_cuts_as_a_tooltip() -> None:
    def long(number: int) -> dict[str, dict[str, dict[str, dict[str, dict[str, int]]]]]:
        return {}

    picture = Picture(Pipeline(range(3)).map(long).plan().svg())
    whole = next(line for line in picture.lines() if line.startswith("dict"))
    assert whole == "dict[str, dict[str, dict[str, dict[str, dict[str, int]]]]]"
    assert f"{whole[: COLUMNS - 1]}…" in picture.shown()
    # Pixels across a usual phone.
    assert picture.ground().right <= 390


def test_a_picture_tells_in_words_what_it_shows() -> None:
    root = Picture(SUMMED.plan().svg()).root
    assert root.findtext(f"{SVG}title") == "numbers → bool → total"
    assert root.findtext(f"{SVG}desc") == (
        "numbers: source · Processes · 1 worker, sends int, in order · at most 3 in flight. "
        "bool: stage · Threads · 4 workers, sends int, as they come · bounded by bytes. "
        "total: sink · Processes · 1 worker, returns str."
    )


def test_notebooks_show_the_picture_of_a_plan_a_pipeline_and_a_runnable() -> None:
    assert SUMMED._repr_html_() == SUMMED.plan()._repr_html_() == SUMMED.plan().svg()
    assert JOINED._repr_html_() == JOINED.plan().svg()


def test_a_flowchart_has_a_node_for_each_stage_and_an_arrow_between_them() -> None:
    assert SUMMED.plan().mermaid() == (
        "flowchart TD\n"
        '    s0["numbers<br/>source · Processes · 1 worker"]\n'
        '    s1["bool<br/>stage · Threads · 4 workers"]\n'
        '    s0 -->|"int<br/>in order · at most 3 in flight"| s1\n'
        '    s2["total<br/>sink · Processes · 1 worker<br/>returns str"]\n'
        '    s1 -->|"int<br/>as they come · bounded by bytes"| s2\n'
    )


def test_a_flowchart_leads_from_the_parts_of_joined_pipelines_to_their_source() -> None:
    assert BOTH.plan().mermaid() == (
        "flowchart TD\n"
        '    subgraph s0p1["part 1"]\n'
        '        s0p1s0["numbers<br/>source · Processes · 1 worker"]\n'
        "    end\n"
        '    s0p1s0 -->|"int<br/>in order"| s0\n'
        '    subgraph s0p2["part 2"]\n'
        '        s0p2s0["list<br/>source · Inline"]\n'
        "    end\n"
        '    s0p2s0 -->|"an unknown type<br/>in order"| s0\n'
        '    s0["both<br/>source · Concat of 2 pipelines"]\n'
        '    s1["iteration<br/>the loop that takes the items"]\n'
        '    s0 -->|"an unknown type<br/>in order · one at a time"| s1\n'
    )


@pytest.mark.parametrize("plan", PLANS)
def test_a_flowchart_and_a_picture_say_the_same(plan: Plan) -> None:
    quoted = re.findall(r'"(.*)"', plan.mermaid())
    lines = [unescape(line.replace("#8203;", "").replace("#", "&#")) for each in quoted for line in each.split("<br/>")]
    assert sorted(line for line in lines if not re.fullmatch(r"part \d", line)) == sorted(Picture(plan.svg()).lines())
