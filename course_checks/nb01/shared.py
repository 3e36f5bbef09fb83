"""What several exercises of notebook 01 share."""

from __future__ import annotations

from torch import Generator, Tensor

from course_lib.lessons.corruption import random_values


def coins(generator: Generator, *shape: int) -> Tensor:
    """-1 or +1 with equal probability, float64."""
    return random_values(shape, generator).double()
