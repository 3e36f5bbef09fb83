"""Exercises of notebook 00: one, solved for the learner, to show how exercises are checked."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.schedule import Marginal, jump

from .contract import Case, Exercise, Mutant


def _noised(x_0: Tensor, noise: Tensor, alpha: float) -> Tensor:
    alpha_t = torch.tensor(alpha, dtype=torch.float64)
    return jump(x_0, Marginal(alpha_t, torch.sqrt(1 - alpha_t**2)), noise)


def _noised_cases(generator: torch.Generator) -> list[Case]:
    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return [
        Case("three pixels, a little noise", (draw(3), draw(3), 0.8)),
        Case("no noise at all, alpha = 1", (draw(2), draw(2), 1.0)),
        Case("nothing but noise, alpha = 0", (draw(2), draw(2), 0.0)),
        Case("image and noise of equal weight, alpha = sqrt(1/2)", (draw(2), draw(2), 0.5**0.5)),
        Case("two images of 2 x 2 pixels", (draw(2, 1, 2, 2), draw(2, 1, 2, 2), 0.3)),
        Case("single precision", (draw(5), draw(5), 0.6), float32=True),
    ]


_CLEAN, _NOISE, _EQUAL = (
    "no noise at all, alpha = 1",
    "nothing but noise, alpha = 0",
    "image and noise of equal weight, alpha = sqrt(1/2)",
)

EXERCISES = (
    Exercise(
        id="00.1",
        title="Add noise and keep the variance",
        points=0,
        reference=_noised,
        cases=_noised_cases,
        answers=("course_lib.schedule.jump",),
        mutants=(
            Mutant(
                lambda x_0, noise, alpha: alpha * x_0 + (1 - alpha) * noise,
                "alpha + sigma = 1 is not it: what adds up are variances, the squares alpha**2 and sigma**2.",
                agrees_on=(_CLEAN, _NOISE),
            ),
            Mutant(
                lambda x_0, noise, alpha: alpha * x_0 + (1 - alpha**2) * noise,
                "1 - alpha**2 is the variance that the noise should have; what multiplies it is a standard deviation.",
                agrees_on=(_CLEAN, _NOISE),
            ),
            Mutant(
                lambda x_0, noise, alpha: alpha * x_0 + (1 - alpha) ** 0.5 * noise,
                "The image is multiplied by alpha; how much of a variance of 1 does that leave? It is not alpha.",
                agrees_on=(_CLEAN, _NOISE),
            ),
            Mutant(
                lambda x_0, noise, alpha: alpha**0.5 * x_0 + (1 - alpha) ** 0.5 * noise,
                "The variance is kept, but for an alpha that is the image's share of it; here it multiplies the image.",
                agrees_on=(_CLEAN, _NOISE),
            ),
            Mutant(
                lambda x_0, noise, alpha: x_0 + (1 - alpha**2) ** 0.5 * noise,
                "The noise is right. But the image was not made weaker, so the sum varies more than the image did.",
                agrees_on=(_CLEAN,),
            ),
            Mutant(
                lambda x_0, noise, alpha: (1 - alpha**2) ** 0.5 * x_0 + alpha * noise,
                "alpha belongs to the image and sigma to the noise: at alpha = 1 the image should come back untouched.",
                agrees_on=(_EQUAL,),
            ),
        ),
    ),
)
