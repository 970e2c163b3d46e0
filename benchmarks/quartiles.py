"""Ratios of many turns: the median, and where half of them are."""

from collections.abc import Sequence
from statistics import quantiles

__all__ = ["as_text", "quartiles"]


def quartiles(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile."""
    lower, middle, upper = quantiles(ratios, n=4, method="inclusive")
    return lower, middle, upper


def as_text(ratios: tuple[float, float, float]) -> str:
    """The median, and the others in brackets."""
    lower, middle, upper = ratios
    return f"{middle:.3f}x ({lower:.3f} to {upper:.3f})"
