"""reverse: q(x_s | x_t) of points and Gaussians against Bayes' rule on a grid, matrices and sampled walks."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from course_lib.gaussian import Isotropic, kl
from course_lib.lessons.reverse import (
    derivations,
    gaussian_gap,
    kl_to_nearest_gaussian,
    log_snr_table,
    mixture_log_density,
    model_joint,
    model_step,
    nearest_gaussian,
    reverse_of_points,
    target_gradients,
    walk_joint,
)
from course_lib.objective import bound, step_weight
from course_lib.oracle import gaussian_denoiser, gaussian_step_std
from course_lib.schedule import Cosine, Linear, Table, VarianceExploding, kernel, noising_path

MEAN, STD = 0.4, 0.3
EXACT = partial(gaussian_step_std, STD)
GRID = torch.linspace(-8, 8, 8001, dtype=torch.float64)


def data(count: int, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(count, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return MEAN + STD * noise


def walked(table: Table, x_0: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return noising_path(x_0, table, torch.randn(int(table.end), *x_0.shape, generator=generator, dtype=x_0.dtype))


def prior(table: Table, like: torch.Tensor) -> Isotropic:
    end = table(table.end)
    return Isotropic(torch.full_like(like, float(end.alpha * MEAN)), torch.hypot(end.alpha * STD, end.sigma))


@pytest.mark.parametrize("schedule", [Cosine(), Linear(), VarianceExploding(2.0)])
def test_the_reverse_of_points_is_bayes_rule_on_a_grid(schedule):
    """Three unequal points: prior at s from the data, times the kernel, normalised on a fine grid."""
    points, weights = torch.tensor([-1.0, 0.3, 2.0]).double(), torch.tensor([0.5, 0.2, 0.3]).double()
    s, t, x_t = schedule(0.3), schedule(0.45), torch.tensor([-0.7, 0.1, 1.5]).double()
    at_s = (weights * torch.exp(-0.5 * ((GRID[:, None] - s.alpha * points) / s.sigma) ** 2)).sum(1)
    step = kernel(s, t)
    product = at_s * torch.exp(-0.5 * ((x_t[:, None] - step.scale * GRID) / step.std) ** 2)
    expected = product / (product.sum(1, keepdim=True) * (GRID[1] - GRID[0]))
    found = mixture_log_density(GRID[None].expand(3, -1), *reverse_of_points(x_t, points, weights, s, t)).exp()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_the_nearest_gaussian_has_the_mixtures_moments_and_no_other_is_nearer():
    parts = torch.tensor([[0.3, 0.7]]).double(), torch.tensor([[-1.0, 0.5]]).double(), torch.tensor(0.4).double()
    mean, std = nearest_gaussian(*parts)
    p = mixture_log_density(GRID[None], *parts)[0].exp()
    dx = float(GRID[1] - GRID[0])
    assert float(mean) == pytest.approx(float((p * GRID).sum() * dx), abs=1e-6)
    assert float(std) == pytest.approx(float((p * (GRID - mean) ** 2).sum() * dx) ** 0.5, abs=1e-6)

    def divergence(m: float, s: float) -> float:
        log_q = Isotropic(torch.full((8001, 1), m).double(), torch.tensor(s).double()).log_density(GRID[:, None])
        return float((torch.special.xlogy(p, p) - p * log_q).sum() * dx)

    best = divergence(float(mean), float(std))
    assert float(kl_to_nearest_gaussian(*parts)) == pytest.approx(best, abs=1e-6)
    assert all(
        divergence(float(mean) + a, float(std) * b) > best for a, b in ((0.05, 1), (-0.05, 1), (0, 1.05), (0, 0.95))
    )


def test_the_kl_of_a_single_gaussian_is_0_and_of_far_points_log_2():
    one = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.2, 0.9]]).double(), torch.tensor(0.3).double()
    assert float(kl_to_nearest_gaussian(*one)) == pytest.approx(0, abs=1e-9)
    half = torch.tensor([[0.5, 0.5]]).double()
    far = half, torch.tensor([[-1.0, 1.0]]).double(), torch.tensor(0.02).double()
    entropy = (
        0.5 * math.log(2 * math.pi * math.e * (1 + 0.02**2))
        - math.log(2)
        - 0.5 * math.log(2 * math.pi * math.e * 0.02**2)
    )
    assert float(kl_to_nearest_gaussian(*far, points=20_001)) == pytest.approx(entropy, abs=1e-4)


def test_the_joint_law_is_that_of_sampled_walks():
    """Means and covariances of 200,000 walks within 5 standard errors."""
    table, n = Table.of(Linear(), 4), 200_000
    states = walked(table, data(n), 1)[:, :, 0]
    law = walk_joint(MEAN, STD, table)
    error = law.cov.diagonal().sqrt() / math.sqrt(n)
    assert bool(((states.mean(1) - law.mean).abs() < 5 * error).all())
    scale = torch.outer(law.cov.diagonal().sqrt(), law.cov.diagonal().sqrt()) * math.sqrt(2 / n)
    assert bool(((torch.cov(states) - law.cov).abs() < 5 * scale).all())


@pytest.mark.parametrize("step_std", ["beta", "bridge", EXACT], ids=["beta", "beta-tilde", "exact"])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_gap_is_the_kl_between_the_two_chains(steps, step_std):
    """Sum over steps against notebook 02's KL with full matrices: no shared algebra."""
    table = Table.of(Linear(), steps)
    decoder_std = EXACT(table(0), table(1)) if callable(step_std) else table.sigma[1]
    whole = kl(walk_joint(MEAN, STD, table), model_joint(MEAN, STD, table, step_std, decoder_std))
    assert float(gaussian_gap(STD, table, step_std, decoder_std)) == pytest.approx(float(whole), abs=1e-9)
    assert (abs(float(whole)) < 1e-9) == callable(step_std)


