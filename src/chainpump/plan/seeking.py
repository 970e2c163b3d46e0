"""Sources that can seek: which parameter of a source takes the number of its first item."""

from __future__ import annotations

from ..hints.callables import readings_of
from ..hints.objects import is_a
from ..lazy_dataclass import replace
from .bound import Bound
from .start_number import Start

__all__ = ["beginning_at", "start_parameter"]


def start_parameter(call: Bound) -> str | None:
    """Return the parameter that takes the number of the first item of a source; None if it has none, or it is bound."""
    signature = readings_of(call.written)[0].signature
    found = (name for name, parameter in signature.parameters.items() if is_a(parameter.default, Start))
    name = next(found, None)
    try:
        given = signature.bind(*call.args, **call.kwargs).arguments
    except TypeError:
        return None
    return None if name in given else name


def beginning_at(call: Bound, first: int) -> Bound:
    """Return a source that can seek, with the number of its first item."""
    name = start_parameter(call)
    return call if name is None else replace(call, kwargs={**call.kwargs, name: Start(first)})
