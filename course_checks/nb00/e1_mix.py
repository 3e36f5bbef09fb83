"""Exercise 00.1: mix an image with noise and keep the variance."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal, jump

from ..contract import Case, Exercise, WrongAnswer, normal


def mix(x_0: Tensor, noise: Tensor, alpha: float) -> Tensor:
    alpha_t = torch.tensor(alpha, dtype=torch.float64)
    return jump(x_0, Marginal(alpha_t, torch.sqrt(1 - alpha_t**2)), noise)


def cases(g: Generator) -> list[Case]:
    return [
        Case("three pixels, a little noise", (normal(g, 3), normal(g, 3), 0.8)),
        Case("no noise at all, alpha = 1", (normal(g, 2), normal(g, 2), 1.0)),
        Case("nothing but noise, alpha = 0", (normal(g, 2), normal(g, 2), 0.0)),
        Case("image and noise of equal weight, alpha = sqrt(1/2)", (normal(g, 2), normal(g, 2), 0.5**0.5)),
        Case("two images of 2 x 2 pixels", (normal(g, 2, 1, 2, 2), normal(g, 2, 1, 2, 2), 0.3)),
        Case("single precision", (normal(g, 5), normal(g, 5), 0.6), float32=True),
    ]


EXERCISE = Exercise(
    id="00.1",
    title="Add noise and keep the variance",
    points=0,
    reference=mix,
    cases=cases,
    answers=("course_lib.schedule.jump",),
    wrong_answers=(
        WrongAnswer(
            lambda x_0, noise, alpha: alpha * x_0 + (1 - alpha) * noise,
            "alpha + sigma = 1 is not it: what adds up are variances, the squares alpha**2 and sigma**2.",
        ),
        WrongAnswer(
            lambda x_0, noise, alpha: alpha * x_0 + (1 - alpha**2) * noise,
            "1 - alpha**2 is the variance that the noise should have; what multiplies it is a standard deviation.",
        ),
        WrongAnswer(
            lambda x_0, noise, alpha: alpha * x_0 + (1 - alpha) ** 0.5 * noise,
            "The image is multiplied by alpha; how much of a variance of 1 does that leave? It is not alpha.",
        ),
        WrongAnswer(
            lambda x_0, noise, alpha: alpha**0.5 * x_0 + (1 - alpha) ** 0.5 * noise,
            "The variance is kept, but for an alpha that is the image's share of it; here it multiplies the image.",
        ),
        WrongAnswer(
            lambda x_0, noise, alpha: x_0 + (1 - alpha**2) ** 0.5 * noise,
            "The noise is right. But the image was not made weaker, so the sum varies more than the image did.",
        ),
        WrongAnswer(
            lambda x_0, noise, alpha: (1 - alpha**2) ** 0.5 * x_0 + alpha * noise,
            "alpha belongs to the image and sigma to the noise: at alpha = 1 the image should come back untouched.",
        ),
    ),
)
