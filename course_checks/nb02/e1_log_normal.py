"""Exercise 02.1: the log density of a spherical Gaussian, at every row of a table of points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Isotropic

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import width

LOG_2PI = math.log(2 * math.pi)


def log_normal(x: Tensor, m: Tensor, sigma: float) -> Tensor:
    return Isotropic(m.expand_as(x), torch.tensor(sigma, dtype=x.dtype)).log_density(x)


def cases(g: Generator) -> list[Case]:
    centre = normal(g, 3)
    return [
        Case("one dimension", (normal(g, 4, 1), normal(g, 1), width(g))),
        Case("four dimensions", (normal(g, 3, 4), normal(g, 4), width(g))),
        Case("sigma = 1", (normal(g, 3, 2), normal(g, 2), 1.0)),
        Case("at the centre", (centre[None].clone(), centre, width(g) / 3)),
        Case("as many points as dimensions, narrow", (normal(g, 3, 3), normal(g, 3), width(g) / 4)),
        Case("single precision", (normal(g, 3, 2), normal(g, 2), width(g)), float32=True),
    ]


# The wrong answers are the right one but for the exponent, or for the normaliser's logarithm, which is taken away.


def log_normal_with(
    exponent: Callable[[Tensor, float], Tensor] = lambda off, sigma: -0.5 * (off / sigma).square().sum(1),
    normaliser: Callable[[int, float], float] = lambda d, sigma: d * (math.log(sigma) + 0.5 * LOG_2PI),
) -> Callable[..., Any]:
    return lambda x, m, sigma: exponent(x - m, sigma) - normaliser(x.shape[1], sigma)


def by_coordinates(x: Tensor, m: Tensor, sigma: float) -> Tensor:
    """The log density of each coordinate of each point, (N, d)."""
    return -0.5 * ((x - m) / sigma).square() - math.log(sigma) - 0.5 * LOG_2PI


def with_a_normaliser_per_point(x: Tensor, m: Tensor, sigma: float) -> Tensor:
    return log_normal_with(normaliser=lambda d, sigma: len(x) * (math.log(sigma) + 0.5 * LOG_2PI))(x, m, sigma)


EXERCISE = Exercise(
    id="02.1",
    title="Log density",
    points=1,
    reference=log_normal,
    cases=cases,
    answers=("course_lib.gaussian.Isotropic", "course_lib.gaussian.Gaussian"),
    wrong_answers=(
        WrongAnswer(
            log_normal_with(normaliser=lambda d, sigma: math.log(sigma) + 0.5 * LOG_2PI),
            "The normaliser is that of one coordinate. The density is a product of d factors: how many does each "
            "bring?",
        ),
        WrongAnswer(
            log_normal_with(normaliser=lambda d, sigma: math.log(sigma) + 0.5 * d * LOG_2PI),
            "The 2 pi is counted d times, but sigma only once. Every coordinate is stretched.",
        ),
        WrongAnswer(
            log_normal_with(normaliser=lambda d, sigma: 0.5 * d * LOG_2PI),
            "A narrow Gaussian has to be high, or its area is not 1. Where is the factor 1 / sigma of each coordinate?",
        ),
        WrongAnswer(
            log_normal_with(normaliser=lambda d, sigma: d * math.log(sigma)),
            "With sigma = 1 and x = m the density is not 1. What is the area under exp(-x**2 / 2)?",
        ),
        WrongAnswer(
            lambda x, m, sigma: log_normal_with()(x, m, math.sqrt(sigma)),
            "You treat sigma as a variance everywhere. It is a standard deviation: sigma**2 is the variance.",
        ),
        WrongAnswer(
            log_normal_with(lambda off, sigma: -(off / sigma).square().sum(1)),
            "Is the bend of your bell at one sigma? It should be. See what the half in the exponent is for.",
        ),
        WrongAnswer(
            log_normal_with(lambda off, sigma: -0.5 * (off / sigma).square().sum()),
            "One number for each point is asked for. You summed over points and coordinates alike.",
        ),
        WrongAnswer(
            lambda x, m, sigma: by_coordinates(x, m, sigma).sum(0),
            "You sum the log densities over the points. Whose coordinates belong to one density, a row's or a "
            "column's?",
        ),
        WrongAnswer(
            by_coordinates,
            "These are the log densities of the single coordinates, (N, d). What does independence make of them?",
        ),
        WrongAnswer(
            log_normal_with(normaliser=lambda d, sigma: -d * (math.log(sigma) + 0.5 * LOG_2PI)),
            "The density is divided by its normaliser. What does a division become under a logarithm?",
        ),
        WrongAnswer(
            log_normal_with(normaliser=lambda d, sigma: d * (math.log(sigma) + LOG_2PI)),
            "The normaliser of a coordinate is sigma sqrt(2 pi). The root is a half under the logarithm, for the 2 pi "
            "too.",
        ),
        WrongAnswer(
            with_a_normaliser_per_point,
            "You count the normaliser once for each point: `len(x)` is N. How many coordinates does a point have?",
        ),
    ),
)
