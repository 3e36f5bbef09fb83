"""Plausible wrong answers to exercises 02.5 and 02.6, each with a hint that says what to think about."""

from __future__ import annotations

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
        "You divided by the lengths, as whitening does (x to noise). From noise to x, multiply by them.",
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
    Mutant(
        lambda cov: (lambda values, vectors: vectors / values.sqrt())(*torch.linalg.eigh(cov)),
        "You divided by the lengths. Is a flat direction to get an infinite spread? From noise to x, multiply.",
        agrees_on=("the identity",),
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
    Mutant(
        _condition(mean=lambda mu, G, H, y: G @ (y - H @ mu)),
        "This is how far the surprise moves you. From where?",
        agrees_on=("mu = 0",),
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: cov - G @ cov),
        "G takes observations. What turns x into an observation, in the covariance as well as in the mean?",
        agrees_on=DIRECT,
    ),
    Mutant(
        _condition(lambda cov, H, Q: cov @ H @ _inverse(H @ cov @ H.T + Q)),
        "H is not transposed in the gain's numerator. Cov(x, H x) is d x n: on which side does H stand, and how?",
        agrees_on=DIRECT,
    ),
    Mutant(
        _condition(lambda cov, H, Q: cov @ H.T @ _inverse(H @ cov @ H + Q)),
        "H is not transposed in the covariance of y. Property (c) has the map on both sides: is one transposed?",
        agrees_on=DIRECT,
    ),
    Mutant(
        _condition(lambda cov, H, Q: cov @ H @ _inverse(H @ cov @ H + Q)),
        "H is nowhere transposed in your gain. Write the sizes of the factors below each other, with H of size n x d.",
        agrees_on=DIRECT,
    ),
    Mutant(
        _condition(lambda cov, H, Q: Q @ H.T @ _inverse(H @ cov @ H.T + Q)),
        "Q stands in the gain's numerator: then more noise means more trust. Which covariance says what y tells of x?",
        agrees_on=("H = I, prior and noise equally wide",),
    ),
    Mutant(
        lambda mu, cov, H, Q, y: (H @ mu, H @ cov @ H.T + Q),
        "This is the law of y before it is seen. The law of x is asked for, after y was seen.",
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: _kept(cov, G, H) @ Q),
        "I - G H is the share that remains, of the spread that x had before. You take it of the noise's.",
        agrees_on=("H = I, prior and noise equally wide",),
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: Q - G @ Q),
        "You start from the noise's covariance. How uncertain were you about x before anything was seen?",
        agrees_on=("H = I, prior and noise equally wide",),
    ),
    Mutant(
        _condition(cov=lambda cov, G, H, Q: Q.clone()),
        "Q is the spread of y around H x. With a prior you know x better than that.",
    ),
)
