"""Exercise 05.8: six broken set-ups, and the measurement that finds each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal, bridge_weights, kernel

from ..contract import Call, Case, Exercise, WrongAnswer
from .inputs import SetUp, broken_set_ups

Measure = Callable[[SetUp, float], Tensor]
PIXEL = torch.ones(1, dtype=torch.float64)


def marginal_of(set_up: SetUp, t: int) -> Marginal:
    """alpha_t and sigma_t: what `corrupt` leaves of a 1, and how much of the noise it adds."""
    return Marginal(set_up.corrupt(PIXEL, t, 0 * PIXEL)[0], set_up.corrupt(0 * PIXEL, t, PIXEL)[0])


def fresh_noise(set_up: SetUp, t: int) -> Tensor:
    """How strongly one step's noise enters its result."""
    return (set_up.step(PIXEL, t, PIXEL) - set_up.step(PIXEL, t, -PIXEL)).abs()[0] / 2


def strength(set_up: SetUp) -> Tensor:
    """How strongly the noise enters half way, as a multiple of the bridge's standard deviation."""
    t = set_up.T // 2
    return fresh_noise(set_up, t) / bridge_weights(marginal_of(set_up, t - 1), marginal_of(set_up, t))[2]


def range_errors(set_up: SetUp) -> Tensor:
    ends = set_up.prepare(torch.tensor([0.0, 255.0], dtype=torch.float64))
    return ends - torch.tensor([-1.0, 1.0], dtype=torch.float64)


# The six measurements: (set-up, data_std) -> a number that is 0, or nearly, where all is sound.


def out_of_range(set_up: SetUp, data_std: float) -> Tensor:
    return range_errors(set_up).abs().max()


def left_over(set_up: SetUp, data_std: float) -> Tensor:
    return marginal_of(set_up, set_up.T).alpha


def wrong_level(set_up: SetUp, data_std: float) -> Tensor:
    t = set_up.T // 2
    now = marginal_of(set_up, t)
    skip = now.alpha * data_std**2 / (now.alpha**2 * data_std**2 + now.sigma**2)
    return (set_up.predict(0.1 * PIXEL, t)[0][0] / (0.1 * skip) - 1).abs()


def torn_apart(set_up: SetUp, data_std: float, x_t: float = 4.0) -> Tensor:
    first = marginal_of(set_up, 1)
    x0, eps = set_up.predict(x_t * PIXEL, 1)
    return (first.alpha * x0 + first.sigma * eps - x_t).abs()[0]


def last_noise(set_up: SetUp, data_std: float) -> Tensor:
    return fresh_noise(set_up, 1)


def wrong_strength(set_up: SetUp, data_std: float) -> Tensor:
    return (strength(set_up) - 1).abs()


MEASURES: tuple[Measure, ...] = (out_of_range, left_over, wrong_level, torn_apart, last_noise, wrong_strength)


def readings(set_ups: Sequence[SetUp], data_std: float, measures: Sequence[Measure] = MEASURES) -> Tensor:
    """All measurements of all set-ups, (set-ups, measures)."""
    return torch.stack([torch.stack([measure(one, data_std).double() for measure in measures]) for one in set_ups])


def diagnose(
    set_ups: Sequence[SetUp], data_std: float, measures: Sequence[Measure] = MEASURES
) -> tuple[Tensor, Tensor]:
    """(index (6,), evidence (6,)): for each symptom the set-up that shows it, and its reading."""
    evidence, index = readings(set_ups, data_std, measures).max(dim=0)
    return index, evidence


def cases(g: Generator) -> list[Case]:
    def case(name: str, order: list[int], steps: int) -> Case:
        std = round(float(0.3 + 0.4 * torch.rand((), generator=g)), 3)
        return Case(name, (Call(broken_set_ups, order, steps, std), std))

    def shuffled() -> list[int]:
        while True:
            order = torch.randperm(6, generator=g).tolist()
            if order[order[0]] != 0:  # not its own inverse
                return order

    return [
        case("in the order of the table", list(range(6)), 100),
        case("in reverse order", list(range(5, -1, -1)), 60),
        case("shuffled, 100 steps", shuffled(), 100),
        case("shuffled, 200 steps", shuffled(), 200),
    ]


# Most wrong answers are the right one but for a measurement.


def diagnose_with(number: int, measure: Measure) -> Callable[..., Any]:
    return partial(diagnose, measures=(*MEASURES[:number], measure, *MEASURES[number + 1 :]))


def symptom_by_set_up(set_ups: Sequence[SetUp], data_std: float) -> tuple[Tensor, Tensor]:
    evidence, symptom = readings(set_ups, data_std).max(dim=1)
    return symptom, evidence


def doubled_last_noise(set_up: SetUp, data_std: float) -> Tensor:
    return 2 * fresh_noise(set_up, 1)


def doubled_strength(set_up: SetUp, data_std: float) -> Tensor:
    return (2 * strength(set_up) - 1).abs()


def strength_against_forward(set_up: SetUp, data_std: float) -> Tensor:
    t = set_up.T // 2
    return (fresh_noise(set_up, t) / kernel(marginal_of(set_up, t - 1), marginal_of(set_up, t)).std - 1).abs()


EXERCISE = Exercise(
    id="05.8",
    title="Diagnose",
    points=3,
    reference=diagnose,
    cases=cases,
    wrong_answers=(
        WrongAnswer(
            symptom_by_set_up,
            'You answered "which symptom does set-up i have?". The question is, for each symptom, which set-up shows '
            "it: the inverse permutation.",
        ),
        WrongAnswer(
            diagnose_with(0, lambda set_up, data_std: range_errors(set_up).mean().abs()),
            "In a mean of signed differences errors of opposite sign cancel, and an error at one end only is halved. "
            "Take the largest absolute one.",
        ),
        WrongAnswer(
            diagnose_with(1, lambda set_up, data_std: marginal_of(set_up, set_up.T - 1).alpha),
            "Sampling starts at t = T. Row T - 1 is one step too clean.",
        ),
        WrongAnswer(
            diagnose_with(3, partial(torn_apart, x_t=0.5)),
            "Clipping shows only where something gets clipped: probe with an x_t whose predicted x_0 lies outside "
            "[-1, 1].",
        ),
        WrongAnswer(
            diagnose_with(4, lambda set_up, data_std: fresh_noise(set_up, set_up.T)),
            "The last step is the one from t = 1 to 0. The one from t = T is the first that a sampler makes, and there "
            "noise belongs.",
        ),
        WrongAnswer(
            diagnose_with(5, lambda set_up, data_std: strength(set_up)),
            "Sound means a ratio of 1, so the evidence is the distance from 1: otherwise the loudest set-up wins, not "
            "the most wrong one.",
        ),
        WrongAnswer(
            diagnose_with(5, strength_against_forward),
            "The step is meant to use the bridge's std, which is smaller than the forward step's.",
        ),
        WrongAnswer(
            partial(diagnose, measures=(*MEASURES[:4], doubled_last_noise, doubled_strength)),
            "Noise +1 and noise -1 lie two units apart, so their results differ by twice what one unit of noise does.",
        ),
        WrongAnswer(
            diagnose_with(2, lambda set_up, data_std: wrong_level(set_up, data_std**0.5)),
            "data_std is a standard deviation. Where (05.5) has the data's variance, square it.",
        ),
        WrongAnswer(
            diagnose_with(5, lambda set_up, data_std: strength(set_up) - 1),
            "Too little noise is as much a fault as too much: how far from 1 is the ratio, whichever side it lies on?",
        ),
    ),
)
