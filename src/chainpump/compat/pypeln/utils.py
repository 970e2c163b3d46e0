"""The names of `pypeln.utils` that programs use in type hints and checks."""

from .elements import Element
from .stages import BaseStage, Partial

__all__ = ["BaseStage", "Element", "Partial"]
