"""Functions that make pipelines, and what a command line sets for them."""

from inspect import formatannotation
from pathlib import Path

import pytest

from chainpump.cli.arguments import named_pipeline
from chainpump.cli.target import Target, UsageError

FUNCTIONS = """
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

from chainpump import Pipeline, Runnable

def make(limit: int, folder: Path = Path("here"), *, name: str = "made") -> Pipeline[object]:
    return Pipeline([limit, folder], name=name)

def any_of(**settings):
    return Pipeline(settings.items())

def ints_of(**settings: int):
    return Pipeline(settings.items())

def unsaid(a, b=None, c=5, d=False, e=[1], f=Path("here")):
    return Pipeline([a, b, c, d, e, f])

def read(value: KIND) -> "Runnable[list[object]]":
    return Pipeline([value]).into(list)

def forgot(limit=3):
    Pipeline([limit])

def misnamed(limit: "Limit") -> Pipeline[int]:
    return Pipeline([limit])

def by_place(limit, /):
    return Pipeline([limit])

def size() -> int:
    raise SystemExit("this is better not called")

class Jobs:
    pass

pipeline = Pipeline([1])
limit = 3
"""


@pytest.fixture
def items(module):
    """Calls a function of the file with these settings, and returns the items of the pipeline that it makes."""

    def given(name, *settings, kind="int"):
        module.write_text(FUNCTIONS.replace("KIND", kind))
        found = named_pipeline(Target("cli_target", name), settings)
        return found.plan().stages[0].call.args[0]

    return given


def test_settings_are_bound_by_name_and_read_as_annotations_say(items):
    assert items("make", "limit=5", "folder=/data", "name=odd=name") == [5, Path("/data")]
    assert items("make", "limit=5") == [5, Path("here")]


def test_a_function_that_takes_any_keyword_is_given_what_it_says_of_them(items):
    assert list(items("any_of", "a=1", "b=x=y")) == [("a", "1"), ("b", "x=y")]
    assert list(items("ints_of", "a=1")) == [("a", 1)]


def test_what_has_no_annotation_is_read_as_its_default_is(items):
    assert items("unsaid", "a=1", "b=2", "c=3", "d=yes", "f=there") == ["1", "2", 3, True, [1], Path("there")]


@pytest.mark.parametrize(
    "kind,text,value",
    [
        ("float", "1e3", 1000.0),
        ("bool", "Yes", True),
        ("bool", "off", False),
        ("str", "3", "3"),
        ("'int | None'", "-3", -3),
        ("Optional[float]", "3", 3.0),
        ("int | str", "three", "three"),
        ("Path | None", "a b", Path("a b")),
        ("int | None", "None", None),
        ("Path | None", "None", None),
        ("str", "None", "None"),
        ("Any", "3", "3"),
        ("object", "3", "3"),
        ("Annotated[int, 'seconds']", "3", 3),
        ("Literal['fast', 2]", "fast", "fast"),
        ("Literal['fast', 2] | None", "2", 2),
        ("int | list[int]", "3", 3),
    ],
)
def test_a_text_is_read_as_the_annotation_says(items, kind, text, value):
    (found,) = items("read", f"value={text}", kind=kind)
    assert (found, type(found)) == (value, type(value))


# In which module Python says that `Path` is depends on its version.
TAKES = f"make takes: limit: int, folder: {formatannotation(Path)} = PosixPath('here'), name: str = 'made'"


@pytest.mark.parametrize(
    "name,settings,message",
    [
        ("make", ["limt=3"], f"make has no parameter 'limt'. Did you mean 'limit'?\n  {TAKES}"),
        ("make", ["zzz=3"], f"make has no parameter 'zzz'.\n  {TAKES}"),
        ("make", ["limit"], f"--set takes KEY=VALUE but got: 'limit'\n  {TAKES}"),
        ("make", [], f"make needs a value for 'limit': --set limit=VALUE\n  {TAKES}"),
        ("make", ["limit=many"], "--set limit=many: 'limit' of make must be int but got: 'many'"),
        ("read", ["value=x"], "--set value=x: 'value' of read must be bool | None but got: 'x'\n  Say true or yes or"),
        ("ints_of", ["a=x"], "--set a=x: 'a' of ints_of must be int but got: 'x'"),
        ("unsaid", ["e=7"], "--set e=7: 'e' of unsaid must be list but got: '7'\n  --set reads str, int, float, bool"),
        ("by_place", ["limit=3"], "by_place has no parameter 'limit'.\n  by_place takes: nothing"),
        ("misnamed", ["limit=3"], "misnamed: There is no 'Limit' where the function is defined."),
        ("pipeline", ["limit=3"], "'pipeline' in cli_target is a Pipeline: --set limit=3 would change nothing."),
        ("forgot", [], "'forgot' in cli_target must return a Pipeline or a Runnable but returned: NoneType\n  Let it"),
        ("size", [], "'size' in cli_target must be a Pipeline, a Runnable or a function that returns one but is: a"),
        ("Jobs", [], "'Jobs' in cli_target must be a Pipeline, a Runnable or a function that returns one but is: type"),
        (
            "limit",
            [],
            "'limit' in cli_target must be a Pipeline, a Runnable or a function that returns one but is: int",
        ),
    ],
)
def test_what_cannot_be_set_or_called_is_told_with_what_is_known(items, name, settings, message):
    with pytest.raises(UsageError) as raised:
        items(name, *settings, kind="bool | None")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "kind,reads",
    [
        ("list[int]", "\n  --set reads str, int, float, bool, Path, None and Literal[...], and nothing else."),
        ("int | list[int]", "\n  --set reads str, int, float, bool, Path, None and Literal[...], and nothing else."),
        ("int | None", ""),
        ("Literal['fast']", ""),
    ],
)
def test_a_text_that_is_none_of_what_the_annotation_says_is_refused(items, kind, reads):
    with pytest.raises(UsageError) as raised:
        items("read", "value=[1]", kind=kind)
    assert str(raised.value) == f"--set value=[1]: 'value' of read must be {kind} but got: '[1]'{reads}"
