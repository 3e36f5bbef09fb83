"""Exercise 02.7: the KL divergence between two spherical Gaussians."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Isotropic

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import width


def kl_spherical(mu_p: Tensor, sigma_p: float, mu_q: Tensor, sigma_q: float) -> Tensor:
    p, q = (
        Isotropic(mean[None], torch.tensor(std, dtype=mean.dtype)) for mean, std in ((mu_p, sigma_p), (mu_q, sigma_q))
    )
    return p.kl(q)[0]


def cases(g: Generator) -> list[Case]:
    same = normal(g, 3)
    wide, narrow = width(g), round(width(g) / 2.7, 3)
    return [
        Case("one dimension", (normal(g, 1), narrow, normal(g, 1), wide)),
        Case("four dimensions", (normal(g, 4), narrow, normal(g, 4), wide)),
        Case("four dimensions, the second one narrow", (normal(g, 4), wide, normal(g, 4), narrow)),
        Case("equal widths", (normal(g, 3), wide, normal(g, 3), wide)),
        Case("equal means", (same, wide, same.clone(), narrow)),
        Case("the second one standard", (normal(g, 2), narrow, torch.zeros(2, dtype=torch.float64), 1.0)),
        Case("single precision", (normal(g, 3), narrow, normal(g, 3), wide), float32=True),
    ]


# The wrong answers are the right one but for one of its three terms: a logarithm, q's mean exponent, or p's.


def kl_with(
    logarithm: Callable[[int, float, float], float] = lambda d, p, q: d * math.log(q / p),
    of_q: Callable[[int, Tensor, float, float], Tensor] = lambda d, shift, p, q: (
        (d * p**2 + shift.square().sum()) / (2 * q**2)
    ),
    of_p: Callable[[int], float] = lambda d: d / 2,
) -> Callable[..., Any]:
    def divergence(mu_p: Tensor, sigma_p: float, mu_q: Tensor, sigma_q: float) -> Tensor:
        d = len(mu_p)
        return logarithm(d, sigma_p, sigma_q) + of_q(d, mu_p - mu_q, sigma_p, sigma_q) - of_p(d)

    return divergence


EXERCISE = Exercise(
    id="02.7",
    title="KL between spherical Gaussians",
    points=2,
    reference=kl_spherical,
    cases=cases,
    answers=("course_lib.gaussian.Isotropic", "course_lib.gaussian.kl"),
    wrong_answers=(
        WrongAnswer(
            lambda mu_p, sigma_p, mu_q, sigma_q: kl_with()(mu_q, sigma_q, mu_p, sigma_p),
            "The roles are exchanged: this is KL(q || p). Whose draws are averaged over, and whose code is the wrong "
            "one?",
        ),
        WrongAnswer(
            kl_with(logarithm=lambda d, p, q: math.log(q / p)),
            "The logarithm is counted once. Every one of the d coordinates pays it.",
        ),
        WrongAnswer(
            kl_with(of_p=lambda d: 1 / 2),
            "For p = q the divergence is 0 in every dimension. What has to be subtracted, then?",
        ),
        WrongAnswer(
            kl_with(
                lambda d, p, q: math.log(q / p),
                lambda d, shift, p, q: (p**2 + shift.square().sum()) / (2 * q**2),
                lambda d: 1 / 2,
            ),
            "This has no d at all: only the distance of the means is summed over the coordinates. What about the "
            "widths?",
        ),
        WrongAnswer(
            kl_with(of_p=lambda d: 0.0),
            "For p = q the divergence is 0. Yours is d / 2: p's own exponent has a mean, too.",
        ),
        WrongAnswer(
            kl_with(logarithm=lambda d, p, q: d * math.log(p / q)),
            "The logarithm is upside down. If q is wider than p, its densities are lower: does that cost or save?",
        ),
        WrongAnswer(
            kl_with(logarithm=lambda d, p, q: 0.5 * d * math.log(q / p)),
            "The half in front of a logarithm belongs to variances. For log(sigma_q / sigma_p) there is none.",
        ),
        WrongAnswer(
            lambda mu_p, sigma_p, mu_q, sigma_q: kl_with()(mu_p, math.sqrt(sigma_p), mu_q, math.sqrt(sigma_q)),
            "You treat the two sigmas as variances. They are standard deviations.",
        ),
        WrongAnswer(
            kl_with(of_q=lambda d, shift, p, q: (d * p**2 + shift.norm()) / (2 * q**2)),
            "The distance of the means enters squared. (Property (e) has no root in it.)",
        ),
        WrongAnswer(
            kl_with(of_q=lambda d, shift, p, q: (d * p**2 + shift.square().sum()) / q**2),
            "Where is the half of the exponent?",
        ),
        WrongAnswer(
            kl_with(
                lambda d, p, q: math.log(q / p),
                lambda d, shift, p, q: (p**2 + shift.square()) / (2 * q**2),
                lambda d: 1 / 2,
            ),
            "These are the divergences of the single coordinates, (d,). What does independence make of them?",
        ),
        WrongAnswer(
            kl_with(of_q=lambda d, shift, p, q: (d * p**2 + shift.square()) / (2 * q**2)),
            "One number is asked for. The squared differences of the means are still a list: sum them.",
        ),
    ),
)
