"""The six measurements of exercise 05.8: (set-up, data_std) -> a number that is 0, or nearly, where all is sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.schedule import Marginal, bridge_weights

from .nb05_inputs import SetUp

Measure = Callable[[SetUp, float], Tensor]
ONE = torch.ones(1, dtype=torch.float64)


def marginal(set_up: SetUp, t: int) -> Marginal:
    """alpha_t and sigma_t: what `corrupt` leaves of a 1, and how much of the noise it adds."""
    return Marginal(set_up.corrupt(ONE, t, 0 * ONE)[0], set_up.corrupt(0 * ONE, t, ONE)[0])


def fresh_noise(set_up: SetUp, t: int) -> Tensor:
    """How strongly one step's noise enters its result."""
    return (set_up.step(ONE, t, ONE) - set_up.step(ONE, t, -ONE)).abs()[0] / 2


def out_of_range(set_up: SetUp, data_std: float) -> Tensor:
    ends = set_up.prepare(torch.tensor([0.0, 255.0], dtype=torch.float64))
    return (ends - torch.tensor([-1.0, 1.0], dtype=torch.float64)).abs().max()


def left_over(set_up: SetUp, data_std: float) -> Tensor:
    return marginal(set_up, set_up.T).alpha


def wrong_level(set_up: SetUp, data_std: float) -> Tensor:
    t = set_up.T // 2
    now = marginal(set_up, t)
    ideal = now.alpha * data_std**2 / (now.alpha**2 * data_std**2 + now.sigma**2)
    return (set_up.predict(0.1 * ONE, t)[0][0] / (0.1 * ideal) - 1).abs()


def torn_apart(set_up: SetUp, data_std: float, x_t: float = 4.0) -> Tensor:
    first = marginal(set_up, 1)
    x0, eps = set_up.predict(x_t * ONE, 1)
    return (first.alpha * x0 + first.sigma * eps - x_t).abs()[0]


def last_noise(set_up: SetUp, data_std: float) -> Tensor:
    return fresh_noise(set_up, 1)


def wrong_spread(set_up: SetUp, data_std: float) -> Tensor:
    t = set_up.T // 2
    return (fresh_noise(set_up, t) / bridge_weights(marginal(set_up, t - 1), marginal(set_up, t))[2] - 1).abs()


MEASURES: tuple[Measure, ...] = (out_of_range, left_over, wrong_level, torn_apart, last_noise, wrong_spread)


def table_of(set_ups: Sequence[SetUp], data_std: float, measures: Sequence[Measure] = MEASURES) -> Tensor:
    """All readings, (set-ups, measures)."""
    return torch.stack([torch.stack([measure(one, data_std).double() for measure in measures]) for one in set_ups])


def diagnose(
    set_ups: Sequence[SetUp], data_std: float, measures: Sequence[Measure] = MEASURES
) -> tuple[Tensor, Tensor]:
    """(index (6,), evidence (6,)): for each symptom the set-up that shows it, and its reading."""
    evidence, index = table_of(set_ups, data_std, measures).max(dim=0)
    return index, evidence
