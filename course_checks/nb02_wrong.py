"""Plausible wrong answers to exercises 02.1 and 02.2, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .contract import Mutant

LOG_2PI = math.log(2 * math.pi)
Pair = tuple[Tensor, Tensor]

# --------------------------------------------------------------------------------------------------- 02.1 log density


def _log_normal(
    exponent: Callable[[Tensor, float], Tensor] = lambda off, sigma: -0.5 * (off / sigma).square().sum(1),
    normaliser: Callable[[int, float], float] = lambda d, sigma: d * (math.log(sigma) + 0.5 * LOG_2PI),
    last: Callable[[Tensor], Tensor] = lambda value: value,
) -> Callable[..., Tensor]:
    def log_normal(x: Tensor, m: Tensor, sigma: float) -> Tensor:
        return last(exponent(x - m, sigma) - normaliser(x.shape[1], sigma))

    return log_normal


LOG_NORMAL = (
    Mutant(
        _log_normal(normaliser=lambda d, sigma: math.log(sigma) + 0.5 * LOG_2PI),
        "The normaliser is that of one coordinate. The density is a product of d factors: how many does each bring?",
        agrees_on=("one dimension",),
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: math.log(sigma) + 0.5 * d * LOG_2PI),
        "The 2 pi is counted d times, but sigma only once. Every coordinate is stretched.",
        agrees_on=("one dimension", "sigma = 1"),
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: d * math.log(sigma) + 0.5 * LOG_2PI),
        "sigma is counted d times, but the 2 pi only once. Every coordinate has its own factor 1 / sqrt(2 pi).",
        agrees_on=("one dimension",),
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: 0.5 * d * LOG_2PI),
        "A narrow Gaussian has to be high, or its area is not 1. Where is the factor 1 / sigma of each coordinate?",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: d * math.log(sigma)),
        "With sigma = 1 and x = m the density is not 1. What is the area under exp(-x**2 / 2)?",
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: 0.5 * d * (math.log(sigma) + LOG_2PI)),
        "Under the square root of the normaliser stands 2 pi times the variance. Is a square missing, or a "
        "half too many?",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * off.square().sum(1) / sigma),
        "Distances are measured in units of sigma, and then squared. What happened to one of the two sigmas?",
        agrees_on=("sigma = 1", "at the centre"),
    ),
    Mutant(
        _log_normal(
            lambda off, sigma: -0.5 * off.square().sum(1) / sigma,
            lambda d, sigma: 0.5 * d * (math.log(sigma) + LOG_2PI),
        ),
        "You treat sigma as a variance everywhere. It is a standard deviation: sigma**2 is the variance.",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _log_normal(lambda off, sigma: -(off / sigma).square().sum(1)),
        "Is the bend of your bell at one sigma? It should be. See what the half in the exponent is for.",
        agrees_on=("at the centre",),
    ),
    Mutant(
        _log_normal(lambda off, sigma: 0.5 * (off / sigma).square().sum(1)),
        "Far away from m your density grows. Which sign makes it fall?",
        agrees_on=("at the centre",),
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * (off / sigma).norm(dim=1)),
        "The exponent holds the squared length. (The length itself would give a law with a kink in the middle.)",
        agrees_on=("at the centre",),
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * (off / sigma).square().mean(1)),
        "Independent coordinates multiply their densities, so the exponents are summed, not averaged.",
        agrees_on=("one dimension", "at the centre"),
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * (off / sigma).square().sum(0)),
        "You sum over the points. Rows are points and columns coordinates; which of them share one density?",
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * (off / sigma).square().sum()),
        "One number for each point is asked for. You summed over points and coordinates alike.",
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: -d * (math.log(sigma) + 0.5 * LOG_2PI)),
        "The density is divided by its normaliser. What does a division become under a logarithm?",
    ),
    Mutant(
        lambda x, m, sigma: _log_normal()(x, m, sigma) + (x.shape[1] - len(x)) * (math.log(sigma) + 0.5 * LOG_2PI),
        "You count the normaliser once for each point: `len(x)` is N. How many coordinates has a point?",
        agrees_on=("as many points as dimensions, narrow",),
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: d * (2 * math.log(sigma) + LOG_2PI)),
        "The normaliser is the square root of 2 pi sigma**2: what does a root become under a logarithm?",
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: d * (2 * math.log(sigma) + 0.5 * LOG_2PI)),
        "log(sigma**2) is 2 log(sigma), and the half in front of it counts for sigma as well as for 2 pi.",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * off.square().sum(1)),
        "Distances are measured in units of sigma. A wide Gaussian falls more slowly: where does it say so?",
        agrees_on=("sigma = 1", "at the centre"),
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * (off / sigma).sum(1) ** 2),
        "You square the sum of the deviations, in which they cancel. Square each of them, then add.",
        agrees_on=("one dimension", "at the centre"),
    ),
    Mutant(
        lambda x, m, sigma: _log_normal()(x, torch.zeros_like(m), sigma),
        "Where is m? The density is highest at x = m, not at 0.",
    ),
    Mutant(
        lambda x, m, sigma: _log_normal()(x, m, sigma) / x.shape[1],
        "You average over the coordinates. The logarithm of a product is a sum.",
        agrees_on=("one dimension",),
    ),
    Mutant(
        lambda x, m, sigma: -0.5 * ((x - m) / sigma) ** 2 - math.log(sigma) - 0.5 * LOG_2PI,
        "These are the log densities of the single coordinates, (N, d). What does independence make of them?",
    ),
    Mutant(
        _log_normal(last=lambda value: value[:, None]),
        "One number a point, in a tensor of shape (N,): the dimension that was summed over should be gone.",
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: d * (math.log(sigma) + 0.5 * math.log(math.pi))),
        "The area under exp(-x**2 / 2) is the root of 2 pi; that of pi belongs to exp(-x**2).",
    ),
    Mutant(
        _log_normal(last=torch.exp),
        "This is the density itself. Its logarithm is asked for; in 784 dimensions the density would underflow to 0, "
        "or overflow.",
    ),
    Mutant(
        _log_normal(last=torch.neg),
        "The sign of the whole is turned: this is the negative log density, the loss, not the log density.",
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: d * (0.5 * LOG_2PI - math.log(sigma))),
        "A wide Gaussian has to be low. What is the sign of d log(sigma), then?",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _log_normal(normaliser=lambda d, sigma: d * (math.log(sigma) + LOG_2PI)),
        "The normaliser of a coordinate is sigma sqrt(2 pi). The root is a half under the logarithm, for the 2 pi too.",
    ),
    Mutant(
        _log_normal(lambda off, sigma: -0.5 * off.norm(dim=1) / sigma**2),
        "You divide by the variance, but the distance is not squared. Are its units gone?",
        agrees_on=("at the centre",),
    ),
    Mutant(
        lambda x, m, sigma: (-0.5 * ((x - m) / sigma) ** 2 - math.log(sigma) - 0.5 * LOG_2PI).sum(0),
        "You sum the log densities over the points. Whose coordinates belong to one density, a row's or a column's?",
    ),
)

# ------------------------------------------------------------------------------------------------------- 02.2 moments


def _moments(
    mean: Callable[[Tensor, Tensor], Tensor] = lambda A, m: m.clone(),
    cov: Callable[[Tensor, Tensor], Tensor] = lambda A, m: A @ A.T,
) -> Callable[..., Pair]:
    return lambda A, m: (mean(A, m), cov(A, m))


MOMENTS = (
    Mutant(
        _moments(cov=lambda A, m: A.T @ A),
        "The covariance is that of x, so its size is d x d, whatever the number of noises. Which side does A stand on?",
        agrees_on=("a symmetric map", "a diagonal map", "the identity", "one noise, one number"),
    ),
    Mutant(
        _moments(cov=lambda A, m: A @ A),
        "The covariance is the mean of u u^T, with u = x - m = A e. In which order do A and e stand in u^T?",
        agrees_on=("a symmetric map", "a diagonal map", "the identity", "one noise, one number"),
    ),
    Mutant(
        _moments(cov=lambda A, m: A.clone()),
        "A is to the covariance what a standard deviation is to a variance. Something has to be squared.",
        agrees_on=("the identity",),
    ),
    Mutant(
        _moments(cov=lambda A, m: A * A),
        "Squaring entry by entry is right for a diagonal map only. Otherwise the square of a map is a matrix product.",
        agrees_on=("a diagonal map", "the identity", "one noise, one number"),
    ),
    Mutant(
        _moments(cov=lambda A, m: torch.diag((A @ A.T).diagonal())),
        "These are the variances alone. Coordinates that use the same noises are correlated: what stands "
        "beside the diagonal?",
        agrees_on=("a diagonal map", "the identity", "one noise, one number"),
    ),
    Mutant(
        _moments(cov=lambda A, m: A @ A.T + torch.outer(m, m)),
        "This is the mean of x x^T. The covariance measures deviations from the mean: moving a cloud does "
        "not widen it.",
        agrees_on=("m = 0",),
    ),
    Mutant(
        _moments(cov=lambda A, m: A @ A.T / A.shape[1]),
        "You average over the noises. A sum of independent noises has the sum of their variances.",
        agrees_on=("one noise, one number", "one noise, three numbers"),
    ),
    Mutant(
        _moments(cov=lambda A, m: (A @ A.T).abs().sqrt()),
        "A covariance holds variances, not standard deviations; and roots are not taken entry by entry.",
        agrees_on=("the identity",),
    ),
    Mutant(
        _moments(cov=lambda A, m: (A - A.mean(1, keepdim=True)) @ (A - A.mean(1, keepdim=True)).T / (A.shape[1] - 1)),
        "torch.cov takes the columns of A for samples and estimates. A is not data: derive the covariance of A e.",
    ),
    Mutant(
        _moments(cov=lambda A, m: A.square().sum(1)),
        "These are the variances, (d,). The covariance is a matrix: what stands beside its diagonal?",
    ),
    Mutant(
        _moments(cov=lambda A, m: torch.corrcoef(A @ A.T).reshape(len(m), len(m))),
        "Correlations have no units; and corrcoef takes its argument for data. The covariance is asked for.",
    ),
    Mutant(
        _moments(mean=lambda A, m: torch.zeros_like(m)),
        "The noise has mean 0. Is m still there once it is averaged away?",
        agrees_on=("m = 0",),
    ),
    Mutant(
        _moments(mean=lambda A, m: A.sum(1) + m),
        "You let A act on a vector of ones. What is the mean of standard noise?",
    ),
    Mutant(
        _moments(mean=lambda A, m: A @ m),
        "m is added after the map, so A never touches it.",
        agrees_on=("m = 0", "the identity"),
    ),
    Mutant(
        lambda A, m: (A @ A.T, m.clone()),
        "Both values are there, in the other order: mean first, then covariance.",
    ),
    Mutant(
        _moments(cov=lambda A, m: torch.diag((A @ A.T).diagonal().sqrt())),
        "These are standard deviations. The diagonal holds variances; and is there nothing beside it?",
        agrees_on=("the identity",),
    ),
    Mutant(
        _moments(cov=lambda A, m: A @ A.T - torch.diag((A @ A.T).diagonal() - (A @ A.T).diagonal().sqrt())),
        "Right beside the diagonal. On it you put standard deviations: which power of a deviation is averaged there?",
        agrees_on=("the identity",),
    ),
)
