"""Plausible wrong answers to exercises 02.5 to 02.8, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .contract import Mutant

Pair = tuple[Tensor, Tensor]

# --------------------------------------------------------------------------------------------------- 02.5 square root


def _by_eigen(root: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def root_of(cov: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(cov)
        return root(values.clamp(min=0), vectors)

    return root_of


def _jitter(size: float) -> Callable[[Tensor], Tensor]:
    return lambda cov: torch.linalg.cholesky(cov + size * torch.eye(len(cov), dtype=cov.dtype))


FLAT = "no spread in the last direction"

ROOT = (
    Mutant(
        lambda cov: torch.linalg.cholesky(cov),
        "Right where the rank is full. Where a direction has no spread, Cholesky's algorithm divides by 0: which "
        "decomposition of a symmetric matrix always exists?",
        agrees_on=("one dimension", "full rank", "diagonal", "the identity", "a very narrow Gaussian"),
    ),
    Mutant(
        lambda cov: torch.linalg.cholesky(cov).T.clone(),
        "The factor is transposed: R^T R = cov is not R R^T = cov. And it exists for full rank only.",
        agrees_on=("one dimension", "diagonal", "the identity"),
    ),
    Mutant(
        _jitter(1e-6),
        "A bit of extra variance makes Cholesky run, but it is the root of another covariance. How much is 1e-6 "
        "beside a very narrow Gaussian?",
    ),
    Mutant(
        _jitter(1e-8),
        "The extra 1e-8 on the diagonal is not harmless: it gives the flat direction a spread, and is a percent of a "
        "variance of 1e-6. Find a root that needs no help.",
    ),
    *(
        Mutant(
            _jitter(size),
            f"A bit of extra variance makes Cholesky run, but {size:g} is a lot beside a narrow Gaussian, and flat "
            "directions get a spread. Find a root that needs no help.",
        )
        for size in (1e-3, 1e-4, 1e-5)
    ),
    Mutant(
        lambda cov: cov.abs().sqrt(),
        "The root of a matrix is not the root of its entries, with or without their signs: see what your A A^T is.",
        agrees_on=("one dimension", "diagonal", "the identity"),
    ),
    Mutant(
        lambda cov: cov.sqrt(),
        "The root of a matrix is not the root of its entries. Along which axes does the matrix become a list "
        "of numbers?",
        agrees_on=("one dimension", "diagonal", "the identity"),
    ),
    Mutant(
        lambda cov: torch.diag(cov.diagonal().sqrt()),
        "These are the standard deviations of the coordinates. A A^T has lost the correlations.",
        agrees_on=("one dimension", "diagonal", "the identity"),
    ),
    Mutant(
        _by_eigen(lambda values, vectors: vectors * values),
        "A A^T is now the square of cov: the eigenvalues are variances. What do you take of a variance to "
        "get a length?",
        agrees_on=("the identity",),
    ),
    Mutant(
        _by_eigen(lambda values, vectors: values.sqrt()[:, None] * vectors),
        "The eigenvectors are the columns, and each column has its own length. You scaled the rows.",
        agrees_on=("one dimension", "the identity"),
    ),
    Mutant(
        _by_eigen(lambda values, vectors: vectors.T * values.sqrt()),
        "eigh returns eigenvectors as columns, not rows: with the transpose, A A^T is V^T Lambda V.",
        agrees_on=("one dimension", "the identity"),
    ),
    Mutant(
        lambda cov: (lambda values, vectors: vectors * values.sqrt())(*torch.linalg.eigh(cov)),
        "Right up to rounding: an eigenvalue that should be 0 may come out as -1e-17, and its root is nan.",
        agrees_on=("one dimension", "full rank", "diagonal", "the identity", FLAT),
    ),
    Mutant(
        _by_eigen(lambda values, vectors: vectors / values.clamp(min=1e-30).sqrt()),
        "This map goes the other way: it whitens, x to noise. Multiply by the lengths instead of dividing.",
        agrees_on=("the identity",),
    ),
    Mutant(
        _by_eigen(lambda values, vectors: vectors * values.sqrt().sqrt()),
        "One root too many: A A^T is the square root of cov.",
        agrees_on=("the identity",),
    ),
    Mutant(
        _by_eigen(lambda values, vectors: vectors * values.clamp(min=1e-6).sqrt()),
        "Clamping at a small positive number gives flat directions a spread that they do not have. 0 has a root.",
        agrees_on=("one dimension", "full rank", "diagonal", "the identity", "a wide Gaussian"),
    ),
    Mutant(
        lambda cov: cov / 2,
        "A root of a matrix is not half of it: multiply your A by its transpose and compare.",
    ),
)

# ----------------------------------------------------------------------------------------------------- 02.6 condition


def _inverse(matrix: Tensor) -> Tensor:
    return torch.linalg.inv(matrix)


def _gain(cov: Tensor, H: Tensor, Q: Tensor) -> Tensor:
    return cov @ H.T @ _inverse(H @ cov @ H.T + Q)


def _condition(
    gain: Callable[[Tensor, Tensor, Tensor], Tensor] = _gain,
    mean: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = lambda mu, G, H, y: mu + G @ (y - H @ mu),
    cov: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = lambda cov, G, H, Q: cov - G @ H @ cov,
) -> Callable[..., Pair]:
    def posterior(mu: Tensor, prior: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> Pair:
        G = gain(prior, H, Q)
        return mean(mu, G, H, y), cov(prior, G, H, Q)

    return posterior


def _kept(cov: Tensor, G: Tensor, H: Tensor) -> Tensor:
    return torch.eye(len(cov), dtype=cov.dtype) - G @ H


def _bells(mu: Tensor, prior: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> Pair:
    cov = _inverse(_inverse(prior) + _inverse(Q))
    return cov @ (_inverse(prior) @ mu + _inverse(Q) @ y), cov


def _information(mu: Tensor, prior: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> Pair:
    cov = _inverse(_inverse(prior) + H.T @ _inverse(Q) @ H)
    return cov @ (_inverse(prior) @ mu + H.T @ _inverse(Q) @ y), cov


DIRECT = ("one dimension, H = 1", "H = I", "H = I, prior and noise equally wide")

CONDITION = (
    Mutant(
        _condition(lambda cov, H, Q: cov @ H.T @ _inverse(Q)),
        "y spreads because of the noise and because x does. Which covariance has to be divided out, the "
        "noise's or y's?",
    ),
    Mutant(
        _condition(lambda cov, H, Q: cov @ H.T @ _inverse(H @ cov @ H.T)),
        "The noise is missing from the covariance of y: you believe the observation completely.",
        agrees_on=("no noise",),
    ),
    Mutant(
        _condition(lambda cov, H, Q: H.T @ Q @ _inverse(H @ cov @ H.T + Q)),
        "The weights are crossed: the noisier the observation, the less it should move you. What stands in the gain's "
        "numerator?",
        agrees_on=("H = I, prior and noise equally wide",),
    ),
    Mutant(
        _condition(lambda cov, H, Q: cov @ _inverse(H @ cov @ H.T + Q)),
        "The gain begins with Cov(x, y). With y = H x + noise, what is it?",
        agrees_on=DIRECT,
    ),
    Mutant(
        _condition(lambda cov, H, Q: _gain(cov, H, Q).T),
        "The gain is transposed. It takes an observation (n numbers) to a change of x (d numbers).",
        agrees_on=("one dimension, H = 1",),
    ),
    Mutant(
        _condition(lambda cov, H, Q: cov @ H.T / (H @ cov @ H.T + Q)),
        "A matrix is not inverted by dividing by its entries; with a single observed number you do not notice.",
        agrees_on=("one dimension, H = 1", "one number seen of three"),
    ),
    Mutant(
        _condition(lambda cov, H, Q: _gain(cov, H, Q @ Q)),
        "Q is the covariance of the noise already: do not square it.",
        agrees_on=("no noise", "Q = I"),
    ),
    Mutant(
        lambda mu, prior, H, Q, y: _condition()(mu, prior, torch.eye(len(mu), dtype=mu.dtype), Q, y),
        "You leave H out: y shows H x, not x itself.",
        agrees_on=DIRECT,
    ),
    Mutant(
        _information,
        "Right as long as both covariances can be inverted. Without noise, or with a direction that is known for "
        "certain, one of them cannot: which form inverts the covariance of y only?",
        agrees_on=(*DIRECT, "mu = 0", "one number seen of three", "Q = I"),
    ),
    Mutant(
        _condition(mean=lambda mu, G, H, y: mu + G @ y),
        "What teaches you something is the surprise: y minus what you expected to see.",
        agrees_on=("mu = 0",),
    ),
    Mutant(
        _condition(mean=lambda mu, G, H, y: G @ y),
        "Where is the prior mean? With a worthless observation you should be left with mu.",
        agrees_on=("mu = 0",),
    ),
    Mutant(
        _condition(mean=lambda mu, G, H, y: mu + G @ (y - mu)),
        "You expected to see H mu, not mu.",
        agrees_on=(*DIRECT, "mu = 0"),
    ),
    Mutant(
        _condition(mean=lambda mu, G, H, y: mu - G @ (y - H @ mu)),
        "The mean moves away from the observation. Which way should a surprise pull?",
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: cov.clone()),
        "Having seen something, are you as uncertain as before?",
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: cov + G @ H @ cov),
        "Seeing something makes you more certain: the covariance shrinks.",
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: _kept(cov, G, H) @ cov @ _kept(cov, G, H).T),
        "The residual has two parts: what is kept of x, and the noise that the gain lets in. One of them is missing.",
        agrees_on=("no noise",),
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: cov @ _kept(cov, G, H)),
        "Matrices do not commute: which side of the covariance does I - G H stand on? (A covariance is "
        "symmetric: check.)",
        agrees_on=("one dimension, H = 1", "H = I, prior and noise equally wide"),
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: G @ Q @ G.T),
        "The residual has two parts: the noise that the gain lets in, and what is kept of x. One of them is missing.",
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: G @ H @ cov),
        "This is the part of the covariance that the observation explains. What remains?",
        agrees_on=("H = I, prior and noise equally wide",),
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: _kept(cov, G, H)),
        "I - G H is the share that remains. The share of what?",
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: cov - G @ G.T),
        "Cov(G y) is G Cov(y) G^T. You left out the middle.",
    ),
    Mutant(
        _bells,
        "Multiplying the two bells is right where y shows x itself and both covariances can be inverted. Here y shows "
        "H x, and either covariance may be singular.",
        agrees_on=DIRECT,
    ),
    Mutant(
        lambda mu, prior, H, Q, y: _condition()(mu, prior, H, Q, y)[::-1],
        "Both values are there, in the other order: mean first, then covariance.",
    ),
)

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
        "The trace of Sigma_q^-1 Sigma_p is the sum of the quotients of the diagonals only where both are diagonal.",
        agrees_on=(LINE, DIAGONAL, NARROW, SAME_COV),
    ),
    Mutant(
        _general(spread=lambda p, q: torch.linalg.solve(q, p).sum()),
        "You sum over all entries of Sigma_q^-1 Sigma_p. A trace is the sum of its diagonal.",
        agrees_on=(LINE, DIAGONAL, NARROW, SAME_COV),
    ),
    Mutant(
        _general(spread=lambda p, q: torch.trace(_inverse(q)) * torch.trace(p)),
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
)
