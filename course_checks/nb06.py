"""Exercises of notebook 06: SDEs of a schedule, scores, the ways back, Euler, Heun, Hutchinson."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from course_lib.continuous import Field, divergence_hutchinson, euler_maruyama
from course_lib.data.toys import mixture_2d
from course_lib.gaussian import Mixture, per_sample
from course_lib.oracle import gaussian_denoiser, mixture_denoiser, mixture_score
from course_lib.parametrization import Denoiser, Prediction
from course_lib.sampling import ddim, heun, last, sample
from course_lib.schedule import Cosine, Linear, Marginal, Schedule, Straight, Truncated, VarianceExploding

from . import nb06_wrong as wrong
from . import nb06_wrong_last as wrong_last
from . import nb06_wrong_later as wrong_later
from . import nb06_wrong_ways as wrong_ways
from .contract import Call, Case, Exercise
from .nb06_inputs import bent_field, parallel_field

ONE = torch.ones((), dtype=torch.float64)


def _draw(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _between(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def _marginal(alpha: Tensor | float, sigma: Tensor | float) -> Call:
    return Call(Marginal, *(torch.as_tensor(value, dtype=torch.float64) for value in (alpha, sigma)))


# ------------------------------------------------------------------------------------------------ 06.1 Euler-Maruyama


def _maruyama_cases(g: Generator) -> list[Case]:
    def three(*shape: int) -> tuple[Tensor, Tensor]:
        return _draw(g, *shape), _draw(g, *shape)

    def size(*shape: int) -> Tensor:
        return _between(g, 1.2, 2.0, *shape)

    return [
        Case("one number, forwards", (*three(1, 1), size(), 0.3, _draw(g, 1, 1))),
        Case("h = 1", (*three(2, 3), size(), 1.0, _draw(g, 2, 3))),
        Case("backwards, h < 0", (*three(2, 3), size(), -0.2, _draw(g, 2, 3))),
        Case("diffusion = 1", (*three(2, 3), ONE.clone(), 0.15, _draw(g, 2, 3))),
        Case("no noise", (*three(2, 3), size(), 0.4, torch.zeros(2, 3, dtype=torch.float64))),
        Case("no drift", (_draw(g, 2, 3), torch.zeros(2, 3).double(), size(), 0.25, _draw(g, 2, 3))),
        Case("a diffusion per sample, as many samples as columns", (*three(3, 3), size(3), 0.1, _draw(g, 3, 3))),
        Case("images, a diffusion each, backwards", (*three(2, 1, 2, 3), size(2), -0.35, _draw(g, 2, 1, 2, 3))),
        Case("single precision", (*three(2, 3), size(2), 0.05, _draw(g, 2, 3)), float32=True),
    ]


# ---------------------------------------------------------------------------------------- 06.2 drift and diffusion


def drift_and_diffusion(alpha: Tensor, sigma: Tensor, alpha_rate: Tensor, sigma_rate: Tensor) -> tuple[Tensor, Tensor]:
    drift = alpha_rate / alpha
    return drift, torch.sqrt(2 * sigma * (sigma_rate - drift * sigma))


def _rates_cases(g: Generator) -> list[Case]:
    angle, turn = _between(g, 0.4, 1.2, 4), _between(g, 0.5, 3.0, 4)
    t = _between(g, 0.2, 0.8, 3)
    one, zero = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)

    def general(*shape: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        alpha, sigma = _between(g, 0.3, 0.9, *shape), _between(g, 0.3, 0.7, *shape)
        return alpha, sigma, -_between(g, 0.2, 1.5, *shape), _between(g, 0.6, 1.5, *shape)

    alpha, _, alpha_rate, sigma_rate = general(2)
    return [
        Case("one time", general()),
        Case("variance preserving", (angle.cos(), angle.sin(), -turn * angle.sin(), turn * angle.cos())),
        Case("alpha = 1 always", (one, _between(g, 0.4, 3.0, 2), zero, _between(g, 0.5, 2.0, 2))),
        Case("straight lines: alpha = 1 - t, sigma = t", (1 - t, t, -torch.ones_like(t), torch.ones_like(t))),
        Case("sigma = 1", (alpha, one, alpha_rate, sigma_rate)),
        Case("t = 0: alpha = 1, sigma = 0", (one, zero, -_between(g, 0.5, 2.0, 2), one)),
        Case("five times", general(5)),
        Case("single precision", general(3), float32=True),
    ]


# ---------------------------------------------------------------------------------------------------- 06.3 Tweedie


def from_score(score: Tensor, x_t: Tensor, marginal: Marginal) -> tuple[Tensor, Tensor]:
    prediction = Prediction.from_score(score, x_t, marginal)
    return prediction.x0, prediction.eps


def _tweedie_cases(g: Generator) -> list[Case]:
    def pair(*shape: int) -> tuple[Tensor, Tensor]:
        return _draw(g, *shape), _draw(g, *shape)

    angle = _between(g, 0.3, 1.2, 3)
    return [
        Case("one number", (*pair(1, 1), _marginal(0.6, 0.5))),
        Case("alpha = 1", (*pair(2, 3), _marginal(1.0, _between(g, 0.4, 0.8)))),
        Case("sigma = 1", (*pair(2, 3), _marginal(_between(g, 0.3, 0.8), 1.0))),
        Case("sigma = 0", (*pair(2, 3), _marginal(0.7, 0.0))),
        Case("variance preserving, one level", (*pair(2, 1, 2, 3), _marginal(angle[0].cos(), angle[0].sin()))),
        Case("a level per sample, as many as columns", (*pair(3, 3), _marginal(angle.cos(), 0.8 * angle.sin()))),
        Case("images", (*pair(2, 1, 2, 3), _marginal(_between(g, 0.3, 0.8, 2), _between(g, 0.3, 0.8, 2)))),
        Case("single precision", (*pair(2, 3), _marginal(0.4, 0.7)), float32=True),
    ]


# -------------------------------------------------------------------------------------------- 06.4 mixture score


def exact_score(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
    return mixture_score(Mixture(weights, means, stds), x, marginal)


def _score_cases(g: Generator) -> list[Case]:
    def law(bumps: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
        weights = _between(g, 0.2, 1.0, bumps)
        return weights / weights.sum(), _draw(g, bumps, d), _between(g, 0.2, 0.8, bumps)

    def equal(bumps: int) -> Tensor:
        return torch.full((bumps,), 1 / bumps, dtype=torch.float64)

    level, points = _marginal(0.7, 0.6), torch.zeros(3, dtype=torch.float64)
    weights, means, stds = law(3, 2)
    return [
        Case("one bump, one point", (_draw(g, 1, 2), *law(1, 2), level)),
        Case("on a line, d = 1", (_draw(g, 4, 1), *law(3, 1), level)),
        Case("in the plane", (_draw(g, 4, 2), weights, means, stds, level)),
        Case("in the plane, alpha = 1", (_draw(g, 4, 2), *law(3, 2), _marginal(1.0, 0.5))),
        Case("equal weights", (_draw(g, 4, 2), equal(3), _draw(g, 3, 2), _between(g, 0.2, 0.8, 3), level)),
        Case("equal widths", (_draw(g, 4, 2), weights, means, torch.full((3,), 0.4).double(), level)),
        Case("the data are three points", (_draw(g, 3, 2), weights, means, points, level)),
        Case("far from all bumps", (60 * _draw(g, 3, 2).sign() + _draw(g, 3, 2), weights, means, stds, level)),
        Case("three dimensions, as many points as bumps", (_draw(g, 4, 3), *law(4, 3), _marginal(0.4, 0.9))),
        Case("single precision", (_draw(g, 3, 2), *law(2, 2), level), float32=True),
    ]


# ----------------------------------------------------------------------------------------------- 06.5 two ways back


def two_ways_back(x: Tensor, score: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    pull, uphill = per_sample(f, x) * x, per_sample(g, x) ** 2 * score
    return pull - 0.5 * uphill, pull - uphill


def _ways_cases(g: Generator) -> list[Case]:
    def pair(*shape: int) -> tuple[Tensor, Tensor]:
        return _draw(g, *shape), _draw(g, *shape)

    def rates(*shape: int) -> tuple[Tensor, Tensor]:
        return -_between(g, 0.3, 1.5, *shape), _between(g, 1.3, 2.5, *shape)

    return [
        Case("one number", (*pair(1, 1), *rates())),
        Case("no drift: variance exploding", (*pair(2, 3), 0 * ONE, _between(g, 1.3, 2.5))),
        Case("g = 1", (*pair(2, 3), -_between(g, 0.3, 1.5), ONE.clone())),
        Case("the score is 0", (_draw(g, 2, 3), torch.zeros(2, 3).double(), *rates())),
        Case("rates per sample, as many samples as columns", (*pair(3, 3), *rates(3))),
        Case("images", (*pair(2, 1, 2, 3), *rates(2))),
        Case("single precision", (*pair(2, 3), *rates(2)), float32=True),
    ]


# --------------------------------------------------------------------------------------------- 06.6 right step length


def right_length(x_t: Tensor, bridge_mean: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    fraction = later.ratio / (later.ratio + earlier.ratio)
    start, end = x_t / per_sample(later.alpha, x_t), bridge_mean / per_sample(earlier.alpha, x_t)
    return fraction, per_sample(earlier.alpha, x_t) * torch.lerp(start, end, per_sample(fraction, x_t).expand_as(end))


def _length_cases(g: Generator) -> list[Case]:
    def pair(*shape: int) -> tuple[Tensor, Tensor]:
        return _draw(g, *shape), _draw(g, *shape)

    def levels(*shape: int) -> tuple[Call, Call]:
        early, late = _between(g, 0.2, 0.6, *shape), _between(g, 0.8, 1.3, *shape)
        return _marginal(early.cos(), early.sin()), _marginal(late.cos(), late.sin())

    late = levels()[1]
    return [
        Case("one number", (*pair(1, 1), *levels())),
        Case("alpha = 1 at both times", (*pair(2, 3), _marginal(1.0, 0.5), _marginal(1.0, 1.4))),
        Case("s = 0", (*pair(2, 3), _marginal(1.0, 0.0), late)),
        Case("not variance preserving", (*pair(2, 3), _marginal(0.7, 0.3), _marginal(0.4, 0.6))),
        Case("a pair of times per sample, as many as columns", (*pair(3, 3), *levels(3))),
        Case("images", (*pair(2, 1, 2, 3), *levels(2))),
        Case("single precision", (*pair(2, 3), *levels()), float32=True),
    ]


# --------------------------------------------------------------------------------------------- 06.7 DDIM from the ODE


def euler_in_u(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor) -> Tensor:
    return last(sample(denoiser, schedule, times, x, ddim))


def _euler_cases(g: Generator) -> list[Case]:
    bell, bumps = Call(gaussian_denoiser, 0.4, 0.3), Call(mixture_denoiser, Call(mixture_2d))
    linear, cosine, loud = Call(Linear), Call(Truncated, Call(Cosine)), Call(VarianceExploding, 1.0)
    down = torch.linspace(1, 0, 6, dtype=torch.float64)
    uneven = torch.tensor([1.0, 0.7, 0.55, 0.2, 0.05, 0.0], dtype=torch.float64)
    stops = torch.tensor([0.9, 0.6, 0.45, 0.3], dtype=torch.float64)
    return [
        Case("one step", (bell, linear, torch.tensor([0.8, 0.3], dtype=torch.float64), _draw(g, 2, 3))),
        Case("one step to t = 0", (bumps, cosine, torch.tensor([0.6, 0.0], dtype=torch.float64), _draw(g, 3, 2))),
        Case("alpha = 1, even times", (bell, loud, down, _draw(g, 2, 3))),
        Case("three bumps, uneven times", (bumps, cosine, uneven, _draw(g, 4, 2))),
        Case("stops at t = 0.3", (bell, linear, stops, _draw(g, 2, 1, 2, 2))),
        Case("not variance preserving", (bumps, Call(Straight), stops, _draw(g, 2, 2))),
        Case("single precision", (bell, linear, stops, _draw(g, 2, 3)), float32=True),
    ]


# ---------------------------------------------------------------------------------------------------------- 06.8 Heun


def heun_step(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
    return heun(x_t, earlier, later, denoiser, x_t)[0]


def _heun_cases(g: Generator) -> list[Case]:
    bell, bumps = Call(gaussian_denoiser, 0.4, 0.3), Call(mixture_denoiser, Call(mixture_2d))
    return [
        Case("one number", (_draw(g, 1, 1), _marginal(0.8, 0.6), _marginal(0.5, 0.85), bell)),
        Case("three bumps", (_draw(g, 4, 2), _marginal(0.9, 0.4), _marginal(0.6, 0.8), bumps)),
        Case("alpha = 1 at both times", (_draw(g, 3, 2), _marginal(1.0, 0.5), _marginal(1.0, 1.2), bumps)),
        Case("the last step, sigma_s = 0", (_draw(g, 3, 2), _marginal(1.0, 0.0), _marginal(0.9, 0.4), bumps)),
        Case("the last step, alpha = 1", (_draw(g, 3, 2), _marginal(1.0, 0.0), _marginal(1.0, 0.3), bumps)),
        Case("images, not variance preserving", (_draw(g, 2, 1, 2, 2), _marginal(0.7, 0.3), _marginal(0.4, 0.6), bell)),
        Case("single precision", (_draw(g, 2, 2), _marginal(0.8, 0.6), _marginal(0.5, 0.85), bumps), float32=True),
    ]


# ----------------------------------------------------------------------------------------------------- 06.9 Hutchinson


def trace_estimate(field: Field, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    found = torch.stack([divergence_hutchinson(field, x, probe) for probe in probes])
    return found.mean(0), found.std(0) / math.sqrt(len(probes))


def _trace_cases(g: Generator) -> list[Case]:
    def signs(*shape: int) -> Tensor:
        return torch.randint(0, 2, shape, generator=g).double() * 2 - 1

    return [
        Case("two probes, one dimension", (bent_field, _draw(g, 3, 1), _draw(g, 2, 3, 1))),
        Case("probes of ones", (bent_field, _draw(g, 2, 3), torch.ones(3, 2, 3, dtype=torch.float64))),
        Case("coordinates that do not mix, signs", (parallel_field, _draw(g, 3, 4), signs(4, 3, 4))),
        Case("signs", (bent_field, _draw(g, 2, 4), signs(5, 2, 4))),
        Case("normal probes", (bent_field, _draw(g, 3, 2), _draw(g, 4, 3, 2))),
        Case("images", (bent_field, _draw(g, 2, 1, 2, 3), _draw(g, 3, 2, 1, 2, 3))),
        Case("single precision", (bent_field, _draw(g, 2, 3), _draw(g, 3, 2, 3)), float32=True),
    ]


LIBRARY = "course_lib."
EXERCISES = (
    Exercise(
        "06.1", "One Euler-Maruyama step", 1, euler_maruyama, _maruyama_cases, wrong.MARUYAMA,
        answers=(f"{LIBRARY}continuous.euler_maruyama",),
    ),
    Exercise("06.2", "Drift and diffusion of a schedule", 2, drift_and_diffusion, _rates_cases, wrong.RATES),
    Exercise(
        "06.3", "Tweedie's formula", 2, from_score, _tweedie_cases, wrong.TWEEDIE,
        answers=(f"{LIBRARY}parametrization.Prediction",),
    ),
    Exercise(
        "06.4", "The exact score of a mixture", 3, exact_score, _score_cases, wrong_ways.SCORE,
        answers=(f"{LIBRARY}oracle.mixture_score", f"{LIBRARY}oracle.mixture_denoiser"),
    ),
    Exercise(
        "06.5", "The two ways back", 2, two_ways_back, _ways_cases, wrong_ways.WAYS,
        answers=(f"{LIBRARY}continuous.reverse_drift", f"{LIBRARY}continuous.probability_flow_velocity"),
    ),
    Exercise("06.6", "The right step length", 2, right_length, _length_cases, wrong_later.LENGTH),
    Exercise(
        "06.7", "DDIM from the ODE", 3, euler_in_u, _euler_cases, wrong_later.EULER,
        answers=(f"{LIBRARY}sampling.ddim",),
    ),
    Exercise("06.8", "Heun's step", 2, heun_step, _heun_cases, wrong_last.HEUN, answers=(f"{LIBRARY}sampling.heun",)),
    Exercise(
        "06.9", "Hutchinson's estimate", 3, trace_estimate, _trace_cases, wrong_last.TRACE,
        answers=(f"{LIBRARY}continuous.divergence_hutchinson",),
    ),
)  # fmt: skip
