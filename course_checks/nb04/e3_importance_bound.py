"""Exercise 04.3: the importance-weighted bound."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from course_lib.lessons.vae import importance_bound

from ..contract import Case, Exercise, WrongAnswer, normal


def cases(g: Generator) -> list[Case]:
    def logs(draws: int, pictures: int, level: float = -5.0) -> tuple[Tensor, Tensor]:
        return level + 1.5 * normal(g, draws, pictures), -1.0 + normal(g, draws, pictures)

    joint, log_q = logs(4, 2)
    return [
        Case("one draw", logs(1, 3)),
        Case("five draws", logs(5, 3)),
        Case("all weights equal", (joint, joint + joint.new_tensor([2.0, 3.0]))),
        Case("as many draws as pictures", logs(3, 3)),
        Case("log q = 0", (logs(4, 2)[0], torch.zeros(4, 2).double())),
        Case("far below zero", (logs(4, 3, -2000.0)[0], log_q[:, :1].expand(4, 3).clone())),
        Case("single precision", logs(6, 2), float32=True),
    ]


# The wrong answers.


def bound(log_weight: Tensor, dim: int = 0) -> Tensor:
    return torch.logsumexp(log_weight, dim) - math.log(log_weight.shape[dim])


EXERCISE = Exercise(
    id="04.3",
    title="The importance-weighted bound",
    points=2,
    reference=importance_bound,
    cases=cases,
    answers=("course_lib.lessons.vae.importance_bound",),
    wrong_answers=(
        WrongAnswer(
            lambda p, q: (p - q).mean(0),
            "A mean of logarithms is the ELBO, L_1, estimated with more draws. Here the mean comes first, then "
            "the logarithm.",
        ),
        WrongAnswer(
            lambda p, q: torch.logsumexp(p - q, 0),
            "A mean of K weights: what has to be subtracted from the logarithm of their sum?",
        ),
        WrongAnswer(
            lambda p, q: torch.logsumexp(p - q, 0) / len(p),
            "The mean belongs inside the logarithm: divide the sum of the weights by K, not its logarithm.",
        ),
        WrongAnswer(
            lambda p, q: torch.exp(p - q).mean(0).log(),
            "exp(-2000) is 0. Take the largest logarithm out first; `torch.logsumexp` does.",
        ),
        WrongAnswer(
            lambda p, q: bound(p + q),
            "A weight is p(x, z) divided by q(z | x): a draw that q favours counts less.",
        ),
        WrongAnswer(
            lambda p, q: bound(p),
            "The draws came from q, not from everywhere alike. Where is the correction for that?",
        ),
        WrongAnswer(
            lambda p, q: (p - q).amax(0),
            "The largest weight is only one of them; the others add to the mean, and 1 / K belongs to it.",
        ),
        WrongAnswer(
            lambda p, q: torch.logsumexp(p - q, 0) - math.log(p.shape[1]),
            "Divide by the number of draws, not by the number of pictures.",
        ),
        WrongAnswer(
            lambda p, q: bound(p - q, 1) if len(p) == p.shape[1] else bound(p - q),
            "Row k holds the k-th draw of every picture: average over dimension 0.",
        ),
        WrongAnswer(
            lambda p, q: -bound(p - q),
            "This is the loss. The bound itself is a lower bound on log p(x).",
        ),
        WrongAnswer(
            lambda p, q: torch.exp(p - q).mean(0),
            "The mean of the weights estimates p(x). The bound is on its logarithm.",
        ),
        WrongAnswer(
            lambda p, q: bound(q - p),
            "The ratio is upside down: a weight is p(x, z) divided by q(z | x).",
        ),
    ),
)
