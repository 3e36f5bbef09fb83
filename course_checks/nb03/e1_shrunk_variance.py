"""Exercise 03.1: the variance after t shrunk steps."""

from __future__ import annotations

import math

from torch import Generator

from ..contract import Case, Exercise, WrongAnswer
from .shared import number


def shrunk_variance(t: int, gamma: float, std: float, data_variance: float) -> float:
    """Step by step, so that no case is special."""
    variance = data_variance
    for _ in range(t):
        variance = gamma**2 * variance + std**2
    return variance


def cases(g: Generator) -> list[Case]:
    def some() -> tuple[float, float, float]:
        return number(g, 0.6, 0.9), number(g, 0.3, 0.8), number(g, 0.2, 3.0)

    gamma, std, data = some()
    return [
        Case("three steps", (3, *some())),
        Case("no step yet", (0, *some())),
        Case("one step", (1, *some())),
        Case("nothing shrinks, gamma = 1", (7, 1.0, std, data)),
        Case("steps that keep a variance of 1", (5, 0.6, 0.8, data)),
        Case("all data alike, variance 0", (4, gamma, std, 0.0)),
        Case("three hundred steps", (300, gamma, std, data)),
    ]


# The wrong answers.


def sum_of_powers(gamma: float, t: int) -> float:
    return sum(gamma ** (2 * k) for k in range(t))


def formula_everywhere(t: int, gamma: float, std: float, data: float) -> float:
    return gamma ** (2 * t) * data + std**2 * (1 - gamma ** (2 * t)) / (1 - gamma**2)


def plain_sum(t: int, gamma: float, std: float, data: float) -> float:
    terms = float(t) if gamma == 1 else (1 - gamma**t) / (1 - gamma)
    return gamma ** (2 * t) * data + std**2 * terms


EXERCISE = Exercise(
    id="03.1",
    title="The variance after t shrunk steps",
    points=1,
    reference=shrunk_variance,
    cases=cases,
    wrong_answers=(
        WrongAnswer(
            lambda t, gamma, std, data: gamma**t * data + std**2 * sum_of_powers(gamma, t),
            "gamma**t is what is left of a picture. What is left of its variance is the square of that.",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: gamma ** (2 * t) * data + std * sum_of_powers(gamma, t),
            "`std` multiplies the noise. What adds up are variances, so with which power does it enter?",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * t,
            "Old noise shrinks together with the picture: the first step's noise is no longer whole. See (03.3).",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: gamma ** (2 * t) * data + 1 - gamma ** (2 * t),
            "1 - gamma**(2 t) is right if std**2 = 1 - gamma**2. Here std is free: look at the case's numbers.",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: std**2 * sum_of_powers(gamma, t),
            "This is the variance given x_0. The pictures differ from one another too: what became of `data_variance`?",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: data + std**2 * sum_of_powers(gamma, t),
            "The picture itself is shrunk in every step as well, and its variance with it.",
        ),
        WrongAnswer(
            plain_sum,
            "You add powers of gamma. The variance is a sum of squared coefficients: 1, gamma**2, gamma**4, ...",
        ),
        WrongAnswer(
            formula_everywhere,
            "With gamma = 1 this divides 0 by 0. Go back to the sum: what are its t terms then?",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * sum_of_powers(gamma, t + 1),
            "Count the noises: after t steps there are t of them, so the sum runs from k = 0 to t - 1.",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * gamma**2 * sum_of_powers(gamma, t),
            "In which order? The picture is shrunk first and noise is added then, so the newest noise is not shrunk.",
        ),
        WrongAnswer(
            lambda t, gamma, std, data: math.sqrt(gamma ** (2 * t) * data + std**2 * sum_of_powers(gamma, t)),
            "This is the standard deviation. The variance was asked for.",
        ),
    ),
)
