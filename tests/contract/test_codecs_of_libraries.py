"""Tensors, images, tables and frames cross between processes with their memory outside the pickle, and as they were."""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from chainpump import Pipeline, Processes, Threads, source
from chainpump.pickling.items import Large, Pickling
from chainpump.pickling.library_codecs import decode_image, encode_image

ROWS = 100_000


def trip(item: Any) -> tuple[Any, int]:
    """What arrives of an item, and how many bytes went beside the pickle."""
    entry = Pickling().snapshot(item)
    if not isinstance(entry, Large):
        return pickle.loads(entry), 0
    beside = sum(buffer.nbytes for buffer in entry.buffers)
    return pickle.loads(entry.data, buffers=[bytearray(buffer) for buffer in entry.buffers]), beside


def tensors() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    line = torch.arange(1 << 18, dtype=torch.float32)
    return {
        "plain": line,
        "bfloat16": line.to(torch.bfloat16),
        "complex64": line.to(torch.complex64),
        "bool": line > 3,
        "permuted": line.view(64, 64, 64).permute(2, 0, 1),
        "channels last": line.view(1, 64, 64, 64).contiguous(memory_format=torch.channels_last),
        "transposed": line.view(512, 512).T,
    }


@pytest.mark.parametrize("name", ["plain", "bfloat16", "complex64", "bool", "permuted", "channels last", "transposed"])
def test_a_dense_tensor_keeps_its_type_its_shape_and_the_order_of_its_memory(name: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = tensors()[name]
    arrived, beside = trip({"batch": [tensor, tensor]})
    one, same = arrived["batch"]
    assert one is same
    assert torch.equal(one, tensor)
    assert (one.dtype, one.stride()) == (tensor.dtype, tensor.stride())
    assert beside == tensor.numel() * tensor.element_size()
    # Writable.
    one[:] = tensor.flip(0)


def test_a_part_of_a_tensor_travels_without_the_rest() -> None:
    torch = pytest.importorskip("torch")
    part = torch.arange(1 << 20)[5 : 5 + ROWS]
    arrived, beside = trip(part)
    assert torch.equal(arrived, part)
    assert beside == 8 * ROWS
    column = torch.zeros(ROWS, 4)[:, 1]
    arrived, beside = trip(column)
    assert torch.equal(arrived, column)
    assert beside == 4 * ROWS


def test_small_and_odd_tensors_arrive_as_torch_itself_sends_them() -> None:
    torch = pytest.importorskip("torch")
    line = torch.arange(6.0)
    labelled = line.clone()
    labelled.label = "kept"
    leaf = line.clone().requires_grad_()
    for tensor in (line[:3], torch.tensor(3.5), torch.empty(0, 3), line.to_sparse(), line.to(torch.complex64).conj()):
        arrived, _ = trip(tensor)
        assert torch.equal(arrived.to_dense(), tensor.to_dense())
        assert (arrived.layout, arrived.is_conj()) == (tensor.layout, tensor.is_conj())
    assert trip(labelled)[0].label == "kept"
    assert trip(leaf)[0].requires_grad
    assert type(trip(torch.nn.Parameter(line))[0]) is torch.nn.Parameter


def batches() -> Iterator[Any]:
    # Any: an optional package.
    torch: Any = importlib.import_module("torch")
    for number in range(4):
        yield {"images": torch.full((64, 64, 64), float(number)), "number": number}


def brighter(batch: Any) -> Any:
    batch["images"] += 1
    return batch


@pytest.mark.parametrize("on", [Processes(2), Processes(2, start_method="spawn"), Threads(2)], ids=str)
def test_tensors_go_through_a_pipeline(on: Any) -> None:
    pytest.importorskip("torch")
    for batch in Pipeline(source(batches)).map(brighter, on=on):
        assert batch["images"].unique().tolist() == [batch["number"] + 1]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "F", "CMYK", "1"])
def test_an_image_keeps_its_mode_and_its_palette(mode: str) -> None:
    images = pytest.importorskip("PIL.Image")
    image = images.radial_gradient("L").resize((1200, 1200)).convert(mode)
    image.info["note"] = "kept"
    arrived, beside = trip([image])
    assert arrived == [image]
    assert arrived[0].info == image.info
    # The memory of an RGB image has four bytes for each pixel.
    assert beside == len(image.tobytes()) or (mode, beside) == ("RGB", 4 * 1200 * 1200)
    # Writable.
    arrived[0].putpixel((0, 0), arrived[0].getpixel((1, 1)))


