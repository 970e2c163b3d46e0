"""How long the checks of large and hostile type hints take, in milliseconds of processor time.

    python -m benchmarks.hints

Each pair is compared, and the text of where it differs is made. The limit is 50 ms for a hint 200 deep or 500 wide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Optional, TypeVar, Union

from chainpump.hints.assignability import compared, fits
from chainpump.hints.display import difference

T = TypeVar("T")
# Of which the fastest counts.
TIMES = 3


def deep(form: Callable[[Any], Any], leaf: Any, depth: int = 200) -> Any:
    """A hint in a hint, and so on."""
    for _ in range(depth):
        leaf = form(leaf)
    return leaf


def pairs() -> Mapping[str, tuple[Any, Any]]:
    """What is compared."""
    wide = [type(f"Wide{number}", (), {}) for number in range(500)]
    narrow = [type(f"Narrow{number}", (base,), {}) for number, base in enumerate(wide)]

    def of_list(hint: Any) -> Any:
        return list[hint]

    def optional(hint: Any) -> Any:
        return Optional[list[hint]]  # noqa: UP045  # a value

    def union(hints: Iterable[Any]) -> Any:
        return Union[tuple(hints)]  # noqa: UP007  # a value

    return {
        "list 200 deep, same": (deep(of_list, int), deep(of_list, int)),
        "list 200 deep, other": (deep(of_list, int), deep(of_list, str)),
        "list 200 deep, narrower": (deep(of_list, bool), deep(of_list, int)),
        "list 200 deep, unknown": (deep(of_list, int), deep(of_list, Any)),
        "list 200 deep, variable": (deep(of_list, int), deep(of_list, T)),
        "optional list 200 deep": (deep(optional, bool), deep(optional, int)),
        "sequence 200 deep": (deep(of_list, bool), deep(lambda hint: Sequence[hint], int)),
        "pair 200 deep": (deep(lambda hint: tuple[hint, hint], str), deep(lambda hint: tuple[hint, hint], int)),
        "function 200 deep": (
            deep(lambda hint: Callable[[hint], hint], bool),
            deep(lambda hint: Callable[[hint], hint], int),
        ),
        "union 500 wide, reversed": (union(wide), union(wide[::-1])),
        "union 500 wide, narrower": (union(narrow), union(wide)),
        "union 500 wide, wider": (union(wide), union(narrow)),
        "list of union 500 wide": (of_list(union(narrow)), of_list(union(wide))),
        "union of 500 lists": (union(map(of_list, narrow)), union(map(of_list, wide))),
        "union of 500 sequences": (union(map(of_list, narrow)), union(Sequence[each] for each in wide)),
        "tuple 500 wide": (tuple.__class_getitem__(tuple(narrow)), Iterable[union(wide)]),
        "literal 500 wide": (Literal[tuple(range(500))], Literal[tuple(range(499))]),
    }


def main() -> None:
    """Print a line for each pair."""
    print(f"{'pair':28} {'fits':5} {'questions':>9} {'verdict':>8} {'text':>8}")
    for name, (given, expected) in pairs().items():
        best = [float("inf"), float("inf")]
        verdict, known = False, compared()
        for _ in range(TIMES):
            known = compared()
            began = time.process_time()
            verdict = fits(given, expected, {}, known)
            ended = time.process_time()
            difference(given, expected) if not verdict else ""
            best = [min(best[0], ended - began), min(best[1], time.process_time() - ended)]
        print(f"{name:28} {verdict!s:5} {known.count:9} {best[0] * 1e3:5.1f} ms {best[1] * 1e3:5.1f} ms")


if __name__ == "__main__":
    main()
