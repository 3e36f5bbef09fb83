"""Exercise 03.5: the cosine schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.schedule import Cosine

from ..contract import Case, Exercise, WrongAnswer
from .shared import between, number


def cosine(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    level = Cosine(offset)(t)
    return level.alpha, level.sigma


def cases(g: Generator) -> list[Case]:
    return [
        Case("five times", (between(g, 0.1, 0.95, 5), 0.008)),
        Case("no offset", (between(g, 0.1, 0.95, 4), 0.0)),
        Case("the two ends", (torch.tensor([0.0, 1.0], dtype=torch.float64), 0.008)),
        Case("a large offset", (between(g, 0.1, 0.95, 4), number(g, 0.2, 0.4))),
        Case("single precision", (between(g, 0.2, 0.9, 4), 0.05), float32=True),
    ]


# The wrong answers.


QUARTER = math.pi / 2


def angle(t: Tensor, offset: float) -> tuple[Tensor, float]:
    return (t + offset) / (1 + offset) * QUARTER, offset / (1 + offset) * QUARTER


def root(value: Tensor) -> Tensor:
    return torch.sqrt(value.clamp(min=0))


def cosine_with(
    angles: Callable[[Tensor, float], tuple[Tensor, float]] = angle,
    bend: Callable[[Tensor], Tensor] = lambda ratio: ratio,
    normalise: bool = True,
    sigma: Callable[[Tensor], Tensor] = lambda alpha: root(1 - alpha**2),
) -> Callable[[Tensor, float], tuple[Tensor, Tensor]]:
    def cosine(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
        now, first = angles(t, offset)
        alpha = bend(torch.cos(now) / (math.cos(first) if normalise else 1.0))
        return alpha, sigma(alpha)

    return cosine


def sine_beside(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    now, first = angle(t, offset)
    return torch.cos(now) / math.cos(first), torch.sin(now)


def without_clamp(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    """As it comes out where rounding makes alpha a hair larger than 1: on every machine."""
    alpha, sigma = cosine_with()(t, offset)
    return alpha, torch.where(t == 0, math.nan, sigma)


EXERCISE = Exercise(
    id="03.5",
    title="The cosine schedule",
    points=2,
    reference=cosine,
    cases=cases,
    answers=("course_lib.schedule.Cosine",),
    wrong_answers=(
        WrongAnswer(
            cosine_with(bend=lambda ratio: ratio**2, sigma=lambda alpha: root(1 - alpha)),
            "The squared cosine is alpha-bar, as Nichol and Dhariwal print it. Our alpha is its square root.",
        ),
        WrongAnswer(
            cosine_with(bend=lambda ratio: ratio**2),
            "alpha is the cosine itself, not its square.",
        ),
        WrongAnswer(
            cosine_with(normalise=False),
            "At t = 0 the picture is clean, alpha = 1. With an offset the cosine is not 1 there: divide by its value "
            "at 0.",
        ),
        WrongAnswer(
            sine_beside,
            "alpha was divided by something and sigma was not: is alpha**2 + sigma**2 still 1? At t = 0, is sigma 0?",
        ),
        WrongAnswer(
            cosine_with(lambda t, offset: ((t + offset) * QUARTER, offset * QUARTER)),
            "At t = 1 alpha has to be exactly 0. Divide t + offset by 1 + offset, so that it runs to 1.",
        ),
        WrongAnswer(
            cosine_with(lambda t, offset: (t / (1 + offset) * QUARTER, 0.0)),
            "The offset is missing above the line: the curve starts a little way into the cosine, and ends at its "
            "zero.",
        ),
        WrongAnswer(
            cosine_with(lambda t, offset: (t * QUARTER, 0.0)),
            "You left the offset out. It moves the start of the curve away from the cosine's flat top.",
        ),
        WrongAnswer(
            cosine_with(lambda t, offset: ((t + offset) / (1 + offset) * math.pi, offset / (1 + offset) * math.pi)),
            "A cosine falls from 1 to 0 in a quarter turn, pi / 2; half a turn takes it to -1.",
        ),
        WrongAnswer(
            cosine_with(sigma=lambda alpha: 1 - alpha),
            "alpha + sigma = 1 keeps nothing: the squares add up to 1.",
        ),
        WrongAnswer(
            cosine_with(sigma=lambda alpha: 1 - alpha**2),
            "1 - alpha**2 is the variance of the noise. sigma is its root.",
        ),
        WrongAnswer(
            cosine_with(lambda t, offset: ((1 - t + offset) / (1 + offset) * QUARTER, offset / (1 + offset) * QUARTER)),
            "Which way does time run? t = 0 is the clean picture, alpha = 1.",
        ),
        WrongAnswer(
            without_clamp,
            "Rounding makes alpha a hair larger than 1 at t = 0, and the root of a negative number is no number: clamp "
            "1 - alpha**2 at 0.",
        ),
    ),
)
