"""Exercise 01.2: the probability that a pixel is still untouched, and the steps until it is small."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator

from course_lib.lessons.corruption import steps_to_reach, untouched_probability

from ..contract import Case, Exercise, WrongAnswer


def how_long(k: int, d: int, t: int, alpha: float) -> tuple[float, int]:
    return float(untouched_probability(k, d, t)), steps_to_reach(alpha, k, d)


def cases(g: Generator) -> list[Case]:
    k, t = int(torch.randint(3, 20, (), generator=g)), int(torch.randint(5, 40, (), generator=g))
    return [
        Case("ten of 784 pixels", (10, 784, 100, 0.01)),
        Case("one pixel a step", (1, 9, 20, 0.05)),
        Case("one step", (3, 10, 1, 0.5)),
        Case("no step yet", (3, 10, 0, 0.3)),
        Case("half of the pixels: alpha is met exactly", (8, 16, 3, 0.25)),
        Case("alpha = 1", (5, 60, 7, 1.0)),
        Case("some of 100 pixels", (k, 100, t, 0.2)),
        Case("nearly all pixels", (90, 100, 2, 0.001)),
    ]


# The wrong answers are the right one but for the probability, the number of steps, or both in the same way.


def exact_steps(k: int, d: int, alpha: float) -> float:
    """The time at which the probability is alpha, not a whole number."""
    return math.log(alpha) / math.log(1 - k / d)


def round_up(steps: float) -> int:
    return max(0, math.ceil(steps - 1e-9))


def answer_with(
    probability: Callable[[int, int, int], float] = lambda k, d, t: (1 - k / d) ** t,
    steps: Callable[[int, int, float], float] = lambda k, d, alpha: round_up(exact_steps(k, d, alpha)),
) -> Callable[[int, int, int, float], tuple[float, float]]:
    return lambda k, d, t, alpha: (probability(k, d, t), steps(k, d, alpha))


EXERCISE = Exercise(
    id="01.2",
    title="How long?",
    points=1,
    reference=how_long,
    cases=cases,
    answers=(
        "course_lib.lessons.corruption.untouched_probability",
        "course_lib.lessons.corruption.steps_to_reach",
    ),
    wrong_answers=(
        WrongAnswer(
            answer_with(lambda k, d, t: 1 - t * k / d),
            "Yours becomes negative for large t: the steps may hit the same pixel again. Multiply what survives each "
            "step.",
        ),
        WrongAnswer(
            answer_with(lambda k, d, t: 1 - (1 - k / d) ** t),
            "That is the probability of having been touched. Asked for is that of *not* having been touched.",
        ),
        WrongAnswer(
            answer_with(lambda k, d, t: (1 - k / (2 * d)) ** t),
            "Touched is not changed: a pixel is touched in one step with probability k/d, whichever colour the coin "
            "gives.",
        ),
        WrongAnswer(
            answer_with(lambda k, d, t: (1 + (1 - k / d) ** t) / 2),
            "That is the probability of having the same colour as at the start. On average half of the touched "
            "pixels have it too.",
        ),
        WrongAnswer(
            answer_with(lambda k, d, t: (k / d) ** t),
            "(k/d)**t: touched in *every* step. What is the probability of escaping one step, and then all of them?",
        ),
        WrongAnswer(
            answer_with(lambda k, d, t: (1 - k / d) ** max(t - 1, 0)),
            "Count the steps at which the pixel could have been hit: after one step it is one, not none.",
        ),
        WrongAnswer(
            answer_with(
                lambda k, d, t: (1 - 1 / d) ** (k * t),
                lambda k, d, alpha: round_up(math.log(alpha) / (k * math.log(1 - 1 / d))),
            ),
            "(1 - 1/d)**(k t) is for k t single draws, each from all d pixels. The k pixels of one step are all "
            "different: what is the probability that a given pixel is not among them?",
        ),
        WrongAnswer(
            answer_with(
                lambda k, d, t: math.exp(-k * t / d),
                lambda k, d, alpha: round_up(-math.log(alpha) * d / k),
            ),
            "An exponential is what this tends to when k/d is tiny. Here the exact probability is asked for, and the "
            "steps follow from it.",
        ),
        WrongAnswer(
            answer_with(steps=lambda k, d, alpha: int(exact_steps(k, d, alpha))),
            "After a whole number of steps the probability has to be at most alpha: rounding down is one step too "
            "early.",
        ),
        WrongAnswer(
            answer_with(steps=lambda k, d, alpha: int(exact_steps(k, d, alpha)) + 1),
            "*At most* alpha includes alpha itself; rounding down and adding one goes a step too far where alpha is "
            "met exactly. Try k/d = 1/2 and alpha = 1/4 by hand.",
        ),
        WrongAnswer(
            answer_with(steps=lambda k, d, alpha: round(exact_steps(k, d, alpha))),
            "The nearest whole number may come too early: the probability has to be at most alpha there.",
        ),
        WrongAnswer(
            answer_with(steps=exact_steps),
            "Steps are whole: the first whole number at which the probability is at most alpha.",
        ),
    ),
)
