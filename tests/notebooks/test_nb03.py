"""What notebook 03 rests on beside the library: its table of notations, the printed formulas of 03.9, its prose."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from course_checks.nb03.inputs import (
    constant_curve,
    cosine_curve,
    equal_steps,
    growing_steps,
    linear_curve,
    printed_formulas,
    straight_curve,
)
from course_checks.nb03.measures import Gaps
from course_lib.schedule import Cosine, Linear, Marginal, Table, VarianceExploding, bridge_weights

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "notebooks/source/03_forward_process.py").read_text()
F64 = torch.float64


# The table of notations: every cell, by the definitions of the text it belongs to

Here = Callable[[int], Marginal]
COLUMNS = ("here", "Ho et al. 2020", "lecture style (gamma)", "Karras et al. 2022")


class Steps:
    """A process given by its steps: betas or gammas, whichever a text starts from."""

    def __init__(self, betas: Tensor) -> None:
        self.beta = [math.nan, *betas.tolist()]  # beta[1] is the first step's
        self.gamma = [math.nan, *(math.sqrt(1 - beta) for beta in betas.tolist())]

    def alpha_bar(self, t: int) -> float:
        return math.prod(1 - beta for beta in self.beta[1 : t + 1])

    def product(self, t: int) -> float:
        return math.prod(self.gamma[1 : t + 1])


OF_STEPS: dict[str, Callable[[Steps, int], float]] = {
    "sqrt(alpha-bar_t)": lambda p, t: math.sqrt(p.alpha_bar(t)),
    "sqrt(1 - alpha-bar_t)": lambda p, t: math.sqrt(1 - p.alpha_bar(t)),
    "sqrt(1 - beta_t)": lambda p, t: math.sqrt(1 - p.beta[t]),
    "product of gamma_1..gamma_t": lambda p, t: p.product(t),
    "sqrt(1 - that product squared)": lambda p, t: math.sqrt(1 - p.product(t) ** 2),
    "gamma_t": lambda p, t: p.gamma[t],
}
OF_HERE: dict[str, Callable[[Here, int], Tensor]] = {
    "`alpha_t`": lambda level, t: level(t).alpha,
    "`sigma_t`": lambda level, t: level(t).sigma,
    "`alpha_t / alpha_{t-1}`": lambda level, t: level(t).alpha / level(t - 1).alpha,
    "`sigma_t / alpha_t`": lambda level, t: level(t).sigma / level(t).alpha,
}
OF_KARRAS: dict[str, Callable[[float, float], float]] = {
    "s(t)": lambda s, sigma: s,
    "s(t) * sigma(t)": lambda s, sigma: s * sigma,
    "sigma": lambda s, sigma: sigma,
}


def rosetta(text: str) -> list[list[str]]:
    """The rows of the table of notations, cells stripped, without its head."""
    lines = [line.strip().removeprefix("# ") for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("| here | Ho et al. 2020 |"))
    table = [line for line in lines[start : start + 8] if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert tuple(rows[0]) == COLUMNS and set(rows[1][0]) == {"-"}
    return rows[2:]


ROWS = rosetta(SOURCE)


def test_the_notebook_s_table_is_that_of_the_design():
    assert len(ROWS) == 4
    assert ROWS == rosetta((ROOT / "docs/design.md").read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
@pytest.mark.parametrize("t", [1, 2, 7, 30])
def test_every_line_of_the_table_of_notations_holds_for_steps(row, t):
    betas = 0.01 + 0.3 * torch.rand(30, generator=torch.Generator().manual_seed(4), dtype=F64)
    table = Table.from_betas(betas)
    here = float(OF_HERE[row[0]](lambda at: table(float(at)), t))
    for cell in row[1:3]:
        if cell:
            assert OF_STEPS[cell](Steps(betas), t) == pytest.approx(here, rel=1e-12), cell


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
@pytest.mark.parametrize("u", [0.05, 0.4, 1.0])
def test_every_line_of_the_table_of_notations_holds_for_karras(row, u):
    """Their table 1: VP has s = exp(-I/2), sigma = sqrt(exp(I) - 1) with I = beta_d u^2 / 2 + beta_min u; VE s = 1."""
    cell = row[3]
    if not cell:
        return
    exponent = 19.9 * u**2 / 2 + 0.1 * u
    vp = math.exp(-exponent / 2), math.sqrt(math.exp(exponent) - 1)
    for schedule, (s, sigma) in ((Linear(0.1, 20.0), vp), (VarianceExploding(80.0), (1.0, 80.0 * u))):
        here = float(OF_HERE[row[0]](lambda at, of=schedule: of(u), 1))
        assert OF_KARRAS[cell](s, sigma) == pytest.approx(here, rel=1e-9)


# The printed formulas of 03.9

TABLES = {"equal": equal_steps(0.1, 12), "growing": growing_steps(0.02, 0.4, 12), "cosine": Table.of(Cosine(), 12)}


def errors(name: str) -> list[float]:
    return [float(Gaps.of(formula, TABLES[name]).worst) for formula in printed_formulas(range(4))]


def test_one_printed_formula_is_right_and_it_is_the_bridge():
    right = [all(errors(name)[k] < 1e-12 for name in TABLES) for k in range(4)]
    assert sum(right) == 1
    formula = printed_formulas(range(4))[right.index(True)]
    for table in TABLES.values():
        for t in range(2, 13):
            expected = bridge_weights(table(t - 1.0), table(float(t)))
            torch.testing.assert_close(torch.stack(formula(table.betas, t)), torch.stack(expected))


def test_one_misprint_looks_right_on_equal_steps_and_on_no_other_schedule():
    right_somewhere = {name: {k for k in range(4) if errors(name)[k] < 1e-12} for name in TABLES}
    assert len(right_somewhere["equal"]) == 2
    assert right_somewhere["growing"] == right_somewhere["cosine"] and len(right_somewhere["growing"]) == 1


def test_the_notebook_shows_the_misprints_in_the_order_in_which_it_explains_them():
    assert "printed_formulas([0, 1, 3, 2])" in SOURCE
    for table in (TABLES["growing"], TABLES["cosine"]):
        parts = []
        for formula in printed_formulas([0, 1, 3, 2]):
            numbers, right = formula(table.betas, 7), bridge_weights(table(6.0), table(7.0))
            parts.append([abs(float(got - want)) > 1e-6 for got, want in zip(numbers, right, strict=True)])
        assert parts == [[False, False, True], [True, False, False], [False, False, True], [False] * 3]
    assert errors("equal")[1] < 1e-12  # (2) is invisible there


def test_order_shuffles_the_formulas():
    forward, backward = printed_formulas([0, 1, 2, 3]), printed_formulas([3, 2, 1, 0])
    assert forward == backward[::-1]


@pytest.mark.parametrize("curve", [constant_curve, linear_curve, straight_curve, cosine_curve])
def test_the_curves_of_the_exercises_start_clean_and_fall(curve):
    values = curve(torch.linspace(0, 1, 50, dtype=F64))
    assert values[0] == 1 and bool((values.diff() < 0).all()) and float(values[-1]) >= 0


# Figures that the prose quotes without printing them


def test_ho_s_first_28_steps_bring_as_much_noise_as_one_step_of_beta_one_hundredth():
    ho = Table.from_betas(torch.linspace(1e-4, 0.02, 1000, dtype=F64))
    gap = Marginal(ho.alpha, ho.sigma).log_snr[1:] - math.log(0.99 / 0.01)
    assert int(gap.abs().argmin()) + 1 == 28
    assert 0.99**500 == pytest.approx(0.0066, abs=5e-5)


def test_the_letter_s_prior_error_needs_alpha_91_times_smaller():
    size = 4096 * 0.97
    assert math.sqrt(82.2 / 0.01) == pytest.approx(91, abs=0.5)
    assert math.sqrt(2 * 0.01 / size) == pytest.approx(0.0022, abs=5e-5)


def test_every_displayed_equation_has_its_number_and_they_run_without_a_gap():
    displayed = re.findall(r"\$\$.*?\$\$", SOURCE, re.DOTALL)
    labels = [re.findall(r"\\tag\{(03\.\d+)\}", block) for block in displayed]
    assert [label for found in labels for label in found] == [f"03.{k}" for k in range(1, len(displayed) + 1)]
