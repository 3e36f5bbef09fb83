"""Exact denoisers: against quadrature, autograd of log densities, and brute force."""

import math

import pytest
import torch
from torch import Tensor

from course_lib.gaussian import Gaussian, Mixture, condition
from course_lib.oracle import (
    empirical_denoiser,
    empirical_weights,
    gaussian_denoiser,
    gaussian_step_std,
    mixture_denoiser,
    mixture_score,
)
from course_lib.schedule import Cosine, Linear, Marginal, VarianceExploding, jump, kernel, reverse_std

F64 = torch.float64
MIXTURE = Mixture(
    torch.tensor([0.2, 0.5, 0.3], dtype=F64),
    torch.tensor([[0.0, 1.0], [-1.0, 0.5], [2.0, -1.0]], dtype=F64),
    torch.tensor([0.3, 0.6, 0.0], dtype=F64),
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("level", [Linear()(0.1), Linear()(0.7), VarianceExploding()(0.02)])
def test_gaussian_denoiser_is_the_posterior_mean_by_quadrature(level):
    mean, std, x_t = 0.4, 0.3, 0.9
    grid = torch.linspace(-3, 4, 40_001, dtype=F64)
    log = -0.5 * ((grid - mean) / std) ** 2 - 0.5 * ((x_t - level.alpha * grid) / level.sigma) ** 2
    found = gaussian_denoiser(mean, std)(torch.tensor([[x_t]], dtype=F64), level)
    torch.testing.assert_close(found.x0[0, 0], (torch.softmax(log, 0) * grid).sum(), atol=1e-9, rtol=0)
    torch.testing.assert_close(jump(found.x0, level, found.eps), torch.tensor([[x_t]], dtype=F64))


def test_gaussian_denoiser_takes_a_mean_image_and_a_spread_per_pixel():
    mean, std = draw(1, 28, 28, seed=1), draw(1, 28, 28, seed=2).abs()
    level, x_t = Linear()(torch.linspace(0.1, 1, 28, dtype=F64)), draw(28, 1, 28, 28, seed=3)
    found = gaussian_denoiser(mean, std)(x_t, level)
    for i, r, c in [(0, 0, 0), (5, 7, 20), (27, 27, 1)]:
        one = gaussian_denoiser(float(mean[0, r, c]), float(std[0, r, c]))
        alone = one(x_t[i : i + 1, :, r, c], Marginal(level.alpha[i], level.sigma[i]))
        torch.testing.assert_close((found.x0[i, 0, r, c], found.eps[i, 0, r, c]), (alone.x0[0, 0], alone.eps[0, 0]))


def test_exact_denoisers_are_finite_at_both_ends():
    """At sigma = 0 they return what they see, at alpha = 0 the mean of the data."""
    for denoiser in (
        gaussian_denoiser(0.4, 0.3),
        mixture_denoiser(Mixture(torch.ones(1), torch.full((1, 2), 0.4), torch.full((1,), 0.3))),
    ):
        x_t = draw(2, 2).float()
        found = denoiser(x_t, Cosine()(torch.tensor([0.0, 1.0])))
        torch.testing.assert_close(found.x0[0], x_t[0])
        torch.testing.assert_close(found.x0[1], torch.full((2,), 0.4))
        torch.testing.assert_close(found.eps, torch.stack([torch.zeros(2), x_t[1]]))


@pytest.mark.parametrize(("early", "late"), [(0.2, 0.3), (0.01, 0.9), (0.0, 0.4)])
def test_gaussian_step_std_is_that_of_the_joint_gaussian(early, late):
    """q(x_s | x_t): x_s ~ N(alpha_s m, v_s) observed through the kernel, by notebook 02's conditioning."""
    s, t, std = Linear()(early), Linear()(late), 0.3
    step = kernel(s, t)
    prior = Gaussian.from_moments(torch.zeros(1, dtype=F64), ((s.alpha * std) ** 2 + s.sigma**2).reshape(1, 1))
    posterior = condition(prior, torch.zeros(1, dtype=F64), (step.std**2).reshape(1, 1), step.scale.reshape(1, 1))
    torch.testing.assert_close(gaussian_step_std(std, s, t) ** 2, posterior.cov[0, 0])


def test_the_optimal_spread_lies_between_beta_tilde_and_beta():
    t = torch.linspace(0, 1, 101, dtype=F64)
    s, t = Linear()(t[1:-1]), Linear()(t[2:])
    small, large = reverse_std("bridge", s, t), reverse_std("beta", s, t)
    torch.testing.assert_close(gaussian_step_std(0.0, s, t), small)
    torch.testing.assert_close(gaussian_step_std(1.0, s, t), large)
    between = gaussian_step_std(0.3, s, t)
    assert ((small < between) & (between < large)).all()


@pytest.mark.parametrize("t", [0.05, 0.4, 1.0])
def test_the_mixture_denoiser_is_tweedies_formula_on_its_log_density(t):
    """x0_hat = (x_t + sigma^2 grad log p_t) / alpha, the gradient by autograd; a different time for each sample."""
    level = Linear()(torch.tensor([t, 0.3, 0.8], dtype=F64))
    x_t = draw(3, 2, seed=1).requires_grad_()
    (score,) = torch.autograd.grad(MIXTURE.log_density(x_t, level).sum(), x_t)
    found = mixture_denoiser(MIXTURE)(x_t.detach(), level)
    alpha, sigma = level.alpha[:, None], level.sigma[:, None]
    torch.testing.assert_close(found.x0, (x_t.detach() + sigma**2 * score) / alpha)
    torch.testing.assert_close(found.score(level), score)
    torch.testing.assert_close(mixture_score(MIXTURE, x_t.detach(), level), score)


def test_a_mixture_of_one_is_the_gaussian_denoiser_and_of_points_the_empirical_one():
    x_t, level = draw(28, 1, 28, 28), Linear()(torch.linspace(0.1, 1, 28, dtype=F64))
    mean = draw(1, 1, 28, 28, seed=1)
    one = mixture_denoiser(Mixture(torch.ones(1, dtype=F64), mean, torch.tensor([0.3], dtype=F64)))(x_t, level)
    gaussian = gaussian_denoiser(mean[0], 0.3)(x_t, level)
    torch.testing.assert_close((one.x0, one.eps), (gaussian.x0, gaussian.eps))
    images = draw(5, 1, 28, 28, seed=2)
    points = mixture_denoiser(Mixture(torch.full((5,), 0.2, dtype=F64), images, torch.zeros(5, dtype=F64)))(x_t, level)
    finite = empirical_denoiser(images)(x_t, level)
    torch.testing.assert_close((points.x0, points.eps), (finite.x0, finite.eps))


def brute_force(images: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    """The softmax written out in float64, image by image, largest exponent subtracted."""
    exponents = [-float(((x_t - alpha * image) ** 2).sum()) / (2 * sigma**2) for image in images]
    weights = [math.exp(e - max(exponents)) for e in exponents]
    return sum(w * image for w, image in zip(weights, images, strict=True)) / sum(weights)


@pytest.mark.parametrize("t", [0.001, 0.1, 0.5, 1.0])
def test_the_empirical_denoiser_is_a_softmax_over_the_images(t):
    """Single precision in, brute force in double; t = 0.001 is where float32 exponents would be off by whole nats."""
    images = draw(12, 1, 28, 28, seed=1).clamp(-1, 1)
    level = Linear()(t)
    x_t = jump(images[:4], level, draw(4, 1, 28, 28, seed=2)).float()
    found = empirical_denoiser(images.float(), chunk=3)(x_t, level)
    for i in range(4):
        expected = brute_force(images.float().double(), x_t[i].double(), float(level.alpha), float(level.sigma))
        torch.testing.assert_close(found.x0[i], expected.float(), atol=1e-6, rtol=1e-6)
    assert found.x0.dtype == found.eps.dtype == torch.float32


@pytest.mark.parametrize("batch", [1, 28])
def test_the_empirical_denoiser_gives_each_sample_its_own_level_whatever_the_chunk(batch):
    images, x_t = draw(9, 1, 28, 28, seed=1), draw(batch, 1, 28, 28, seed=2)
    level = Linear()(torch.linspace(0.05, 1, batch, dtype=F64))
    whole, parts = empirical_denoiser(images)(x_t, level), empirical_denoiser(images, chunk=5)(x_t, level)
    torch.testing.assert_close((whole.x0, whole.eps), (parts.x0, parts.eps))
    for i in (0, batch - 1):
        expected = brute_force(images, x_t[i], float(level.alpha[i]), float(level.sigma[i]))
        torch.testing.assert_close(whole.x0[i], expected)


def test_the_empirical_denoiser_forgets_at_alpha_zero_and_finds_the_nearest_at_sigma_zero():
    images = draw(6, 4, seed=1)
    weights = empirical_weights(images, images[[2, 5]] + 0.01, Cosine()(torch.tensor([1.0, 0.0], dtype=F64)))
    torch.testing.assert_close(weights[0], torch.full((6,), 1 / 6, dtype=F64))
    assert weights[1].argmax() == 5 and weights[1].max() == 1


def test_the_empirical_denoiser_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"shape \(1, 28, 28\), got \(1, 14, 14\)"):
        empirical_denoiser(draw(3, 1, 28, 28))(draw(2, 1, 14, 14), Linear()(0.5))
