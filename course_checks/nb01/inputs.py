"""Inputs of notebook 01's exercises that are not data: toy restorers and degradations without hidden randomness."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.lessons.corruption import Degradation, blur, corrupt_exactly


def wavy_restorer(x: Tensor, t: float) -> Tensor:
    """A pretend denoiser: mixes two pixels, and answers differently at every t."""
    return torch.tanh(1.5 * x - 0.4 * x.flip(-1)) + 0.02 * t


def blind_restorer(x: Tensor, t: float) -> Tensor:
    """A pretend denoiser that does not look at t."""
    return torch.tanh(x + 0.3 * x.flip(-1))


def all_knowing(x_0: Tensor) -> Callable[[Tensor, float], Tensor]:
    """A denoiser that knows the answer."""
    return lambda x, t: x_0.clone()


def flipping(permutation: Tensor, values: Tensor) -> Degradation:
    """Touches the first t pixels in a fixed order with fixed values; `permutation`, `values` (B, d)."""
    return lambda x, t: corrupt_exactly(x, round(t), permutation, values)


def smearing(strength: float) -> Degradation:
    """Blur of standard deviation `strength` * t."""
    return lambda x, t: blur(x, strength * t)


def drifting(pattern: Tensor) -> Degradation:
    """A straight line in t: x + t `pattern`."""
    return lambda x, t: x + t * pattern


def vanishing(scale: float) -> Degradation:
    """Darkens without a straight line: x * exp(-(t / scale)**2)."""
    return lambda x, t: x * torch.exp(torch.as_tensor(-((t / scale) ** 2), dtype=x.dtype))
