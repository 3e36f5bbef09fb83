"""Exercise 06.1: one Euler-Maruyama step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.continuous import euler_maruyama
from course_lib.gaussian import per_sample

from ..contract import ONE, Case, Exercise, WrongAnswer, normal
from .shared import between


def cases(g: Generator) -> list[Case]:
    def three(*shape: int) -> tuple[Tensor, Tensor]:
        return normal(g, *shape), normal(g, *shape)

    def size(*shape: int) -> Tensor:
        return between(g, 1.2, 2.0, *shape)

    return [
        Case("one number, forwards", (*three(1, 1), size(), 0.3, normal(g, 1, 1))),
        Case("h = 1", (*three(2, 3), size(), 1.0, normal(g, 2, 3))),
        Case("backwards, h < 0", (*three(2, 3), size(), -0.2, normal(g, 2, 3))),
        Case("diffusion = 1", (*three(2, 3), ONE.clone(), 0.15, normal(g, 2, 3))),
        Case("no noise", (*three(2, 3), size(), 0.4, torch.zeros(2, 3, dtype=torch.float64))),
        Case("no drift", (normal(g, 2, 3), torch.zeros(2, 3).double(), size(), 0.25, normal(g, 2, 3))),
        Case("a diffusion per sample, as many samples as columns", (*three(3, 3), size(3), 0.1, normal(g, 3, 3))),
        Case("images, a diffusion each, backwards", (*three(2, 1, 2, 3), size(2), -0.35, normal(g, 2, 1, 2, 3))),
        Case("single precision", (*three(2, 3), size(2), 0.05, normal(g, 2, 3)), float32=True),
    ]


# The wrong answers.


Number = Callable[[float], float]


def root(h: float) -> float:
    return math.sqrt(abs(h))


def step_with(
    drift_by: Number = lambda h: h,
    noise_by: Number = root,
    strength: Callable[[Tensor], Tensor] = lambda g: g,
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
    keep: bool = True,
    times_x: bool = False,
) -> Callable[..., Tensor]:
    """The right step but for one thing: a power of h, the diffusion, its shape, x forgotten, drift taken for f."""

    def step(x: Tensor, drift: Tensor, diffusion: Tensor, h: float, noise: Tensor) -> Tensor:
        change = (drift * x if times_x else drift) * drift_by(h) + fit(strength(diffusion), x) * noise_by(h) * noise
        return x + change if keep else change

    return step


def signed_root(h: float) -> float:
    return math.copysign(math.sqrt(abs(h)), h)


EXERCISE = Exercise(
    id="06.1",
    title="One Euler-Maruyama step",
    points=1,
    reference=euler_maruyama,
    cases=cases,
    answers=("course_lib.continuous.euler_maruyama",),
    wrong_answers=(
        WrongAnswer(
            step_with(noise_by=abs),
            "Variances of small steps add up, not standard deviations. Which power of h makes n steps of h = t / n "
            "give t?",
        ),
        WrongAnswer(
            step_with(noise_by=lambda h: h),
            "The noise of a short step is much larger than the step's duration; and it has no direction in time.",
        ),
        WrongAnswer(
            step_with(noise_by=math.sqrt),
            "Walking back in time, h is below 0 and has no square root. How much variance does such a step add?",
        ),
        WrongAnswer(
            step_with(noise_by=signed_root),
            "The drift turns round with time, the noise does not: with the noise given, its sign stays.",
        ),
        WrongAnswer(
            step_with(drift_by=abs),
            "A step back in time undoes the drift: there h carries a sign that belongs to the drift.",
        ),
        WrongAnswer(
            step_with(strength=torch.square),
            "The diffusion g is a standard deviation per root of time; g**2 is the variance per time.",
        ),
        WrongAnswer(
            step_with(strength=torch.ones_like),
            "How loud is the noise? One of the arguments has not been used.",
        ),
        WrongAnswer(
            step_with(noise_by=lambda h: math.sqrt(2 * abs(h))),
            "A factor 2 under the root belongs to Langevin's walk. Here the variance of a step is g**2 |h|.",
        ),
        WrongAnswer(
            step_with(fit=lambda value, like: value),
            "`diffusion` may hold one number per sample, (B,). It must not be spread along the last dimension.",
        ),
        WrongAnswer(
            step_with(keep=False),
            "That is the change. Where is the walker after it?",
        ),
        WrongAnswer(
            step_with(times_x=True),
            "`drift` is the whole drift at x, not the rate f that still has to be multiplied by x.",
        ),
    ),
)
