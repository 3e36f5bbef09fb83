"""vae: likelihoods and bounds against torch.distributions, quadrature and Monte Carlo; training that learns."""

from __future__ import annotations

import math

import pytest
import torch

from course_lib.gaussian import Gaussian, kl
from course_lib.lessons.vae import (
    Vae,
    bernoulli_log_likelihood,
    elbo,
    grid_log_joint,
    importance_bound,
    kl_to_standard,
    log_weights,
    minimise,
    normal_log_density,
    train_vae,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small() -> Vae:
    """A random network of six pixels in float64, with a decoder far from indifferent."""
    torch.manual_seed(1)
    vae = Vae(pixels=6, hidden=8, latent=2).double()
    with torch.no_grad():
        vae.decoder[-1].weight.mul_(4)
    return vae


def exact_log_likelihood(vae: Vae, x: torch.Tensor, side: int) -> torch.Tensor:
    """log p(x) in nats, (B,), by summing over a grid of the two-dimensional latent space."""
    log_joint, _, area = grid_log_joint(vae, x, side, limit=6.0)
    return torch.logsumexp(log_joint, dim=1) + math.log(area)


def pictures(count: int) -> torch.Tensor:
    return (torch.rand(count, 6, generator=generator(5), dtype=torch.float64) > 0.5).double()


def test_the_bernoulli_likelihood_is_that_of_torch_and_finite_for_sure_decoders():
    logits = 4 * torch.randn(5, 7, generator=generator(), dtype=torch.float64)
    x = (torch.rand(5, 7, generator=generator(1)) > 0.5).double()
    expected = torch.distributions.Bernoulli(logits=logits).log_prob(x).sum(-1)
    torch.testing.assert_close(bernoulli_log_likelihood(logits, x), expected)
    sure = bernoulli_log_likelihood(torch.tensor([[500.0, -500.0]]), torch.tensor([[0.0, 0.0]]))
    torch.testing.assert_close(sure, torch.tensor([-500.0]))


def test_probabilities_of_all_pictures_sum_to_1():
    logits = torch.randn(1, 5, generator=generator(), dtype=torch.float64)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 5)
    torch.testing.assert_close(bernoulli_log_likelihood(logits, every).exp().sum(), torch.tensor(1.0).double())


def test_the_price_is_the_kl_of_two_gaussians_with_full_covariances():
    mean, log_var = torch.randn(2, 3, generator=generator(), dtype=torch.float64)
    standard = Gaussian.spherical(torch.zeros(3).double(), 1.0)
    torch.testing.assert_close(
        kl_to_standard(mean, log_var), kl(Gaussian.from_moments(mean, torch.diag(log_var.exp())), standard)
    )


def test_log_normal_is_that_of_torch():
    z, mean, log_var = torch.randn(3, 4, 2, generator=generator(), dtype=torch.float64)
    expected = torch.distributions.Normal(mean, (0.5 * log_var).exp()).log_prob(z).sum(-1)
    torch.testing.assert_close(normal_log_density(z, mean, log_var), expected)


def test_the_grid_gives_log_p_as_blind_monte_carlo_does(small):
    """A million draws of z from the prior, standard error below 0.2%."""
    x = pictures(3)
    z = torch.randn(1_000_000, 2, generator=generator(2), dtype=torch.float64)
    with torch.no_grad():
        logits = small.decode(z)
        draws = torch.stack([bernoulli_log_likelihood(logits, row) for row in x])
    measured = torch.logsumexp(draws, 1) - math.log(z.shape[0])
    torch.testing.assert_close(exact_log_likelihood(small, x, side=300), measured, rtol=0, atol=0.01)


def test_exact_probabilities_of_all_pictures_sum_to_1(small):
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 6)
    total = exact_log_likelihood(small, every, side=200).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0).double(), rtol=1e-5, atol=0)