@pytest.mark.parametrize("mode", ["L", "P", "I", "F", "I;16", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("size", [(3, 5), (600, 400)], ids=["small", "large"])
def test_an_image_uses_the_memory_that_it_arrives_in_and_may_be_changed(mode: str, size: tuple[int, int]) -> None:
    images = pytest.importorskip("PIL.Image")
    if not hasattr(images.Image, "__arrow_c_array__"):
        pytest.skip("this Pillow copies the memory of images")
    image = images.radial_gradient("L").resize(size)
    # Pillow converts L to HSV only by RGB.
    image = (image.convert("RGB") if mode == "HSV" else image).convert(mode)
    if mode == "P":
        image.putpalette(range(256))
    image.info["note"] = "kept"
    pixels, palette = image.tobytes(), image.getpalette()
    ((buffer,), metadata) = encode_image(image)
    # The image itself may change or go.
    received = bytearray(buffer)
    image.paste(7, (0, 0, *size))
    del image, buffer
    arrived = decode_image([received], metadata)
    assert (type(arrived), arrived.mode, arrived.size) == (images.Image, mode, size)
    assert (arrived.tobytes(), arrived.getpalette(), arrived.info) == (pixels, palette, {"note": "kept"})
    before = bytes(received)
    arrived.load()[0, 0] = arrived.getpixel((size[0] // 2, size[1] // 2))
    assert received != before
    assert arrived.tobytes() != pixels


def test_what_cannot_be_written_to_is_copied_before_an_image_writes_to_it() -> None:
    images = pytest.importorskip("PIL.Image")
    received = bytes(100)
    arrived = decode_image([received], (None, 0, [{}, "L", (10, 10), None]))
    arrived.putpixel((0, 0), 1)
    assert arrived == images.frombytes("L", (10, 10), b"\1" + bytes(99))
    assert received == bytes(100)


@pytest.mark.parametrize("mode", ["L", "RGBA", "RGB"])
def test_an_image_in_several_pieces_and_one_without_pixels_arrive(mode: str) -> None:
    images = pytest.importorskip("PIL.Image")
    usual = images.core.get_block_size()
    images.core.set_block_size(1 << 16)
    try:
        image = images.radial_gradient("L").resize((600, 600)).convert(mode)
    finally:
        images.core.set_block_size(usual)
    assert trip(image) == (image, len(image.tobytes()))
    assert trip(images.new(mode, (0, 5))) == (images.new(mode, (0, 5)), 0)


def test_images_of_a_run_are_kept_and_changed_by_several_stages() -> None:
    images = pytest.importorskip("PIL.Image")
    made = Pipeline([(number,) * 4 for number in range(40)]).map(image_of, on=Processes(1)).map(marked, on=Processes(1))
    kept = list(made)
    for number, image in enumerate(kept):
        expected = images.new("RGBA", (300, 200), (number,) * 4)
        expected.putpixel((1, 1), (255, 0, 0, 255))
        assert image == expected


def image_of(color: tuple[int, ...]) -> Any:
    return importlib.import_module("PIL.Image").new("RGBA", (300, 200), color)


def marked(image: Any) -> Any:
    image.load()[1, 1] = (255, 0, 0, 255)
    return image


def test_an_image_from_a_file_arrives_as_pillow_itself_sends_it() -> None:
    images = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    images.radial_gradient("L").resize((600, 600)).save(file, "PNG")
    arrived, beside = trip(images.open(file))
    expected = pickle.loads(pickle.dumps(images.open(file)))
    assert type(arrived) is type(expected)
    assert arrived == expected
    assert beside == 600 * 600


def test_tables_and_frames_need_no_codec() -> None:
    np = pytest.importorskip("numpy")
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    numbers = np.arange(ROWS, dtype=np.float64)
    for item in (pa.table({"x": numbers}), pa.record_batch({"x": numbers}), pd.DataFrame({"x": numbers})):
        arrived, beside = trip({"deep": item})
        assert arrived["deep"].equals(item)
        assert beside >= 8 * ROWS
