"""Exercise 03.6: shares of the variance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ..contract import Case, Exercise, WrongAnswer
from .shared import between


def shares(gammas: Tensor) -> Tensor:
    """Row by row: old shares shrink, the new one enters."""
    rows = torch.zeros(len(gammas), len(gammas), dtype=gammas.dtype)
    for t, gamma in enumerate(gammas):
        if t:
            rows[t] = gamma**2 * rows[t - 1]
        rows[t, t] = 1 - gamma**2
    return rows


def cases(g: Generator) -> list[Case]:
    forgets, starts_at_zero = between(g, 0.5, 0.9, 5), between(g, 0.5, 0.9, 4)
    forgets[2], starts_at_zero[0] = 0, 0
    return [
        Case("two steps", (between(g, 0.4, 0.9, 2),)),
        Case("one step", (between(g, 0.4, 0.9, 1),)),
        Case("six steps", (between(g, 0.4, 0.95, 6),)),
        Case("equal steps", (0.8 * torch.ones(4, dtype=torch.float64),)),
        Case("the third step forgets everything, gamma = 0", (forgets,)),
        Case("the first step forgets everything", (starts_at_zero,)),
        Case("single precision", (between(g, 0.4, 0.9, 4),), float32=True),
    ]


# The wrong answers.


def shares_with(rule: Callable[[Tensor, int, int], Tensor]) -> Callable[[Tensor], Tensor]:
    """The matrix whose row t, column i <= t (both from 0) is `rule(gammas, t, i)`; 0 elsewhere."""

    def shares(gammas: Tensor) -> Tensor:
        rows = torch.zeros(len(gammas), len(gammas), dtype=gammas.dtype)
        for t in range(len(gammas)):
            for i in range(t + 1):
                rows[t, i] = rule(gammas, t, i)
        return rows

    return shares


def right_share(gammas: Tensor, t: int, i: int) -> Tensor:
    return (1 - gammas[i] ** 2) * gammas[i + 1 : t + 1].square().prod()


def normalise_rows(gammas: Tensor) -> Tensor:
    rows = shares_with(right_share)(gammas)
    return rows / rows.sum(1, keepdim=True)


def by_cumulative_products(gammas: Tensor) -> Tensor:
    kept = gammas.square().cumprod(0)
    return torch.tril((1 - gammas**2) * kept[:, None] / kept[None, :])


def with_future_noises(gammas: Tensor) -> Tensor:
    rows = shares_with(right_share)(gammas)
    for t in range(len(gammas)):
        rows[t, t + 1 :] = 1 - gammas[t + 1 :] ** 2
    return rows


EXERCISE = Exercise(
    id="03.6",
    title="Shares of the variance",
    points=2,
    reference=shares,
    cases=cases,
    answers=("course_lib.schedule.noising_path",),
    wrong_answers=(
        WrongAnswer(
            shares_with(lambda g, t, i: (1 - g[i] ** 2) * g[i + 1 : t + 1].prod()),
            "A noise that is shrunk by gamma keeps gamma**2 of its variance.",
        ),
        WrongAnswer(
            shares_with(lambda g, t, i: (1 - g[i] ** 2) * g[i : t + 1].square().prod()),
            "The noise of step i is added after that step has shrunk the picture. Which gammas has it been through?",
        ),
        WrongAnswer(
            shares_with(lambda g, t, i: 1 - g[i] ** 2),
            "Every noise enters with 1 - gamma**2, but then it fades: all later steps shrink it.",
        ),
        WrongAnswer(
            shares_with(lambda g, t, i: (1 - g[i] ** 2) * g[:i].square().prod()),
            "These are the gammas before step i. A noise is shrunk by what comes after it.",
        ),
        WrongAnswer(
            normalise_rows,
            "Do not make the rows sum to 1: what is missing in them is what is left of the picture.",
        ),
        WrongAnswer(
            by_cumulative_products,
            "A ratio of cumulative products divides 0 by 0 where a gamma is 0. Go from row to row instead: old shares "
            "shrink, a new one enters.",
        ),
        WrongAnswer(
            with_future_noises,
            "The noises of later steps are not in x_t yet: above the diagonal all is 0.",
        ),
        WrongAnswer(
            lambda gammas: shares_with(right_share)(gammas).T,
            "Rows and columns: a row is a day t, a column is the injection i it comes from.",
        ),
        WrongAnswer(
            shares_with(lambda g, t, i: (1 - g[i]) * g[i + 1 : t + 1].square().prod()),
            "The noise that keeps the variance has variance 1 - gamma**2, not 1 - gamma.",
        ),
        WrongAnswer(
            shares_with(lambda g, t, i: right_share(g, t, i).sqrt()),
            "These are the coefficients of the noises. Their shares of the variance are the squares.",
        ),
        WrongAnswer(
            shares_with(lambda g, t, i: (1 - g[i] ** 2) * (g[t] ** 2 if i < t else g.new_ones(()))),
            "Old noise has been through all the steps since it entered, not only through the last one.",
        ),
    ),
)
