"""What several exercises of notebook 05 share: marginals as recipes, and wrong weights that occur in more than one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal, bridge_weights

from ..contract import Call, normal

Weights = Callable[[Marginal, Marginal], tuple[Tensor, Tensor]]


def marginal_at(log_snr: Tensor) -> Call:
    """The variance-preserving marginal(s) with this log-SNR, as a recipe."""
    return Call(Marginal, torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())


def marginal_pair(generator: Generator, *shape: int) -> tuple[Call, Call]:
    """A less and a more noisy marginal of this shape, as recipes."""
    later = 1.5 * normal(generator, *shape) - 0.5
    earlier = later + 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
    return marginal_at(earlier), marginal_at(later)


def right_weights(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """The bridge's weights of x_t and x_0."""
    return bridge_weights(earlier, later)[:2]


def r_squared(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """r**2 where r belongs in the weight of x_t."""
    of_x_t, of_x_0 = right_weights(earlier, later)
    return of_x_t * later.alpha / earlier.alpha, of_x_0


def ddim_weights(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """All of the old noise kept, as in a DDIM step."""
    of_x_t = earlier.sigma / later.sigma
    return of_x_t, earlier.alpha - of_x_t * later.alpha
