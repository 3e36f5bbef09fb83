"""Exercises of notebook 03: variances of a shrinking walk, alpha and sigma, jump, kernel, bridge, schedules."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.schedule import Cosine, Linear, Marginal, Table, bridge, jump, kernel

from . import nb03_wrong as wrong
from . import nb03_wrong_betas as wrong_betas
from . import nb03_wrong_printed as wrong_printed
from . import nb03_wrong_schedules as wrong_schedules
from . import nb03_wrong_steps as wrong_steps
from .contract import Call, Case, Exercise
from .nb03_inputs import (
    constant_curve,
    cosine_curve,
    equal_steps,
    growing_steps,
    linear_curve,
    printed_formulas,
    straight_curve,
)
from .nb03_measures import Gaps
from .nb03_wrong_betas import Curve

ONE = torch.ones((), dtype=torch.float64)


def _draw(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _between(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def _number(generator: Generator, low: float, high: float) -> float:
    return round(float(_between(generator, low, high)), 3)


# ------------------------------------------------------------------------------------ 03.1 variance of a shrinking walk


def shrunk_variance(t: int, gamma: float, std: float, data_variance: float) -> float:
    """Step by step, so that no case is special."""
    variance = data_variance
    for _ in range(t):
        variance = gamma**2 * variance + std**2
    return variance


def _shrunk_variance_cases(g: Generator) -> list[Case]:
    def some() -> tuple[float, float, float]:
        return _number(g, 0.6, 0.9), _number(g, 0.3, 0.8), _number(g, 0.2, 3.0)

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


# ----------------------------------------------------------------------------------------- 03.2 telescoped alpha, sigma


def telescoped(gammas: Tensor) -> tuple[Tensor, Tensor]:
    table = Table.from_gammas(gammas)
    return table.alpha, table.sigma


def _telescoped_cases(g: Generator) -> list[Case]:
    forgets = _between(g, 0.5, 0.9, 4)
    forgets[1] = 0
    return [
        Case("three steps", (_between(g, 0.4, 0.9, 3),)),
        Case("one step", (_between(g, 0.4, 0.9, 1),)),
        Case("nothing happens, all gammas 1", (torch.ones(4, dtype=torch.float64),)),
        Case("equal steps", (0.9 * torch.ones(5, dtype=torch.float64),)),
        Case("the second step forgets everything, gamma = 0", (forgets,)),
        Case("thirty small steps", (_between(g, 0.95, 0.999, 30),)),
        Case("single precision", (_between(g, 0.4, 0.9, 4),), float32=True),
    ]


# ------------------------------------------------------------------------------------------------------------ 03.3 jump


def jumped(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    return jump(x_0, Marginal(alphas[t], sigmas[t]), noise)


def _jump_cases(g: Generator) -> list[Case]:
    kept = Table.from_gammas(_between(g, 0.6, 0.95, 8))
    vp = kept.alpha, kept.sigma
    ve = torch.ones(9, dtype=torch.float64), torch.cat([torch.zeros(1), _between(g, 0.1, 0.9, 8).cumsum(0)]).double()

    def case(name: str, batch: int, width: int, t: list[int], tables: tuple[Tensor, Tensor]) -> Case:
        shape = (batch, 1, width, width)
        return Case(name, (_draw(g, *shape), torch.tensor(t), *tables, _draw(g, *shape)), float32="single" in name)

    return [
        case("one picture", 1, 2, [4], vp),
        case("a time for each picture", 3, 2, [2, 7, 5], vp),
        case("as many pictures as columns", 3, 3, [3, 8, 5], vp),
        case("alpha = 1: the variance explodes", 2, 3, [3, 6], ve),
        case("t = 0", 2, 2, [0, 0], vp),
        case("one time for all", 3, 2, [6, 6, 6], vp),
        case("single precision", 3, 2, [1, 8, 4], vp),
    ]


# ------------------------------------------------------------------------------------------------ 03.4 betas of a curve


def betas_of(alpha: Curve, T: int) -> Tensor:
    values = alpha(torch.linspace(0, 1, T + 1, dtype=torch.float64))
    return Table(values, torch.sqrt(1 - values**2)).betas


def _betas_cases(g: Generator) -> list[Case]:
    return [
        Case("equal steps", (constant_curve, 5)),
        Case("one step", (constant_curve, 1)),
        Case("one step to alpha = 0", (straight_curve, 1)),
        Case("ten steps, linear betas", (linear_curve, 10)),
        Case("a thousand steps, linear betas", (linear_curve, 1000)),
        Case("a cosine that ends at 0", (cosine_curve, 6 + int(torch.randint(0, 5, (), generator=g)))),
        Case("alpha = 1 - t", (straight_curve, 20)),
    ]


# ------------------------------------------------------------------------------------------------------ 03.5 the cosine


def cosine(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    level = Cosine(offset)(t)
    return level.alpha, level.sigma


def _cosine_cases(g: Generator) -> list[Case]:
    return [
        Case("five times", (_between(g, 0.1, 0.95, 5), 0.008)),
        Case("no offset", (_between(g, 0.1, 0.95, 4), 0.0)),
        Case("the two ends", (torch.tensor([0.0, 1.0], dtype=torch.float64), 0.008)),
        Case("a large offset", (_between(g, 0.1, 0.95, 4), _number(g, 0.2, 0.4))),
        Case("single precision", (_between(g, 0.2, 0.9, 4), 0.05), float32=True),
    ]


# ------------------------------------------------------------------------------------------------------ 03.6 the shares


def shares(gammas: Tensor) -> Tensor:
    """Row by row: old shares shrink, the new one enters."""
    rows = torch.zeros(len(gammas), len(gammas), dtype=gammas.dtype)
    for t, gamma in enumerate(gammas):
        if t:
            rows[t] = gamma**2 * rows[t - 1]
        rows[t, t] = 1 - gamma**2
    return rows


def _shares_cases(g: Generator) -> list[Case]:
    forgets, starts_at_zero = _between(g, 0.5, 0.9, 5), _between(g, 0.5, 0.9, 4)
    forgets[2], starts_at_zero[0] = 0, 0
    return [
        Case("two steps", (_between(g, 0.4, 0.9, 2),)),
        Case("one step", (_between(g, 0.4, 0.9, 1),)),
        Case("six steps", (_between(g, 0.4, 0.95, 6),)),
        Case("equal steps", (0.8 * torch.ones(4, dtype=torch.float64),)),
        Case("the third step forgets everything, gamma = 0", (forgets,)),
        Case("the first step forgets everything", (starts_at_zero,)),
        Case("single precision", (_between(g, 0.4, 0.9, 4),), float32=True),
    ]


# ---------------------------------------------------------------------------------- 03.7 the bridge and 03.8 the kernel


def _levels(later: Tensor, before: Tensor) -> tuple[Call, Call]:
    """Two variance-preserving marginals: of log-SNR `later`, and of one higher by `before`."""
    return tuple(Call(Marginal, torch.sigmoid(at).sqrt(), torch.sigmoid(-at).sqrt()) for at in (later + before, later))  # type: ignore[return-value]


def _pair(g: Generator, *shape: int) -> tuple[Call, Call]:
    return _levels(_between(g, -2.0, 1.0, *shape), _between(g, 0.6, 2.0, *shape))


def _exploding(g: Generator) -> tuple[Call, Call]:
    sigma = _between(g, 0.4, 0.9)
    return Call(Marginal, ONE, sigma), Call(Marginal, ONE, sigma + _between(g, 0.3, 0.9))


def _neither(g: Generator) -> tuple[Call, Call]:
    """A pair that keeps nothing: alpha falls while sigma rises, along a straight line."""
    t = _between(g, 0.5, 0.7)
    return Call(Marginal, 1.2 - t, t - 0.2), Call(Marginal, 1 - t, t)


def bridged(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    law = bridge(earlier, later, x_0, x_t)
    return law.mean, law.std


def _bridge_cases(g: Generator) -> list[Case]:
    def images(*shape: int) -> tuple[Tensor, Tensor]:
        return _draw(g, *shape), _draw(g, *shape)

    clean = Call(Marginal, ONE, 0 * ONE)
    return [
        Case("one pixel", (*images(1, 1), *_pair(g))),
        Case("two pictures", (*images(2, 1, 2, 3), *_pair(g))),
        Case("alpha = 1: the variance explodes", (*images(2, 3), *_exploding(g))),
        Case("neither kept nor exploding", (*images(2, 3), *_neither(g))),
        Case("the last step, s = 0", (*images(2, 3), clean, _pair(g)[1])),
        Case("a level per picture, as many as columns", (*images(3, 1, 3, 3), *_pair(g, 3))),
        Case("single precision", (*images(2, 1, 2, 2), *_pair(g)), float32=True),
    ]


def kernel_of(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    law = kernel(earlier, later)
    return law.scale, law.std


def _kernel_cases(g: Generator) -> list[Case]:
    return [
        Case("the variance preserved", _pair(g)),
        Case("alpha = 1: the variance explodes", _exploding(g)),
        Case("neither kept nor exploding", _neither(g)),
        Case("from clean, s = 0", (Call(Marginal, ONE, 0 * ONE), _pair(g)[1])),
        Case("to pure noise, alpha_t = 0", (_pair(g)[0], Call(Marginal, 0 * ONE, ONE))),
        Case("a level per picture", _pair(g, 3)),
        Case("single precision", _pair(g, 4), float32=True),
    ]


# ------------------------------------------------------------------------------------------------ 03.9 printed formulas


def errors_of(formulas: list, tables: list) -> Tensor:
    return torch.stack([torch.stack([Gaps.of(formula, table).worst for table in tables]) for formula in formulas])


def _printed_cases(g: Generator) -> list[Case]:
    def case(name: str, order: list[int], steps: int) -> Case:
        equal = Call(equal_steps, _number(g, 0.04, 0.2), steps)
        growing = Call(growing_steps, _number(g, 0.02, 0.06), _number(g, 0.3, 0.5), steps)
        return Case(name, (Call(printed_formulas, order), [equal, growing, Call(Table.of, Call(Cosine), steps)]))

    def shuffled() -> list[int]:
        return torch.randperm(4, generator=g).tolist()

    gentle = [
        Call(equal_steps, _number(g, 0.01, 0.02), 4),
        Call(growing_steps, _number(g, 0.01, 0.02), _number(g, 0.04, 0.06), 4),
        Call(growing_steps, _number(g, 0.04, 0.06), _number(g, 0.08, 0.1), 3),
    ]
    one = [Call(Table.of, Call(Linear), 2), *(Call(Table.of, Call(Cosine, 0.1 * k), 2) for k in (1, 2))]
    return [
        case("twelve steps, shuffled", shuffled(), 12),
        case("twenty steps, shuffled again", shuffled(), 20),
        Case("a few small steps", (Call(printed_formulas, shuffled()), gentle)),
        Case("two steps: t = 2 only", (Call(printed_formulas, shuffled()), one)),
    ]


LIBRARY = "course_lib.schedule."
EXERCISES = (  # in the order in which the notebook asks them
    Exercise("03.1", "The variance after t shrunk steps", 1, shrunk_variance, _shrunk_variance_cases, wrong.VARIANCE),
    Exercise(
        "03.2", "Alpha and sigma from the gammas", 2, telescoped, _telescoped_cases, wrong.TELESCOPE,
        answers=(f"{LIBRARY}Table",),
    ),
    Exercise(
        "03.6", "Shares of the variance", 2, shares, _shares_cases, wrong_schedules.SHARES, answers=(f"{LIBRARY}walk",)
    ),
    Exercise("03.3", "Jump", 1, jumped, _jump_cases, wrong.JUMP, answers=(f"{LIBRARY}jump",)),
    Exercise(
        "03.8", "The kernel between any two times", 2, kernel_of, _kernel_cases, wrong_steps.KERNEL,
        answers=(f"{LIBRARY}kernel",),
    ),
    Exercise(
        "03.4", "Betas from alpha(t), at any T", 2, betas_of, _betas_cases, wrong_betas.BETAS,
        answers=(f"{LIBRARY}Table",),
    ),
    Exercise(
        "03.5", "The cosine schedule", 2, cosine, _cosine_cases, wrong_schedules.COSINE, answers=(f"{LIBRARY}Cosine",)
    ),
    Exercise(
        "03.7", "The bridge", 3, bridged, _bridge_cases, wrong_steps.BRIDGE,
        answers=(f"{LIBRARY}bridge", f"{LIBRARY}bridge_weights"),
    ),
    Exercise(
        "03.9", "Four printed formulas", 2, errors_of, _printed_cases, wrong_printed.PRINTED,
    ),
)  # fmt: skip
