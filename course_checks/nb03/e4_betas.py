"""Exercise 03.4: betas from alpha(t), at any T."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.schedule import Table

from ..contract import Case, Exercise, WrongAnswer
from .inputs import constant_curve, cosine_curve, linear_curve, straight_curve

Curve = Callable[[Tensor], Tensor]


def betas_of(alpha: Curve, T: int) -> Tensor:
    values = alpha(torch.linspace(0, 1, T + 1, dtype=torch.float64))
    return Table(values, torch.sqrt(1 - values**2)).betas


def cases(g: Generator) -> list[Case]:
    return [
        Case("equal steps", (constant_curve, 5)),
        Case("one step", (constant_curve, 1)),
        Case("one step to alpha = 0", (straight_curve, 1)),
        Case("ten steps, linear betas", (linear_curve, 10)),
        Case("a thousand steps, linear betas", (linear_curve, 1000)),
        Case("a cosine that ends at 0", (cosine_curve, 6 + int(torch.randint(0, 5, (), generator=g)))),
        Case("alpha = 1 - t", (straight_curve, 20)),
    ]


# The wrong answers.


def grid(T: int) -> Tensor:
    return torch.linspace(0, 1, T + 1, dtype=torch.float64)


def of_neighbours(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Curve, int], Tensor]:
    """betas by `rule(alpha at t - 1, alpha at t)`."""

    def betas(alpha: Curve, T: int) -> Tensor:
        values = alpha(grid(T))
        return rule(values[:-1], values[1:])

    return betas


def one_short(alpha: Curve, T: int) -> Tensor:
    values = alpha(torch.linspace(0, 1, T, dtype=torch.float64))
    return 1 - (values[1:] / values[:-1]) ** 2


def one_late(alpha: Curve, T: int) -> Tensor:
    values = alpha(grid(T))
    betas = 1 - (values[1:] / values[:-1]) ** 2
    return torch.cat([betas[1:], betas[-1:]])


def rescale_a_thousand(alpha: Curve, T: int) -> Tensor:
    values = alpha(grid(1000))
    betas = 1 - (values[1:] / values[:-1]) ** 2
    at = (torch.arange(1, T + 1) * 1000 / T).round().long() - 1
    return betas[at] * 1000 / T


EXERCISE = Exercise(
    id="03.4",
    title="Betas from alpha(t), at any T",
    points=2,
    reference=betas_of,
    cases=cases,
    answers=("course_lib.schedule.Table",),
    wrong_answers=(
        WrongAnswer(
            of_neighbours(lambda before, now: 1 - now / before),
            "The ratio of neighbours is what a step makes of the picture, gamma. beta is a variance: 1 - gamma "
            "squared.",
        ),
        WrongAnswer(
            of_neighbours(lambda before, now: 1 - now**2),
            "1 - alpha(t)**2 is the variance of all the noise up to t. A beta is that of one single step's noise.",
        ),
        WrongAnswer(
            of_neighbours(lambda before, now: before**2 - now**2),
            "Steps multiply, so what a step keeps is a ratio, not a difference, of its two ends. "
            "(The differences tell what x_0 loses, not what x_{t-1} loses.)",
        ),
        WrongAnswer(
            of_neighbours(lambda before, now: 1 - (before / now) ** 2),
            "Betas cannot be negative: which of the two alphas is the smaller one?",
        ),
        WrongAnswer(
            of_neighbours(lambda before, now: torch.sqrt(1 - (now / before) ** 2)),
            "beta is the variance of the step's noise, not its standard deviation.",
        ),
        WrongAnswer(
            of_neighbours(lambda before, now: now / before),
            "This is gamma, what a step keeps of the picture. beta is the variance that the noise brings.",
        ),
        WrongAnswer(
            of_neighbours(lambda before, now: (now / before) ** 2),
            "This is gamma squared, Ho et al.'s alpha_t: what a step keeps of the variance. beta is the rest.",
        ),
        WrongAnswer(
            one_short,
            "T steps have T + 1 ends: you return T - 1 betas. At how many times do you have to read the curve?",
        ),
        WrongAnswer(
            one_late,
            "beta_1 belongs to the step from t = 0 to t = 1 / T: the first of the ratios, not the second.",
        ),
        WrongAnswer(
            rescale_a_thousand,
            "The betas of a thousand steps times 1000 / T are only nearly right, and larger than 1 for few steps. Use "
            "alpha at the T + 1 times of this table.",
        ),
        WrongAnswer(
            lambda alpha, T: torch.linspace(1e-4, 0.02, T, dtype=torch.float64),
            "These are Ho et al.'s betas, made for another curve and for T = 1000. Yours have to follow `alpha`.",
        ),
        WrongAnswer(
            of_neighbours(lambda before, now: (1 - (now / before) ** 2).clamp(max=0.999)),
            "Do not clip, though Nichol and Dhariwal do, at 0.999: the last beta may be 1. Then nothing is left of "
            "x_0.",
        ),
    ),
)
