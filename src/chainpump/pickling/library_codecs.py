"""Codecs and sizes for types of well-known libraries. A library is used only once the program has imported it.

A type has a codec if its own pickle copies its buffers, and a size if neither `nbytes` nor `sys.getsizeof` gives it.
NumPy, pandas and pyarrow need no codec: their pickles leave buffers out of band.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

__all__ = ["LIBRARIES", "WEIGHTS", "decode_image", "decode_tensor", "encode_image", "encode_tensor"]

# Bytes of memory for each pixel of a Pillow image, by its mode. Those of all other modes have four.
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
# Modes whose memory is much larger than what Pillow pickles: one bit for each pixel, or two bytes of four.
PACKED_MODES = frozenset(("1", "LA", "La", "PA"))
# An array of Arrow: length, missing numbers, offset, how many buffers and parts, pointers to buffers and parts.
ARROW = struct.Struct("@5q2P")
POINTER = struct.Struct("@P")

# Any, in all of this module: types of libraries that need not be installed.


def encode_tensor(tensor: Any) -> Any:
    """The memory of a plain tensor on the CPU. torch pickles all other tensors, with their additional state."""
    torch = importlib.import_module("torch")
    if (
        type(tensor) is not torch.Tensor
        or tensor.device.type != "cpu"
        or tensor.layout is not torch.strided
        or tensor.requires_grad
        or tensor.is_quantized
        or tensor.is_conj()
        or tensor.is_neg()
        # Not every version of torch has names.
        or any(getattr(tensor, "names", ()))
        or vars(tensor)
        or not tensor.numel()
    ):
        return NotImplemented
    if not _is_dense(tensor.shape, tensor.stride()):
        # It is a view of a larger tensor, which would be sent with it.
        tensor = tensor.contiguous()
    memory = tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8)
    try:
        return [memory.numpy()], (tensor.dtype, tuple(tensor.shape), tensor.stride())
    except RuntimeError:
        # torch is installed without NumPy.
        return NotImplemented


def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements fill a contiguous range of memory, in any order of the axes."""
    after = 1
    for stride, length in sorted(zip(strides, shape, strict=True)):
        if length > 1 and stride != after:
            return False
        after *= length
    return True


def decode_tensor(buffers: Sequence[Any], metadata: Any) -> Any:
    """A tensor whose memory is the buffer."""
    torch = importlib.import_module("torch")
    dtype, shape, strides = metadata
    return torch.frombuffer(buffers[0], dtype=dtype).as_strided(shape, strides)


def encode_image(image: Any) -> Any:
    """The pixels as a buffer, and the rest of what Pillow pickles. The buffer is the image's own memory if possible."""
    if type(image).__qualname__ == "Image" and image.mode not in PACKED_MODES and image.width and image.height:
        pixels = _pixels(image)
        if pixels is not None:
            palette = image.getpalette() if image.mode == "P" else None
            return [pixels], (None, 0, [image.info, image.mode, image.size, palette])
    state = image.__getstate__()
    index = next((index for index, part in enumerate(state) if isinstance(part, bytes)), None)
    if index is None:
        return NotImplemented
    pixels, state[index] = state[index], None
    return [pixels], (type(image), index, state)


def _pixels(image: Any) -> Any:
    """The memory of an image without a copy, by the interface of Arrow. None if there is none in one piece."""
    ctypes = importlib.import_module("ctypes")
    try:
        # The capsule keeps the memory alive.
        _, capsule = image.__arrow_c_array__()
    except (AttributeError, ValueError):
        # This Pillow is older, or the image is so large that it is in several pieces.
        return None
    if importlib.import_module("PIL.Image").core.get_alignment() > 1:
        # The program has asked for lines that do not follow each other.
        return None
    at = _pointer_of()(capsule, b"arrow_array")
    length, *_, parts, buffers, children = ARROW.unpack(ctypes.string_at(at, ARROW.size))
    if parts:
        # Pixels of several bytes are lists of numbers.
        (at,) = POINTER.unpack(ctypes.string_at(children, POINTER.size))
        length, *_, parts, buffers, children = ARROW.unpack(ctypes.string_at(at, ARROW.size))
        nbytes = length
    else:
        nbytes = length * _pixel_bytes(image.mode)
    if nbytes != image.width * image.height * _pixel_bytes(image.mode):
        return None
    # The first buffer says which numbers are missing.
    (address,) = POINTER.unpack(ctypes.string_at(buffers + POINTER.size, POINTER.size))
    pixels = (ctypes.c_ubyte * nbytes).from_address(address)
    pixels.owner = capsule
    return pixels


@cache
def _pointer_of() -> Callable[[Any, bytes], int]:
    """The function of Python that returns what a capsule points to. To look it up takes longer than all the rest."""
    ctypes = importlib.import_module("ctypes")
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    pointer_of: Callable[[Any, bytes], int] = prototype(("PyCapsule_GetPointer", ctypes.pythonapi))
    return pointer_of


def decode_image(buffers: Sequence[Any], metadata: Any) -> Any:
    """An image of the same class. Its memory is the buffer, if that was the memory of an image."""
    kind, index, state = metadata
    if kind is None:
        return _image_in(buffers[0], *state)
    state[index] = buffers[0]
    image = kind.__new__(kind)
    image.__setstate__(state)
    return image


def _image_in(buffer: Any, info: Any, mode: str, size: tuple[int, int], palette: Sequence[int] | None) -> Any:
    """An image whose memory is the buffer. `Image.frombuffer` does the same, for the modes that have no other layout
    in files.
    """
    images = importlib.import_module("PIL.Image")
    core = images.core.map_buffer(buffer, size, "raw", 0, (mode, size[0] * _pixel_bytes(mode), 1))
    image = images.new(mode, (0, 0))._new(core)  # noqa: SLF001  # `frombuffer` calls it, too
    # Nobody else uses this memory.
    image.info, image.readonly = info, int(memoryview(buffer).readonly)
    if palette:
        image.putpalette(palette)
    return image


def _pixel_bytes(mode: str) -> int:
    return PIXEL_BYTES.get(mode, 4)


# For the full name of a class, which includes its subclasses: the module that defines it, encode and decode.
LIBRARIES: Mapping[str, tuple[str, Callable[[Any], Any], Callable[[Sequence[Any], Any], Any]]] = {
    "torch.Tensor": ("torch", encode_tensor, decode_tensor),
    "PIL.Image.Image": ("PIL.Image", encode_image, decode_image),
}


def weigh_pixels(core: Any) -> int:
    """Bytes of the memory of an image."""
    width, height = core.size
    return int(width) * int(height) * _pixel_bytes(core.mode)


def weigh_frame(frame: Any) -> int:
    """Bytes of a table of polars."""
    return int(frame.estimated_size())


# For the full name of a class: a function that returns the bytes of an instance.
WEIGHTS: Mapping[str, Callable[[Any], int]] = {
    "builtins.ImagingCore": weigh_pixels,
    "polars.dataframe.frame.DataFrame": weigh_frame,
    "polars.series.series.Series": weigh_frame,
}
