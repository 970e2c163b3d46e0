"""How functions travel to another process, and which part of an object cannot."""

from __future__ import annotations

import pickle
import sys
import threading
import types
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import cloudpickle
import pytest

from chainpump.pickling import functions, main_objects
from chainpump.pickling.items import Pickling

LOCK = threading.Lock()


class Reader:
    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)


class Slotted:
    __slots__ = ("count", "handle")

    def __init__(self) -> None:
        self.count = 1
        self.handle = LOCK


class Refuses:
    def __reduce__(self) -> Any:
        raise ValueError("not me")


@dataclass
class Nested:
    inner: object


def there_and_back(value: Any) -> Any:
    return functions.loads(functions.dumps(value))


def test_what_can_be_imported_is_the_same_object_afterwards() -> None:
    assert there_and_back(there_and_back) is there_and_back
    assert there_and_back(Reader) is Reader


def test_lambdas_and_closures_travel_by_value() -> None:
    factor = 3
    assert there_and_back(lambda x: x * factor)(14) == 42


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A main module of the test's own, as a notebook would have it: without a file."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def define_in(module: types.ModuleType) -> type:
    exec("class Point:\n    pass", vars(module))
    return module.Point


def test_a_class_of_a_script_travels_by_reference(main: types.ModuleType) -> None:
    main.__file__ = "script.py"
    point = define_in(main)
    assert there_and_back(point) is point
    assert b"Point" in pickle.dumps(point)


