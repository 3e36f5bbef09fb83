"""Exercise 03.9: four printed formulas."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.schedule import Cosine, Linear, Table

from ..contract import Call, Case, Exercise, WrongAnswer
from .inputs import Formula, equal_steps, growing_steps, printed_formulas
from .measures import Gaps
from .shared import number


def errors_of(formulas: list, tables: list) -> Tensor:
    return torch.stack([torch.stack([Gaps.of(formula, table).worst for table in tables]) for formula in formulas])


def cases(g: Generator) -> list[Case]:
    def case(name: str, order: list[int], steps: int) -> Case:
        equal = Call(equal_steps, number(g, 0.04, 0.2), steps)
        growing = Call(growing_steps, number(g, 0.02, 0.06), number(g, 0.3, 0.5), steps)
        return Case(name, (Call(printed_formulas, order), [equal, growing, Call(Table.of, Call(Cosine), steps)]))

    def shuffled() -> list[int]:
        return torch.randperm(4, generator=g).tolist()

    gentle = [
        Call(equal_steps, number(g, 0.01, 0.02), 4),
        Call(growing_steps, number(g, 0.01, 0.02), number(g, 0.04, 0.06), 4),
        Call(growing_steps, number(g, 0.04, 0.06), number(g, 0.08, 0.1), 3),
    ]
    one = [Call(Table.of, Call(Linear), 2), *(Call(Table.of, Call(Cosine, 0.1 * k), 2) for k in (1, 2))]
    return [
        case("twelve steps, shuffled", shuffled(), 12),
        case("twenty steps, shuffled again", shuffled(), 20),
        Case("a few small steps", (Call(printed_formulas, shuffled()), gentle)),
        Case("two steps: t = 2 only", (Call(printed_formulas, shuffled()), one)),
    ]


# The wrong answers.


def measure(error: Callable[[Formula, Table], Tensor]) -> Callable[[list, list], Tensor]:
    def errors(formulas: list, tables: list) -> Tensor:
        return torch.stack([torch.stack([error(formula, table) for table in tables]) for formula in formulas])

    return errors


def worst_by(reduce: Callable[[Gaps], Tensor]) -> Callable[[list, list], Tensor]:
    return measure(lambda formula, table: reduce(Gaps.of(formula, table)))


def with_the_first(formula: Formula, table: Table) -> Tensor:
    return Gaps.of(formula, table, first=1).all.nan_to_num().abs().max()


def without_the_last(formula: Formula, table: Table) -> Tensor:
    gaps = Gaps.of(formula, table).all[:, :-1].abs()
    return gaps.max() if gaps.numel() else torch.zeros((), dtype=torch.float64)


EXERCISE = Exercise(
    id="03.9",
    title="Four printed formulas",
    points=2,
    reference=errors_of,
    cases=cases,
    wrong_answers=(
        WrongAnswer(
            worst_by(lambda gaps: gaps.all[:, -1].abs().max()),
            "You looked at one t only, the last. A misprint may hide there: take the largest gap over all t.",
        ),
        WrongAnswer(
            worst_by(lambda gaps: gaps.all[:, 0].abs().max()),
            "You looked at one t only, the first. Go through t = 2 ... T and take the largest gap.",
        ),
        WrongAnswer(
            worst_by(lambda gaps: gaps.all.abs().amax(0).mean()),
            "The largest gap over all t is asked for, not the mean: a misprint must not drown among good steps.",
        ),
        WrongAnswer(
            worst_by(lambda gaps: gaps.all.max()),
            "A gap may be negative: take absolute values before you take the largest.",
        ),
        WrongAnswer(
            worst_by(lambda gaps: gaps.mean.abs().max()),
            "Only the condition on the mean is checked. A wrong std does not show in it.",
        ),
        WrongAnswer(
            worst_by(lambda gaps: torch.maximum(gaps.mean.abs(), gaps.covariance.abs()).max()),
            "The condition on the variance is missing, the only one in which the std appears.",
        ),
        WrongAnswer(
            worst_by(lambda gaps: torch.maximum(gaps.mean.abs(), gaps.variance.abs()).max()),
            "The condition on the covariance is missing. Without it the wrong root in w_t is caught too weakly.",
        ),
        WrongAnswer(
            measure(lambda formula, table: Gaps.of(formula, table, power=1).worst),
            "The formulas return a standard deviation. In the condition on the variance it is squared.",
        ),
        WrongAnswer(
            measure(lambda formula, table: Gaps.of(formula, table, shift=-1).worst),
            "Row t belongs to time t. You have taken the rows of the step before, from t - 2 to t - 1.",
        ),
        WrongAnswer(
            worst_by(lambda gaps: gaps.all.square().max()),
            "The gap itself is asked for, not its square.",
        ),
        WrongAnswer(
            measure(without_the_last),
            "t runs to T, the last step included: how many rows has table.alpha, and where does `range` stop?",
        ),
        WrongAnswer(
            measure(with_the_first),
            "The formulas are for t = 2 ... T. At t = 1 there is no beta before beta_1: the index -1 takes the last.",
        ),
    ),
)
