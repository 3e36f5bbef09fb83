"""How often training visits each noise level: laws of the times, or of the noise, in a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .marginal import Marginal, Schedule

NoiseLaw = Callable[[int, torch.Generator], Marginal]
"""(batch, generator) -> one marginal per image, on the generator's device: how often each noise level is visited."""


def log_normal_law(mean: float = -0.2, std: float = 1.1) -> NoiseLaw:
    """ln(sigma / alpha) ~ N(mean, std**2), variance preserving (Karras et al. 2022, section 5).

    Stratified: the batch's levels are spread evenly over the law's quantiles, which takes noise out of the loss.
    """

    def draw(batch: int, generator: torch.Generator) -> Marginal:
        quantiles = _spread(batch, generator).clamp(1e-6, 1 - 1e-6)
        return Marginal.from_ratio(torch.exp(mean + std * torch.special.ndtri(quantiles)).float())

    return draw


def uniform_in_time(schedule: Schedule) -> NoiseLaw:
    """t uniform on (0, end) of a continuous schedule (Ho et al. 2020 for its table), stratified as `log_normal_law`."""

    def draw(batch: int, generator: torch.Generator) -> Marginal:
        marginal = schedule(schedule.end * (1 - _spread(batch, generator)))
        return Marginal(marginal.alpha.float(), marginal.sigma.float())

    return draw


def _spread(batch: int, generator: torch.Generator) -> Tensor:
    """`batch` numbers in [0, 1), float64 where there is one: one in each of as many equal parts, shuffled."""
    device = generator.device
    parts = torch.randperm(batch, generator=generator, device=device)
    dtype = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no float64
    return (parts + torch.rand(batch, generator=generator, device=device, dtype=dtype)) / batch
