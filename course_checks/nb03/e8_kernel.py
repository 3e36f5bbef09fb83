"""Exercise 03.8: the kernel between any two times."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal, kernel

from ..contract import ONE, Call, Case, Exercise, WrongAnswer
from .shared import exploding, neither, pair


def kernel_of(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    law = kernel(earlier, later)
    return law.scale, law.std


def cases(g: Generator) -> list[Case]:
    return [
        Case("the variance preserved", pair(g)),
        Case("alpha = 1: the variance explodes", exploding(g)),
        Case("neither kept nor exploding", neither(g)),
        Case("from clean, s = 0", (Call(Marginal, ONE, 0 * ONE), pair(g)[1])),
        Case("to pure noise, alpha_t = 0", (pair(g)[0], Call(Marginal, 0 * ONE, ONE))),
        Case("a level per picture", pair(g, 3)),
        Case("single precision", pair(g, 4), float32=True),
    ]


# The wrong answers.


def kernel_with(
    std: Callable[[Marginal, Marginal, Tensor], Tensor], scale: Callable[[Marginal, Marginal], Tensor] | None = None
) -> Callable[[Marginal, Marginal], tuple[Tensor, Tensor]]:
    def kernel(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
        r = later.alpha / earlier.alpha
        return (r if scale is None else scale(earlier, later)), std(earlier, later, r)

    return kernel


def right_std(s: Marginal, t: Marginal, r: Tensor) -> Tensor:
    return torch.sqrt(t.sigma**2 - (r * s.sigma) ** 2)


EXERCISE = Exercise(
    id="03.8",
    title="The kernel between any two times",
    points=2,
    reference=kernel_of,
    cases=cases,
    answers=("course_lib.schedule.kernel",),
    wrong_answers=(
        WrongAnswer(
            kernel_with(lambda s, t, r: torch.sqrt(1 - r**2)),
            "1 - r**2 holds where the variance is preserved. Here it need not be: subtract what is left of the old "
            "noise.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: 1 - r**2),
            "1 - r**2 is a variance, not yet a std; and it holds only where the variance is preserved.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: t.sigma**2 - (r * s.sigma) ** 2),
            "This is the variance. The standard deviation is its root.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: torch.sqrt(t.sigma**2 - s.sigma**2)),
            "The noise of time s does not arrive whole: the step shrinks it by r first.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: torch.sqrt(t.sigma**2 - r * s.sigma**2)),
            "A noise that is shrunk by r keeps r**2 of its variance.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: t.sigma - r * s.sigma),
            "Standard deviations of independent noises do not subtract. Their squares do.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: torch.sqrt(t.sigma**2 + (r * s.sigma) ** 2)),
            "The VARIANCES of the step's noise and of what is left of the old noise add up to sigma_t**2. So the "
            "step's is a difference.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: t.alpha * torch.sqrt((t.sigma / t.alpha) ** 2 - (s.sigma / s.alpha) ** 2)),
            "alpha_t may be 0: do not divide by it. Multiply the bracket out.",
        ),
        WrongAnswer(
            kernel_with(lambda s, t, r: t.sigma),
            "sigma_t counts all the noise since the clean picture. Part of it was there at s already.",
        ),
        WrongAnswer(
            kernel_with(right_std, lambda s, t: t.alpha),
            "alpha_t starts from the clean picture. x_s has been shrunk by alpha_s already.",
        ),
        WrongAnswer(
            kernel_with(right_std, lambda s, t: s.alpha / t.alpha),
            "Your scale is upside down: from s to t the picture gets smaller, so the scale is at most 1.",
        ),
        WrongAnswer(
            kernel_with(right_std, lambda s, t: (t.alpha / s.alpha) ** 2),
            "The scale multiplies a picture, not a variance: no square.",
        ),
    ),
)
