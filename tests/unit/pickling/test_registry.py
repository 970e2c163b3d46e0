"""Which codec is asked for which item, and what pickle does where there is none."""

from __future__ import annotations

import copyreg
import enum
import pickle
import threading
from abc import ABC
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from chainpump import register_codec
from chainpump.errors import StageOptionError
from chainpump.pickling import registry as registry_module
from chainpump.pickling.items import ItemFault, Large, Pickling
from chainpump.pickling.large_bytes import LARGE_BYTES
from chainpump.pickling.registry import Reducers, decoded, install, registered


class Blob:
    def __init__(self, data: Any) -> None:
        self.data = data


class Labelled(Blob):
    label = "a subclass may carry more"


class Colour(enum.Enum):
    RED = 1


class Shape(ABC):  # noqa: B024  # its metaclass is what matters
    pass


def encode(blob: Blob) -> tuple[Sequence[Any], str]:
    return [blob.data], "decoded"


def decode(buffers: Sequence[Any], metadata: str) -> Blob:
    blob = Blob(buffers[0])
    blob.label = metadata  # type: ignore[attr-defined]
    return blob


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[type, Any]:
    found: dict[type, Any] = {}
    monkeypatch.setattr(registry_module, "_REGISTERED", found)
    return found


def sent(item: object) -> Any:
    """What arrives of an item."""
    entry = Pickling().snapshot(item)
    return pickle.loads(entry.data, buffers=entry.buffers) if isinstance(entry, Large) else pickle.loads(entry)


def test_a_codec_takes_the_buffers_of_its_items_out_of_the_pickle() -> None:
    register_codec(Blob, encode, decode)
    entry = Pickling().snapshot({"deep": [Blob(bytearray(LARGE_BYTES))]})
    assert isinstance(entry, Large)
    assert len(entry.data) < 300
    assert [buffer.nbytes for buffer in entry.buffers] == [LARGE_BYTES]


@pytest.mark.parametrize("size", [LARGE_BYTES, 10])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_buffer_arrives_writable_if_it_was(size: int, kind: type[bytes]) -> None:
    register_codec(Blob, encode, decode)
    blob = sent(Blob(kind(size)))
    assert blob.label == "decoded"
    assert memoryview(blob.data).readonly == (kind is bytes)
    assert bytes(blob.data) == bytes(size)


def test_a_codec_is_for_items_of_exactly_its_type() -> None:
    register_codec(Blob, encode, decode)
    arrived = sent(Labelled([1]))
    assert (type(arrived), vars(arrived)) == (Labelled, {"data": [1]})


def test_an_item_that_its_codec_declines_is_pickled_as_ever() -> None:
    register_codec(Blob, lambda _: NotImplemented, decode)
    assert vars(sent(Blob([1]))) == {"data": [1]}


def test_a_later_codec_of_a_type_takes_the_place_of_the_earlier() -> None:
    register_codec(Blob, lambda _: NotImplemented, decode)
    register_codec(Blob, encode, decode)
    assert sent(Blob(b"1")).label == "decoded"


@pytest.mark.parametrize(
    "item", [Fraction(1, 3), Colour.RED, Colour, Shape, Labelled, len, [1, {"two": (3.0, None)}], range, 1j], ids=repr
)
def test_what_has_no_codec_is_pickled_as_without_any(item: object) -> None:
    register_codec(Blob, encode, decode)
    assert Pickling().snapshot(item) == pickle.dumps(item, 5)
    assert Pickling().frame([item, item]) == pickle.dumps([item, item], 5)


def test_reducers_of_copyreg_count_as_they_do_for_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(copyreg.dispatch_table, Labelled, lambda item: (Blob, (item.data,)))
    register_codec(Blob, encode, decode)
    assert type(sent(Labelled([1]))) is Blob


def test_an_item_that_cannot_be_pickled_leaves_nothing_behind_for_the_next() -> None:
    register_codec(Blob, encode, decode)
    pickling = Pickling()
    with pytest.raises(ItemFault, match=r"list\[1\]: cannot pickle '_thread.lock' object"):
        pickling.snapshot([Blob(bytearray(LARGE_BYTES)), threading.Lock()])
    assert pickling.snapshot([1]) == pickle.dumps([1], 5)


def test_a_pickling_holds_nothing_of_what_it_has_pickled() -> None:
    register_codec(Blob, encode, decode)
    pickling, data = Pickling(), bytearray(LARGE_BYTES)
    pickling.snapshot([Blob(data), bytes(LARGE_BYTES)])
    # Raises BufferError while somebody has a view of it.
    data.clear()


def test_codecs_are_installed_as_they_were_registered(registry: dict[type, Any]) -> None:
    register_codec(Blob, encode, decode)
    travelling = registered()
    registry.clear()
    with pytest.raises(LookupError, match="has no codec in this process; register_codec must be called before the run"):
        decoded(Blob, [b"1"], "decoded")
    install(travelling)
    assert decoded(Blob, [b"1"], "decoded").data == b"1"


def test_a_reducer_is_looked_up_once_for_each_type() -> None:
    register_codec(Blob, encode, decode)
    reducers = Reducers()
    assert reducers[Blob] is reducers[Blob]
    assert reducers[Fraction] is reducers[Fraction]


@pytest.mark.parametrize("kind", [int, bytearray, list, dict, str, type(None), type])
def test_types_that_pickle_writes_by_itself_are_refused(kind: type) -> None:
    with pytest.raises(StageOptionError, match=f"^register_codec: {kind.__name__} cannot have a codec: pickle writes"):
        register_codec(kind, lambda item: ([item], None), lambda buffers, _: buffers[0])


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(StageOptionError, match=r"^register_codec: the first argument must be a class but got: 'Blob'"):
        register_codec("Blob", encode, decode)  # type: ignore[arg-type]
