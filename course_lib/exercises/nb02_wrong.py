"""Plausible wrong answers to exercises 02.1 to 02.4, each with a hint that says what to think about."""

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
        "This is the density itself. Its logarithm is asked for; in 784 dimensions the density would underflow to 0.",
    ),
    Mutant(
        _log_normal(last=torch.neg),
        "The sign of the whole is turned: this is the negative log density, the loss, not the log density.",
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
        "x x^T has one factor transposed, and so has its mean: (A e)(A e)^T.",
        agrees_on=("a symmetric map", "a diagonal map", "the identity", "one noise, one number"),
    ),
    Mutant(
        _moments(cov=lambda A, m: A.clone()),
        "A is to the covariance what a standard deviation is to a variance. Something has to be squared.",
        agrees_on=("the identity",),
    ),
    Mutant(
        _moments(cov=lambda A, m: A * A),
        "Squaring entry by entry is right on the line only. In more dimensions the square of a map is a "
        "matrix product.",
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
)

# ------------------------------------------------------------------------------------------------------- 02.3 compose


def _composed(
    map: Callable[[Tensor, Tensor], Tensor] = lambda A, B: A @ A @ B,
    translation: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda A, m, b: A @ (A @ b + m) + m,
) -> Callable[..., Pair]:
    return lambda A, m, B, b: (map(A, B), translation(A, m, b))


COMPOSED = (
    Mutant(
        _composed(map=lambda A, B: B @ A @ A),
        "Which matrix meets the noise first? The one that stands beside it, on the right.",
        agrees_on=("diagonal maps", "A the identity"),
    ),
    Mutant(
        _composed(map=lambda A, B: A @ B @ A),
        "Write A(A(B e)) with its brackets: both A act after B, so both stand on its left.",
        agrees_on=("diagonal maps", "A the identity"),
    ),
    Mutant(
        _composed(map=lambda A, B: (A * A) @ B),
        "Applying a map twice is the matrix product A A, not the square of each entry.",
        agrees_on=("diagonal maps", "A the identity"),
    ),
    Mutant(
        _composed(map=lambda A, B: A.T @ A @ B),
        "Both times the same A is applied; nothing is transposed. (A^T belongs to covariances.)",
        agrees_on=("diagonal maps", "A the identity"),
    ),
    Mutant(
        lambda A, m, B, b: (A @ B, A @ b + m),
        "This applies A and m once. They are to be applied twice.",
    ),
    Mutant(
        lambda A, m, B, b: (2 * A @ B, 2 * (A @ b + m)),
        "Twice the map is not the map applied twice.",
    ),
    Mutant(
        _composed(translation=lambda A, m, b: A @ b + m),
        "The map is that of two rounds, but the translation has made only one.",
    ),
    Mutant(
        _composed(translation=lambda A, m, b: A @ A @ (b + m)),
        "Which of the two A does the first m go through, and which does the second m go through?",
        agrees_on=("m = 0",),
    ),
    Mutant(
        _composed(translation=lambda A, m, b: b + 2 * m),
        "A translation that comes early goes through all later maps, too.",
        agrees_on=("A the identity",),
    ),
    Mutant(
        _composed(translation=lambda A, m, b: A @ A @ b + 2 * m),
        "The m of the first round is mapped by the A of the second.",
        agrees_on=("m = 0", "A the identity"),
    ),
    Mutant(
        _composed(translation=lambda A, m, b: A @ A @ b + m),
        "m is added twice: once in each round. What becomes of the first one?",
        agrees_on=("m = 0",),
    ),
    Mutant(
        _composed(translation=lambda A, m, b: A @ (A @ (b + m) + m)),
        "You move first and map then. In A x + m the map comes first.",
        agrees_on=("m = 0", "A the identity"),
    ),
    Mutant(
        _composed(translation=lambda A, m, b: A @ m + m),
        "Where has b gone? It is part of x, and is mapped along with it.",
        agrees_on=("b = 0",),
    ),
    Mutant(
        _composed(translation=lambda A, m, b: A @ (A @ b) + A @ m),
        "The last thing that happens is the addition of m: that one is mapped by nothing.",
        agrees_on=("m = 0",),
    ),
    Mutant(
        lambda A, m, B, b: (A @ (A @ (A @ B)), A @ (A @ (A @ b + m) + m) + m),
        "You apply A and m three times. Count: first B and b, and then A and m twice.",
    ),
    Mutant(
        lambda A, m, B, b: (A @ (A @ b + m) + m, A @ A @ B),
        "Both values are there, in the other order: map first, then translation.",
    ),
)

