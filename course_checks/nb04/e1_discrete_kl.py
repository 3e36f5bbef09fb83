"""Exercise 04.1: discrete KL."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from ..contract import Case, Exercise, WrongAnswer, normal


def discrete_kl(P: Tensor, Q: Tensor) -> Tensor:
    return (torch.special.xlogy(P, P) - torch.special.xlogy(P, Q)).sum(1)


def cases(g: Generator) -> list[Case]:
    def laws(rows: int, outcomes: int) -> Tensor:
        return torch.softmax(normal(g, rows, outcomes), 1)

    same, with_zero, both_zero = laws(3, 4), laws(2, 3), laws(2, 3)
    with_zero[0, 1], both_zero[:, 0] = 0, 0
    with_zero, both_zero = with_zero / with_zero.sum(1, keepdim=True), both_zero / both_zero.sum(1, keepdim=True)
    mirrored = laws(1, 2)
    return [
        Case("a coin against its mirror image", (mirrored, mirrored.flip(1))),
        Case("three rows of four outcomes", (laws(3, 4), laws(3, 4))),
        Case("the same law twice", (same, same.clone())),
        Case("an outcome with P = 0", (with_zero, laws(2, 3))),
        Case("an outcome with P = Q = 0", (both_zero, both_zero.roll(1, 0))),
        Case("as many rows as outcomes", (laws(3, 3), laws(3, 3))),
        Case("single precision", (laws(2, 5), laws(2, 5)), float32=True),
    ]


# The wrong answers.


def safe(P: Tensor, Q: Tensor) -> Tensor:
    return torch.special.xlogy(P, P) - torch.special.xlogy(P, Q)


EXERCISE = Exercise(
    id="04.1",
    title="Discrete KL",
    points=1,
    reference=discrete_kl,
    cases=cases,
    wrong_answers=(
        WrongAnswer(
            lambda P, Q: (torch.special.xlogy(Q, Q) - torch.special.xlogy(Q, P)).sum(1),
            "Which law do the events follow, and which one is only believed? The average is taken over what "
            "really happens.",
        ),
        WrongAnswer(
            lambda P, Q: safe(P, Q).sum(1) / math.log(2),
            "You count in bits. Nats need the natural logarithm.",
        ),
        WrongAnswer(
            lambda P, Q: (P * torch.log(P / Q)).sum(1),
            "0 times log 0 is NaN for a computer. An outcome that never happens costs nothing: leave it out of the "
            "sum.",
        ),
        WrongAnswer(
            lambda P, Q: safe(P, Q).mean(1),
            "The probabilities P are the weights of the average already; dividing by the number of outcomes "
            "averages twice.",
        ),
        WrongAnswer(
            lambda P, Q: -torch.special.xlogy(P, Q).sum(1),
            "This is what the bets cost in all (the cross-entropy). Take away what they would cost somebody who knew "
            "P.",
        ),
        WrongAnswer(
            lambda P, Q: -safe(P, Q).sum(1),
            "A divergence is never negative. Is the ratio inside the logarithm upside down?",
        ),
        WrongAnswer(
            lambda P, Q: safe(P, Q).abs().sum(1),
            "Refunds are part of the account: a term may be negative, only the sum may not.",
        ),
        WrongAnswer(
            lambda P, Q: torch.where(P > 0, torch.log(P.clamp(min=1e-300) / Q), 0.0).sum(1),
            "Each log ratio has to be weighted by how often its outcome happens.",
        ),
        WrongAnswer(
            lambda P, Q: (safe(P, Q) if P.shape[0] != P.shape[1] else safe(P, Q).T).sum(1),
            "A row is one law: sum over the outcomes, dimension 1.",
        ),
        WrongAnswer(
            lambda P, Q: (safe(P, Q) + safe(Q, P)).sum(1) / 2,
            "That is the mean of both directions. The exercise asks for one of them: the average is over P.",
        ),
    ),
)
