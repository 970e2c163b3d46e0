"""Whether every way through a piece of code passes one of its instructions."""

from __future__ import annotations

import contextlib
import sys

import pytest

from chainpump.building.control_flow import is_surely_reached


def verdict(text: str) -> bool:
    """What is said of the outermost frame, as `here()` is called from it or from what it calls."""
    code = compile(text, "program.py", "exec")
    found: list[bool] = []

    def here(*_: object) -> None:
        frame = sys._getframe()
        while frame.f_code is not code:
            assert frame.f_back is not None
            frame = frame.f_back
        found.append(is_surely_reached(code, frame.f_lasti))

    def nothing(*_: object) -> None:
        pass

    # Any: whatever a program calls.
    names = {"__name__": "__main__", "here": here, "nothing": nothing, "held": contextlib.nullcontext}
    exec(code, names)
    return found[0]


@pytest.mark.parametrize(
    "text",
    [
        "here()",
        "x = [1, 2]; here(x)",
        "if __name__ == '__main__':\n  nothing()\nhere()",
        "if not __name__:\n  nothing()\nelse:\n  pass\nhere()",
        "for _ in range(3):\n  here()",
        "for _ in range(3):\n  for _ in range(3):\n    here()",
        "for _ in range(3):\n  nothing() if _ else None\nhere()",
        "with held():\n  here()",
        "with held(), held():\n  nothing()\nhere()",
        "try:\n  here()\nfinally:\n  nothing()",
        "try:\n  nothing()\nexcept OSError:\n  nothing()\nhere()",
        "try:\n  nothing()\nfinally:\n  here()",
        "(lambda: here())()",
        "sorted([1], key=here)",
        "def main(x):\n  here() if x else None\nmain(1)",
        "while True:\n  here()\n  break",
        "class Held:\n  here()",
        "print(here(), file=held and __import__('io').StringIO())",
    ],
)
def test_what_no_condition_can_prevent_is_surely_reached(text: str) -> None:
    assert verdict(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "if __name__ == '__main__': here()",
        "if '__main__' == __name__:\n  for _ in range(2):\n    here()",
        "if (name := __name__) == '__main__': here()",
        "if __name__ != '__main__':\n  pass\nelse:\n  here()",
        "if __name__ != '__main__':\n  raise SystemExit\nhere()",
        "__name__ == '__main__' and here()",
        "__name__ != '__main__' or here()",
        "here() if __name__ == '__main__' else None",
        "match __name__:\n  case '__main__':\n    here()",
        "with held():\n  if __name__ == '__main__':\n    here()",
        "try:\n  if __name__ == '__main__':\n    here()\nfinally:\n  nothing()",
        "for _ in range(3):\n  if __name__ == '__main__':\n    here()",
        "for _ in range(3):\n  if __name__ != '__main__':\n    continue\n  here()",
        "for _ in range(3):\n  if __name__ != '__main__':\n    break\n  here()",
        "for _ in range(3):\n  nothing()\nif __name__ == '__main__': here()",
        "while __name__ == '__main__':\n  here()\n  break",
        "[here() for _ in range(2) if __name__ == '__main__'] if __name__ else 0",
        "try:\n  raise OSError\nexcept OSError:\n  here()",
        "assert __name__ == '__main__'\nhere()",
    ],
)
def test_what_a_condition_or_an_exception_decides_is_not(text: str) -> None:
    assert verdict(text) is False


def test_a_function_that_returns_before_is_not_sure_of_what_comes_behind() -> None:
    found: list[bool] = []

    def here() -> None:
        frame = sys._getframe(1)
        found.append(is_surely_reached(frame.f_code, frame.f_lasti))

    def early(name: str) -> None:
        if name != "__main__":
            return
        here()

    async def late() -> None:
        here()

    async def awaiting() -> None:
        await late()
        here()

    early("__main__")
    with contextlib.suppress(StopIteration):
        awaiting().send(None)
    assert found == [False, True, True]