def test_a_grid_may_be_moved_and_needs_two_latents(small):
    x, centre = pictures(2), torch.tensor([0.5, -0.25]).double()
    log_joint, grid, area = grid_log_joint(small, x, side=11, limit=1.0, centre=centre)
    assert log_joint.shape == (2, 121) and area == pytest.approx(0.04)
    torch.testing.assert_close(grid.mean(0), centre)
    torch.testing.assert_close(grid.amax(0) - grid.amin(0), torch.full((2,), 2.0).double())
    with torch.no_grad():
        expected = bernoulli_log_likelihood(small.decode(grid[7]), x[1]) + normal_log_density(
            grid[7], 0 * grid[7], 0 * grid[7]
        )
    torch.testing.assert_close(log_joint[1, 7], expected)
    with pytest.raises(ValueError, match="two latents, this network has 3"):
        grid_log_joint(Vae(6, 4, 3), pictures(1).float())


def test_the_elbo_misses_log_p_by_the_kl_to_the_posterior(small):
    """log p(x) = ELBO + KL(q || p(z|x)), every term by sums over the grid; the estimate within 5 standard errors."""
    x = pictures(1)
    with torch.no_grad():
        mean, log_var = small.encode(x)
        log_joint, grid, area = grid_log_joint(small, x, side=401, limit=7.0)
        log_q = normal_log_density(grid, mean, log_var)
        weight = log_q.exp() * area
        exact = torch.logsumexp(log_joint[0], 0) + math.log(area)
        bound = (weight * (log_joint[0] - log_q)).sum()
        gap = (weight * (log_q - log_joint[0] + exact)).sum()
        torch.testing.assert_close(exact, bound + gap, rtol=1e-4, atol=1e-4)
        estimates = elbo(
            small, x.expand(40_000, 6), torch.randn(40_000, 2, generator=generator(3), dtype=torch.float64)
        )
    error = float(estimates.value.std()) / 200
    assert abs(float(estimates.value.mean() - bound)) < 5 * error
    assert float(gap) > 0.01


def test_more_draws_raise_the_bound_towards_log_p(small):
    x = pictures(4)
    with torch.no_grad():
        weights = log_weights(
            small, x, torch.randn(64, 500, 4, 2, generator=generator(4), dtype=torch.float64)
        )  # (64, 500, 4)
        means = [
            float(importance_bound(weights[:K], torch.zeros_like(weights[:K])).mean(0).mean()) for K in (1, 4, 16, 64)
        ]
    exact = float(exact_log_likelihood(small, x, side=300).mean())
    assert means == sorted(means) and means[-1] < exact + 0.01
    assert exact - means[-1] < 0.2 * (exact - means[0])


def test_importance_weights_far_below_zero_stay_finite():
    log_joint = torch.tensor([[-3000.0], [-3001.0]]).double()
    found = importance_bound(log_joint, torch.zeros(2, 1).double())
    torch.testing.assert_close(found, torch.tensor([-3000 + math.log((1 + math.exp(-1)) / 2)]).double())


def test_training_learns_repeats_and_leaves_the_global_generator_alone():
    """Two stripes of pixels: 200 steps take the loss below what independent pixels cost, the same way twice."""
    stripes = torch.cat([torch.tensor([[1.0, 1, 1, 0, 0, 0]]), torch.tensor([[0.0, 0, 0, 1, 1, 1]])]).repeat(50, 1)
    before = torch.random.get_rng_state()
    runs = [[state.loss for state in train_vae(stripes, 300, batch=32, hidden=16, seed=3)] for _ in range(2)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert math.isnan(runs[0][0]) and len(runs[0]) == 301
    assert runs[0][1:] == runs[1][1:]
    assert sum(runs[0][-20:]) / 20 < 0.6 * 6 * math.log(2)


def test_without_a_price_it_is_an_autoencoder():
    """kl_weight = 0: the loss is the reconstruction from the encoder's mean, whatever the variances are."""
    data = torch.eye(6)
    states = list(train_vae(data, 400, batch=16, hidden=16, kl_weight=0.0, learning_rate=1e-2))
    vae = states[-1].vae
    with torch.no_grad():
        assert float(-bernoulli_log_likelihood(vae.decode(vae.encode(data)[0]), data).mean()) < 0.2
        assert vae.encoder[-1].weight[2:].shape == (2, 16)


def test_the_minimiser_finds_the_bottom_of_a_curved_valley():
    found = minimise(lambda p: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2, torch.tensor([-1.0, 1.0]).double())
    torch.testing.assert_close(found, torch.ones(2).double(), rtol=1e-6, atol=1e-6)
