"""Plausible wrong answers to exercises 03.5 and 03.6, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .contract import Mutant

# ------------------------------------------------------------------------------------------------------ 03.5 the cosine

QUARTER = math.pi / 2


def _angle(t: Tensor, offset: float) -> tuple[Tensor, float]:
    return (t + offset) / (1 + offset) * QUARTER, offset / (1 + offset) * QUARTER


def _root(value: Tensor) -> Tensor:
    return torch.sqrt(value.clamp(min=0))


def _cosine(
    angles: Callable[[Tensor, float], tuple[Tensor, float]] = _angle,
    bend: Callable[[Tensor], Tensor] = lambda ratio: ratio,
    normed: bool = True,
    sigma: Callable[[Tensor], Tensor] = lambda alpha: _root(1 - alpha**2),
) -> Callable[[Tensor, float], tuple[Tensor, Tensor]]:
    def cosine(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
        now, first = angles(t, offset)
        alpha = bend(torch.cos(now) / (math.cos(first) if normed else 1.0))
        return alpha, sigma(alpha)

    return cosine


def _sine_beside(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    now, first = _angle(t, offset)
    return torch.cos(now) / math.cos(first), torch.sin(now)


def _sine_normed(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    now, first = _angle(t, offset)
    return torch.cos(now) / math.cos(first), torch.sin(now) / math.cos(first)


def _unclamped(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    """As it comes out where rounding makes alpha a hair larger than 1: on every machine."""
    alpha, sigma = _cosine()(t, offset)
    return alpha, torch.where(t == 0, math.nan, sigma)


FLAT, ENDS = "no offset", "the two ends"

COSINE = (
    Mutant(
        _cosine(bend=lambda ratio: ratio**2, sigma=lambda alpha: _root(1 - alpha)),
        "The squared cosine is alpha-bar, as Nichol and Dhariwal print it. Our alpha is its square root.",
        agrees_on=(ENDS,),
    ),
    Mutant(
        _cosine(bend=lambda ratio: ratio**2),
        "alpha is the cosine itself, not its square.",
        agrees_on=(ENDS,),
    ),
    Mutant(
        _cosine(normed=False),
        "At t = 0 the picture is clean, alpha = 1. With an offset the cosine is not 1 there: divide by its value at 0.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _sine_beside,
        "alpha was divided by something and sigma was not: is alpha**2 + sigma**2 still 1? At t = 0, is sigma 0?",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _sine_normed,
        "Dividing the sine by the same number does not keep the variance. Get sigma from alpha.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _cosine(lambda t, offset: ((t + offset) * QUARTER, offset * QUARTER)),
        "At t = 1 alpha has to be exactly 0. Divide t + offset by 1 + offset, so that it runs to 1.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _cosine(lambda t, offset: (t / (1 + offset) * QUARTER, 0.0)),
        "The offset is missing above the line: the curve starts a little way into the cosine, and ends at its zero.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _cosine(lambda t, offset: (t * QUARTER, 0.0)),
        "You left the offset out. It moves the start of the curve away from the cosine's flat top.",
        agrees_on=(FLAT, ENDS),
    ),
    Mutant(
        _cosine(lambda t, offset: ((t + offset) / (1 + offset) * math.pi, offset / (1 + offset) * math.pi)),
        "A cosine falls from 1 to 0 in a quarter turn, pi / 2; half a turn takes it to -1.",
    ),
    Mutant(
        _cosine(sigma=lambda alpha: 1 - alpha),
        "alpha + sigma = 1 keeps nothing: the squares add up to 1.",
        agrees_on=(ENDS,),
    ),
    Mutant(
        _cosine(sigma=lambda alpha: 1 - alpha**2),
        "1 - alpha**2 is the variance of the noise. sigma is its root.",
        agrees_on=(ENDS,),
    ),
    Mutant(
        _cosine(bend=lambda ratio: _root(ratio)),
        "No root: (03.21) gives alpha itself. (A root belongs to the squared cosine, which is alpha-bar.)",
    ),
    Mutant(
        _cosine(lambda t, offset: ((1 - t + offset) / (1 + offset) * QUARTER, offset / (1 + offset) * QUARTER)),
        "Which way does time run? t = 0 is the clean picture, alpha = 1.",
    ),
    Mutant(
        _cosine(lambda t, offset: ((t + offset / (1 + offset)) * QUARTER, offset / (1 + offset) * QUARTER)),
        "Brackets: t + o / (1 + o) is not (t + o) / (1 + o). The first goes beyond 1 at t = 1.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _cosine(lambda t, offset: (t + offset / (1 + offset) * QUARTER, offset / (1 + offset) * QUARTER)),
        "Brackets: t is multiplied by pi / 2 too, and (t + o) is divided by (1 + o) as a whole.",
    ),
    Mutant(
        _unclamped,
        "Rounding makes alpha a hair larger than 1 at t = 0, and the root of a negative number is no number: clamp "
        "1 - alpha**2 at 0.",
        agrees_on=("five times", FLAT, "a large offset", "single precision"),
    ),
)

# ------------------------------------------------------------------------------------------------------ 03.6 the shares


def _shares(rule: Callable[[Tensor, int, int], Tensor]) -> Callable[[Tensor], Tensor]:
    """The matrix whose row t, column i <= t (both from 0) is `rule(gammas, t, i)`; 0 elsewhere."""

    def shares(gammas: Tensor) -> Tensor:
        rows = torch.zeros(len(gammas), len(gammas), dtype=gammas.dtype)
        for t in range(len(gammas)):
            for i in range(t + 1):
                rows[t, i] = rule(gammas, t, i)
        return rows

    return shares


def _right(gammas: Tensor, t: int, i: int) -> Tensor:
    return (1 - gammas[i] ** 2) * gammas[i + 1 : t + 1].square().prod()


def _normed(gammas: Tensor) -> Tensor:
    rows = _shares(_right)(gammas)
    return rows / rows.sum(1, keepdim=True)


def _divided(gammas: Tensor) -> Tensor:
    kept = gammas.square().cumprod(0)
    return torch.tril((1 - gammas**2) * kept[:, None] / kept[None, :])


def _future(gammas: Tensor) -> Tensor:
    rows = _shares(_right)(gammas)
    for t in range(len(gammas)):
        rows[t, t + 1 :] = 1 - gammas[t + 1 :] ** 2
    return rows


def _last_row_only(gammas: Tensor) -> Tensor:
    return _shares(lambda g, t, i: _right(g, len(g) - 1, i))(gammas)


LONE, EQUAL, FIRST_FORGETS = "one step", "equal steps", "the first step forgets everything"

SHARES = (
    Mutant(
        _shares(lambda g, t, i: (1 - g[i] ** 2) * g[i + 1 : t + 1].prod()),
        "A noise that is shrunk by gamma keeps gamma**2 of its variance.",
        agrees_on=(LONE,),
    ),
    Mutant(
        _shares(lambda g, t, i: (1 - g[i] ** 2) * g[i : t + 1].square().prod()),
        "The noise of step i is added after that step has shrunk the picture. Which gammas has it been through?",
    ),
    Mutant(
        _shares(lambda g, t, i: 1 - g[i] ** 2),
        "Every noise enters with 1 - gamma**2, but then it fades: all later steps shrink it.",
        agrees_on=(LONE,),
    ),
    Mutant(
        _shares(lambda g, t, i: (1 - g[i] ** 2) * g[:i].square().prod()),
        "These are the gammas before step i. A noise is shrunk by what comes after it.",
        agrees_on=(LONE,),
    ),
    Mutant(
        _normed,
        "Do not make the rows sum to 1: what is missing in them is what is left of the picture.",
        agrees_on=(FIRST_FORGETS,),
    ),
    Mutant(
        _divided,
        "A ratio of cumulative products divides 0 by 0 where a gamma is 0. Go from row to row instead: old shares "
        "shrink, a new one enters.",
        agrees_on=("two steps", LONE, "six steps", EQUAL),
    ),
    Mutant(
        _future,
        "The noises of later steps are not in x_t yet: above the diagonal all is 0.",
        agrees_on=(LONE,),
    ),
    Mutant(
        lambda gammas: _shares(_right)(gammas).T,
        "Rows and columns: a row is a day t, a column is the injection i it comes from.",
        agrees_on=(LONE,),
    ),
    Mutant(
        _shares(lambda g, t, i: (1 - g[i]) * g[i + 1 : t + 1].square().prod()),
        "The noise that keeps the variance has variance 1 - gamma**2, not 1 - gamma.",
    ),
    Mutant(
        _shares(lambda g, t, i: _right(g, t, i).sqrt()),
        "These are the coefficients of the noises. Their shares of the variance are the squares.",
    ),
    Mutant(
        _shares(lambda g, t, i: (1 - g[i] ** 2) * (g[t] ** 2 if i < t else g.new_ones(()))),
        "Old noise has been through all the steps since it entered, not only through the last one.",
        agrees_on=("two steps", LONE),
    ),
    Mutant(
        _shares(lambda g, t, i: (1 - g[i] ** 2) * g[i] ** (2 * (t - i))),
        "Each later step has a gamma of its own: a power of gamma_i is right only if all steps are equal.",
        agrees_on=(LONE, EQUAL),
    ),
    Mutant(
        lambda gammas: torch.diag(1 - gammas**2),
        "Old noise does not vanish when new noise comes: it is shrunk, and still there.",
        agrees_on=(LONE,),
    ),
    Mutant(
        _last_row_only,
        "Row t - 1 is about the picture at time t: it has been through the first t steps only, not through all T.",
        agrees_on=(LONE,),
    ),
)
