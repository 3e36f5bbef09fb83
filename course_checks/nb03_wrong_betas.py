"""Plausible wrong answers to exercise 03.4, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .contract import Mutant

# ------------------------------------------------------------------------------------------------ 03.4 betas of a curve

Curve = Callable[[Tensor], Tensor]


def _grid(T: int) -> Tensor:
    return torch.linspace(0, 1, T + 1, dtype=torch.float64)


def _of_neighbours(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Curve, int], Tensor]:
    """betas by `rule(alpha at t - 1, alpha at t)`."""

    def betas(alpha: Curve, T: int) -> Tensor:
        values = alpha(_grid(T))
        return rule(values[:-1], values[1:])

    return betas


def _too_few_times(alpha: Curve, T: int) -> Tensor:
    values = alpha(torch.linspace(0, 1, T, dtype=torch.float64))
    return 1 - (values / torch.cat([values.new_ones(1), values[:-1]])) ** 2


def _one_short(alpha: Curve, T: int) -> Tensor:
    values = alpha(torch.linspace(0, 1, T, dtype=torch.float64))
    return 1 - (values[1:] / values[:-1]) ** 2


def _one_late(alpha: Curve, T: int) -> Tensor:
    values = alpha(_grid(T))
    betas = 1 - (values[1:] / values[:-1]) ** 2
    return torch.cat([betas[1:], betas[-1:]])


def _scaled_from_a_thousand(alpha: Curve, T: int) -> Tensor:
    values = alpha(_grid(1000))
    betas = 1 - (values[1:] / values[:-1]) ** 2
    at = (torch.arange(1, T + 1) * 1000 / T).round().long() - 1
    return betas[at] * 1000 / T


def _read_from_a_thousand(alpha: Curve, T: int) -> Tensor:
    return _scaled_from_a_thousand(alpha, T) * T / 1000


COSINE_END, STRAIGHT, ONCE, ONCE_TO_ZERO, THOUSAND = (
    "a cosine that ends at 0",
    "alpha = 1 - t",
    "one step",
    "one step to alpha = 0",
    "a thousand steps, linear betas",
)

BETAS = (
    Mutant(
        _of_neighbours(lambda before, now: 1 - now / before),
        "The ratio of neighbours is what a step makes of the picture, gamma. beta is a variance: 1 - gamma squared.",
        agrees_on=(ONCE_TO_ZERO,),
    ),
    Mutant(
        _of_neighbours(lambda before, now: 1 - now**2),
        "1 - alpha(t)**2 is the variance of all the noise up to t. A beta is that of one single step's noise.",
        agrees_on=(ONCE, ONCE_TO_ZERO),
    ),
    Mutant(
        _of_neighbours(lambda before, now: before**2 - now**2),
        "Steps multiply, so what a step keeps is a ratio, not a difference, of its two ends. "
        "(The differences tell what x_0 loses, not what x_{t-1} loses.)",
        agrees_on=(ONCE, ONCE_TO_ZERO),
    ),
    Mutant(
        _of_neighbours(lambda before, now: 1 - (before / now) ** 2),
        "Betas cannot be negative: which of the two alphas is the smaller one?",
    ),
    Mutant(
        _of_neighbours(lambda before, now: -2 * torch.log(now / before)),
        "The change of log alpha is right for infinitely small steps. A step of a table is not; and where alpha is 0?",
    ),
    Mutant(
        _of_neighbours(lambda before, now: torch.sqrt(1 - (now / before) ** 2)),
        "beta is the variance of the step's noise, not its standard deviation.",
        agrees_on=(ONCE_TO_ZERO,),
    ),
    Mutant(
        _of_neighbours(lambda before, now: now / before),
        "This is gamma, what a step keeps of the picture. beta is the variance that the noise brings.",
    ),
    Mutant(
        _of_neighbours(lambda before, now: (now / before) ** 2),
        "This is gamma squared, Ho et al.'s alpha_t: what a step keeps of the variance. beta is the rest.",
    ),
    Mutant(
        _of_neighbours(lambda before, now: 1 - now / before * (now / before).abs().sqrt()),
        "The power is 2: a variance scales with the square of what multiplies the picture.",
        agrees_on=(ONCE_TO_ZERO,),
    ),
    Mutant(
        _too_few_times,
        "T steps have T + 1 ends. With T times from 0 to 1 one step is missing, and the first beta is 0.",
    ),
    Mutant(
        _one_short,
        "T steps have T + 1 ends: you return T - 1 betas. At how many times do you have to read the curve?",
    ),
    Mutant(
        _one_late,
        "beta_1 belongs to the step from t = 0 to t = 1 / T: the first of the ratios, not the second.",
        agrees_on=("equal steps", ONCE, ONCE_TO_ZERO),
    ),
    Mutant(
        _scaled_from_a_thousand,
        "Betas of a thousand steps times 1000 / T: only nearly right, and beyond 1 for few steps. Use alpha at the "
        "T + 1 times of this table.",
        agrees_on=(THOUSAND,),
    ),
    Mutant(
        _read_from_a_thousand,
        "These are steps of a thousandth each, made T times: they do not reach the end. A step is 1 / T long.",
        agrees_on=(THOUSAND,),
    ),
    Mutant(
        lambda alpha, T: torch.linspace(1e-4, 0.02, T, dtype=torch.float64),
        "These are Ho et al.'s betas, made for another curve and for T = 1000. Yours have to follow `alpha`.",
    ),
    Mutant(
        _of_neighbours(lambda before, now: before - now),
        "alpha shrinks by a factor, not by an amount; and a beta is a variance.",
        agrees_on=(ONCE_TO_ZERO,),
    ),
    Mutant(
        _of_neighbours(lambda before, now: (1 - (now / before) ** 2).clamp(max=0.99)),
        "Where the curve ends at alpha = 0 the last step forgets everything, beta = 1. Clipping it leaves a rest.",
        agrees_on=("equal steps", "ten steps, linear betas", THOUSAND),
    ),
    Mutant(
        _of_neighbours(lambda before, now: (1 - (now / before) ** 2).clamp(max=0.999)),
        "Do not clip, though Nichol and Dhariwal do, at 0.999: the last beta may be 1. Then nothing is left of x_0.",
        agrees_on=("equal steps", "ten steps, linear betas", THOUSAND),
    ),
)
