"""Exercise 02.8: the KL divergence between any two Gaussians of full rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Gaussian, kl

from ..contract import Call, Case, Exercise, WrongAnswer, normal
from .shared import covariance


def kl_general(mu_p: Tensor, cov_p: Tensor, mu_q: Tensor, cov_q: Tensor) -> Tensor:
    return kl(Gaussian.from_moments(mu_p, cov_p), Gaussian.from_moments(mu_q, cov_q))


def cases(g: Generator) -> list[Case]:
    same_mean, same_cov = normal(g, 3), covariance(g, 3)
    many = 1e-4 * (1 + torch.rand(2, 110, generator=g, dtype=torch.float64))
    return [
        Case("one dimension", (normal(g, 1), covariance(g, 1), normal(g, 1), covariance(g, 1, 2.5))),
        Case("two dimensions", (normal(g, 2), covariance(g, 2), normal(g, 2), covariance(g, 2, 2.0))),
        Case("three dimensions", (normal(g, 3), covariance(g, 3), normal(g, 3), covariance(g, 3, 0.5))),
        Case(
            "diagonal covariances",
            (normal(g, 3), torch.diag(0.5 + normal(g, 3).abs()), normal(g, 3), torch.diag(0.3 + normal(g, 3).abs())),
        ),
        Case("equal covariances", (normal(g, 3), same_cov, normal(g, 3), same_cov.clone())),
        Case("equal means", (same_mean, covariance(g, 3), same_mean.clone(), covariance(g, 3, 3.0))),
        Case(
            "110 narrow dimensions",
            (0.01 * normal(g, 110), Call(torch.diag, many[0]), 0.01 * normal(g, 110), Call(torch.diag, many[1])),
        ),
        Case("single precision", (normal(g, 3), covariance(g, 3), normal(g, 3), covariance(g, 3)), float32=True),
    ]


# The wrong answers are the right one but for one of its terms. In these, p and q are the two covariances.


def right_trace(p: Tensor, q: Tensor) -> Tensor:
    return torch.trace(torch.linalg.solve(q, p))


def right_distance(shift: Tensor, p: Tensor, q: Tensor) -> Tensor:
    return shift @ torch.linalg.solve(q, shift)


def right_logdets(p: Tensor, q: Tensor) -> Tensor:
    return torch.logdet(q) - torch.logdet(p)


def kl_with(
    trace: Callable[[Tensor, Tensor], Tensor] = right_trace,
    distance: Callable[[Tensor, Tensor, Tensor], Tensor] = right_distance,
    logdets: Callable[[Tensor, Tensor], Tensor] = right_logdets,
    constant: Callable[[int], int] = lambda d: d,
    half: float = 0.5,
) -> Callable[..., Any]:
    def divergence(mu_p: Tensor, cov_p: Tensor, mu_q: Tensor, cov_q: Tensor) -> Tensor:
        exponents = trace(cov_p, cov_q) - constant(len(mu_p)) + distance(mu_q - mu_p, cov_p, cov_q)
        return half * (exponents + logdets(cov_p, cov_q))

    return divergence


def without_correlations(mu_p: Tensor, cov_p: Tensor, mu_q: Tensor, cov_q: Tensor) -> Tensor:
    return kl_with()(mu_p, torch.diag(cov_p.diagonal()), mu_q, torch.diag(cov_q.diagonal()))


EXERCISE = Exercise(
    id="02.8",
    title="KL between any two Gaussians",
    points=3,
    reference=kl_general,
    cases=cases,
    answers=("course_lib.gaussian.kl",),
    wrong_answers=(
        WrongAnswer(
            lambda mu_p, cov_p, mu_q, cov_q: kl_with()(mu_q, cov_q, mu_p, cov_p),
            "The roles are exchanged: this is KL(q || p). The mean is taken over p; whose covariance is then inverted?",
        ),
        WrongAnswer(
            kl_with(trace=lambda p, q: right_trace(q, p)),
            "The trace is upside down: draws of p are measured with q's ruler, Sigma_q^-1.",
        ),
        WrongAnswer(
            kl_with(distance=lambda shift, p, q: right_distance(shift, q, p)),
            "The difference of the means is measured with p's covariance. Which of the two exponents holds mu_q?",
        ),
        WrongAnswer(
            kl_with(logdets=lambda p, q: right_logdets(q, p)),
            "The determinants are upside down. Test yours with p narrow and q wide in one dimension.",
        ),
        WrongAnswer(
            kl_with(logdets=lambda p, q: torch.zeros((), dtype=p.dtype)),
            "The normalisers do not cancel where the covariances differ: a wide law has low densities.",
        ),
        WrongAnswer(
            kl_with(logdets=lambda p, q: 2 * right_logdets(p, q)),
            "The normaliser holds the root of the determinant: its logarithm is halved like everything else.",
        ),
        WrongAnswer(
            kl_with(logdets=lambda p, q: torch.log(torch.det(q)) - torch.log(torch.det(p))),
            "Right in few dimensions. In many, a determinant underflows to 0 and its logarithm is -inf: logdet does "
            "not.",
        ),
        WrongAnswer(
            without_correlations,
            "You look at the variances alone. Correlations count: in the trace, in the distance and in the "
            "determinant.",
        ),
        WrongAnswer(
            kl_with(trace=lambda p, q: torch.trace(torch.linalg.inv(q) * p)),
            "`*` multiplies entry by entry. The trace is that of a matrix product.",
        ),
        WrongAnswer(
            kl_with(constant=lambda d: 1),
            "For p = q in d dimensions the divergence is 0. Is it with what you subtract?",
        ),
        WrongAnswer(
            kl_with(constant=lambda d: 0),
            "For p = q the divergence is 0, but the trace is d. What has to be subtracted?",
        ),
        WrongAnswer(
            kl_with(half=1.0),
            "Everything is twice too large: where is the half of the exponents, and of the log determinants?",
        ),
    ),
)
