"""Exercise 06.4: the exact score of a mixture."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Mixture
from course_lib.oracle import mixture_score
from course_lib.schedule import Marginal

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import between, marginal


def exact_score(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
    return mixture_score(Mixture(weights, means, stds), x, marginal)


def cases(g: Generator) -> list[Case]:
    def law(bumps: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
        weights = between(g, 0.2, 1.0, bumps)
        return weights / weights.sum(), normal(g, bumps, d), between(g, 0.2, 0.8, bumps)

    def equal(bumps: int) -> Tensor:
        return torch.full((bumps,), 1 / bumps, dtype=torch.float64)

    level, points = marginal(0.7, 0.6), torch.zeros(3, dtype=torch.float64)
    weights, means, stds = law(3, 2)
    return [
        Case("one bump, one point", (normal(g, 1, 2), *law(1, 2), level)),
        Case("on a line, d = 1", (normal(g, 4, 1), *law(3, 1), level)),
        Case("in the plane", (normal(g, 4, 2), weights, means, stds, level)),
        Case("in the plane, alpha = 1", (normal(g, 4, 2), *law(3, 2), marginal(1.0, 0.5))),
        Case("equal weights", (normal(g, 4, 2), equal(3), normal(g, 3, 2), between(g, 0.2, 0.8, 3), level)),
        Case("equal widths", (normal(g, 4, 2), weights, means, torch.full((3,), 0.4).double(), level)),
        Case("the data are three points", (normal(g, 3, 2), weights, means, points, level)),
        Case("far from all bumps", (60 * normal(g, 3, 2).sign() + normal(g, 3, 2), weights, means, stds, level)),
        Case("three dimensions, as many points as bumps", (normal(g, 4, 3), *law(4, 3), marginal(0.4, 0.9))),
        Case("single precision", (normal(g, 3, 2), *law(2, 2), level), float32=True),
    ]


# The wrong answers.


def voted(
    v: Callable[..., Tensor] = lambda a, s, stds: (a * stds) ** 2 + s**2,
    centres: Callable[..., Tensor] = lambda a, means: a * means,
    half_logs: Callable[[int], float] = lambda d: 0.5 * d,
    prior: Callable[[Tensor], Tensor] = torch.log,
    votes: Callable[[Tensor], Tensor] = lambda logs: logs.softmax(1),
    pull_by: Callable[[Tensor], Tensor] = lambda v: v,
) -> Callable[..., Tensor]:
    """The right score but for one thing: variances, centres, the normaliser, weights, votes, the pull."""

    def score(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
        variance = v(marginal.alpha, marginal.sigma, stds).expand(len(weights))
        pull = centres(marginal.alpha, means) - x[:, None]
        logs = prior(weights) - half_logs(x.shape[1]) * torch.log(variance) - 0.5 * pull.square().sum(2) / variance
        return (votes(logs)[:, :, None] * pull / pull_by(variance)[:, None]).sum(1)

    return score


def naive(logs: Tensor) -> Tensor:
    return logs.exp() / logs.exp().sum(1, keepdim=True)


def by_weight(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
    v = (marginal.alpha * stds) ** 2 + marginal.sigma**2
    pull = marginal.alpha * means - x[:, None]
    return (weights[:, None] * pull / v[:, None]).sum(1)


def unnormalised(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
    v = (marginal.alpha * stds) ** 2 + marginal.sigma**2
    pull = marginal.alpha * means - x[:, None]
    density = weights * (2 * math.pi * v) ** (-x.shape[1] / 2) * torch.exp(-pull.square().sum(2) / (2 * v))
    return (density[:, :, None] * pull / v[:, None]).sum(1)


EXERCISE = Exercise(
    id="06.4",
    title="The exact score of a mixture",
    points=3,
    reference=exact_score,
    cases=cases,
    answers=(
        "course_lib.oracle.mixture_score",
        "course_lib.oracle.mixture_denoiser",
    ),
    wrong_answers=(
        WrongAnswer(
            by_weight,
            "A bump far away has little to say at x, however heavy: its vote is its probability *given x*.",
        ),
        WrongAnswer(
            voted(half_logs=lambda d: 0.0),
            "Narrow bumps are higher than wide ones: a Gaussian's normaliser depends on its variance.",
        ),
        WrongAnswer(
            voted(half_logs=lambda d: 0.5),
            "That normaliser is the one of a Gaussian on a line. In d dimensions there are d of them.",
        ),
        WrongAnswer(
            voted(v=lambda a, s, stds: s**2 + 0 * stds),
            "The bumps had a width before any noise came. What is the variance of a noised bump?",
        ),
        WrongAnswer(
            voted(centres=lambda a, means: means),
            "Noising shrinks the picture as well: where is the centre of a noised bump?",
        ),
        WrongAnswer(
            voted(v=lambda a, s, stds: stds**2 + s**2),
            "The bump's own width shrinks together with the picture.",
        ),
        WrongAnswer(
            voted(v=lambda a, s, stds: (a * stds + s) ** 2),
            "Variances of independent noises add, not standard deviations.",
        ),
        WrongAnswer(
            voted(pull_by=lambda v: -v),
            "Uphill is towards the bumps. Which way does yours point?",
        ),
        WrongAnswer(
            voted(votes=naive),
            "Far away every density is 0 in floating point, and 0 / 0 is NaN. Subtract the largest logarithm first.",
        ),
        WrongAnswer(
            voted(votes=lambda logs: logs.softmax(0)),
            "The votes of all bumps at one place sum to 1. Yours sum to 1 over the places.",
        ),
        WrongAnswer(
            voted(prior=torch.zeros_like),
            "The bumps are not equally heavy: one of the arguments has not been used.",
        ),
        WrongAnswer(
            unnormalised,
            "That is the gradient of the density. The score is the gradient of its logarithm.",
        ),
    ),
)
