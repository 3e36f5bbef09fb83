"""Plausible wrong answers to exercises 02.7 and 02.8, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .contract import Mutant

# -------------------------------------------------------------------------------------------------- 02.7 KL, spherical


def _spherical(terms: Callable[[int, Tensor, float, float], Tensor | float]) -> Callable[..., Tensor]:
    """`terms(d, difference of means, sigma_p, sigma_q)`."""

    def kl_spherical(mu_p: Tensor, sigma_p: float, mu_q: Tensor, sigma_q: float) -> Tensor:
        return torch.as_tensor(terms(len(mu_p), mu_p - mu_q, sigma_p, sigma_q))

    return kl_spherical


def _right(d: int, shift: Tensor, p: float, q: float) -> Tensor:
    return d * math.log(q / p) + (d * p**2 + shift.square().sum()) / (2 * q**2) - d / 2


WIDTHS, MEANS, ONE = "equal widths", "equal means", "one dimension"

KL_SPHERICAL = (
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, q, p)),
        "The roles are exchanged: this is KL(q || p). Whose draws are averaged over, and whose code is the wrong one?",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) - (d - 1) * math.log(q / p)),
        "The logarithm is counted once. Every one of the d coordinates pays it.",
        agrees_on=(ONE, WIDTHS),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) - (d - 1) * p**2 / (2 * q**2)),
        "The mean of |x - mu_q|^2 under p holds the noise of all d coordinates.",
        agrees_on=(ONE,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) + (d - 1) / 2),
        "For p = q the divergence is 0 in every dimension. What has to be subtracted, then?",
        agrees_on=(ONE,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(1, shift, p, q)),
        "This has no d at all: only the distance of the means is summed over the coordinates. What about the widths?",
        agrees_on=(ONE, WIDTHS),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) + d / 2),
        "For p = q the divergence is 0. Yours is d / 2: p's own exponent has a mean, too.",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) - 2 * d * math.log(q / p)),
        "The logarithm is upside down. If q is wider than p, its densities are lower: does that cost or save?",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) + d * math.log(q / p)),
        "log(sigma_q**2 / sigma_p**2) is twice log(sigma_q / sigma_p). A half is missing, or a square is too many.",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: d * math.log(q / p) + (d * p + shift.square().sum()) / (2 * q) - d / 2),
        "Squared distances are compared with variances, not with standard deviations.",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) + shift.square().sum() / (2 * q**2)),
        "The widths are right, but the distance of the means lacks the half that its exponent has.",
        agrees_on=(MEANS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) - 0.5 * d * math.log(q / p)),
        "The half in front of a logarithm belongs to variances. For log(sigma_q / sigma_p) there is none.",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: d * math.log(q / p) + shift.square().sum() / (2 * q**2)),
        "The two exponents cancel only where the widths are equal. What is the mean of |x - mu_p|^2 in units of q?",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: (_right(d, shift, p, q) + _right(d, shift, q, p)) / 2),
        "This is the mean of both directions. The divergence asked for is not symmetric: p pays, with q's code.",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: 0.5 * d * math.log(q / p) + (d * p + shift.square().sum()) / (2 * q) - d / 2),
        "You treat the two sigmas as variances. They are standard deviations.",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) - d / 2),
        "For p = q the divergence is 0. Yours is negative: p's exponent contributes d / 2, not d.",
    ),
    Mutant(
        _spherical(
            lambda d, shift, p, q: (
                d * math.log(q / p) + d * p**2 / (2 * q**2) + shift.square().sum() / (2 * p**2) - d / 2
            )
        ),
        "The means' distance is measured in units of the law whose code is used. Is that p or q?",
        agrees_on=(WIDTHS, MEANS),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) - shift.square().sum() * (d - 1) / d / (2 * q**2)),
        "The squared distance of the means is a sum over the coordinates, not their average.",
        agrees_on=(ONE, MEANS),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, 0 * shift, p, q) + shift.norm() / (2 * q**2)),
        "The distance of the means enters squared. (Property (e) has no root in it.)",
        agrees_on=(MEANS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, 0 * shift, p, q) + shift.sum() ** 2 / (2 * q**2)),
        "You square the sum of the differences, in which they cancel. Square each of them, then add.",
        agrees_on=(ONE, MEANS),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, 0 * shift, p, q)),
        "Two Gaussians of the same width but with different means are not the same: what do the means cost?",
        agrees_on=(MEANS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: d * math.log(q / p) + (d * p**2 + shift.square().sum()) / q**2 - d / 2),
        "Where is the half of the exponent?",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) / math.log(2)),
        "This is in bits. Nats are asked for: natural logarithms throughout.",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: _right(d, shift, p, q) / d),
        "This is the divergence per dimension. Whole vectors are compared.",
        agrees_on=(ONE,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: -_right(d, shift, p, q)),
        "A divergence is never negative: who pays the extra nats?",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: d * math.log(q / p) + (d * p**2 + shift.square().sum()) / (2 * p**2) - d / 2),
        "You divide by p's variance. q's density is the one whose exponent has to be averaged: whose width is in it?",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: d * math.log(q / p) + (d * q**2 + shift.square().sum()) / (2 * p**2) - d / 2),
        "The logarithm is right, but in the quotient p and q are exchanged: draws of p are measured in units of q.",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: math.log(q / p) + (p**2 + shift.square()) / (2 * q**2) - 0.5),
        "These are the divergences of the single coordinates, (d,). What does independence make of them?",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: d * math.log(q / p) + (d * p**2 + shift.square()) / (2 * q**2) - d / 2),
        "One number is asked for. The squared differences of the means are still a list: sum them.",
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: shift.square().sum() / (2 * q**2)),
        "This is the formula for equal widths. Where they differ, the widths cost something too.",
        agrees_on=(WIDTHS,),
    ),
    Mutant(
        _spherical(lambda d, shift, p, q: shift.square().sum() / (2 * p**2)),
        "This is the formula for equal widths, with p's. Where they differ, the widths cost too, and the unit is q's.",
        agrees_on=(WIDTHS,),
    ),
)

# ---------------------------------------------------------------------------------------------------- 02.8 KL, general


def _spread(p: Tensor, q: Tensor) -> Tensor:
    return torch.trace(torch.linalg.solve(q, p))


def _shift(shift: Tensor, p: Tensor, q: Tensor) -> Tensor:
    return shift @ torch.linalg.solve(q, shift)


def _dets(p: Tensor, q: Tensor) -> Tensor:
    return torch.logdet(q) - torch.logdet(p)


def _general(
    spread: Callable[[Tensor, Tensor], Tensor] = _spread,
    squared: Callable[[Tensor, Tensor, Tensor], Tensor] = _shift,
    dets: Callable[[Tensor, Tensor], Tensor] = _dets,
    constant: float = 1.0,
    half: float = 0.5,
) -> Callable[..., Tensor]:
    def kl_general(mu_p: Tensor, cov_p: Tensor, mu_q: Tensor, cov_q: Tensor) -> Tensor:
        total = spread(cov_p, cov_q) - constant * len(mu_p) + squared(mu_q - mu_p, cov_p, cov_q)
        return half * (total + dets(cov_p, cov_q))

    return kl_general


def _diagonal_only(mu_p: Tensor, cov_p: Tensor, mu_q: Tensor, cov_q: Tensor) -> Tensor:
    p, q = torch.diag(cov_p.diagonal()), torch.diag(cov_q.diagonal())
    return _general()(mu_p, p, mu_q, q)


DIAGONAL, NARROW, LINE = "diagonal covariances", "110 narrow dimensions", "one dimension"
SAME_COV, SAME_MEAN = "equal covariances", "equal means"

KL_GENERAL = (
    Mutant(
        lambda mu_p, cov_p, mu_q, cov_q: _general()(mu_q, cov_q, mu_p, cov_p),
        "The roles are exchanged: this is KL(q || p). The mean is taken over p; whose covariance is then inverted?",
        agrees_on=(SAME_COV,),
    ),
    Mutant(
        _general(spread=lambda p, q: _spread(q, p)),
        "The trace is upside down: draws of p are measured with q's ruler, Sigma_q^-1.",
        agrees_on=(SAME_COV,),
    ),
    Mutant(
        _general(squared=lambda shift, p, q: _shift(shift, q, p)),
        "The difference of the means is measured with p's covariance. Which of the two exponents holds mu_q?",
        agrees_on=(SAME_COV, SAME_MEAN),
    ),
    Mutant(
        _general(dets=lambda p, q: _dets(q, p)),
        "The determinants are upside down. Test yours with p narrow and q wide in one dimension.",
        agrees_on=(SAME_COV,),
    ),
    Mutant(
        _general(dets=lambda p, q: torch.zeros((), dtype=p.dtype)),
        "The normalisers do not cancel where the covariances differ: a wide law has low densities.",
        agrees_on=(SAME_COV,),
    ),
    Mutant(
        _general(dets=lambda p, q: 2 * _dets(p, q)),
        "The normaliser holds the root of the determinant: its logarithm is halved like everything else.",
        agrees_on=(SAME_COV,),
    ),
    Mutant(
        _general(dets=lambda p, q: torch.log(torch.det(q)) - torch.log(torch.det(p))),
        "Right in few dimensions. In many, a determinant underflows to 0 and its logarithm is -inf: logdet does not.",
        agrees_on=(LINE, "two dimensions", "three dimensions", DIAGONAL, SAME_COV, SAME_MEAN),
    ),
    Mutant(
        _general(dets=lambda p, q: torch.log(q.diagonal() / p.diagonal()).sum()),
        "The determinant is the product of the diagonal only where the matrix is diagonal (or triangular).",
        agrees_on=(LINE, DIAGONAL, NARROW, SAME_COV),
    ),
    Mutant(
        _diagonal_only,
        "You look at the variances alone. Correlations count: in the trace, in the distance and in the determinant.",
        agrees_on=(LINE, DIAGONAL, NARROW),
    ),
    Mutant(
        _general(spread=lambda p, q: (p.diagonal() / q.diagonal()).sum()),
        "The trace of Sigma_q^-1 Sigma_p is the sum of the quotients of the diagonals only where Sigma_q is diagonal.",
        agrees_on=(LINE, DIAGONAL, NARROW, SAME_COV),
    ),
    Mutant(
        _general(spread=lambda p, q: torch.linalg.solve(q, p).sum()),
        "You sum over all entries of Sigma_q^-1 Sigma_p. A trace is the sum of its diagonal.",
        agrees_on=(LINE, DIAGONAL, NARROW, SAME_COV),
    ),
    Mutant(
        _general(spread=lambda p, q: torch.trace(torch.linalg.inv(q)) * torch.trace(p)),
        "The trace of a product is not the product of the traces. Multiply the matrices first.",
        agrees_on=(LINE,),
    ),
    Mutant(
        _general(spread=lambda p, q: torch.trace(torch.linalg.solve(q, p)) + len(p) - 1),
        "For p = q in d dimensions the divergence is 0. Is it with what you subtract?",
        agrees_on=(LINE,),
    ),
    Mutant(
        _general(squared=lambda shift, p, q: _shift(shift, p, q).sqrt()),
        "The distance of the means enters squared: the exponent of a Gaussian has no root.",
        agrees_on=(SAME_MEAN,),
    ),
    Mutant(
        _general(squared=lambda shift, p, q: (shift**2 / q.diagonal()).sum()),
        "Dividing by the variances alone is right for independent coordinates. Where q's are correlated, "
        "invert Sigma_q.",
        agrees_on=(LINE, DIAGONAL, NARROW, SAME_MEAN),
    ),
    Mutant(
        _general(dets=lambda p, q: 0.5 * _dets(p, q)),
        "The log determinants are halved twice.",
        agrees_on=(SAME_COV,),
    ),
    Mutant(
        _general(dets=lambda p, q: torch.log(torch.trace(q) / torch.trace(p))),
        "The normaliser holds the determinant, a volume: the product of the eigenvalues, not their sum.",
        agrees_on=(LINE, SAME_COV),
    ),
    Mutant(
        _general(spread=lambda p, q: _spread(q, p), squared=lambda shift, p, q: _shift(shift, q, p)),
        "Trace and distance use p's ruler. The mean is taken over p, but it is q's exponent whose mean is taken.",
        agrees_on=(SAME_COV,),
    ),
    Mutant(
        _general(
            spread=lambda p, q: (p.diagonal() / q.diagonal()).sum(),
            squared=lambda shift, p, q: (shift**2 / q.diagonal()).sum(),
        ),
        "A matrix is not inverted by dividing by its diagonal: in the trace and in the distance the "
        "correlations count.",
        agrees_on=(LINE, DIAGONAL, NARROW),
    ),
    Mutant(
        _general(dets=lambda p, q: torch.exp(_dets(p, q))),
        "The quotient of the determinants stands under a logarithm: log densities are compared.",
    ),
    Mutant(
        _general(spread=lambda p, q: torch.trace(q @ p)),
        "In the trace, Sigma_q has to be inverted: p's spread is compared with q's.",
    ),
    Mutant(
        _general(spread=lambda p, q: torch.trace(p)),
        "The trace of p's covariance alone? It is measured in units of q.",
    ),
    Mutant(
        _general(squared=lambda shift, p, q: shift @ q @ shift),
        "In the distance, Sigma_q has to be inverted: the wider q, the less a shift of the mean costs.",
        agrees_on=(SAME_MEAN,),
    ),
    Mutant(
        _general(squared=lambda shift, p, q: shift @ shift),
        "The squared distance of the means is measured in units of q, direction by direction.",
        agrees_on=(SAME_MEAN,),
    ),
    Mutant(
        _general(squared=lambda shift, p, q: shift.sum() * 0),
        "Two Gaussians with the same covariance but different means are not the same: what do the means cost?",
        agrees_on=(SAME_MEAN,),
    ),
    Mutant(
        _general(constant=0.0),
        "For p = q the divergence is 0, but the trace is d. What has to be subtracted?",
    ),
    Mutant(
        _general(half=1.0),
        "Everything is twice too large: where is the half of the exponents, and of the log determinants?",
    ),
    Mutant(
        _general(half=0.5 / math.log(2)),
        "This is in bits. Nats are asked for: natural logarithms throughout.",
    ),
    Mutant(
        _general(half=-0.5),
        "A divergence is never negative: who pays the extra nats?",
    ),
    Mutant(
        _general(spread=lambda p, q: torch.trace(torch.linalg.inv(q) * p)),
        "`*` multiplies entry by entry. The trace is that of a matrix product.",
        agrees_on=(LINE, DIAGONAL, NARROW),
    ),
    Mutant(
        _general(spread=lambda p, q: torch.trace(p) / torch.trace(q)),
        "The trace of a quotient is not the quotient of the traces. Invert and multiply first, then take the trace.",
        agrees_on=(LINE,),
    ),
)
