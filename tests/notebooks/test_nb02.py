"""What notebook 02 rests on beside the library: its references against other routes, its equations all labelled."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from course_checks import load, of_notebook
from course_checks.contract import Exercise
from course_checks.running import run
from course_lib.explorers import affine
from course_staff.building.source import read_source
from course_staff.course import Course

SOURCE = read_source(Course().source("02_gaussians"))
F64 = torch.float64


def answers(id: str) -> list[tuple[tuple, object]]:
    """Live inputs and the reference's answer, one pair a case, in float64."""
    exercise = load(id)
    cases = [case for case in exercise.draw_cases("an independent check") if not case.float32]
    seen: list[tuple] = []
    values = [run(exercise.reference, case).value for case in cases]
    for case in cases:
        run(lambda *args: seen.append(args) or 0, case)
    return list(zip(seen, values, strict=True))


def test_every_displayed_equation_is_labelled():
    for cell in SOURCE.cells:
        if cell.type == "markdown":
            shown = re.findall(r"\$\$(.*?)\$\$", cell.source, re.DOTALL)
            assert all(r"\tag{02." in equation for equation in shown), shown


def test_labels_count_up_in_the_order_of_reading():
    labels = [
        int(n)
        for cell in SOURCE.cells
        if cell.type == "markdown"
        for n in re.findall(r"\\tag\{02\.(\d+)\}", cell.source)
    ]
    assert labels == list(range(1, len(labels) + 1))


def test_every_reference_to_an_equation_has_one():
    text = "\n".join(cell.source for cell in SOURCE.cells if cell.type == "markdown")
    labels = set(re.findall(r"\\tag\{(02\.\d+)\}", text))
    assert set(re.findall(r"\((02\.\d+)\)", text)) <= labels


def test_the_exercises_are_those_of_the_syllabus():
    assert [(exercise.id, exercise.points) for exercise in of_notebook("02")] == [
        ("02.1", 1), ("02.2", 1), ("02.3", 2), ("02.4", 2), ("02.5", 2), ("02.6", 3), ("02.7", 2), ("02.8", 3)
    ]  # fmt: skip


@pytest.mark.parametrize("exercise", of_notebook("02"), ids=lambda exercise: exercise.id)
def test_five_wrong_answers_or_more_each_with_a_hint_of_its_own(exercise: Exercise):
    assert len({wrong.hint for wrong in exercise.wrong_answers}) >= 5


def test_log_density_is_torchs():
    for (x, m, sigma), value in answers("02.1"):
        torch.testing.assert_close(value, Normal(m, sigma).log_prob(x).sum(1))


def test_moments_are_those_of_a_quadrature_that_is_exact_for_squares():
    """Points +-sqrt(k) along each axis of the noise, equally likely, have mean 0 and covariance I, exactly."""
    for (A, m), (mean, cov) in answers("02.2"):
        k = A.shape[1]
        corners = math.sqrt(k) * torch.cat([torch.eye(k, dtype=F64), -torch.eye(k, dtype=F64)])
        x = corners @ A.T + m
        torch.testing.assert_close(mean, x.mean(0))
        torch.testing.assert_close(cov, torch.cov(x.T, correction=0).reshape(len(m), len(m)))


def test_a_composition_maps_points_like_its_parts():
    for (A, m, B, b), (whole, translation) in answers("02.3"):
        e = torch.randn(5, B.shape[1], generator=torch.Generator().manual_seed(0), dtype=F64)
        x = e @ B.T + b
        for _ in range(2):
            x = x @ A.T + m
        torch.testing.assert_close(e @ whole.T + translation, x)


def test_chains_are_sums_over_the_times_of_injection():
    for (mu, cov, b, Q, A, steps), ((mean, total), (end, spread)) in answers("02.4"):
        powers = [torch.linalg.matrix_power(A, n) for n in range(steps + 1)]
        torch.testing.assert_close((mean, total), (mu + b, cov + Q))
        noises = sum((P @ Q @ P.T for P in powers[:-1]), torch.zeros_like(Q))
        torch.testing.assert_close(end, powers[-1] @ mu + sum((P @ b for P in powers[:-1]), torch.zeros_like(b)))
        torch.testing.assert_close(spread, powers[-1] @ cov @ powers[-1].T + noises)


def test_roots_square_to_the_covariance():
    for (cov,), root in answers("02.5"):
        torch.testing.assert_close(root @ root.T, cov, atol=1e-13, rtol=1e-9)


def gaussian_log_joint(x: Tensor, mu: Tensor, cov: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> Tensor:
    return MultivariateNormal(mu, cov).log_prob(x) + MultivariateNormal(x @ H.T, Q).log_prob(y)


def test_a_posterior_has_the_slope_and_the_curvature_of_bayes_rule():
    """At the mean the log of prior times likelihood is flat, and its curvature is minus the inverse covariance."""
    checked = 0
    for (mu, cov, H, Q, y), (mean, spread) in answers("02.6"):
        if min(torch.linalg.eigvalsh(cov)[0], torch.linalg.eigvalsh(Q)[0]) > 1e-9:
            arguments = mu, cov, H, Q, y
            slope = torch.func.grad(gaussian_log_joint)(mean, *arguments)
            curvature = torch.func.hessian(gaussian_log_joint)(mean, *arguments)
            torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-9, rtol=0)
            torch.testing.assert_close(-curvature @ spread, torch.eye(len(mu), dtype=F64), atol=1e-9, rtol=1e-9)
            checked += 1
    assert checked >= 5


def test_divergences_are_torchs():
    for (mu_p, p, mu_q, q), value in answers("02.7"):
        expected = kl_divergence(Normal(mu_p, torch.tensor(p)), Normal(mu_q, torch.tensor(q))).sum()
        assert float(value) == pytest.approx(float(expected), rel=1e-6)
    for (mu_p, p, mu_q, q), value in answers("02.8"):
        expected = kl_divergence(MultivariateNormal(mu_p, p), MultivariateNormal(mu_q, q))
        assert float(value) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("A", [[[1.2, 0.6], [0.2, 0.7]], [[0.0, -1.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
def test_the_explorers_share_inside_the_inner_ellipse_does_not_depend_on_the_map(A):
    page = affine.render_moments(torch.tensor(A).numpy(), torch.zeros(2).numpy())
    share = float((torch.from_numpy(affine.standard_noise()).square().sum(1) <= 1).double().mean())
    assert f"39 %</td><td>{100 * share:.0f} %" in re.sub(r"<td[^>]*>", "<td>", page)
