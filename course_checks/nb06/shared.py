"""What several exercises of notebook 06 share."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal

from ..contract import Call


def between(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def marginal(alpha: Tensor | float, sigma: Tensor | float) -> Call:
    return Call(Marginal, *(torch.as_tensor(value, dtype=torch.float64) for value in (alpha, sigma)))
