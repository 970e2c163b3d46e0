"""The credits of a worker: it takes one before it makes an item, so that `in_flight=` is exact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..transport.credits import Credits
from .channel_errors import CHANNEL_ERRORS, Refusal, record_channel_error, records_channel_errors

__all__ = ["MeteredOutput"]


class MeteredOutput(ABC):
    """The part of an `Output` that takes credits. Only the worker's own thread uses it."""

    # The worker takes one credit of each of these before it makes an item.
    _bounds: Sequence[Credits]
    _holds_credits: bool
    _blocked: AbstractContextManager[None]
    _hint: memoryview
    cancelled: bool
    refused: Refusal | None

    @abstractmethod
    def flush(self) -> None:
        """Send the pending results."""

    @abstractmethod
    def _check_cancelled(self) -> None:
        """Raise Cancelled if the run was cancelled."""

    def _metered(self, items: Iterable[Any]) -> Iterator[Any]:
        """Take a credit before each item is made, so that `in_flight=` is exact. The item carries the credit away."""
        iterator = iter(items)
        while True:
            self.take_credits()
            try:
                item = next(iterator)
            except StopIteration:
                self._return_credits()
                return
            self._holds_credits = False
            yield item

    def take_credits(self) -> None:
        """Take a credit for the next item, unless the worker has one. Raises Cancelled."""
        if self._holds_credits:
            return
        try:
            for credits in self._bounds:
                while not credits.take():
                    self.flush()
                    with self._blocked:
                        credits.wait(self._hint[0])
                    self._check_cancelled()
        except CHANNEL_ERRORS as error:
            record_channel_error(self, error)
        self._holds_credits = True

    @records_channel_errors
    def _return_credits(self) -> None:
        if self._holds_credits:
            self._holds_credits = False
            for credits in self._bounds:
                credits.put_back()

    def before_wait(self) -> bool:
        """Before a wait for input, send the results, and return the credit: a worker with input may need it.

        Returns whether there was a credit.
        """
        self.flush()
        held = self._holds_credits
        self._return_credits()
        return held

    def after_wait(self, held: bool) -> None:
        """Input has arrived: take the credit again if there was one."""
        if held:
            self.take_credits()
