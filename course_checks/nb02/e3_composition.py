"""Exercise 02.3: map and translation of B e + b, put through x -> A x + m twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Gaussian, compose

from ..contract import Case, Exercise, WrongAnswer, normal


def composition(A: Tensor, m: Tensor, B: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    law = compose(A, m, compose(A, m, Gaussian(B, b)))
    return law.map, law.translation


def cases(g: Generator) -> list[Case]:
    eye, zero = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    return [
        Case("square maps", (normal(g, 3, 3), normal(g, 3), normal(g, 3, 3), normal(g, 3))),
        Case("four noises, two numbers", (normal(g, 2, 2), normal(g, 2), normal(g, 2, 4), normal(g, 2))),
        Case("one noise, three numbers", (normal(g, 3, 3), normal(g, 3), normal(g, 3, 1), normal(g, 3))),
        Case("diagonal maps", (torch.diag(normal(g, 3)), normal(g, 3), torch.diag(normal(g, 3)), normal(g, 3))),
        Case("A the identity", (eye, normal(g, 3), normal(g, 3, 3), normal(g, 3))),
        Case("m = 0", (normal(g, 3, 3), zero, normal(g, 3, 2), normal(g, 3))),
        Case("b = 0", (normal(g, 3, 3), normal(g, 3), normal(g, 3, 2), zero)),
        Case("single precision", (normal(g, 2, 2), normal(g, 2), normal(g, 2, 3), normal(g, 2)), float32=True),
    ]


# The wrong answers are the right one but for the map, the translation or both.


def composition_with(
    map: Callable[[Tensor, Tensor], Tensor] = lambda A, B: A @ A @ B,
    translation: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda A, m, b: A @ (A @ b + m) + m,
) -> Callable[..., Any]:
    return lambda A, m, B, b: (map(A, B), translation(A, m, b))


EXERCISE = Exercise(
    id="02.3",
    title="Compose",
    points=2,
    reference=composition,
    cases=cases,
    answers=("course_lib.gaussian.compose",),
    wrong_answers=(
        WrongAnswer(
            composition_with(map=lambda A, B: B @ A @ A),
            "Which matrix meets the noise first? The one that stands beside it, on the right.",
        ),
        WrongAnswer(
            composition_with(map=lambda A, B: A @ B @ A),
            "Write A(A(B e)) with its brackets: both A act after B, so both stand on its left.",
        ),
        WrongAnswer(
            composition_with(map=lambda A, B: (A * A) @ B),
            "Applying a map twice is the matrix product A A, not the square of each entry.",
        ),
        WrongAnswer(
            lambda A, m, B, b: (A @ B, A @ b + m),
            "This applies A and m once. They are to be applied twice.",
        ),
        WrongAnswer(
            composition_with(translation=lambda A, m, b: A @ b + m),
            "The map is that of two rounds, but the translation has made only one.",
        ),
        WrongAnswer(
            composition_with(translation=lambda A, m, b: A @ A @ (b + m)),
            "Which of the two A does the first m go through, and which does the second m go through?",
        ),
        WrongAnswer(
            composition_with(translation=lambda A, m, b: b + 2 * m),
            "A translation that comes early goes through all later maps, too.",
        ),
        WrongAnswer(
            composition_with(translation=lambda A, m, b: A @ A @ b + 2 * m),
            "The m of the first round is mapped by the A of the second.",
        ),
        WrongAnswer(
            composition_with(translation=lambda A, m, b: A @ A @ b + m),
            "m is added twice: once in each round. What becomes of the first one?",
        ),
        WrongAnswer(
            composition_with(translation=lambda A, m, b: A @ m + m),
            "Where has b gone? It is part of x, and is mapped along with it.",
        ),
        WrongAnswer(
            lambda A, m, B, b: (A @ (A @ b + m) + m, A @ A @ B),
            "Both values are there, in the other order: map first, then translation.",
        ),
        WrongAnswer(
            lambda A, m, B, b: (B @ A @ A, (b @ A + m) @ A + m),
            "You multiply from the right, as for rows; but then all matrices have to be transposed. A B e: B comes "
            "first.",
        ),
    ),
)
