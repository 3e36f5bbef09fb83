"""Exercise 01.3: mean and variance of a flipped pixel, with a coin that need not be fair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.lessons.corruption import untouched_probability

from ..contract import Case, Exercise, WrongAnswer
from .shared import coins


def pixel_moments(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    alpha = float(untouched_probability(k, d, t))
    mean = alpha * x_0 + (1 - alpha) * (2 * white - 1)
    return mean, alpha + (1 - alpha) - mean**2, alpha


def cases(g: Generator) -> list[Case]:
    t = int(torch.randint(3, 9, (), generator=g))
    white = round(float(0.6 + 0.3 * torch.rand((), generator=g)), 3)
    return [
        Case("a fair coin", (coins(g, 2, 1, 2, 2), 3, 20, t, 0.5)),
        Case("a coin that likes white", (coins(g, 2, 1, 2, 3), 3, 20, t, white)),
        Case("black and white pixel", (torch.tensor([-1.0, 1.0], dtype=torch.float64), 2, 16, t, 0.25)),
        Case("no step", (coins(g, 2, 3), 3, 20, 0, 0.7)),
        Case("one step", (coins(g, 4), 5, 20, 1, 0.3)),
        Case("all pixels in one step", (coins(g, 2, 2), 16, 16, 1, 0.8)),
        Case("a coin that is always white", (coins(g, 5), 2, 16, t, 1.0)),
        Case("single precision", (coins(g, 2, 1, 2, 2), 3, 20, t, 0.4), float32=True),
    ]


def moments_with(
    mean: Callable[[Tensor, float, float], Tensor] = lambda x, a, coin: a * x + (1 - a) * coin,
    variance: Callable[[Tensor, Tensor, float, float], Tensor] = lambda x, m, a, coin: 1 - m**2,
    alpha: Callable[[int, int, int], float] = lambda k, d, t: (1 - k / d) ** t,
) -> Callable[..., Any]:
    """The right answer but for one of its parts: mean(x_0, alpha, coin), variance(x_0, mean, alpha, coin), alpha.

    `coin` is the mean of the coin.
    """

    def moments(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
        a, coin = alpha(k, d, t), 2 * white - 1
        m = mean(x_0, a, coin)
        return m, variance(x_0, m, a, coin), a

    return moments


def touched_share(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    mean, variance, alpha = pixel_moments(x_0, k, d, t, white)
    return mean, variance, 1 - alpha


EXERCISE = Exercise(
    id="01.3",
    title="Mean and variance of a flipped pixel",
    points=2,
    reference=pixel_moments,
    cases=cases,
    wrong_answers=(
        WrongAnswer(
            moments_with(mean=lambda x, a, coin: a * x),
            "(01.4) is for a fair coin. What is the mean of a touched pixel here? It is not 0 where white is not 1/2.",
        ),
        WrongAnswer(
            moments_with(variance=lambda x, m, a, coin: torch.full_like(x, 1 - a**2)),
            "Your mean knows the unfair coin, your variance does not: mean square minus squared mean, with *this* "
            "mean.",
        ),
        WrongAnswer(
            moments_with(mean=lambda x, a, coin: a * x + (1 - a) * (coin + 1) / 2),
            "A touched pixel is +1 or -1, so its mean is 2 white - 1; yours would be right for pixels 0 and 1.",
        ),
        WrongAnswer(
            moments_with(mean=lambda x, a, coin: a * x + coin),
            "The coin counts only where the pixel was touched: weigh its mean with the probability of that.",
        ),
        WrongAnswer(
            moments_with(mean=lambda x, a, coin: a * x - (1 - a) * coin),
            "Check the sign with white = 1: every touched pixel becomes +1, so the mean must rise.",
        ),
        WrongAnswer(
            moments_with(variance=lambda x, m, a, coin: (1 - m**2).sqrt()),
            "That is the standard deviation; the variance is its square.",
        ),
        WrongAnswer(
            moments_with(variance=lambda x, m, a, coin: torch.ones_like(x)),
            "The mean square of a pixel is 1, but the variance is the mean square minus the squared mean.",
        ),
        WrongAnswer(
            moments_with(variance=lambda x, m, a, coin: torch.full_like(x, (1 - a) * (1 - coin**2))),
            "You averaged the variances of touched and untouched pixels. The two kinds also have different means, and "
            "that spread counts too.",
        ),
        WrongAnswer(
            moments_with(alpha=lambda k, d, t: max(0.0, 1 - t * k / d)),
            "1 - t k / d: without replacement. Here a pixel may be hit again in a later step.",
        ),
        WrongAnswer(
            touched_share,
            "Mean and variance are right, but 1 - (1 - k/d)**t is the touched share. alpha is what is *left*.",
        ),
    ),
)
