"""Gaussians: against other libraries' densities, Bayes' rule on grids, and sample moments with stated errors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from course_lib.gaussian import (
    AffineKernel,
    Gaussian,
    Isotropic,
    Mixture,
    add,
    chain,
    compose,
    condition,
    kl,
    per_sample,
    sqrt_covariance,
)

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def covariance(d: int, seed: int, rank: int | None = None) -> Tensor:
    root = draw(d, d if rank is None else rank, seed=seed)
    return root @ root.T


def test_a_number_per_sample_multiplies_samples_not_columns_when_batch_equals_width():
    images, values = draw(28, 1, 28, 28), torch.arange(28.0)
    scaled = per_sample(values, images) * images
    for i in range(28):
        torch.testing.assert_close(scaled[i], images[i] * float(i))


def test_per_sample_takes_a_scalar_and_a_batch_of_one():
    images = draw(1, 3, 4, 4)
    for value in (2.0, torch.tensor(2.0), torch.tensor([2.0])):
        torch.testing.assert_close(per_sample(value, images) * images, 2 * images)
    assert per_sample(torch.tensor(2.0, dtype=F64), images.float()).dtype == torch.float32


@pytest.mark.parametrize("shape", [(3,), (2, 1), (4, 4)])
def test_per_sample_refuses_what_is_not_one_number_per_sample(shape):
    with pytest.raises(ValueError, match="one per sample"):
        per_sample(torch.ones(shape), draw(4, 1, 4, 4))


def test_isotropic_density_and_kl_are_those_of_torch_distributions():
    mean, other, x = draw(5, 2, 3, seed=1), draw(5, 2, 3, seed=2), draw(5, 2, 3, seed=3)
    a, b = torch.linspace(0.2, 2, 5, dtype=F64), torch.linspace(1.5, 0.3, 5, dtype=F64)
    p, q = Isotropic(mean, a), Isotropic(other, b)
    theirs_p, theirs_q = Normal(mean, a[:, None, None]), Normal(other, b[:, None, None])
    torch.testing.assert_close(p.log_density(x), theirs_p.log_prob(x).sum((1, 2)))
    torch.testing.assert_close(p.kl(q), kl_divergence(theirs_p, theirs_q).sum((1, 2)))


def test_isotropic_kl_sums_over_pixels_when_batch_equals_width():
    mean, std = draw(28, 1, 28, 28), torch.linspace(0.5, 2, 28, dtype=F64)
    whole = Isotropic(mean, std).kl(Isotropic(torch.zeros_like(mean), torch.ones((), dtype=F64)))
    for i in (0, 13, 27):
        one = Isotropic(mean[i : i + 1], std[i]).kl(Isotropic(torch.zeros(1, 1, 28, 28, dtype=F64), torch.ones(())))
        torch.testing.assert_close(whole[i], one[0])


def test_a_point_has_no_density_and_is_infinitely_far_from_any_gaussian():
    point = Isotropic(torch.zeros(2, 3), torch.zeros(()))
    with pytest.raises(ValueError, match="above 0, got 0"):
        point.log_density(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="second argument"):
        Isotropic(torch.zeros(2, 3), torch.ones(())).kl(point)
    assert point.kl(Isotropic(torch.zeros(2, 3), torch.ones(()))).tolist() == [math.inf, math.inf]


@given(st.lists(st.floats(0.05, 1), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_two_kernels_make_the_one_whose_moments_match(numbers):
    """x -> N(scale x, std^2) twice, by propagating a mean of 1 and a variance of 1."""
    a, s, b, r = (torch.tensor(n, dtype=F64) for n in numbers)
    both = AffineKernel(a, s).then(AffineKernel(b, r))
    torch.testing.assert_close(both.scale, b * a)
    variance = b**2 * (a**2 + s**2) + r**2
    torch.testing.assert_close(both.scale**2 + both.std**2, variance)


def test_density_is_scipys():
    mean, cov, x = draw(3, seed=4), covariance(3, seed=5), draw(7, 3, seed=6)
    ours = Gaussian.from_moments(mean, cov).log_density(x)
    theirs = stats.multivariate_normal(mean.numpy(), cov.numpy()).logpdf(x.numpy())
    torch.testing.assert_close(ours, torch.from_numpy(theirs))


def test_a_singular_gaussian_has_no_density():
    flat = Gaussian(draw(3, 2), torch.zeros(3, dtype=F64))
    with pytest.raises(ValueError, match="full rank"):
        flat.log_density(torch.zeros(3, dtype=F64))


def test_sample_moments_are_the_stated_ones():
    """Mean within 5 standard errors; each covariance entry within 5 of its own (Isserlis: c_ii c_jj + c_ij^2)."""
    n, law = 40_000, Gaussian(draw(3, 5, seed=7), draw(3, seed=8))
    x = law.sample(draw(n, 5, seed=9))
    assert ((x.mean(0) - law.mean).abs() < 5 * (law.cov.diagonal() / n).sqrt()).all()
    error = ((law.cov.diagonal()[:, None] * law.cov.diagonal() + law.cov**2) / n).sqrt()
    assert ((torch.cov(x.T) - law.cov).abs() < 5 * error).all()


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_root_of_a_covariance_squares_to_it_also_when_singular(rank):
    cov = covariance(4, seed=rank, rank=rank)
    root = sqrt_covariance(cov)
    torch.testing.assert_close(root @ root.T, cov)
    torch.testing.assert_close(root, root.T)


def test_what_is_no_covariance_is_refused():
    with pytest.raises(ValueError, match="negative eigenvalue"):
        sqrt_covariance(torch.diag(torch.tensor([1.0, -0.5])))
    with pytest.raises(ValueError, match="symmetric"):
        sqrt_covariance(torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="square"):
        sqrt_covariance(torch.ones(2, 3))
    torch.testing.assert_close(sqrt_covariance(torch.zeros(2, 2)), torch.zeros(2, 2))


def test_spherical_covariance_is_a_multiple_of_the_identity():
    law = Gaussian.spherical(torch.tensor([1.0, 2.0, 3.0], dtype=F64), 0.5)
    torch.testing.assert_close(law.cov, 0.25 * torch.eye(3, dtype=F64))


def test_compose_maps_the_very_samples():
    x, A, m = Gaussian(draw(3, 2, seed=1), draw(3, seed=2)), draw(4, 3, seed=3), draw(4, seed=4)
    noise = draw(6, 2, seed=5)
    expected = torch.stack([A @ sample + m for sample in x.sample(noise)])
    torch.testing.assert_close(compose(A, m, x).sample(noise), expected)


def test_add_is_the_sum_of_independent_draws():
    x, y = Gaussian(draw(3, 2, seed=1), draw(3, seed=2)), Gaussian(draw(3, 4, seed=3), draw(3, seed=4))
    e, f = draw(6, 2, seed=5), draw(6, 4, seed=6)
    torch.testing.assert_close(add(x, y).sample(torch.cat([e, f], 1)), x.sample(e) + y.sample(f))
    torch.testing.assert_close(add(x, y).cov, x.cov + y.cov)


def test_chain_is_the_convolution_integral():
    """y ~ N(2 x, 0.3), x ~ N(-0.4, 0.7): p(y) = integral of p(y | x) p(x) dx, by a sum over a fine grid."""
    x = Gaussian.from_moments(torch.tensor([-0.4], dtype=F64), torch.tensor([[0.7]], dtype=F64))
    y = chain(x, torch.tensor([[2.0]], dtype=F64), torch.tensor([[0.3]], dtype=F64))
    grid, points = torch.linspace(-8, 8, 4001, dtype=F64), torch.linspace(-4, 3, 9, dtype=F64)
    prior = Normal(-0.4, math.sqrt(0.7)).log_prob(grid).exp()
    likelihood = Normal(2 * grid, math.sqrt(0.3)).log_prob(points[:, None]).exp()
    torch.testing.assert_close(y.log_density(points[:, None]).exp(), (prior * likelihood).sum(1) * (grid[1] - grid[0]))


def grid_2d() -> Tensor:
    axis = torch.linspace(-6, 6, 401, dtype=F64)
    return torch.cartesian_prod(axis, axis)


@pytest.mark.parametrize("observe", [None, [[1.0, -0.5]]], ids=["whole", "one-direction"])
def test_condition_is_bayes_rule_on_a_grid(observe):
    """Posterior moments against the normalised product of prior and likelihood on a grid: no shared algebra."""
    prior = Gaussian.from_moments(
        torch.tensor([0.5, -0.3], dtype=F64), torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=F64)
    )
    H = None if observe is None else torch.tensor(observe, dtype=F64)
    noise = torch.tensor([[0.5, 0.1], [0.1, 0.4]], dtype=F64) if H is None else torch.tensor([[0.3]], dtype=F64)
    seen = torch.tensor([1.2, 0.7], dtype=F64)[: len(noise)]
    x = grid_2d()
    expected_seen = x if H is None else x @ H.T
    log = MultivariateNormal(prior.mean, prior.cov).log_prob(x) + MultivariateNormal(expected_seen, noise).log_prob(
        seen
    )
    weight = torch.softmax(log, 0)
    mean = (weight[:, None] * x).sum(0)
    cov = ((x - mean) * weight[:, None]).T @ (x - mean)
    posterior = condition(prior, seen, noise, H)
    torch.testing.assert_close(posterior.mean, mean, atol=1e-7, rtol=0)
    torch.testing.assert_close(posterior.cov, cov, atol=1e-7, rtol=0)


def test_an_observation_without_noise_is_believed_and_one_without_any_spread_refused():
    prior = Gaussian.from_moments(torch.zeros(2, dtype=F64), covariance(2, seed=1))
    seen = torch.tensor([0.3, -0.2], dtype=F64)
    certain = condition(prior, seen, torch.zeros(2, 2, dtype=F64))
    torch.testing.assert_close(certain.mean, seen)
    torch.testing.assert_close(certain.cov, torch.zeros(2, 2, dtype=F64), atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match="full rank"):
        condition(Gaussian.spherical(seen, 0.0), seen, torch.zeros(2, 2, dtype=F64))


def test_kl_is_that_of_torch_distributions_and_of_monte_carlo():
    p = Gaussian.from_moments(draw(3, seed=1), covariance(3, seed=2))
    q = Gaussian.from_moments(draw(3, seed=3), covariance(3, seed=4))
    theirs = kl_divergence(MultivariateNormal(p.mean, p.cov), MultivariateNormal(q.mean, q.cov))
    torch.testing.assert_close(kl(p, q), theirs)
    x = p.sample(draw(50_000, 3, seed=5))
    gain = p.log_density(x) - q.log_density(x)
    assert abs(gain.mean() - kl(p, q)) < 5 * gain.std() / math.sqrt(len(gain))


def test_kl_of_spherical_gaussians_agrees_with_isotropic():
    p, q = Gaussian.spherical(draw(4, seed=1), 0.7), Gaussian.spherical(draw(4, seed=2), 1.3)
    images = (
        Isotropic(p.mean[None], torch.tensor(0.7, dtype=F64)),
        Isotropic(q.mean[None], torch.tensor(1.3, dtype=F64)),
    )
    torch.testing.assert_close(kl(p, q), images[0].kl(images[1])[0])


def test_kl_to_a_singular_law_is_refused_and_from_one_is_infinite():
    flat, full = Gaussian(draw(3, 2), torch.zeros(3, dtype=F64)), Gaussian.spherical(torch.zeros(3, dtype=F64), 1.0)
    assert float(kl(flat, full)) == math.inf
    with pytest.raises(ValueError, match="full rank"):
        kl(full, flat)


def test_dimensions_that_do_not_fit_are_named():
    two, three = (Gaussian.spherical(torch.zeros(d), 1.0) for d in (2, 3))
    with pytest.raises(ValueError, match="dimension 2 and 3"):
        add(two, three)
    with pytest.raises(ValueError, match="dimension 2 and 3"):
        kl(two, three)
    with pytest.raises(ValueError, match="3 columns"):
        compose(torch.ones(2, 2), torch.zeros(2), three)
    with pytest.raises(ValueError, match=r"map \(d, k\)"):
        Gaussian(torch.ones(2, 2), torch.zeros(3))


MIXTURE = Mixture(
    torch.tensor([0.2, 0.5, 0.3], dtype=F64),
    torch.tensor([[0.0, 1.0], [-1.0, 0.5], [2.0, -1.0]], dtype=F64),
    torch.tensor([0.3, 0.6, 0.1], dtype=F64),
)


class Level:
    alpha, sigma = torch.tensor([0.9, 0.5, 0.0], dtype=F64), torch.tensor([0.1, 0.8, 1.0], dtype=F64)


def test_mixture_density_is_the_sum_of_its_noised_components():
    """Against scipy's densities, a different noise level for each of three points."""
    x = draw(3, 2, seed=1)
    ours = MIXTURE.log_density(x, Level)
    for i in range(3):
        a, s = float(Level.alpha[i]), float(Level.sigma[i])
        total = sum(
            float(w) * stats.multivariate_normal((a * m).numpy(), a * a * float(r) ** 2 + s * s).pdf(x[i].numpy())
            for w, m, r in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.stds, strict=True)
        )
        assert math.exp(ours[i]) == pytest.approx(total, rel=1e-10)


def test_mixture_samples_have_its_moments():
    n = 40_000
    x = MIXTURE.sample(n, torch.Generator().manual_seed(0))
    mean = MIXTURE.weights @ MIXTURE.means
    second = (MIXTURE.weights[:, None] * (MIXTURE.means**2 + MIXTURE.stds[:, None] ** 2)).sum(0)
    assert ((x.mean(0) - mean).abs() < 5 * x.std(0) / math.sqrt(n)).all()
    assert ((x.square().mean(0) - second).abs() < 5 * x.square().std(0) / math.sqrt(n)).all()


def test_a_mixture_of_points_has_a_density_only_with_noise():
    points = Mixture(torch.tensor([0.5, 0.5]), torch.tensor([[-1.0], [1.0]]), torch.zeros(2))
    with pytest.raises(ValueError, match="once noise is added"):
        points.log_density(torch.zeros(1, 1))
    with pytest.raises(ValueError, match="sum of 1.1"):
        Mixture(torch.tensor([0.5, 0.6]), torch.zeros(2, 1), torch.ones(2))
    with pytest.raises(ValueError, match="expected weights"):
        Mixture(torch.tensor([0.5, 0.5]), torch.zeros(3, 1), torch.ones(2))
