"""Exercise 06.7: DDIM from the ODE."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor

from course_lib.data.toys import mixture_2d
from course_lib.oracle import gaussian_denoiser, mixture_denoiser
from course_lib.parametrization import Denoiser
from course_lib.sampling import ddim, last, sample
from course_lib.schedule import Cosine, Linear, Schedule, Straight, Truncated, VarianceExploding

from ..contract import Call, Case, Exercise, WrongAnswer, normal


def euler_in_u(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor) -> Tensor:
    return last(sample(denoiser, schedule, times, x, ddim))


def cases(g: Generator) -> list[Case]:
    bell, bumps = Call(gaussian_denoiser, 0.4, 0.3), Call(mixture_denoiser, Call(mixture_2d))
    linear, cosine, loud = Call(Linear), Call(Truncated, Call(Cosine)), Call(VarianceExploding, 1.0)
    down = torch.linspace(1, 0, 6, dtype=torch.float64)
    uneven = torch.tensor([1.0, 0.7, 0.55, 0.2, 0.05, 0.0], dtype=torch.float64)
    stops = torch.tensor([0.9, 0.6, 0.45, 0.3], dtype=torch.float64)
    return [
        Case("one step", (bell, linear, torch.tensor([0.8, 0.3], dtype=torch.float64), normal(g, 2, 3))),
        Case("one step to t = 0", (bumps, cosine, torch.tensor([0.6, 0.0], dtype=torch.float64), normal(g, 3, 2))),
        Case("alpha = 1, even times", (bell, loud, down, normal(g, 2, 3))),
        Case("three bumps, uneven times", (bumps, cosine, uneven, normal(g, 4, 2))),
        Case("stops at t = 0.3", (bell, linear, stops, normal(g, 2, 1, 2, 2))),
        Case("not variance preserving", (bumps, Call(Straight), stops, normal(g, 2, 2))),
        Case("single precision", (bell, linear, stops, normal(g, 2, 3)), float32=True),
    ]


# The wrong answers.


def euler(
    clock: str = "ratio",
    asked: Callable[[Tensor, Tensor], Tensor] = lambda alpha, y: alpha * y,
    begin: bool = True,
    final: str = "last",
    level: str = "start",
    sign: float = 1.0,
    ask_once: bool = False,
    stop: int | None = None,
) -> Callable[..., Tensor]:
    """The right walk but for one thing: the clock, what the denoiser is shown, the scales, which level it is told."""

    def time_of(schedule: Schedule, t: Tensor) -> Tensor:
        return t if clock == "t" else schedule(t).sigma if clock == "sigma" else schedule(t).ratio

    def walk(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor) -> Tensor:
        y = x / schedule(times[0]).alpha if begin else x
        times, eps = times[:stop], torch.zeros_like(x)
        for k, (t, s) in enumerate(pairwise(times)):
            now = schedule(t)
            if not (ask_once and k):
                told = now if level == "start" else schedule(s)
                eps = denoiser(asked(now.alpha, y), told).eps
            y = y + sign * (time_of(schedule, s) - time_of(schedule, t)) * eps
        if final == "none":
            return y
        return schedule(times[-1] if final == "last" else times[0]).alpha * y

    return walk


EXERCISE = Exercise(
    id="06.7",
    title="DDIM from the ODE",
    points=3,
    reference=euler_in_u,
    cases=cases,
    answers=("course_lib.sampling.ddim",),
    wrong_answers=(
        WrongAnswer(
            euler(asked=lambda alpha, y: y),
            "The denoiser was trained on x, not on y = x / alpha. Translate before you ask it.",
        ),
        WrongAnswer(
            euler(level="end"),
            "Euler's slope is the one at the start of the step: which noise level has the x that you show?",
        ),
        WrongAnswer(
            euler(final="none"),
            "That is y at the end. They are the same only where alpha = 1: translate back to x.",
        ),
        WrongAnswer(
            euler(final="first"),
            "Translating back at the end, which time's alpha belongs to it?",
        ),
        WrongAnswer(
            euler(begin=False),
            "y is x at its original contrast: translate at the start, too.",
        ),
        WrongAnswer(
            euler(sign=-1.0),
            "Going to less noise, u falls, and noise is taken away: which sign has u_s - u_t?",
        ),
        WrongAnswer(
            euler(clock="sigma"),
            "The clock of this ODE is the noise relative to the picture, sigma / alpha.",
        ),
        WrongAnswer(
            euler(clock="t"),
            "eps_hat is the slope with respect to u, not to t.",
        ),
        WrongAnswer(
            euler(ask_once=True),
            "The noise changes along the way: ask again at every step.",
        ),
        WrongAnswer(
            euler(stop=-1),
            "The walk ends one step early: n + 1 times make n steps.",
        ),
        WrongAnswer(
            euler(begin=False, asked=lambda alpha, y: y, final="none"),
            "dy/du = eps_hat holds for y = x / alpha. Did you change coordinates?",
        ),
    ),
)
