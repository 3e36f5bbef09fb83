"""What several exercises of notebook 04 share."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal

from ..contract import Call, normal


def marginal(log_snr: Tensor, scale: float = 1.0) -> Call:
    """The marginal(s) with this log-SNR, as a recipe; variance preserving for scale = 1."""
    return Call(Marginal, scale * torch.sigmoid(log_snr).sqrt(), scale * torch.sigmoid(-log_snr).sqrt())


def level_pair(g: Generator, *shape: int, scale: float = 1.0) -> tuple[Call, Call]:
    """A less and a more noisy marginal of this shape, as recipes."""
    later = 1.2 * normal(g, *shape) - 0.5
    gap = 0.5 + torch.rand(shape, generator=g, dtype=torch.float64)
    return marginal(later + gap), marginal(later, scale)
