"""Exercise 02.2: mean and covariance of A e + m."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Gaussian

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import covariance


def affine_moments(A: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    law = Gaussian(A, m)
    return law.mean.clone(), law.cov


def cases(g: Generator) -> list[Case]:
    return [
        Case("one noise, one number", (1 + normal(g, 1, 1).abs(), normal(g, 1))),
        Case("a square map", (normal(g, 2, 2), normal(g, 2))),
        Case("a symmetric map", (covariance(g, 2), normal(g, 2))),
        Case("a diagonal map", (torch.diag(normal(g, 3)), normal(g, 3))),
        Case("the identity", (torch.eye(2, dtype=torch.float64), normal(g, 2))),
        Case("m = 0", (normal(g, 3, 3), torch.zeros(3, dtype=torch.float64))),
        Case("four noises, two numbers", (normal(g, 2, 4), normal(g, 2))),
        Case("one noise, three numbers", (normal(g, 3, 1), normal(g, 3))),
        Case("single precision", (normal(g, 2, 3), normal(g, 2)), float32=True),
    ]


# The wrong answers are the right one but for the mean or the covariance.


def moments_with(
    mean: Callable[[Tensor, Tensor], Tensor] = lambda A, m: m.clone(),
    cov: Callable[[Tensor, Tensor], Tensor] = lambda A, m: A @ A.T,
) -> Callable[..., Any]:
    return lambda A, m: (mean(A, m), cov(A, m))


def cov_of_columns(A: Tensor, m: Tensor) -> Tensor:
    """torch.cov(A), without its warning where A has one column."""
    off = A - A.mean(1, keepdim=True)
    return off @ off.T / (A.shape[1] - 1)


EXERCISE = Exercise(
    id="02.2",
    title="Covariance and mean of an affine map",
    points=1,
    reference=affine_moments,
    cases=cases,
    answers=("course_lib.gaussian.Gaussian",),
    wrong_answers=(
        WrongAnswer(
            moments_with(cov=lambda A, m: A.T @ A),
            "The covariance is that of x, so its size is d x d, whatever the number of noises. On which side does A "
            "stand?",
        ),
        WrongAnswer(
            moments_with(cov=lambda A, m: A @ A),
            "The covariance is the mean of u u^T, with u = x - m = A e. In which order do A and e stand in u^T?",
        ),
        WrongAnswer(
            moments_with(cov=lambda A, m: A.clone()),
            "A is to the covariance what a standard deviation is to a variance. Something has to be squared.",
        ),
        WrongAnswer(
            moments_with(cov=lambda A, m: A * A),
            "Squaring entry by entry is right for a diagonal map only. Otherwise the square of a map is a matrix "
            "product.",
        ),
        WrongAnswer(
            moments_with(cov=lambda A, m: torch.diag((A @ A.T).diagonal())),
            "These are the variances alone. Coordinates that use the same noises are correlated: what stands beside "
            "the diagonal?",
        ),
        WrongAnswer(
            moments_with(cov=lambda A, m: A @ A.T + torch.outer(m, m)),
            "This is the mean of x x^T. The covariance measures deviations from the mean: moving a cloud does not "
            "widen it.",
        ),
        WrongAnswer(
            moments_with(cov=lambda A, m: A @ A.T / A.shape[1]),
            "You average over the noises. A sum of independent noises has the sum of their variances.",
        ),
        WrongAnswer(
            moments_with(cov=cov_of_columns),
            "torch.cov takes the columns of A for samples and estimates. A is not data: derive the covariance of A e.",
        ),
        WrongAnswer(
            moments_with(mean=lambda A, m: torch.zeros_like(m)),
            "The noise has mean 0. Is m still there once it is averaged away?",
        ),
        WrongAnswer(
            moments_with(mean=lambda A, m: A @ m),
            "m is added after the map, so A never touches it.",
        ),
        WrongAnswer(
            lambda A, m: (A @ A.T, m.clone()),
            "Both values are there, in the other order: mean first, then covariance.",
        ),
    ),
)
