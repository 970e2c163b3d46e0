"""How the functions of a module make stages: their checks and their results, once for all modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from ...building.checks import check_count, check_flag
from ...errors import StageTypeError
from ...plan.placement import check_seconds
from .iteration import Stage
from .reading import StageElements
from .stages import BaseStage, Kind, Partial, Work
from .works import EACH, Apply, Join, Order, Read, Verb

__all__ = ["LEFT_OUT", "Making"]


class _LeftOut:
    """What a function gets as its stage if it is called without one. None would hide a mistake of the program."""

    def __repr__(self) -> str:
        return "<left out>"


# Any: it has the type of every stage for type checkers.
LEFT_OUT: Any = _LeftOut()
# Seconds; a shorter limit is about the time that waking up a worker takes.
LEAST_TIMEOUT = 0.001


class Making:
    """Makes the stages of one module. Raises StageOptionError and StageTypeError for what cannot work."""

    stage_class: ClassVar[type[Stage[Any]]] = Stage
    apply_class: ClassVar[type[Apply]] = Apply

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def applied(
        self,
        verb: Verb,
        f: Callable[..., Any],
        stage: Any,
        workers: int,
        maxsize: int,
        timeout: float,
        on_start: Callable[..., Any] | None,
        on_done: Callable[..., Any] | None,
    ) -> Any:
        """Return a stage that calls a function for each item, or the partial application if its stage is left out."""
        label = self._label(verb.name)
        for option, function in (("f", f), ("on_start", on_start), ("on_done", on_done)):
            if not callable(function) and (option == "f" or function is not None):
                raise StageTypeError(f"{label}: {option} must be a function but got: {function!r}.")
        workers = check_count(workers, label, "workers")
        maxsize = self.checked_size(maxsize, verb.name)
        check_seconds(timeout, f"{label}: timeout")
        limit = max(timeout, LEAST_TIMEOUT) if timeout else None
        if self.kind.is_sync:
            workers, maxsize = 1, 0
        work = self.apply_class(verb, f, limit, on_start, on_done)
        return self._made_of(
            stage, lambda given: self.stage_class(self.kind, work, (self.stage(given, label),), workers, maxsize)
        )

    def done_each(self, run: bool, stage: Any, *options: Any) -> Any:
        """Return what `each` returns. options: those of `applied`, from the function on, without the stage."""
        check_flag(run, f"{self._label(EACH.name)}: run")
        f, *others = options
        made = self.applied(EACH, f, stage, *others)
        if not run:
            return made
        return Partial(lambda given: self.run(made(given))) if stage is LEFT_OUT else self.run(made)

    def _label(self, name: str) -> str:
        return f"{self.kind.name}.{name}"

    def _made_of(self, stage: Any, make: Callable[[Any], Any]) -> Any:
        return Partial(make) if stage is LEFT_OUT else make(stage)

    def checked_size(self, maxsize: int, name: str) -> int:
        """Return maxsize as a number. Raises StageOptionError if it is negative or no number."""
        advice = "Leave it out, or give 0, to bound the items that wait by their bytes."
        return check_count(maxsize, self._label(name), "maxsize", least=0, advice=advice)

    def stage(self, given: Any, label: str) -> Stage[Any]:
        """Return a stage as it is, and an iterable as a stage."""
        return given if isinstance(given, Stage) else self.stage_class(self.kind, self.read(given, label))

    def read(self, given: Any, label: str, use_thread: bool = True) -> Work:
        """Return the work of reading an iterable. Raises StageTypeError if it is none."""
        if not isinstance(given, Iterable) and not hasattr(given, "__getitem__"):
            raise StageTypeError(f"{label}: stage must be a stage or an iterable but got: {given!r}.")
        return Read(StageElements(given) if isinstance(given, BaseStage) else given, use_thread)

    def of_iterable(self, iterable: Any, use_thread: bool, maxsize: int) -> Any:
        """Return what `from_iterable` returns."""
        label = self._label(Read.name)
        check_flag(use_thread, f"{label}: use_thread")
        maxsize = self.checked_size(maxsize, Read.name)
        in_thread = use_thread or not self.kind.own_process

        def made(given: Any) -> Stage[Any]:
            if isinstance(given, Stage):
                return given
            return self.stage_class(self.kind, self.read(given, label, in_thread), maxsize=maxsize)

        return self._made_of(iterable, made)

    def items(
        self, name: str, stage: Any, maxsize: int, return_index: bool, make: Callable[[Any, int, bool], Any]
    ) -> Any:
        """Return the items of one run of a stage. name: of the function that is called. make: makes them of a stage."""
        label = self._label(name)
        maxsize = self.checked_size(maxsize, name)
        check_flag(return_index, f"{label}: return_index")
        return self._made_of(stage, lambda given: make(self.stage(given, label), maxsize, return_index))

    def in_order(self, stage: Any, maxsize: int) -> Any:
        """Return what `ordered` returns."""
        label = self._label(Order.name)
        maxsize = self.checked_size(maxsize, Order.name)
        return self._made_of(
            stage, lambda given: self.stage_class(self.kind, Order(), (self.stage(given, label),), maxsize=maxsize)
        )

    def joined(self, stages: Any, maxsize: int) -> Any:
        """Return what `concat` returns."""
        label = self._label(Join.name)
        maxsize = self.checked_size(maxsize, Join.name)
        if isinstance(stages, BaseStage) or not isinstance(stages, Iterable):
            raise StageTypeError(f"{label}: stages must be a list of stages or iterables but got: {stages!r}.")
        sources = tuple(self.stage(each, label) for each in stages)
        if not sources:
            return self.stage_class(self.kind, Read(()))
        return self.stage_class(self.kind, Join(), sources, maxsize=maxsize)

    def run(self, *stages: Any, maxsize: int = 0) -> None:
        """Run stages to their ends, and drop their items. A list of stages stands for all of them."""
        maxsize = self.checked_size(maxsize, "run")
        given = [each for some in stages for each in (some if _is_list_of_stages(some) else (some,))]
        if not given:
            return
        whole: Stage[Any] = self.stage(given[0], self._label("run")) if len(given) == 1 else self.joined(given, 0)
        for _ in whole.to_iterable(maxsize):
            pass


def _is_list_of_stages(given: Any) -> bool:
    return isinstance(given, (list, tuple)) and any(isinstance(each, BaseStage) for each in given)
