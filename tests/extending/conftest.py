"""The examples of `docs/extending.md`, as modules that tests and their workers import."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "examples" / "extending"))
