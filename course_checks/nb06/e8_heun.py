"""Exercise 06.8: Heun's step."""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor

from course_lib.data.toys import mixture_2d
from course_lib.oracle import gaussian_denoiser, mixture_denoiser
from course_lib.parametrization import Denoiser
from course_lib.sampling import heun
from course_lib.schedule import Marginal

from ..contract import Call, Case, Exercise, WrongAnswer, normal
from .shared import marginal


def heun_step(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
    return heun(x_t, earlier, later, denoiser, x_t)[0]


def cases(g: Generator) -> list[Case]:
    bell, bumps = Call(gaussian_denoiser, 0.4, 0.3), Call(mixture_denoiser, Call(mixture_2d))
    return [
        Case("one number", (normal(g, 1, 1), marginal(0.8, 0.6), marginal(0.5, 0.85), bell)),
        Case("three bumps", (normal(g, 4, 2), marginal(0.9, 0.4), marginal(0.6, 0.8), bumps)),
        Case("alpha = 1 at both times", (normal(g, 3, 2), marginal(1.0, 0.5), marginal(1.0, 1.2), bumps)),
        Case("the last step, sigma_s = 0", (normal(g, 3, 2), marginal(1.0, 0.0), marginal(0.9, 0.4), bumps)),
        Case("the last step, alpha = 1", (normal(g, 3, 2), marginal(1.0, 0.0), marginal(1.0, 0.3), bumps)),
        Case("images, not variance preserving", (normal(g, 2, 1, 2, 2), marginal(0.7, 0.3), marginal(0.4, 0.6), bell)),
        Case("single precision", (normal(g, 2, 2), marginal(0.8, 0.6), marginal(0.5, 0.85), bumps), float32=True),
    ]


# The wrong answers.


def heun_with(
    weights: tuple[float, float] = (0.5, 0.5),
    shown: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda alpha, y, x_t: alpha * y,
    level: str = "earlier",
    clock: Callable[[Marginal], Tensor] = lambda marginal: marginal.ratio,
    begin: bool = True,
    end: bool = True,
    last_too: bool = False,
) -> Callable[..., Tensor]:
    """The right step but for one thing: weights of the slopes, what is shown at the trial, its level, the scales."""

    def step(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
        y, du = x_t / later.alpha if begin else x_t, clock(earlier) - clock(later)
        slope = denoiser(x_t, later).eps
        if last_too or bool(earlier.sigma > 0):
            trial = shown(earlier.alpha, y + du * slope, x_t)
            slope = weights[0] * slope + weights[1] * denoiser(trial, earlier if level == "earlier" else later).eps
        return (earlier.alpha if end else 1.0) * (y + du * slope)

    return step


def midpoint(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
    """One slope, in the middle of the step in u, at a variance-preserving level of that u."""
    y, du = x_t / later.alpha, earlier.ratio - later.ratio
    slope = denoiser(x_t, later).eps
    if bool(earlier.sigma > 0):
        half = Marginal.from_ratio(0.5 * (earlier.ratio + later.ratio))
        slope = denoiser(half.alpha * (y + 0.5 * du * slope), half).eps
    return earlier.alpha * (y + du * slope)


EXERCISE = Exercise(
    id="06.8",
    title="Heun's step",
    points=2,
    reference=heun_step,
    cases=cases,
    answers=("course_lib.sampling.heun",),
    wrong_answers=(
        WrongAnswer(
            heun_with(weights=(1.0, 0.0)),
            "That is Euler's step. Where it ends, the slope is another one: use both.",
        ),
        WrongAnswer(
            heun_with(weights=(0.0, 1.0)),
            "You use only the slope at the end of the trial. One slope is too old, the other too new: which weights?",
        ),
        WrongAnswer(
            heun_with(weights=(1.0, 1.0)),
            "Two slopes, added up, move twice as far.",
        ),
        WrongAnswer(
            heun_with(shown=lambda alpha, y, x_t: y),
            "The denoiser wants x, not y: with which alpha do you translate the trial?",
        ),
        WrongAnswer(
            heun_with(shown=lambda alpha, y, x_t: x_t),
            "The second slope belongs to where Euler's step would end, not to where it starts.",
        ),
        WrongAnswer(
            heun_with(level="later"),
            "The trial has less noise than x_t: tell the denoiser which.",
        ),
        WrongAnswer(
            heun_with(last_too=True),
            "At sigma = 0 there is no noise to estimate, and no slope there to average with: make the last step "
            "Euler's.",
        ),
        WrongAnswer(
            heun_with(clock=lambda marginal: marginal.sigma),
            "The clock is u = sigma / alpha.",
        ),
        WrongAnswer(
            heun_with(end=False),
            "That is y_s. Translate it back: x_s = alpha_s y_s.",
        ),
        WrongAnswer(
            heun_with(begin=False),
            "The step is straight in y = x / alpha, not in x: divide first.",
        ),
        WrongAnswer(
            midpoint,
            "One slope in the middle is another method, of the same order. Heun's averages the slopes at both ends.",
        ),
    ),
)
