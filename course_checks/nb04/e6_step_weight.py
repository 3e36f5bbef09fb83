"""Exercise 04.6: the weight of a squared error."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.objective import step_weight
from course_lib.schedule import Marginal, bridge_weights, kernel

from ..contract import ONE, Call, Case, Exercise, WrongAnswer
from .shared import level_pair


def cases(g: Generator) -> list[Case]:
    return [
        Case("two noise levels", level_pair(g)),
        Case("five pairs at once", level_pair(g, 5)),
        Case("alpha = 1", (Call(Marginal, ONE, 0.3 * ONE), Call(Marginal, ONE, 0.8 * ONE))),
        Case("alpha**2 + sigma**2 is not 1", level_pair(g, 3, scale=1.6)),
        Case("single precision", level_pair(g, 4), float32=True),
    ]


# The wrong answers.


def weight_with(power_of_x_0: float = 2.0, power_of_std: float = 2.0) -> Callable[..., Tensor]:
    def weight(earlier: Marginal, later: Marginal) -> Tensor:
        _, of_x_0, std = bridge_weights(earlier, later)
        return 0.5 * of_x_0**power_of_x_0 / std**power_of_std

    return weight


def snr(m: Marginal) -> Tensor:
    return (m.alpha / m.sigma) ** 2


EXERCISE = Exercise(
    id="04.6",
    title="The weight of a squared error",
    points=2,
    reference=step_weight,
    cases=cases,
    answers=("course_lib.objective.step_weight",),
    wrong_answers=(
        WrongAnswer(
            lambda s, t: snr(s) - snr(t),
            "The KL of two equally wide Gaussians is the squared distance over twice the variance.",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * (s.alpha / s.sigma - t.alpha / t.sigma),
            "A squared error needs a ratio of variances: signal to noise, each squared.",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * (snr(t) - snr(s)),
            "A KL is never negative. Which of the two times has the larger signal-to-noise ratio?",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * snr(s),
            "That would be the price if x_t told nothing. What x_t has told already must be taken off.",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * snr(t),
            "A step is paid for what it reveals between the two times: both noise levels are needed.",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * (torch.log(snr(s)) - torch.log(snr(t))),
            "The difference of the ratios themselves, not of their logarithms: derive it, do not guess it.",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * (1 / s.sigma**2 - 1 / t.sigma**2),
            "Does your formula know how much the picture has shrunk at each time?",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * (s.alpha**2 / (1 - s.alpha**2) - t.alpha**2 / (1 - t.alpha**2)),
            "sigma**2 = 1 - alpha**2 holds only where the variance is preserved.",
        ),
        WrongAnswer(
            lambda s, t: 0.5 * (snr(s) / snr(t) - 1),
            "That is the weight of the noise's squared error. Here the error is that of x_0.",
        ),
        WrongAnswer(
            weight_with(power_of_x_0=1.0),
            "The means differ by the bridge's weight of x_0 times the error. A squared distance has that weight "
            "squared.",
        ),
        WrongAnswer(
            weight_with(power_of_std=1.0),
            "Twice the variance stands below the squared distance; you used the standard deviation.",
        ),
        WrongAnswer(
            lambda s, t: bridge_weights(s, t)[1] ** 2 / (2 * kernel(s, t).std ** 2),
            "That is for a model with the variance of the forward step, beta. Here it has the bridge's.",
        ),
    ),
)
