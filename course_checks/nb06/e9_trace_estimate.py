"""Exercise 06.9: Hutchinson's estimate."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.continuous import Field, divergence_hutchinson

from ..contract import Case, Exercise, WrongAnswer, normal
from .inputs import bent_field, parallel_field


def trace_estimate(field: Field, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    found = torch.stack([divergence_hutchinson(field, x, probe) for probe in probes])
    return found.mean(0), found.std(0) / math.sqrt(len(probes))


def cases(g: Generator) -> list[Case]:
    def signs(*shape: int) -> Tensor:
        return torch.randint(0, 2, shape, generator=g).double() * 2 - 1

    return [
        Case("two probes, one dimension", (bent_field, normal(g, 3, 1), normal(g, 2, 3, 1))),
        Case("probes of ones", (bent_field, normal(g, 2, 3), torch.ones(3, 2, 3, dtype=torch.float64))),
        Case("coordinates that do not mix, signs", (parallel_field, normal(g, 3, 4), signs(4, 3, 4))),
        Case("signs", (bent_field, normal(g, 2, 4), signs(5, 2, 4))),
        Case("normal probes", (bent_field, normal(g, 3, 2), normal(g, 4, 3, 2))),
        Case("images", (bent_field, normal(g, 2, 1, 2, 3), normal(g, 3, 2, 1, 2, 3))),
        Case("single precision", (bent_field, normal(g, 2, 3), normal(g, 3, 2, 3)), float32=True),
    ]


# The wrong answers.


def trace_with(
    estimate: Callable[[Field, Tensor, Tensor], Tensor],
    error: Callable[[Tensor], Tensor] = lambda found: found.std(0) / math.sqrt(len(found)),
    mean: Callable[[Tensor], Tensor] = lambda found: found.mean(0),
    first_only: bool = False,
) -> Callable[..., tuple[Tensor, Tensor]]:
    def trace(field: Field, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        used = [probes[0]] * len(probes) if first_only else probes
        found = torch.stack([estimate(field, x, probe) for probe in used])
        return mean(found), error(found)

    return trace


def pull_back(field: Field, x: Tensor, z: Tensor) -> Tensor:
    """z^T J, of the shape of x."""
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad((field(leaf) * z).sum(), leaf)[0]


def rows(value: Tensor) -> Tensor:
    return value.flatten(1).sum(1)


def right_estimate(field: Field, x: Tensor, z: Tensor) -> Tensor:
    return rows(pull_back(field, x, z) * z)


EXERCISE = Exercise(
    id="06.9",
    title="Hutchinson's estimate",
    points=3,
    reference=trace_estimate,
    cases=cases,
    answers=("course_lib.continuous.divergence_hutchinson",),
    wrong_answers=(
        WrongAnswer(
            trace_with(lambda field, x, z: rows(pull_back(field, x, z))),
            "z^T J is a vector. One more product with z makes it the number z^T J z.",
        ),
        WrongAnswer(
            trace_with(lambda field, x, z: rows(pull_back(field, x, torch.ones_like(z)) * z)),
            "z has to stand on both sides of J: multiply the field's values by it before you differentiate.",
        ),
        WrongAnswer(
            trace_with(lambda field, x, z: rows(field(x) * z * z)),
            "No derivative has been taken: the divergence is about how the field changes.",
        ),
        WrongAnswer(
            trace_with(lambda field, x, z: right_estimate(field, x, z) / x[0].numel()),
            "A trace is a sum over the dimensions, not a mean.",
        ),
        WrongAnswer(
            trace_with(lambda field, x, z: (pull_back(field, x, z) * z).sum()),
            "One number per sample: sum over the dimensions of a sample, not over the batch.",
        ),
        WrongAnswer(
            trace_with(lambda field, x, z: (pull_back(field, x, z) * z).sum(1)),
            "A sample may be an image: sum over all dimensions but the first.",
        ),
        WrongAnswer(
            trace_with(right_estimate, error=lambda found: found.std(0)),
            "That is the spread of one estimate. How does the error of a mean fall with the number of probes?",
        ),
        WrongAnswer(
            trace_with(right_estimate, error=lambda found: found.std(0) / len(found)),
            "Averaging K independent numbers divides the variance by K: and the standard deviation?",
        ),
        WrongAnswer(
            trace_with(right_estimate, error=lambda found: found.std(0, correction=0) / math.sqrt(len(found))),
            "The mean was estimated from the same numbers: divide by K - 1.",
        ),
        WrongAnswer(
            trace_with(right_estimate, error=lambda found: found.var(0) / len(found)),
            "That is the variance of the mean. Asked for is its standard error.",
        ),
        WrongAnswer(
            trace_with(right_estimate, mean=lambda found: found.sum(0)),
            "Average the estimates of the probes; a sum grows with their number.",
        ),
        WrongAnswer(
            trace_with(right_estimate, first_only=True),
            "Every turn of the loop has its own probe.",
        ),
    ),
)