def test_the_models_chain_samples_what_its_joint_law_says():
    """Ancestral sampling by hand, 200,000 chains: p(x_0) within 5 standard errors."""
    table, n, generator = Table.of(Linear(), 3), 200_000, torch.Generator().manual_seed(2)
    law = model_joint(MEAN, STD, table, "beta", table.sigma[1])
    like = torch.zeros(n, 1, dtype=torch.float64)
    x = prior(table, like).sample(torch.randn(n, 1, generator=generator, dtype=torch.float64))
    for t in (3, 2, 1):
        step = model_step(gaussian_denoiser(MEAN, STD), table, t, x, "beta", table.sigma[1])
        x = step.sample(torch.randn(n, 1, generator=generator, dtype=torch.float64))
    variance = float(law.cov[0, 0])
    assert abs(float(x.mean() - law.mean[0])) < 5 * math.sqrt(variance / n)
    assert abs(float(x.var()) - variance) < 5 * variance * math.sqrt(2 / n)


@pytest.mark.parametrize("step_std", ["beta", "bridge"])
def test_both_derivations_estimate_the_same_number(step_std):
    """Path, first and second derivation on 40,000 walks of 6 steps, and `objective.bound`: equal within errors."""
    table, n = Table.of(Linear(), 6), 40_000
    x_0 = data(n)
    states = walked(table, x_0, 3)
    found = derivations(gaussian_denoiser(MEAN, STD), table, states, step_std, None, prior(table, x_0))
    library = bound(
        gaussian_denoiser(MEAN, STD), table, x_0, torch.Generator().manual_seed(4), step_std, levels=None,
        prior=prior(table, x_0),
    ).total  # fmt: skip
    for estimate in (found.path, found.first, library):
        apart = estimate - found.second
        assert abs(float(apart.mean())) < 5 * float(apart.std()) / math.sqrt(n)
    truth = -Isotropic(torch.full_like(x_0, MEAN), torch.tensor(STD, dtype=torch.float64)).log_density(x_0)
    gap = found.second - truth
    expected = float(gaussian_gap(STD, table, step_std))
    assert abs(float(gap.mean()) - expected) < 5 * float(gap.std()) / math.sqrt(n)
    assert float(found.first.var()) > 4 * float(found.second.var())


def test_with_the_exact_model_every_walk_gives_log_p():
    table, x_0 = Table.of(Cosine(), 9), data(50)
    states = walked(table, x_0, 5)
    if float(table.alpha[-1]) == 0:
        states = states[:-1]
        table = Table(table.alpha[:-1], table.sigma[:-1])
    found = derivations(
        gaussian_denoiser(MEAN, STD), table, states, EXACT, EXACT(table(0), table(1)), prior(table, x_0)
    )
    truth = -Isotropic(torch.full_like(x_0, MEAN), torch.tensor(STD, dtype=torch.float64)).log_density(x_0)
    torch.testing.assert_close(found.path, truth, rtol=0, atol=1e-9)


def test_the_constants_are_the_means_of_the_sampled_logs():
    table, n = Table.of(Linear(), 3), 100_000
    states = walked(table, data(n), 6)
    found = derivations(gaussian_denoiser(MEAN, STD), table, states, "beta")
    apart = found.forward.mean(1) - found.mean_forward[:, 0]
    assert bool((apart.abs() < 5 * found.forward.std(1) / math.sqrt(n)).all())


def test_target_gradients_are_derivatives_of_the_two_terms():
    """Against automatic differentiation of the terms in a shift of the denoiser's answer."""
    table = Table.of(Linear(), 8)
    states = walked(table, data(5), 7)
    first, second = target_gradients(gaussian_denoiser(MEAN, STD), table, states, 4, "beta")
    shift = torch.zeros(5, 1, dtype=torch.float64, requires_grad=True)

    def moved(x, marginal):
        guess = gaussian_denoiser(MEAN, STD)(x, marginal)
        return type(guess)(guess.x0 + shift, guess.eps)

    model = model_step(moved, table, 4, states[4], "beta", None)
    (by_autograd,) = torch.autograd.grad(-model.log_density(states[3]).sum(), shift, retain_graph=True)
    torch.testing.assert_close(first, by_autograd[:, 0])
    from course_lib.objective import step_term

    (by_autograd,) = torch.autograd.grad(
        step_term(moved, states[0], states[4], table(3), table(4), "beta").sum(), shift
    )
    torch.testing.assert_close(second, by_autograd[:, 0])


def test_a_log_snr_table_has_even_steps_and_a_clean_row():
    table = log_snr_table(Linear(), 12, last=7.0)
    levels = table(torch.arange(1, 13)).log_snr
    steps = levels[:-2] - levels[1:-1]  # the last one reaches to the schedule's own end, -10
    assert table.alpha[0] == 1 and table.sigma[0] == 0
    torch.testing.assert_close(steps, steps[:1].expand(10), rtol=1e-6, atol=1e-6)
    assert float(levels[0]) == pytest.approx(7.0) and len(table.alpha) == 13
    total = step_weight(table(torch.arange(1, 12)), table(torch.arange(2, 13))).sum()
    assert float(total) == pytest.approx(0.5 * (math.exp(7.0) - float(levels[-1].exp())))


def test_beta_tildes_gap_tends_to_half_of_eulers_constant_on_even_times():
    gaps = [float(gaussian_gap(STD, Table.of(Linear(), T), "bridge")) for T in (30_000, 300_000)]
    limit = -float(torch.special.digamma(torch.ones(()).double())) / 2
    assert limit < gaps[1] < gaps[0] and gaps[1] - limit < 0.002
