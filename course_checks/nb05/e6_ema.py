"""Exercise 05.6: an exponential moving average of the weights, with warm-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.training import warmed_decay

from ..contract import Case, Exercise, WrongAnswer, normal


def ema(weights: Tensor, decay: float) -> Tensor:
    average = weights[0]
    for step in range(1, len(weights)):
        average = torch.lerp(average, weights[step], 1 - warmed_decay(step, decay))
    return average


def cases(g: Generator) -> list[Case]:
    from_zero = normal(g, 6, 3)
    from_zero[0] = 0
    return [
        Case("no step yet", (normal(g, 1, 3), 0.9999)),
        Case("one step", (normal(g, 2, 3), 0.9999)),
        Case("three steps", (normal(g, 4, 3), 0.9999)),
        Case("thirty steps, decay 0.9999", (normal(g, 31, 2), 0.9999)),
        Case("thirty steps, decay 0.6", (normal(g, 31, 2), 0.6)),
        Case("decay 0.05, below the warm-up", (normal(g, 9, 2), 0.05)),
        Case("weights that start at 0", (from_zero, 0.9)),
        Case("single precision", (normal(g, 12, 3), 0.999), float32=True),
    ]


# The wrong answers are the right one but for the share of the average that a step keeps, or for its start or end.


def average_with(
    kept: Callable[[int, float], float] = warmed_decay,
    start: Callable[[Tensor], Tensor] = lambda weights: weights[0],
) -> Callable[..., Any]:
    def average(weights: Tensor, decay: float) -> Tensor:
        mean = start(weights)
        for step in range(1, len(weights)):
            share = kept(step, decay)
            mean = share * mean + (1 - share) * weights[step]
        return mean

    return average


EXERCISE = Exercise(
    id="05.6",
    title="An average with warm-up",
    points=2,
    reference=ema,
    cases=cases,
    answers=("course_lib.training.Ema", "course_lib.training.warmed_decay"),
    wrong_answers=(
        WrongAnswer(
            average_with(lambda step, decay: decay),
            "Without warm-up a short run hardly leaves its random start: 0.9999 ** 2000 = 0.82 of it would still be in "
            "the average.",
        ),
        WrongAnswer(
            average_with(lambda step, decay: min(decay, step / (9 + step))),
            "Updates are counted from 1: the first one keeps (1 + 1) / (10 + 1) of the average.",
        ),
        WrongAnswer(
            average_with(lambda step, decay: max(decay, (1 + step) / (10 + step))),
            "The warm-up keeps *less* of the past than `decay` does while the run is young: take the smaller of the "
            "two.",
        ),
        WrongAnswer(
            average_with(lambda step, decay: (1 + step) / (10 + step)),
            "The warm-up ends where it reaches `decay`; from there on `decay` decides.",
        ),
        WrongAnswer(
            average_with(lambda step, decay: 1 - warmed_decay(step, decay)),
            "The roles are swapped: the decay is the share of the *average* that is kept; the new weights get the "
            "rest.",
        ),
        WrongAnswer(
            average_with(start=lambda weights: torch.zeros_like(weights[0])),
            "The average starts as a copy of the initial weights, row 0, not at zero.",
        ),
        WrongAnswer(
            lambda weights, decay: weights.mean(0),
            "A plain mean counts the random start as much as the last step. The running average forgets, "
            "exponentially.",
        ),
        WrongAnswer(
            lambda weights, decay: average_with()(weights[: max(len(weights) - 1, 1)], decay),
            "n + 1 rows make n updates: the last row, weights[n], counts too.",
        ),
    ),
)
