"""Exercise 06.2: drift and diffusion of a schedule."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ..contract import Case, Exercise, WrongAnswer
from .shared import between


def drift_and_diffusion(alpha: Tensor, sigma: Tensor, alpha_rate: Tensor, sigma_rate: Tensor) -> tuple[Tensor, Tensor]:
    drift = alpha_rate / alpha
    return drift, torch.sqrt(2 * sigma * (sigma_rate - drift * sigma))


def cases(g: Generator) -> list[Case]:
    angle, turn = between(g, 0.4, 1.2, 4), between(g, 0.5, 3.0, 4)
    t = between(g, 0.2, 0.8, 3)
    one, zero = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)

    def general(*shape: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        alpha, sigma = between(g, 0.3, 0.9, *shape), between(g, 0.3, 0.7, *shape)
        return alpha, sigma, -between(g, 0.2, 1.5, *shape), between(g, 0.6, 1.5, *shape)

    alpha, _, alpha_rate, sigma_rate = general(2)
    return [
        Case("one time", general()),
        Case("variance preserving", (angle.cos(), angle.sin(), -turn * angle.sin(), turn * angle.cos())),
        Case("alpha = 1 always", (one, between(g, 0.4, 3.0, 2), zero, between(g, 0.5, 2.0, 2))),
        Case("straight lines: alpha = 1 - t, sigma = t", (1 - t, t, -torch.ones_like(t), torch.ones_like(t))),
        Case("sigma = 1", (alpha, one, alpha_rate, sigma_rate)),
        Case("t = 0: alpha = 1, sigma = 0", (one, zero, -between(g, 0.5, 2.0, 2), one)),
        Case("five times", general(5)),
        Case("single precision", general(3), float32=True),
    ]


# The wrong answers.


def rates_with(
    f: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = lambda a, s, da, ds: da / a,
    variance: Callable[..., Tensor] = lambda a, s, da, ds, f: 2 * s * ds - 2 * f * s**2,
    root: Callable[[Tensor], Tensor] = torch.sqrt,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right rates but for one thing: f, g**2 of (alpha, sigma, their rates, f), or the root."""

    def rates(alpha: Tensor, sigma: Tensor, alpha_rate: Tensor, sigma_rate: Tensor) -> tuple[Tensor, Tensor]:
        drift = f(alpha, sigma, alpha_rate, sigma_rate)
        return drift, root(variance(alpha, sigma, alpha_rate, sigma_rate, drift))

    return rates


EXERCISE = Exercise(
    id="06.2",
    title="Drift and diffusion of a schedule",
    points=2,
    reference=drift_and_diffusion,
    cases=cases,
    wrong_answers=(
        WrongAnswer(
            rates_with(root=lambda variance: variance),
            "The formula gives g**2, the variance per unit of time. What was asked for is g.",
        ),
        WrongAnswer(
            rates_with(f=lambda a, s, da, ds: da),
            "The mean alpha x_0 has to obey m' = f m. So f is a rate of alpha relative to what?",
        ),
        WrongAnswer(
            rates_with(variance=lambda a, s, da, ds, f: 2 * s * ds),
            "V' = 2 f V + g**2: the drift shrinks the noise that is already there, and g has to make up for it.",
        ),
        WrongAnswer(
            rates_with(variance=lambda a, s, da, ds, f: 2 * s * ds + 2 * f * s**2),
            "Solve V' = 2 f V + g**2 for g**2 again, and watch the sign. f is below 0, so what does it do to g**2?",
        ),
        WrongAnswer(
            rates_with(variance=lambda a, s, da, ds, f: ds - 2 * f * s**2),
            "You are given the derivative of sigma. What is the derivative of sigma**2?",
        ),
        WrongAnswer(
            rates_with(variance=lambda a, s, da, ds, f: s * ds - 2 * f * s**2),
            "The chain rule for sigma**2 has a factor in front.",
        ),
        WrongAnswer(
            rates_with(variance=lambda a, s, da, ds, f: -2 * f),
            "g**2 = -2 f holds only where alpha**2 + sigma**2 = 1. Not every case preserves the variance.",
        ),
        WrongAnswer(
            rates_with(variance=lambda a, s, da, ds, f: -2 * f * s**2),
            "Something is missing: what if alpha stands still and sigma grows?",
        ),
        WrongAnswer(
            rates_with(f=lambda a, s, da, ds: -da / a),
            "alpha falls, so the drift pulls towards 0: which sign has f?",
        ),
        WrongAnswer(
            rates_with(variance=lambda a, s, da, ds, f: ds**2),
            "g is not the speed of sigma: independent noises add their variances, so look at the rate of sigma**2.",
        ),
        WrongAnswer(
            lambda *scales: rates_with()(*scales)[::-1],
            "Both numbers are right, in the other order: first the drift f, then the diffusion g.",
        ),
    ),
)
