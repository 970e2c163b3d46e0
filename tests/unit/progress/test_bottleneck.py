"""Which stage holds up the others, and what is said about it: never more than the figures carry."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from chainpump.progress.bottleneck import Unit, advice, bottleneck

LOAD = Unit(("load",), 1, load=0.3, blocked=0.7, is_source=True)
DECODE = Unit(("decode",), 2, load=0.97, grows=True, on_processes=True)
SAVE = Unit(("save",), 1, load=0.1)
UNITS = (LOAD, DECODE, SAVE)


def test_the_busiest_unit_is_the_bottleneck() -> None:
    assert bottleneck(UNITS) is DECODE


@pytest.mark.parametrize("load, found", [(0.5, True), (0.49, False), (0.0, False)])
def test_nobody_is_who_waits_for_more_than_half_of_the_time(load: float, found: bool) -> None:
    assert (bottleneck((SAVE, replace(DECODE, load=load))) is not None) is found


def test_who_is_alone_holds_up_nobody() -> None:
    assert bottleneck((DECODE,)) is None


def test_no_bottleneck_no_advice() -> None:
    assert advice((LOAD, SAVE), 8, 1.0, 0.0) == ""


@pytest.mark.parametrize(
    "units, processors, asked, interpreter, said",
    [
        pytest.param(
            UNITS,
            8,
            2.4,
            0.2,
            "'decode' has a load of 97% on 2 workers, 'load' of 30%; 'load' is blocked 70%: "
            "2 more workers could raise the rate 2.0 times.",
            id="more workers",
        ),
        pytest.param(
            (replace(LOAD, load=0.8, blocked=0.1), DECODE, SAVE),
            8,
            2.4,
            0.2,
            "'decode' has a load of 97% on 2 workers, 'load' of 80%: 1 more worker could raise the rate 1.2 times.",
            id="until a neighbour is at work all the time",
        ),
        pytest.param(
            (replace(LOAD, load=0.9, blocked=0.1), DECODE, SAVE),
            8,
            2.4,
            0.2,
            "'decode' has a load of 97% on 2 workers, 'load' of 90%. "
            "More workers for one of them alone would gain less than 15%.",
            id="a neighbour is nearly as busy",
        ),
        pytest.param(
            UNITS,
            3,
            2.4,
            0.2,
            "'decode' has a load of 97% on 2 workers, 'load' of 30%; 'load' is blocked 70%: "
            "1 more worker could raise the rate 1.2 times.",
            id="until all processors are taken",
        ),
        pytest.param(
            UNITS,
            2,
            1.96,
            0.2,
            "'decode' has a load of 97% on 2 workers, 'load' of 30%; 'load' is blocked 70%. "
            "The run asks for 2.0 of 2 processors: no room for more.",
            id="all processors are taken",
        ),
        pytest.param(
            UNITS,
            8,
            None,
            0.2,
            "'decode' has a load of 97% on 2 workers, 'load' of 30%; 'load' is blocked 70%.",
            id="nobody knows how many are",
        ),
        pytest.param(
            (LOAD, replace(DECODE, on_processes=False)),
            8,
            0.99,
            0.98,
            "'decode' has a load of 97% on 2 workers, 'load' of 30%; 'load' is blocked 70%. "
            "Threads of one interpreter take turns, and these take 98% of a processor.",
            id="threads that compute",
        ),
        pytest.param(
            (LOAD, replace(DECODE, on_processes=False)),
            8,
            0.1,
            0.1,
            "'decode' has a load of 97% on 2 workers, 'load' of 30%; 'load' is blocked 70%: "
            "2 more workers could raise the rate 2.0 times.",
            id="threads that wait",
        ),
        pytest.param(
            (replace(LOAD, load=0.95, blocked=0.0), SAVE),
            8,
            1.0,
            0.0,
            "'load' has a load of 95%, 'save' of 10%. A source has one worker: the run cannot be faster than it.",
            id="a source",
        ),
        pytest.param(
            (LOAD, replace(DECODE, is_auto=True)),
            8,
            1.0,
            0.0,
            "'decode' has a load of 97% on 2 workers, 'load' of 30%; 'load' is blocked 70%. "
            "It has as many workers as were found to be of use.",
            id="who gets workers by itself",
        ),
        pytest.param(
            (LOAD, replace(DECODE, workers=1, grows=False)),
            8,
            1.0,
            0.0,
            "'decode' has a load of 97%, 'load' of 30%; 'load' is blocked 70%. "
            "The run cannot be faster than this, on the workers that it has.",
            id="what may not be divided",
        ),
        pytest.param(
            (replace(LOAD, names=("load", "parse"), load=0.9), SAVE),
            8,
            1.0,
            0.9,
            "'load + parse' has a load of 90%, 'save' of 10%. "
            "They share one thread: with workers of their own they would run side by side.",
            id="several in one thread",
        ),
    ],
)
def test_advice_is_what_the_figures_carry(
    units: tuple[Unit, ...], processors: int, asked: float | None, interpreter: float, said: str
) -> None:
    assert advice(units, processors, asked, interpreter) == said


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
@pytest.mark.parametrize("load", [0.55, 0.8, 1.0])
@pytest.mark.parametrize("second", [0.0, 0.3, 0.54])
@pytest.mark.parametrize("asked", [0.0, 1.0, 5.0])
def test_advised_workers_would_have_work_and_processors(workers: int, load: float, second: float, asked: float) -> None:
    said = advice((replace(DECODE, workers=workers, load=load), replace(SAVE, load=second)), 8, asked, 0.0)
    found = re.search(r"(\d+) more workers? could raise the rate ([\d.]+) times", said)
    assert found
    more, times = int(found[1]), float(found[2])
    rounding = 0.05
    assert 1 < times <= 2
    assert second * times <= 1 + rounding
    assert asked * times <= 8 * (1 + rounding)
    assert (workers + more) * 1.0 >= workers * load * times - 2 * rounding * workers
