"""Plausible wrong answers to exercises 02.3 and 02.4, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .contract import Mutant

Pair = tuple[Tensor, Tensor]

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
    Mutant(
        _composed(translation=lambda A, m, b: (b @ A + m) @ A + m),
        "b @ A is A^T b. Where noises are rows, the code transposes the matrix; here b is one vector: A b is meant.",
        agrees_on=("diagonal maps", "A the identity"),
    ),
    Mutant(
        lambda A, m, B, b: (A.T @ A.T @ B, (b @ A + m) @ A + m),
        "Everywhere A^T stands for A. If you think of x as a row, x A^T is what A makes of it.",
        agrees_on=("diagonal maps", "A the identity"),
    ),
    Mutant(
        lambda A, m, B, b: (B @ A @ A, (b @ A + m) @ A + m),
        "You multiply from the right, as for rows; but then all matrices have to be transposed. A B e: B comes first.",
        agrees_on=("diagonal maps", "A the identity"),
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


def _once(mean: bool, cov: bool, always: bool) -> Callable[..., tuple]:
    """The noise's mean, covariance or both are added only once, at the end; if `always`, even after no step."""

    def sum_and_chain(mu: Tensor, start: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
        both, (end, spread) = _sum_and_chain()(mu, start, b, Q, A, steps)
        power, count = torch.linalg.matrix_power(A, steps), 1 if always else min(steps, 1)
        end = power @ mu + count * b if mean else end
        return both, (end, power @ start @ power.T + count * Q if cov else spread)

    return sum_and_chain


def _sum_at_the_end(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
    _, (mean, chained) = _sum_and_chain()(mu, cov, b, Q, A, steps)
    return (mean + b, chained + Q), (mean, chained)


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
        "The covariance of A x is the mean of (A u)(A u)^T, u = x - mu. Which of the two A is transposed?",
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
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, A @ cov @ A.T)),
        "The means are right. But every step also adds spread: where is Q?",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu, A @ cov @ A.T)),
        "Your chain only maps. Each step also adds noise, with a mean and a covariance.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _once(mean=True, cov=True, always=False),
        "The noise comes in once, after all the maps. Each step brings its own, and later steps map it.",
        agrees_on=(NO_STEP, ONE_STEP, LINE),
    ),
    Mutant(
        _once(mean=True, cov=True, always=True),
        "You add the noise once, even where there is no step. How many noises are there after `steps` steps?",
        agrees_on=(ONE_STEP, LINE),
    ),
    Mutant(
        _once(mean=False, cov=True, always=True),
        "The means are right. Q is added once, even where there is no step: how often does it come in?",
        agrees_on=(ONE_STEP, LINE),
    ),
    Mutant(
        _once(mean=True, cov=False, always=True),
        "The covariance is right. b is added once, even where there is no step: how often does it come in?",
        agrees_on=(ONE_STEP, LINE, CENTRED),
    ),
    Mutant(
        _once(mean=True, cov=False, always=False),
        "The covariance is right. But the noise of every step has the mean b, not only that of the last.",
        agrees_on=(NO_STEP, ONE_STEP, LINE, CENTRED),
    ),
    Mutant(
        _sum_and_chain(lambda mu, cov, b, Q, A: (A @ mu + b, A @ A @ cov + Q)),
        "For numbers the variance is multiplied by A squared. For matrices one A stands on either side of it.",
        agrees_on=(NO_STEP, LINE, IDENTITY, "four steps that shrink"),
    ),
    Mutant(
        _sum_at_the_end,
        "The chain is right. The sum is made of the first x, but when you form it, mu and cov are those of the last.",
        agrees_on=(NO_STEP,),
    ),
)
