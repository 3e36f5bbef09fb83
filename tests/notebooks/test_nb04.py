"""What notebook 04 rests on beside the library: the facts its prose states, and that no equation goes unlabelled."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch

from course_checks import of_notebook
from course_lib.checkpoint import load_model
from course_lib.data import digits
from course_lib.gaussian import Isotropic
from course_lib.lessons.reverse import (
    gaussian_gap,
    kl_to_nearest_gaussian,
    log_snr_table,
    mixture_log_density,
    model_step,
    reverse_of_points,
)
from course_lib.objective import bits_per_dim, decoder_term, prior_term, step_term
from course_lib.oracle import gaussian_denoiser, gaussian_step_std
from course_lib.schedule import Cosine, Linear, Table, jump, kernel, noising_path

SOURCE = (Path(__file__).parents[2] / "notebooks" / "source" / "04_elbo.py").read_text(encoding="utf-8")
POINTS, HALVES = torch.tensor([-1.0, 1.0]).double(), torch.tensor([0.5, 0.5]).double()


def test_every_displayed_equation_is_labelled_and_the_labels_count_up():
    text = "\n".join(line.removeprefix("#") for line in SOURCE.splitlines() if line.startswith("#"))
    displayed = re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
    labels = [re.findall(r"\\tag\{(04\.\d+)\}", equation) for equation in displayed]
    assert all(len(found) == 1 for found in labels), [
        e for e, found in zip(displayed, labels, strict=True) if not found
    ]
    assert [found[0] for found in labels] == [f"04.{k}" for k in range(1, len(labels) + 1)]


def test_the_exercises_are_those_of_the_syllabus():
    found = [(exercise.id, exercise.points) for exercise in of_notebook("04")]
    assert found == [(f"04.{k}", points) for k, points in enumerate((1, 2, 2, 3, 3, 2, 3, 2), start=1)]
    assert all(len(exercise.wrong_answers) >= 5 for exercise in of_notebook("04"))


def test_the_printed_consistency_line_is_false_and_the_lines_before_it_are_right():
    """On N(0.4, 0.09), five steps, the exact model: line D is the entropy within 5 standard errors, line E is not."""
    table, n, exact_std = Table.of(Linear(), 5), 50_000, partial(gaussian_step_std, 0.3)
    x_0 = 0.4 + 0.3 * torch.randn(n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noises = torch.randn(5, n, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    states = noising_path(x_0, table, noises)
    end = table(5)
    start = Isotropic(torch.full_like(x_0, float(end.alpha * 0.4)), torch.hypot(end.alpha * 0.3, end.sigma))
    first = exact_std(table(0), table(1))
    back = {t: model_step(gaussian_denoiser(0.4, 0.3), table, t, states[t], exact_std, first) for t in range(1, 6)}
    ahead = {t: kernel(table(t - 1), table(t))(states[t - 1]) for t in range(1, 6)}
    common = ahead[5].kl(start) - back[1].log_density(x_0)
    line_d = common + sum(ahead[t].log_density(states[t]) - back[t + 1].log_density(states[t]) for t in range(1, 5))
    line_e = common + sum(ahead[t].kl(back[t + 1]) for t in range(1, 5))
    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.09)
    assert abs(float(line_d.mean()) - entropy) < 5 * float(line_d.std()) / math.sqrt(n)
    assert float(line_e.mean()) - entropy > 0.3


@pytest.mark.parametrize(
    ("step_std", "steps", "gap"),
    [
        ("beta", 100, 0.0365), ("beta", 1000, 0.0037),
        ("bridge", 100, 0.665), ("bridge", 1000, 0.432), ("bridge", 10_000, 0.314),
    ],
)  # fmt: skip
def test_the_gaps_that_the_prose_states(step_std, steps, gap):
    assert float(gaussian_gap(0.3, Table.of(Linear(), steps), step_std)) == pytest.approx(gap, abs=5e-4)


def test_a_log_snr_grid_closes_beta_tildes_gap_in_proportion_to_1_over_t():
    gaps = [float(gaussian_gap(0.3, log_snr_table(Linear(), T), "bridge")) for T in (1000, 10_000)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.05) and gaps[0] < 0.03


def test_long_steps_back_have_two_bumps_and_short_ones_one():
    x_t, grid = torch.tensor([0.2]).double(), torch.linspace(-2, 2, 2001, dtype=torch.float64)

    def bumps(step: float) -> int:
        density = mixture_log_density(
            grid[None], *reverse_of_points(x_t, POINTS, HALVES, Cosine()(0.5 - step), Cosine()(0.5))
        )[0]
        return int(((density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])).sum())

    assert [bumps(step) for step in (0.45, 0.3, 0.1, 0.03)] == [2, 2, 1, 1]


def test_the_kl_to_the_nearest_gaussian_falls_with_the_third_power_of_the_step():
    x_t = torch.linspace(-3, 3, 61, dtype=torch.float64)
    found = [
        float(kl_to_nearest_gaussian(*reverse_of_points(x_t, POINTS, HALVES, Cosine()(0.5 - h), Cosine()(0.5))).mean())
        for h in (0.004, 0.002, 0.001)
    ]
    assert [math.log2(a / b) for a, b in zip(found, found[1:], strict=False)] == pytest.approx([3, 3], abs=0.05)


@pytest.mark.slow
def test_the_shipped_models_bits_per_dimension():
    """24 held-back digits, 8 steps each, within the prose's range; most of the bits at the clean end."""
    model = load_model("digits")
    denoiser, table, x = (
        model.denoiser(),
        log_snr_table(model.schedule, 1000, last=11.0),
        digits("held_back").images[:24],
    )
    generator = torch.Generator().manual_seed(0)

    def noise() -> torch.Tensor:
        return torch.randn(x.shape, generator=generator)

    guess = denoiser(jump(x, table(1), noise()), table(1)).x0
    L_0 = decoder_term(x, guess, 0.5 * float(table.sigma[1]))
    edges, terms = torch.linspace(2, 1001, 9).round().long().tolist(), []
    for low, high in zip(edges, edges[1:], strict=False):
        t = torch.randint(low, high, (len(x),), generator=generator)
        terms.append((high - low) * step_term(denoiser, x, jump(x, table(t), noise()), table(t - 1), table(t)))
    total = bits_per_dim(L_0 + sum(terms) + prior_term(x, table(1000)), 784)
    assert 1.2 < float(total.mean()) < 1.9
    assert float(sum(terms[:4]).mean()) > 5 * float(sum(terms[4:]).mean())
