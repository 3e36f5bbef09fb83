"""Plausible wrong answers to exercise 03.9, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.schedule import Table, bridge_weights

from .contract import Mutant
from .nb03_inputs import Formula
from .nb03_measures import Gaps


def _measure(error: Callable[[Formula, Table], Tensor]) -> Callable[[list, list], Tensor]:
    def errors(formulas: list, tables: list) -> Tensor:
        return torch.stack([torch.stack([error(formula, table) for table in tables]) for formula in formulas])

    return errors


def _judged(reduce: Callable[[Gaps], Tensor]) -> Callable[[list, list], Tensor]:
    return _measure(lambda formula, table: reduce(Gaps.of(formula, table)))


def _from_the_right_one(formula: Formula, table: Table) -> Tensor:
    t = torch.arange(2, len(table.alpha))
    right = bridge_weights(table((t - 1).double()), table(t.double()))
    numbers = [formula(table.betas, int(k)) for k in t]
    return torch.stack([(torch.stack([part[i] for part in numbers]) - right[i]).abs().max() for i in range(3)]).max()


def _row_early(formula: Formula, table: Table) -> Tensor:
    gaps = Gaps.of(formula, table, shift=-1).all
    return gaps[:, 1:].abs().max() if gaps.shape[1] > 1 else gaps.nan_to_num().abs().max()


def _all_rows_early(formula: Formula, table: Table) -> Tensor:
    return Gaps.of(formula, table, shift=-1).worst


def _all_rows_late(formula: Formula, table: Table) -> Tensor:
    later = Table(torch.cat([table.alpha[:1], table.alpha[2:]]), torch.cat([table.sigma[:1], table.sigma[2:]]))
    return Gaps.of(lambda _, t: formula(table.betas, t), later).worst if len(later.alpha) > 2 else 0 * ONE


def _without_the_last(formula: Formula, table: Table) -> Tensor:
    gaps = Gaps.of(formula, table).all[:, :-1].abs()
    return gaps.max() if gaps.numel() else torch.zeros((), dtype=torch.float64)


def _with_the_first(formula: Formula, table: Table) -> Tensor:
    return Gaps.of(formula, table, first=1).all.nan_to_num().abs().max()


def _first_table(formulas: list, tables: list) -> Tensor:
    return _judged(lambda gaps: gaps.worst)(formulas, [tables[0]] * len(tables))


ONE = torch.ones((), dtype=torch.float64)
TWO_STEPS = "two steps: t = 2 only"

PRINTED = (
    Mutant(
        _judged(lambda gaps: gaps.all[:, -1].abs().max()),
        "You looked at one t only, the last. A misprint may hide there: take the largest gap over all t.",
        agrees_on=(TWO_STEPS,),
    ),
    Mutant(
        _judged(lambda gaps: gaps.all[:, 0].abs().max()),
        "You looked at one t only, the first. Go through t = 2 ... T and take the largest gap.",
        agrees_on=(TWO_STEPS,),
    ),
    Mutant(
        _judged(lambda gaps: gaps.all.abs().amax(0).mean()),
        "The largest gap over all t is asked for, not the mean: a misprint must not drown among good steps.",
        agrees_on=(TWO_STEPS,),
    ),
    Mutant(_judged(lambda gaps: gaps.all.abs().mean()), "Take the largest gap, over conditions and times, not a mean."),
    Mutant(
        _judged(lambda gaps: gaps.all.max()),
        "A gap may be negative: take absolute values before you take the largest.",
    ),
    Mutant(
        _judged(lambda gaps: gaps.mean.abs().max()),
        "Only the condition on the mean is checked. A wrong std does not show in it.",
    ),
    Mutant(
        _judged(lambda gaps: torch.maximum(gaps.mean.abs(), gaps.covariance.abs()).max()),
        "The condition on the variance is missing, the only one in which the std appears.",
    ),
    Mutant(
        _judged(lambda gaps: gaps.variance.abs().max()),
        "Only the condition on the variance is checked. There are three of them.",
    ),
    Mutant(
        _judged(lambda gaps: torch.maximum(gaps.mean.abs(), gaps.variance.abs()).max()),
        "Not all three conditions are checked; the covariance is missing: without it the wrong root in w_t is caught "
        "too weakly.",
    ),
    Mutant(
        _judged(lambda gaps: torch.maximum(gaps.variance.abs(), gaps.covariance.abs()).max()),
        "Not all three conditions are checked; the one on the mean is missing, the only one in which w_0 appears.",
    ),
    Mutant(
        _judged(lambda gaps: gaps.covariance.abs().max()),
        "Only the condition on the covariance is checked, in which neither w_0 nor the std appears.",
    ),
    Mutant(
        _measure(lambda formula, table: Gaps.of(formula, table, power=1).worst),
        "The formulas return a standard deviation. In the condition on the variance it is squared.",
    ),
    Mutant(
        _measure(_row_early),
        "Rows and times: the table's row 0 is the clean picture, so alpha_t is table.alpha[t], and s is row t - 1.",
    ),
    Mutant(
        _measure(_all_rows_early),
        "Row t belongs to time t. You have taken the rows of the step before, from t - 2 to t - 1.",
    ),
    Mutant(
        _measure(_all_rows_late),
        "Row t belongs to time t, and s is t - 1. You have taken the rows of the step after, from t to t + 1.",
    ),
    Mutant(
        _judged(lambda gaps: gaps.all.abs().sum(0).max()),
        "The three gaps are not added: the largest of them counts.",
    ),
    Mutant(
        _judged(lambda gaps: gaps.all.square().max()),
        "The gap itself is asked for, not its square.",
    ),
    Mutant(
        _measure(_from_the_right_one),
        "These are distances from the right numbers. Asked for is how badly each formula breaks the three conditions.",
    ),
    Mutant(
        _first_table,
        "Every column is the first schedule's. A formula may look right on one schedule and fail on the next.",
    ),
    Mutant(
        _measure(_without_the_last),
        "t runs to T, the last step included: how many rows has table.alpha, and where does `range` stop?",
    ),
    Mutant(
        _measure(_with_the_first),
        "The formulas are for t = 2 ... T. At t = 1 there is no beta before beta_1: the index -1 takes the last.",
    ),
)
