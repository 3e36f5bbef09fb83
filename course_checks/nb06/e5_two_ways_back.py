"""Exercise 06.5: the two ways back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample

from ..contract import ONE, Case, Exercise, WrongAnswer, normal
from .shared import between


def two_ways_back(x: Tensor, score: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    pull, uphill = per_sample(f, x) * x, per_sample(g, x) ** 2 * score
    return pull - 0.5 * uphill, pull - uphill


def cases(g: Generator) -> list[Case]:
    def pair(*shape: int) -> tuple[Tensor, Tensor]:
        return normal(g, *shape), normal(g, *shape)

    def rates(*shape: int) -> tuple[Tensor, Tensor]:
        return -between(g, 0.3, 1.5, *shape), between(g, 1.3, 2.5, *shape)

    return [
        Case("one number", (*pair(1, 1), *rates())),
        Case("no drift: variance exploding", (*pair(2, 3), 0 * ONE, between(g, 1.3, 2.5))),
        Case("g = 1", (*pair(2, 3), -between(g, 0.3, 1.5), ONE.clone())),
        Case("the score is 0", (normal(g, 2, 3), torch.zeros(2, 3).double(), *rates())),
        Case("rates per sample, as many samples as columns", (*pair(3, 3), *rates(3))),
        Case("images", (*pair(2, 1, 2, 3), *rates(2))),
        Case("single precision", (*pair(2, 3), *rates(2)), float32=True),
    ]


# The wrong answers.


def ways_with(
    flow: float = 0.5,
    full: float = 1.0,
    power: int = 2,
    pull: Callable[[Tensor, Tensor], Tensor] = lambda f, x: f * x,
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
) -> Callable[..., tuple[Any, Any]]:
    """The right pair but for one thing: the factors of g**2 score, the power of g, the drift's part, shapes."""

    def ways(x: Tensor, score: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        along, uphill = pull(fit(f, x), x), fit(g, x) ** power * score
        return along - flow * uphill, along - full * uphill

    return ways


def halved(x: Tensor, score: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    drift = ways_with()(x, score, f, g)[1]
    return 0.5 * drift, drift


def turned(*given: Tensor) -> tuple[Tensor, Tensor]:
    velocity, drift = ways_with()(*given)
    return -velocity, -drift


EXERCISE = Exercise(
    id="06.5",
    title="The two ways back",
    points=2,
    reference=two_ways_back,
    cases=cases,
    answers=(
        "course_lib.continuous.reverse_drift",
        "course_lib.continuous.probability_flow_velocity",
    ),
    wrong_answers=(
        WrongAnswer(
            lambda *given: ways_with()(*given)[::-1],
            "The right two, in the other order. One goes further uphill and makes up for it with noise: which?",
        ),
        WrongAnswer(
            ways_with(power=1),
            "Fokker-Planck has the variance per unit of time in it, not the standard deviation.",
        ),
        WrongAnswer(
            ways_with(flow=-0.5, full=-1.0),
            "Walking back, dt < 0. Which sign of the score's term then leads uphill?",
        ),
        WrongAnswer(
            ways_with(flow=1.0),
            "Both of yours go equally far uphill. The one without noise must not go so far.",
        ),
        WrongAnswer(
            ways_with(full=0.5),
            "Both of yours go equally far. The one that adds noise has to go further uphill, to make up for it.",
        ),
        WrongAnswer(
            ways_with(full=2.0),
            "The velocity is right. The drift with noise goes twice as far uphill as that one, not four times.",
        ),
        WrongAnswer(
            halved,
            "Only the score's term is halved. The drift f x is the same in both.",
        ),
        WrongAnswer(
            ways_with(pull=lambda f, x: f.expand_as(x)),
            "f is a rate: the drift at x is f times x.",
        ),
        WrongAnswer(
            ways_with(pull=lambda f, x: 0 * x),
            "The schedule's own drift has to be undone on the way back as well.",
        ),
        WrongAnswer(
            turned,
            "These are rates per unit of time walked backwards. Asked for are rates per unit of t; dt < 0 does the "
            "rest.",
        ),
        WrongAnswer(
            ways_with(fit=lambda value, like: value),
            "f and g may hold one number per sample, (B,). They must not be spread along the last dimension.",
        ),
    ),
)
