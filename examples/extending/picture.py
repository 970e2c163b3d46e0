"""A codec: a class whose large buffer crosses between processes in shared memory, not in a pickle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chainpump import Pipeline, register_codec, source


@dataclass
class Picture:
    """Grey pixels, a byte each, row by row."""

    width: int
    pixels: bytearray | memoryview


def encode(picture: Picture) -> tuple[list[bytearray | memoryview], int]:
    """The buffers of an item, and what else it is made of, which is pickled."""
    return [picture.pixels], picture.width


def decode(buffers: Sequence[Any], width: int) -> Picture:
    """The item again. Its pixels are a view of shared memory, which may be kept and written; a few are a bytearray."""
    return Picture(width, buffers[0])


register_codec(Picture, encode, decode)


def blank(number: int) -> Iterator[Picture]:
    """So many of them."""
    for _ in range(number):
        yield Picture(1000, bytearray(1000 * 1000))


if __name__ == "__main__":
    for picture in Pipeline(source(blank, 2)):
        print(picture.width, type(picture.pixels).__name__)  # 1000 memoryview, twice
