"""Inputs of notebook 03's exercises that are not data: curves alpha(t), and formulas as they are found in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.schedule import Table

Formula = Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor]]
"""(betas, t), t >= 2, -> the weight of x_t, the weight of x_0 and the std of the step from t to t - 1."""


def constant_curve(t: Tensor) -> Tensor:
    """alpha(t) = exp(-3 t)."""
    return torch.exp(-3 * t)


def linear_curve(t: Tensor) -> Tensor:
    """alpha(t) for a rate that grows from 0.1 to 20."""
    return torch.exp(-0.05 * t - 4.975 * t**2)


def straight_curve(t: Tensor) -> Tensor:
    """alpha(t) = 1 - t, exactly 0 at the end."""
    return 1 - t


def cosine_curve(t: Tensor) -> Tensor:
    """alpha(t) = cos(pi t / 2), exactly 0 at the end."""
    return torch.where(t < 1, torch.cos(t * math.pi / 2), 0.0)


def equal_steps(beta: float, steps: int) -> Table:
    """The same beta in every step."""
    return Table.from_betas(torch.full((steps,), beta, dtype=torch.float64))


def growing_steps(first: float, last: float, steps: int) -> Table:
    """Betas that grow by equal amounts."""
    return Table.from_betas(torch.linspace(first, last, steps, dtype=torch.float64))


def printed_formulas(order: Sequence[int]) -> list[Formula]:
    """Four versions of the same three numbers; `order` is a permutation of 0 .. 3."""
    return [(_printed_a, _printed_b, _printed_c, _printed_d)[k] for k in order]


def _letters(betas: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """beta_t, beta_{t-1}, alpha-bar_t, alpha-bar_{t-1}."""
    bars = torch.cumprod(1 - betas, 0)
    return betas[t - 1], betas[t - 2], bars[t - 1], bars[t - 2]


def _printed_a(betas: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
    beta, _, now, before = _letters(betas, t)
    tilde = (1 - now) / (1 - before) * beta
    return (1 - beta).sqrt() * (1 - before) / (1 - now), before.sqrt() * beta / (1 - now), tilde.sqrt()


def _printed_b(betas: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
    beta, last, now, before = _letters(betas, t)
    tilde = (1 - before) / (1 - now) * beta
    return (1 - last).sqrt() * (1 - before) / (1 - now), before.sqrt() * beta / (1 - now), tilde.sqrt()


def _printed_c(betas: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
    beta, _, now, before = _letters(betas, t)
    tilde = (1 - before) / (1 - now) * beta
    return (1 - beta).sqrt() * (1 - before) / (1 - now), before.sqrt() * beta / (1 - now), tilde.sqrt()


def _printed_d(betas: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
    beta, _, now, before = _letters(betas, t)
    tilde = (1 - before) / (1 - now) * beta
    return (1 - beta).sqrt() * (1 - before) / (1 - now), before.sqrt() * beta / (1 - now), tilde