def test_a_class_of_a_notebook_takes_its_place_in_the_worker_s_main(
    main: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = functions.dumps(define_in(main))
    workers_main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", workers_main)
    arrived = functions.loads(data)
    assert workers_main.Point is arrived
    assert type(pickle.loads(pickle.dumps(arrived()))) is arrived


def test_only_what_a_function_of_a_notebook_reaches_travels_with_it(main: types.ModuleType) -> None:
    exec(
        "BIG = bytes(1 << 20)\nSMALL = 1\n"
        "class Unrelated:\n    lock = __import__('threading').Lock()\n    def big(self): return BIG\n"
        "def used(): return SMALL\n"
        "def function(): return used()",
        vars(main),
    )
    assert len(functions.dumps(main.function)) < 4096
    assert there_and_back(main.function)() == 1


def test_an_item_of_a_notebook_s_class_brings_its_definition_to_who_does_not_know_it(
    main: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = define_in(main)
    data = functions.plain([point(), point()])
    assert [type(each) for each in pickle.loads(data)] == [point, point]
    # As in another process.
    monkeypatch.setattr(main_objects, "_TABLE", main_objects._Table())
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
    first, second = pickle.loads(data)
    assert type(first) is type(second) is not point
    assert type(pickle.loads(functions.plain(first))) is type(first)
    assert sys.modules["__main__"].Point is type(first)


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another process, which cannot import the main module."""
    monkeypatch.setattr(main_objects, "_TABLE", main_objects._Table())
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()


def test_a_function_of_a_script_travels_by_value_where_the_script_cannot_be_imported(
    main: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    main.__file__ = "script.py"
    exec("class Point:\n    pass\ndef made():\n    return Point()", vars(main))
    data = functions.dumps((main.made, main.Point), main_by_value=True)
    with monkeypatch.context() as there:
        elsewhere(there)
        made, point = functions.loads(data)
        assert type(made()) is point is sys.modules["__main__"].Point is not main.Point
        assert made.__globals__ is not vars(main)
    assert functions.loads(data) == (main.made, main.Point)


@pytest.mark.parametrize("name", ["__main__", "__mp_main__"])
def test_an_item_of_a_script_s_class_comes_back_from_elsewhere_as_the_same_class(
    main: types.ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Two processes of this machine send it, and neither has heard of the key that the other one uses."""
    monkeypatch.setattr(cloudpickle.cloudpickle, "_PICKLE_BY_VALUE_MODULES", set())
    main.__file__, main.__name__ = "script.py", name
    monkeypatch.setitem(sys.modules, "__mp_main__", main)
    point = define_in(main)
    sent = []
    for _ in range(2):
        monkeypatch.setattr(main_objects, "_TABLE", main_objects._Table())
        sent.append(Pickling(main_by_value=True).snapshot(point()))
    with monkeypatch.context() as there:
        elsewhere(there)
        there.delitem(sys.modules, "__mp_main__")
        first, second = map(pickle.loads, sent)
        assert type(first) is type(second) is not point
        back = functions.plain(first)
    monkeypatch.setattr(main_objects, "_TABLE", main_objects._Table())
    assert type(pickle.loads(back)) is point


def test_a_definition_that_is_too_large_for_each_item_is_refused_and_says_what_is_large(main: types.ModuleType) -> None:
    exec(
        f"BIG = bytes({functions.MOST_DEFINITION} + 1)\nclass Table:\n    def row(self): return BIG",
        vars(main),
    )
    with pytest.raises(
        pickle.PicklingError, match=r"Table.row has 1 MB with all that it mentions, which would go with"
    ):
        functions.plain(main.Table())


@pytest.mark.parametrize(
    "value,text",
    [
        pytest.param(LOCK, "lock: cannot pickle '_thread.lock' object", id="the value itself"),
        pytest.param([1, LOCK], "list[1]: cannot pickle '_thread.lock' object", id="an element"),
        pytest.param({"a": (0, LOCK)}, "dict['a'][1]: cannot pickle '_thread.lock' object", id="nested"),
        pytest.param(OrderedDict(k=LOCK), "OrderedDict['k']: cannot pickle '_thread.lock' object", id="a subclass"),
        pytest.param(Reader(x=1, y=LOCK), "Reader.y: cannot pickle '_thread.lock' object", id="an attribute"),
        pytest.param(Slotted(), "Slotted.handle: cannot pickle '_thread.lock' object", id="a slot"),
        pytest.param([Refuses()], "list[0]: not me", id="whatever it raises"),
    ],
)
def test_fault_names_the_part_that_cannot_be_pickled(value: object, text: str) -> None:
    assert functions.unpicklable_part(value, pickle.dumps) == text


def test_fault_may_call_the_whole_by_another_name() -> None:
    assert functions.unpicklable_part([LOCK], pickle.dumps, name="argument 'locks'").startswith("argument 'locks'[0]: ")


def test_fault_names_the_captured_variable_of_a_closure() -> None:
    handle = LOCK
    text = functions.unpicklable_part(lambda: handle, functions.dumps, name="decode")
    assert text == "decode (captured variable 'handle'): cannot pickle '_thread.lock' object"


def test_fault_names_the_global_that_a_function_mentions(main: types.ModuleType) -> None:
    exec(
        "LOCK = __import__('threading').Lock()\ndef inner(): return LOCK, outer\ndef outer(): return inner()",
        vars(main),
    )
    text = functions.unpicklable_part(main.outer, functions.dumps, name="outer")
    assert text == "outer (global 'inner') (global 'LOCK'): cannot pickle '_thread.lock' object"


def test_fault_names_the_method_and_base_of_a_class(main: types.ModuleType) -> None:
    exec(
        "LOCK = __import__('threading').Lock()\n"
        "class Base:\n    def get(self): return LOCK\n"
        "class Table(Base):\n    pass\n",
        vars(main),
    )
    text = functions.unpicklable_part(main.Table, functions.dumps, name="Table")
    assert text == "Table (base class 'Base').get (global 'LOCK'): cannot pickle '_thread.lock' object"


def test_fault_goes_only_so_deep() -> None:
    value: object = LOCK
    for _ in range(functions.MAX_DEPTH + 2):
        value = Nested(value)
    assert functions.unpicklable_part(value, pickle.dumps).startswith(
        f"Nested{'.inner' * functions.MAX_DEPTH}: cannot pickle"
    )


def test_a_value_that_pickles_after_all_is_said_to() -> None:
    assert functions.unpicklable_part(1, pickle.dumps) == "int: pickled on a second try"
