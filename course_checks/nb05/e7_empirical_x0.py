"""Exercise 05.7: the best guess of x_0 where it is one of finitely many images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.oracle import empirical_denoiser
from course_lib.schedule import Marginal

from ..contract import ONE, Call, Case, Exercise, WrongAnswer, normal
from .shared import marginal_at


def empirical_x0(x_t: Tensor, images: Tensor, marginal: Marginal) -> Tensor:
    return empirical_denoiser(images)(x_t, marginal).x0


def cases(g: Generator) -> list[Case]:
    images = normal(g, 4, 1, 2, 2)
    level = marginal_at(normal(g) - 0.5)
    return [
        Case("one image", (normal(g, 3, 1, 2, 2), normal(g, 1, 1, 2, 2), level)),
        Case("five images", (normal(g, 3, 1, 2, 2), 0.5 * normal(g, 5, 1, 2, 2), level)),
        Case("alpha = 1", (normal(g, 2, 3), normal(g, 4, 3), Call(Marginal, ONE, 1.2 * ONE))),
        Case("sigma = 1", (normal(g, 2, 3), normal(g, 4, 3), Call(Marginal, 0.6 * ONE, ONE))),
        Case("hardly any noise", (images[1:3] + 0.05, images, Call(Marginal, ONE, 0.001 * ONE))),
        Case("as many noisy images as images", (normal(g, 3, 3), 0.5 * normal(g, 3, 3), level)),
        Case("a level per image", (normal(g, 3, 1, 1, 2), 0.5 * normal(g, 5, 1, 1, 2), marginal_at(normal(g, 3)))),
        Case("single precision", (normal(g, 3, 1, 2, 2), 0.5 * normal(g, 5, 1, 2, 2), level), float32=True),
    ]


# The wrong answers are the right one but for its scores, (B, N), or for how they become weights.

Scores = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def right_scores(x: Tensor, references: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x (B, 1, D), references (N, D), alpha and sigma () or (B, 1, 1) -> (B, N)."""
    return (-((x - alpha * references) ** 2) / (2 * sigma**2)).sum(-1)


def scores_of_distance(x: Tensor, references: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    distance = ((x - alpha * references) ** 2).sum(-1).sqrt()
    return -distance / (2 * sigma.squeeze(-1) ** 2)


def x0_with(
    scores: Scores = right_scores, weights: Callable[[Tensor], Tensor] = lambda scores: scores.softmax(1)
) -> Callable[..., Any]:
    def x0(x_t: Tensor, images: Tensor, marginal: Marginal) -> Tensor:
        x, references = x_t.flatten(1)[:, None], images.flatten(1)
        alpha, sigma = per_sample(marginal.alpha, x), per_sample(marginal.sigma, x)
        return (weights(scores(x, references, alpha, sigma)) @ references).reshape(x_t.shape)

    return x0


def weight_of_nearest(scores: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(scores.argmax(1), scores.shape[1]).to(scores)


def unstable_softmax(scores: Tensor) -> Tensor:
    odds = scores.exp()
    return odds / odds.sum(1, keepdim=True)


EXERCISE = Exercise(
    id="05.7",
    title="The denoiser of a finite set",
    points=3,
    reference=empirical_x0,
    cases=cases,
    answers=("course_lib.oracle.empirical_denoiser",),
    wrong_answers=(
        WrongAnswer(x0_with(scores_of_distance), "The log density of a Gaussian holds the *squared* distance."),
        WrongAnswer(
            x0_with(lambda x, references, alpha, sigma: 2 * right_scores(x, references, alpha, sigma)),
            "The log density of a Gaussian is -|x - mean|**2 / (2 sigma**2). The 2 matters: without it the softmax is "
            "twice as decided.",
        ),
        WrongAnswer(
            x0_with(lambda x, references, alpha, sigma: right_scores(x, references, torch.ones_like(alpha), sigma)),
            "x_t is a noised alpha x_n, not a noised x_n. Shrink the images before you compare.",
        ),
        WrongAnswer(
            x0_with(lambda x, references, alpha, sigma: right_scores(x, references, alpha, sigma.sqrt())),
            "Divide the squared distance by the noise's variance, sigma**2, not by sigma.",
        ),
        WrongAnswer(
            x0_with(
                lambda x, references, alpha, sigma: right_scores(x, references, alpha, sigma) / references.shape[1]
            ),
            "The log density of an image is a *sum* over its pixels. A mean makes the softmax far too undecided.",
        ),
        WrongAnswer(
            x0_with(weights=weight_of_nearest),
            "The nearest image alone is the most probable answer. The best answer in squared error is the average of "
            "all, weighted by their probabilities.",
        ),
        WrongAnswer(
            x0_with(weights=unstable_softmax),
            "All exponentials underflow to 0 and you divide 0 by 0. Subtract the largest score first, or let `softmax` "
            "do it.",
        ),
        WrongAnswer(
            x0_with(weights=lambda scores: scores.softmax(0)),
            "For each x_t the weights of the *images* sum to 1: normalise along the images.",
        ),
        WrongAnswer(
            x0_with(lambda x, references, alpha, sigma: -right_scores(x, references, alpha, sigma)),
            "The nearest image must weigh most: a score is minus a distance.",
        ),
        WrongAnswer(
            lambda x_t, images, marginal: per_sample(marginal.alpha, x_t) * x0_with()(x_t, images, marginal),
            "alpha belongs in the comparison. The average is taken over the clean images.",
        ),
    ),
)
