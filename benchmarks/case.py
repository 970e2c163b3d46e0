"""The process of one case: `python -m benchmarks.case module:function '{"argument": 1}'` prints JSON."""

import json
import sys
from importlib import import_module
from types import TracebackType


def main() -> None:
    """Call the function named by the first argument with those of the second."""
    sys.excepthook = _headline_last
    module, _, function = sys.argv[1].partition(":")
    result = getattr(import_module(module), function)(**json.loads(sys.argv[2]))
    print(json.dumps(result))


def _headline_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback as usual, then its headline again, where the table's remark is taken from."""
    sys.__excepthook__(kind, error, trace)
    headline, _, _ = str(error).partition("\n")
    print(f"{kind.__name__}: {headline}", file=sys.stderr)


if __name__ == "__main__":
    main()