# -------------------------------------------------------------------------------------------------- 02.4 sum and chain

Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Pair]


def _step(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor) -> Pair:
    return A @ mu + b, A @ cov @ A.T + Q


def _sum_and_chain(
    step: Step = _step,
    total: Callable[[Tensor, Tensor, Tensor, Tensor], Pair] = lambda mu, cov, b, Q: (mu + b, cov + Q),
    count: Callable[[int], int] = lambda steps: steps,
    start_from_sum: bool = False,
) -> Callable[..., tuple]:
    def sum_and_chain(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
        both = total(mu, cov, b, Q)
        mu, cov = both if start_from_sum else (mu, cov)
        for _ in range(count(steps)):
            mu, cov = step(mu, cov, b, Q, A)
        return both, (mu.clone(), cov.clone())

    return sum_and_chain


def _with_noise(noise: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[..., tuple]:
    """The right means and the right covariance of what is left of x; the noises' part is `noise(A, Q, steps)`."""

    def sum_and_chain(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
        both, (mean, _) = _sum_and_chain()(mu, cov, b, Q, A, steps)
        power = torch.linalg.matrix_power(A, steps)
        return both, (mean, power @ cov @ power.T + noise(A, Q, steps))

    return sum_and_chain


def _unmapped_mean(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
    both, (_, chained) = _sum_and_chain()(mu, cov, b, Q, A, steps)
    return both, (torch.linalg.matrix_power(A, steps) @ mu + steps * b, chained)


def _unmapped_noise(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
    both, (mean, _) = _unmapped_mean(mu, cov, b, Q, A, steps)
    return both, (mean, _with_noise(lambda A, Q, steps: steps * Q)(mu, cov, b, Q, A, steps)[1][1])


def _same_noise(A: Tensor, Q: Tensor, steps: int) -> Tensor:
    powers = sum((torch.linalg.matrix_power(A, k) for k in range(steps)), torch.zeros_like(A))
    return powers @ Q @ powers.T


def _mixed(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor) -> Pair:
    return (mu + b) / 2, (cov + Q) / 2 + torch.outer(mu - b, mu - b) / 4


NO_STEP, ONE_STEP, LINE = "no step", "one step", "one step in one dimension"
IDENTITY, CENTRED = "three steps, A the identity", "three steps, noise of mean 0"

SUM_AND_CHAIN = (
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, A @ cov + Q)),
        "A covariance is a mean of products of two deviations. Each of the two is mapped: A on the left, and "
        "on the right?",
        agrees_on=(NO_STEP, IDENTITY),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, A.T @ cov @ A + Q)),
        "The covariance of A x is the mean of (A x)(A x)^T. Which of the two A is transposed?",
        agrees_on=(NO_STEP, LINE, IDENTITY, "four steps that shrink"),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, (A * A) @ cov + Q)),
        "Squaring the entries of A is right for numbers. For a matrix, the square stands around the covariance.",
        agrees_on=(NO_STEP, LINE, IDENTITY, "four steps that shrink"),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, cov + Q)),
        "A stretches the spread, too, not only the mean.",
        agrees_on=(NO_STEP, IDENTITY),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu, A @ cov @ A.T + Q)),
        "The noise need not have mean 0: in each step its mean b is added.",
        agrees_on=(NO_STEP, CENTRED),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ (mu + b), A @ (cov + Q) @ A.T)),
        "In A x + noise the noise is added after the map: A does not touch the noise of its own step.",
        agrees_on=(NO_STEP, IDENTITY),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ (mu + b), A @ cov @ A.T + Q)),
        "b comes with the noise, after the map. You let A act on it in its own step.",
        agrees_on=(NO_STEP, IDENTITY, CENTRED),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, A @ (cov + Q) @ A.T)),
        "The mean is right, but in the covariance A also maps the noise of its own step.",
        agrees_on=(NO_STEP, IDENTITY),
    ),
    Mutant(
        _sum_and_chain(start_from_sum=True),
        "The chain starts from x. Yours starts from the sum, so it has one noise too many.",
    ),
    Mutant(
        _unmapped_noise,
        "Neither the mean nor the covariance of an early noise comes out as it went in: later steps map both.",
        agrees_on=(NO_STEP, ONE_STEP, LINE, IDENTITY),
    ),
    Mutant(
        _unmapped_mean,
        "The covariance is right. But the noise's mean b is mapped by later steps, too.",
        agrees_on=(NO_STEP, ONE_STEP, LINE, IDENTITY, CENTRED),
    ),
    Mutant(
        _with_noise(lambda A, Q, steps: steps * Q),
        "A noise of an early step is mapped by all later steps. It does not enter the end result as it was drawn.",
        agrees_on=(NO_STEP, ONE_STEP, LINE, IDENTITY),
    ),
    Mutant(
        _with_noise(lambda A, Q, steps: Q if steps else 0 * Q),
        "There is fresh noise in every step, not only in the last.",
        agrees_on=(NO_STEP, ONE_STEP, LINE),
    ),
    Mutant(
        _with_noise(_same_noise),
        "You reuse one noise in all steps: those add up like lengths. Fresh, independent ones add their covariances.",
        agrees_on=(NO_STEP, ONE_STEP, LINE),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, A @ cov @ A.T + Q @ Q)),
        "Q is a covariance already: nothing is left to be squared.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _sum_and_chain(count=lambda steps: 1),
        "This takes one step, whatever `steps` says.",
        agrees_on=(ONE_STEP, LINE),
    ),
    Mutant(
        _sum_and_chain(count=lambda steps: steps + 1),
        "One step too many: with steps = 0 the law is that of x.",
    ),
    Mutant(
        _sum_and_chain(count=lambda steps: max(steps - 1, 0)),
        "One step too few. Does your loop begin at 1?",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _sum_and_chain(total=_mixed),
        "These are the moments of a mixture: a coin decides which of the two is drawn. In a sum both are "
        "drawn and added.",
    ),
    Mutant(
        _sum_and_chain(total=lambda mu, cov, b, Q: (mu + b, (cov + Q) / 2)),
        "Covariances of independent draws add. You averaged them.",
    ),
    Mutant(
        _sum_and_chain(total=lambda mu, cov, b, Q: (mu + b, (cov.sqrt() + Q.sqrt()) ** 2)),
        "Standard deviations do not add, variances do: a hypotenuse is shorter than its two sides together.",
    ),
    Mutant(
        lambda mu, cov, b, Q, A, steps: (
            (A @ mu + b, A @ cov @ A.T + Q),
            _sum_and_chain()(mu, cov, b, Q, A, steps)[1],
        ),
        "The sum is x + noise, without A. Only the chain maps.",
        agrees_on=(IDENTITY,),
    ),
    Mutant(
        _sum_and_chain(total=lambda mu, cov, b, Q: (mu, cov + Q)),
        "Means add, too: the noise's mean is b.",
        agrees_on=(CENTRED,),
    ),
    Mutant(
        _sum_and_chain(total=lambda mu, cov, b, Q: (mu + b, cov @ cov + Q @ Q)),
        "cov and Q are covariances, not maps: there is nothing to square before you add.",
    ),
    Mutant(
        lambda mu, cov, b, Q, A, steps: _sum_and_chain()(mu, cov, b, Q, A, steps)[::-1],
        "Both laws are there, in the other order: the sum first, then the chain.",
    ),
)
