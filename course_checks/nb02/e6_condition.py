"""Exercise 02.6: the moments of x once H x + noise has been seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Gaussian, condition

from ..contract import ONE, Case, Exercise, WrongAnswer, normal
from .shared import covariance


def posterior_moments(mu: Tensor, cov: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    law = condition(Gaussian.from_moments(mu, cov), y, Q, observe=H)
    return law.mean, law.cov


def observing_matrix(generator: Generator) -> Tensor:
    """A matrix H (2, 2) that is easily inverted, and neither symmetric nor the identity."""
    return torch.tensor([[1.0, 0.6], [-0.4, 0.8]], dtype=torch.float64) + 0.1 * normal(generator, 2, 2)


def cases(g: Generator) -> list[Case]:
    eye, same = torch.eye(2, dtype=torch.float64), covariance(g, 2)
    flat = torch.zeros(3, 3, dtype=torch.float64)
    flat[1:, 1:] = covariance(g, 2)
    zero, no_noise = torch.zeros(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    one, first_two = ONE[None, None], torch.eye(3, dtype=torch.float64)[:2]
    return [
        Case("one dimension, H = 1", (normal(g, 1), 1.7 * one, one, 0.6 * one, normal(g, 1))),
        Case("H = I", (normal(g, 2), covariance(g, 2), eye, covariance(g, 2, 0.5), normal(g, 2))),
        Case("H = I, prior and noise equally wide", (normal(g, 2), same, eye, same.clone(), normal(g, 2))),
        Case("mu = 0", (zero, covariance(g, 2), observing_matrix(g), covariance(g, 2, 0.5), normal(g, 2))),
        Case("one number seen of three", (normal(g, 3), covariance(g, 3), normal(g, 1, 3), 0.3 * one, normal(g, 1))),
        Case(
            "two other numbers seen of three",
            (normal(g, 3), covariance(g, 3), normal(g, 2, 3), same / 2, normal(g, 2)),
        ),
        Case("no noise", (normal(g, 3), covariance(g, 3), first_two, no_noise, normal(g, 2))),
        Case("Q = I", (normal(g, 2), covariance(g, 2), observing_matrix(g), eye, normal(g, 2))),
        Case("a direction known for certain", (normal(g, 3), flat, normal(g, 2, 3), covariance(g, 2), normal(g, 2))),
        Case(
            "single precision",
            (normal(g, 3), covariance(g, 3), normal(g, 1, 3), 0.4 * one, normal(g, 1)),
            float32=True,
        ),
    ]


# The wrong answers are the right one but for the gain G, the mean or the covariance.


def right_gain(cov: Tensor, H: Tensor, Q: Tensor) -> Tensor:
    return cov @ H.T @ torch.linalg.inv(H @ cov @ H.T + Q)


def share_kept(G: Tensor, H: Tensor) -> Tensor:
    """I - G H."""
    return torch.eye(len(G), dtype=G.dtype) - G @ H


def posterior_with(
    gain: Callable[[Tensor, Tensor, Tensor], Tensor] = right_gain,
    mean: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = lambda mu, G, H, y: mu + G @ (y - H @ mu),
    cov: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda cov, G, H: share_kept(G, H) @ cov,
) -> Callable[..., Any]:
    def posterior(mu: Tensor, prior: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        G = gain(prior, H, Q)
        return mean(mu, G, H, y), cov(prior, G, H)

    return posterior


def without_H(mu: Tensor, prior: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return posterior_with()(mu, prior, torch.eye(len(mu), dtype=mu.dtype), Q, y)


def with_both_inverted(mu: Tensor, prior: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse covariances of prior and observation, added."""
    of_prior, of_noise = torch.linalg.inv(prior), torch.linalg.inv(Q)
    cov = torch.linalg.inv(of_prior + H.T @ of_noise @ H)
    return cov @ (of_prior @ mu + H.T @ of_noise @ y), cov


EXERCISE = Exercise(
    id="02.6",
    title="Condition on a noisy observation",
    points=3,
    reference=posterior_moments,
    cases=cases,
    answers=("course_lib.gaussian.condition",),
    wrong_answers=(
        WrongAnswer(
            posterior_with(lambda cov, H, Q: cov @ H.T @ torch.linalg.inv(Q)),
            "y spreads because of the noise and because x does. Which covariance has to be divided out, the noise's or "
            "y's?",
        ),
        WrongAnswer(
            posterior_with(lambda cov, H, Q: cov @ H.T @ torch.linalg.inv(H @ cov @ H.T)),
            "The noise is missing from the covariance of y: you believe the observation completely.",
        ),
        WrongAnswer(
            posterior_with(lambda cov, H, Q: H.T @ Q @ torch.linalg.inv(H @ cov @ H.T + Q)),
            "The weights are crossed: the noisier the observation, the less it should move you. What stands in the "
            "gain's numerator?",
        ),
        WrongAnswer(
            posterior_with(lambda cov, H, Q: right_gain(cov, H, Q).T),
            "The gain is transposed. It takes an observation (n numbers) to a change of x (d numbers).",
        ),
        WrongAnswer(
            posterior_with(lambda cov, H, Q: cov @ H @ torch.linalg.inv(H @ cov @ H.T + Q)),
            "H is not transposed in the gain's numerator. Cov(x, H x) is d x n: on which side does H stand, and how?",
        ),
        WrongAnswer(
            without_H,
            "You leave H out: y shows H x, not x itself.",
        ),
        WrongAnswer(
            with_both_inverted,
            "Right as long as both covariances can be inverted. Without noise, or with a direction that is known for "
            "certain, one of them cannot: which form inverts the covariance of y only?",
        ),
        WrongAnswer(
            posterior_with(mean=lambda mu, G, H, y: mu + G @ y),
            "What teaches you something is the surprise: y minus what you expected to see.",
        ),
        WrongAnswer(
            posterior_with(mean=lambda mu, G, H, y: mu + G @ (y - mu)),
            "You expected to see H mu, not mu.",
        ),
        WrongAnswer(
            posterior_with(cov=lambda cov, G, H: share_kept(G, H) @ cov @ share_kept(G, H).T),
            "The residual has two parts: what is kept of x, and the noise that the gain lets in. One of them is "
            "missing.",
        ),
        WrongAnswer(
            posterior_with(cov=lambda cov, G, H: cov @ share_kept(G, H)),
            "Matrices do not commute: which side of the covariance does I - G H stand on? (A covariance is symmetric: "
            "check.)",
        ),
        WrongAnswer(
            posterior_with(cov=lambda cov, G, H: share_kept(G, H)),
            "I - G H is the share that remains. The share of what?",
        ),
    ),
)
