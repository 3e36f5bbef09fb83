"""Exercise 02.5: a map A with A A^T = cov, for singular covariances too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import sqrt_covariance

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import covariance


def cases(g: Generator) -> list[Case]:
    thin = normal(g, 4, 2)
    flat = torch.zeros(3, 3, dtype=torch.float64)
    flat[:2, :2] = covariance(g, 2)
    rounded = torch.diag(torch.tensor([1.3, 0.7, -1e-17], dtype=torch.float64))
    return [
        Case("one dimension", (2 + normal(g, 1, 1).abs(),)),
        Case("full rank", (covariance(g, 3),)),
        Case("diagonal", (torch.diag(0.5 + normal(g, 3).abs()),)),
        Case("the identity", (torch.eye(2, dtype=torch.float64),)),
        Case("no spread in the last direction", (flat,)),
        Case("rank 2 in four dimensions", (thin @ thin.T,)),
        Case("a variance of 0 that rounding made -1e-17", (rounded,)),
        Case("a very narrow Gaussian", (covariance(g, 2, 1e-6),)),
        Case("a wide Gaussian", (covariance(g, 2, 1e4),)),
        Case("single precision", (covariance(g, 2),), float32=True),
    ]


# Some wrong answers go by Cholesky's algorithm, most by eigenvalues.


def cholesky_with_jitter(size: float) -> Callable[..., Any]:
    return lambda cov: torch.linalg.cholesky(cov + size * torch.eye(len(cov), dtype=cov.dtype))


def root_with(root: Callable[[Tensor, Tensor], Tensor], floor: float | None = 0.0) -> Callable[..., Any]:
    """`root(eigenvalues, eigenvectors)`, with eigenvalues that are at least `floor`."""

    def root_of(cov: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(cov)
        return root(values if floor is None else values.clamp(min=floor), vectors)

    return root_of


def right_root(values: Tensor, vectors: Tensor) -> Tensor:
    return vectors * values.sqrt()


EXERCISE = Exercise(
    id="02.5",
    title="A map for a covariance, singular ones too",
    points=2,
    reference=sqrt_covariance,
    cases=cases,
    canonical=lambda root: root @ root.T,
    answers=("course_lib.gaussian.sqrt_covariance",),
    wrong_answers=(
        WrongAnswer(
            lambda cov: torch.linalg.cholesky(cov),
            "Right where the rank is full. Where a direction has no spread, Cholesky's algorithm divides by 0: which "
            "decomposition of a symmetric matrix always exists?",
        ),
        WrongAnswer(
            cholesky_with_jitter(1e-6),
            "A bit of extra variance makes Cholesky run, but it is the root of another covariance. How much is 1e-6 "
            "beside a very narrow Gaussian?",
        ),
        WrongAnswer(
            cholesky_with_jitter(1e-8),
            "The extra 1e-8 on the diagonal is not harmless: it gives the flat direction a spread, and it is one "
            "percent of a variance of 1e-6. Find a root that needs no help.",
        ),
        WrongAnswer(
            lambda cov: cov.sqrt(),
            "The root of a matrix is not the root of its entries. Along which axes does the matrix become a list of "
            "numbers?",
        ),
        WrongAnswer(
            lambda cov: torch.diag(cov.diagonal().sqrt()),
            "These are the standard deviations of the coordinates. A A^T has lost the correlations.",
        ),
        WrongAnswer(
            root_with(lambda values, vectors: vectors * values),
            "A A^T is now the square of cov: the eigenvalues are variances. What do you take of a variance to get a "
            "length?",
        ),
        WrongAnswer(
            root_with(lambda values, vectors: values.sqrt()[:, None] * vectors),
            "The eigenvectors are the columns, and each column has its own length. You scaled the rows.",
        ),
        WrongAnswer(
            root_with(lambda values, vectors: vectors.T * values.sqrt()),
            "eigh returns eigenvectors as columns, not rows: with the transpose, A A^T is V^T Lambda V.",
        ),
        WrongAnswer(
            root_with(right_root, floor=None),
            "Right up to rounding: an eigenvalue that should be 0 may come out as -1e-17, and its root is nan.",
        ),
        WrongAnswer(
            root_with(right_root, floor=1e-6),
            "Clamping at a small positive number gives flat directions a spread that they do not have. 0 has a root.",
        ),
        WrongAnswer(
            root_with(lambda values, vectors: vectors / values.sqrt(), floor=None),
            "You divided by the lengths. Is a flat direction to get an infinite spread? From noise to x, multiply.",
        ),
    ),
)
