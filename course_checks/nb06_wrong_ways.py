"""Plausible wrong answers to exercises 06.4 and 06.5, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.schedule import Marginal

from .contract import Mutant

# ------------------------------------------------------------------------------------------------- 06.4 mixture score


def _voted(
    v: Callable[..., Tensor] = lambda a, s, stds: (a * stds) ** 2 + s**2,
    centres: Callable[..., Tensor] = lambda a, means: a * means,
    half_logs: Callable[[int], float] = lambda d: 0.5 * d,
    half: float = 0.5,
    prior: Callable[[Tensor], Tensor] = torch.log,
    votes: Callable[[Tensor], Tensor] = lambda logs: logs.softmax(1),
    pull_by: Callable[[Tensor], Tensor] = lambda v: v,
) -> Callable[..., Tensor]:
    """The right score but for one thing: variances, centres, the normaliser, the exponent, weights, votes, the pull."""

    def score(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
        variance = v(marginal.alpha, marginal.sigma, stds).expand(len(weights))
        pull = centres(marginal.alpha, means) - x[:, None]
        logs = prior(weights) - half_logs(x.shape[1]) * torch.log(variance) - half * pull.square().sum(2) / variance
        return (votes(logs)[:, :, None] * pull / pull_by(variance)[:, None]).sum(1)

    return score


def _naive(logs: Tensor) -> Tensor:
    return logs.exp() / logs.exp().sum(1, keepdim=True)


def _by_weight(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
    v = (marginal.alpha * stds) ** 2 + marginal.sigma**2
    pull = marginal.alpha * means - x[:, None]
    return (weights[:, None] * pull / v[:, None]).sum(1)


def _unnormalised(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
    v = (marginal.alpha * stds) ** 2 + marginal.sigma**2
    pull = marginal.alpha * means - x[:, None]
    density = weights * (2 * math.pi * v) ** (-x.shape[1] / 2) * torch.exp(-pull.square().sum(2) / (2 * v))
    return (density[:, :, None] * pull / v[:, None]).sum(1)


BUMP, LINE, ONES, WIDTHS = "one bump, one point", "on a line, d = 1", "in the plane, alpha = 1", "equal widths"
POINTS, WEIGHTS = "the data are three points", "equal weights"
SCORE = (
    Mutant(
        _by_weight,
        "A bump far away has little to say at x, however heavy: its vote is its probability *given x*.",
        agrees_on=(BUMP,),
    ),
    Mutant(
        _voted(half_logs=lambda d: 0.0),
        "Narrow bumps are higher than wide ones: a Gaussian's normaliser depends on its variance.",
        agrees_on=(BUMP, WIDTHS, POINTS),
    ),
    Mutant(
        _voted(half_logs=lambda d: 0.5),
        "That normaliser is the one of a Gaussian on a line. In d dimensions there are d of them.",
        agrees_on=(BUMP, LINE, WIDTHS, POINTS),
    ),
    Mutant(
        _voted(half_logs=lambda d: float(d)),
        "The normaliser of one dimension is the root of 2 pi v: log v counts half.",
        agrees_on=(BUMP, WIDTHS, POINTS),
    ),
    Mutant(
        _voted(v=lambda a, s, stds: s**2 + 0 * stds),
        "The bumps had a width before any noise came. What is the variance of a noised bump?",
        agrees_on=(POINTS,),
    ),
    Mutant(
        _voted(centres=lambda a, means: means),
        "Noising shrinks the picture as well: where is the centre of a noised bump?",
        agrees_on=(ONES,),
    ),
    Mutant(
        _voted(v=lambda a, s, stds: a * stds**2 + s**2),
        "A scale acts on a standard deviation once, and on a variance twice.",
        agrees_on=(ONES, POINTS),
    ),
    Mutant(
        _voted(v=lambda a, s, stds: stds**2 + s**2),
        "The bump's own width shrinks together with the picture.",
        agrees_on=(ONES, POINTS),
    ),
    Mutant(
        _voted(v=lambda a, s, stds: (a * stds + s) ** 2),
        "Variances of independent noises add, not standard deviations.",
        agrees_on=(POINTS,),
    ),
    Mutant(
        _voted(pull_by=lambda v: -v),
        "Uphill is towards the bumps. Which way does yours point?",
    ),
    Mutant(
        _voted(pull_by=torch.sqrt),
        "Differentiate -|x - m|**2 / (2 v): what does the pull get divided by?",
    ),
    Mutant(
        _voted(votes=_naive),
        "Far away every density is 0 in floating point, and 0 / 0 is NaN. Subtract the largest logarithm first.",
        agrees_on=(BUMP, LINE, "in the plane", ONES, WEIGHTS, WIDTHS, POINTS),
    ),
    Mutant(
        _voted(half_logs=lambda d: 0.5, votes=_naive),
        "Two things. Far away every density is 0, and 0 / 0 is NaN; and in d dimensions there are d normalisers.",
        agrees_on=(BUMP, LINE, WIDTHS, POINTS),
    ),
    Mutant(
        _voted(votes=lambda logs: logs.softmax(0)),
        "The votes of all bumps at one place sum to 1. Yours sum to 1 over the places.",
        agrees_on=(BUMP,),
    ),
    Mutant(
        _voted(prior=lambda weights: weights),
        "In the logarithm of a density, a weight is a logarithm too.",
        agrees_on=(BUMP, WEIGHTS),
    ),
    Mutant(
        _voted(prior=torch.zeros_like),
        "The bumps are not equally heavy: one of the arguments has not been used.",
        agrees_on=(BUMP, WEIGHTS),
    ),
    Mutant(
        _voted(half=1.0),
        "The exponent of a Gaussian has a half in it.",
        agrees_on=(BUMP,),
    ),
    Mutant(
        _unnormalised,
        "That is the gradient of the density. The score is the gradient of its logarithm.",
    ),
)

# ------------------------------------------------------------------------------------------------ 06.5 two ways back


def _ways(
    flow: float = 0.5,
    full: float = 1.0,
    power: int = 2,
    pull: Callable[[Tensor, Tensor], Tensor] = lambda f, x: f * x,
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
) -> Callable[..., tuple[Any, Any]]:
    """The right pair but for one thing: the factors of g**2 score, the power of g, the drift's part, shapes."""

    def ways(x: Tensor, score: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        along, uphill = pull(fit(f, x), x), fit(g, x) ** power * score
        return along - flow * uphill, along - full * uphill

    return ways


def _halved(x: Tensor, score: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    drift = _ways()(x, score, f, g)[1]
    return 0.5 * drift, drift


def _turned(*given: Tensor) -> tuple[Tensor, Tensor]:
    velocity, drift = _ways()(*given)
    return -velocity, -drift


CALM, UNIT, FLAT = "no drift: variance exploding", "g = 1", "the score is 0"
WAYS = (
    Mutant(
        lambda *given: _ways()(*given)[::-1],
        "The right two, in the other order. One goes further uphill and makes up for it with noise: which?",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _ways(power=1),
        "Fokker-Planck has the variance per unit of time in it, not the standard deviation.",
        agrees_on=(UNIT, FLAT),
    ),
    Mutant(
        _ways(flow=-0.5, full=-1.0),
        "Walking back, dt < 0. Which sign of the score's term then leads uphill?",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _ways(flow=1.0),
        "Both of yours go equally far uphill. The one without noise must not go so far.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _ways(full=0.5),
        "Both of yours go equally far. The one that adds noise has to go further uphill, to make up for it.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _ways(full=2.0, flow=1.0),
        "The ratio of the two is right, their size is not: where does Fokker-Planck's half belong?",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _ways(full=2.0),
        "The velocity is right. The drift with noise goes twice as far uphill as that one, not four times.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _ways(full=-1.0),
        "Of the score's terms, yours differ in sign. Which of the two leads downhill when dt < 0?",
        agrees_on=(FLAT,),
    ),
    Mutant(
        lambda *given: (_ways()(*given)[0], -_ways()(*given)[1]),
        "Both are rates per unit of t: which of your two has the other sign?",
    ),
    Mutant(
        _ways(flow=0.25),
        "It is half of g**2, not the square of half of g.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _halved,
        "Only the score's term is halved. The drift f x is the same in both.",
        agrees_on=(CALM,),
    ),
    Mutant(
        _ways(pull=lambda f, x: f.expand_as(x)),
        "f is a rate: the drift at x is f times x.",
        agrees_on=(CALM,),
    ),
    Mutant(
        _ways(pull=lambda f, x: -f * x),
        "Rates are per unit of t, forwards. The sign of dt will turn the drift round; you need not.",
        agrees_on=(CALM,),
    ),
    Mutant(
        _ways(pull=lambda f, x: 0 * x),
        "The schedule's own drift has to be undone on the way back as well.",
        agrees_on=(CALM,),
    ),
    Mutant(
        _turned,
        "These are rates per unit of time walked backwards. Asked for are rates per unit of t; dt < 0 does the rest.",
    ),
    Mutant(
        _ways(fit=lambda value, like: value),
        "f and g may hold one number per sample, (B,). They must not be spread along the last dimension.",
        agrees_on=("one number", CALM, UNIT, FLAT),
    ),
)
