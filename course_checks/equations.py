"""A labelled equation and its proof by numbers: both sides, computed by different routes, agree."""

from __future__ import annotations

from typing import Any

from .answers import Tolerance, difference, plain


def equation(label: str, left: Any, right: Any, rtol: float = 1e-6, atol: float = 1e-12) -> None:
    """Print that the two sides of equation `label` agree; AssertionError where they do not.

    Sides are numbers, tensors or tuples of them, computed by different routes. `rtol` is relative to each number,
    `atol` is the floor; for a Monte Carlo side give its standard error, small enough that an error of 1% would show.
    """
    found = difference(plain(left), plain(right), Tolerance(rtol, 0.0, atol))
    if found:
        where = f" ({found.reason})" if found.reason else ""
        raise AssertionError(f"equation ({label}): the sides differ{where}: left {found.got}, right {found.expected}")
    print(f"Equation ({label}): both sides agree.")
