"""Exercise 02.4: the moments of x plus noise, and of a chain of steps x -> A x + noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Gaussian, chain, compose

from ..contract import ONE, Case, Exercise, WrongAnswer, normal
from .shared import covariance


def sum_and_chain(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
    law, eye = Gaussian.from_moments(mu, cov), torch.eye(len(mu), dtype=mu.dtype)
    total = compose(eye, b, chain(law, eye, Q))
    for _ in range(steps):
        law = compose(eye, b, chain(law, A, Q))
    return (total.mean, total.cov), (law.mean.clone(), law.cov)


def cases(g: Generator) -> list[Case]:
    def case(
        name: str, d: int, steps: int, A: Tensor | None = None, b: Tensor | None = None, float32: bool = False
    ) -> Case:
        mu, cov, drawn_b, Q = normal(g, d), covariance(g, d), normal(g, d), covariance(g, d, 0.5)
        drawn_A = 0.8 * normal(g, d, d)
        args = (mu, cov, drawn_b if b is None else b, Q, drawn_A if A is None else A, steps)
        return Case(name, args, float32=float32)

    return [
        case("no step", 2, 0),
        case("one step", 2, 1),
        case("one step in one dimension", 1, 1, A=0.7 * ONE[None, None]),
        case("three steps", 2, 3),
        case("three steps, A the identity", 3, 3, A=torch.eye(3, dtype=torch.float64)),
        case("three steps, noise of mean 0", 3, 3, b=torch.zeros(3, dtype=torch.float64)),
        case("four steps that shrink", 2, 4, A=0.8 * torch.eye(2, dtype=torch.float64)),
        case("single precision", 2, 2, float32=True),
    ]


# The wrong answers are the right one but for the chain's step, the number of its steps, or its start; the last one has
# a wrong sum.

Moments = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Moments]


def right_step(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor) -> Moments:
    return A @ mu + b, A @ cov @ A.T + Q


def chain_with(step: Step = right_step, count: Callable[[int], int] = lambda steps: steps) -> Callable[..., Any]:
    def both(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple[Moments, Moments]:
        total = mu + b, cov + Q
        for _ in range(count(steps)):
            mu, cov = step(mu, cov, b, Q, A)
        return total, (mu.clone(), cov.clone())

    return both


def with_noise_at_the_end(count: Callable[[int], int]) -> Callable[..., Any]:
    """`steps` maps first, then as many noises as `count` says, which nothing maps."""

    def both(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple[Moments, Moments]:
        power, noises = torch.linalg.matrix_power(A, steps), count(steps)
        return (mu + b, cov + Q), (power @ mu + noises * b, power @ cov @ power.T + noises * Q)

    return both


def chain_from_sum(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple[Moments, Moments]:
    total = mu + b, cov + Q
    return total, chain_with()(*total, b, Q, A, steps)[1]


def sum_from_chain(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple[Moments, Moments]:
    mean, spread = chain_with()(mu, cov, b, Q, A, steps)[1]
    return (mean + b, spread + Q), (mean, spread)


EXERCISE = Exercise(
    id="02.4",
    title="Sum and chain",
    points=2,
    reference=sum_and_chain,
    cases=cases,
    answers=("course_lib.gaussian.add", "course_lib.gaussian.chain"),
    wrong_answers=(
        WrongAnswer(
            chain_with(lambda mu, cov, b, Q, A: (A @ mu + b, A @ cov + Q)),
            "A covariance is a mean of products of two deviations. Each of the two is mapped: A on the left, and on "
            "the right?",
        ),
        WrongAnswer(
            chain_with(lambda mu, cov, b, Q, A: (A @ mu + b, A.T @ cov @ A + Q)),
            "The covariance of A x is the mean of (A u)(A u)^T, u = x - mu. Which of the two A is transposed?",
        ),
        WrongAnswer(
            chain_with(lambda mu, cov, b, Q, A: (A @ mu + b, A @ A @ cov + Q)),
            "For numbers the variance is multiplied by A squared. For matrices one A stands on either side of it.",
        ),
        WrongAnswer(
            chain_with(lambda mu, cov, b, Q, A: (A @ mu, A @ cov @ A.T + Q)),
            "The noise need not have mean 0: in each step its mean b is added.",
        ),
        WrongAnswer(
            chain_with(lambda mu, cov, b, Q, A: (A @ mu + b, A @ cov @ A.T)),
            "The means are right. But every step also adds spread: where is Q?",
        ),
        WrongAnswer(
            chain_with(lambda mu, cov, b, Q, A: (A @ (mu + b), A @ (cov + Q) @ A.T)),
            "In A x + noise the noise is added after the map: A does not touch the noise of its own step.",
        ),
        WrongAnswer(
            with_noise_at_the_end(lambda steps: min(steps, 1)),
            "The noise comes in once, after all the maps. Each step brings its own, and later steps map it.",
        ),
        WrongAnswer(
            with_noise_at_the_end(lambda steps: steps),
            "Neither the mean nor the covariance of an early noise comes out as it went in: later steps map both.",
        ),
        WrongAnswer(
            chain_with(count=lambda steps: steps + 1),
            "One step too many: with steps = 0 the law is that of x.",
        ),
        WrongAnswer(
            chain_with(count=lambda steps: max(steps - 1, 0)),
            "One step too few. Does your loop begin at 1?",
        ),
        WrongAnswer(
            chain_from_sum,
            "The chain starts from x. Yours starts from the sum, so it has one noise too many.",
        ),
        WrongAnswer(
            sum_from_chain,
            "The chain is right. The sum is made of the first x, but when you form it, mu and cov are those of the "
            "last.",
        ),
    ),
)
