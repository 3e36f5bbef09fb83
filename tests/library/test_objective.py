"""Losses and the bound: known gaps on Gaussian data, each term by another route, units by hand."""

import math
from functools import partial

import pytest
import torch
from scipy import stats
from torch import Tensor

from course_lib.gaussian import Isotropic
from course_lib.objective import (
    Bound,
    bits_per_dim,
    bound,
    decoder_term,
    prior_term,
    simple,
    squared_error,
    step_term,
    step_weight,
    weighted,
)
from course_lib.oracle import gaussian_denoiser, gaussian_step_std
from course_lib.parametrization import TARGETS, Parametrization, Prediction, network_denoiser
from course_lib.schedule import (
    Cosine,
    Linear,
    Marginal,
    StepStd,
    Table,
    VarianceExploding,
    bridge,
    jump,
    kernel,
    reverse_std,
)

F64 = torch.float64
MEAN, STD = 0.4, 0.3  # the data of the exact checks: N(0.4, 0.09)
EXACT = partial(gaussian_step_std, STD)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def wobbly(x: Tensor, log_snr: Tensor) -> Tensor:
    """A network of no merit that depends on both its inputs."""
    return 0.5 * torch.tanh(x) + 0.01 * log_snr.to(x)[:, None, None, None]


@pytest.mark.parametrize("target", TARGETS)
def test_simple_loss_is_the_weighted_x0_error_of_the_same_network(target):
    """Two routes: the raw output against its target, and the denoiser's x0 error times its weight; B = width = 28."""
    x_0, noise, level = (
        draw(28, 1, 28, 28),
        draw(28, 1, 28, 28, seed=1),
        Linear()(torch.linspace(0.1, 1, 28, dtype=F64)),
    )
    parametrization = Parametrization(target, 0.5)
    denoiser = network_denoiser(wobbly, parametrization)
    by_output = simple(wobbly, parametrization, x_0, level, noise)
    torch.testing.assert_close(weighted(denoiser, x_0, level, noise, parametrization.error_weight), by_output)


def test_simple_loss_has_gradients_and_a_perfect_network_none_to_pay():
    x_0, noise, level = draw(2, 1, 4, 4), draw(2, 1, 4, 4, seed=1), Linear()(0.5)
    scale = torch.ones((), dtype=F64, requires_grad=True)
    loss = simple(lambda x, log_snr: noise, Parametrization("eps"), x_0, level, noise)
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(
        simple(lambda x, log_snr: scale * x, Parametrization("eps"), x_0, level, noise), scale
    )
    x_t = level.alpha * x_0 + level.sigma * noise
    torch.testing.assert_close(gradient, (2 * (x_t - noise) * x_t).mean())


def test_squared_error_is_a_mean_over_each_samples_own_pixels():
    x_0, level = draw(28, 1, 28, 28), Linear()(0.3)
    found = squared_error(lambda x, m: Prediction(torch.zeros_like(x), x), x_0, level, x_0)
    torch.testing.assert_close(found, torch.stack([image.square().mean() for image in x_0]))


def test_prior_term_is_torchs_kl_and_takes_another_prior():
    x_0, end = draw(28, 1, 28, 28), Linear()(1.0)
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(end.alpha * x_0, end.sigma), torch.distributions.Normal(0, 1)
    )
    torch.testing.assert_close(prior_term(x_0, end), theirs.sum((1, 2, 3)))
    assert prior_term(x_0, Cosine()(1.0)).abs().max() == 0
    same = Isotropic(end.alpha * x_0, end.sigma)
    torch.testing.assert_close(prior_term(x_0, end, same), torch.zeros(28, dtype=F64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), VarianceExploding()])
def test_a_bridge_kl_is_half_the_snr_lost_times_the_squared_error(schedule):
    """Variance beta-tilde, s > 0, times from neighbours to the whole way; also Cosine's last step, where alpha is 0."""
    s = torch.linspace(0.02, 0.9, 28, dtype=F64)
    t = torch.cat([s[:14] + 1e-3, torch.ones(14, dtype=F64)])
    earlier, later = schedule(s), schedule(t)
    x_0, x_t = draw(28, 1, 28, 28), draw(28, 1, 28, 28, seed=1)
    denoiser = lambda x, m: Prediction.from_x0(0.3 * torch.tanh(x), x, m)  # noqa: E731
    error = (x_0 - 0.3 * torch.tanh(x_t)).square().sum((1, 2, 3))
    found = step_term(denoiser, x_0, x_t, earlier, later)
    torch.testing.assert_close(found, 0.5 * (earlier.snr - later.snr) * error, rtol=1e-7, atol=0)
    torch.testing.assert_close(step_weight(earlier, later), 0.5 * (earlier.snr - later.snr))


def test_a_step_term_with_another_variance_is_torchs_kl():
    earlier, later, x_0, x_t = Linear()(0.3), Linear()(0.5), draw(3, 4), draw(3, 4, seed=1)
    denoiser = gaussian_denoiser(0.1, 0.6)
    for choice in ("beta", torch.tensor(0.7, dtype=F64), lambda a, b: a.sigma):
        std = reverse_std(choice, earlier, later)
        q = bridge(earlier, later, x_0, x_t)
        p = torch.distributions.Normal(bridge(earlier, later, denoiser(x_t, later).x0, x_t).mean, std)
        expected = torch.distributions.kl_divergence(torch.distributions.Normal(q.mean, q.std), p).sum(1)
        torch.testing.assert_close(step_term(denoiser, x_0, x_t, earlier, later, choice), expected)


def test_the_step_to_zero_is_the_decoders():
    with pytest.raises(ValueError, match="use decoder_term"):
        step_term(gaussian_denoiser(0.0, 1.0), draw(2, 2), draw(2, 2), Linear()(0.0), Linear()(0.1))


@pytest.mark.parametrize("levels", [2, 8, 256])
@pytest.mark.parametrize("std", [1e-4, 0.01, 0.3, 5.0])
@pytest.mark.parametrize("mean", [-1.7, -1.0, 0.123, 0.9])
def test_decoder_probabilities_sum_to_one_over_the_levels(levels, std, mean):
    pixels = torch.linspace(-1, 1, levels)[:, None]
    terms = decoder_term(pixels, torch.full_like(pixels, mean), std, levels)
    assert terms.isfinite().all()
    assert float(torch.exp(-terms.double()).sum()) == pytest.approx(1, abs=1e-5)


def test_decoder_is_the_area_of_the_pixels_bin():
    """256 levels, scipy's normal: level k owns [2k/255 - 1 - 1/255, 2k/255 - 1 + 1/255], the outermost all beyond."""
    normal = stats.norm(0.2, 0.05)
    for k, area in [
        (150, normal.cdf(2 * 150 / 255 - 1 + 1 / 255) - normal.cdf(2 * 150 / 255 - 1 - 1 / 255)),
        (0, normal.cdf(-1 + 1 / 255)),
        (255, normal.sf(1 - 1 / 255)),
    ]:
        pixel = torch.tensor([[2 * k / 255 - 1]], dtype=F64)
        found = decoder_term(pixel, torch.full_like(pixel, 0.2), 0.05)
        assert float(found) == pytest.approx(-math.log(area), rel=1e-9)


@pytest.mark.parametrize("std", [1e-4, 1e-2, 1.0])
def test_decoder_is_finite_and_right_far_in_the_tails_of_float32(std):
    """A white pixel where black was certain: against the leading term of the tail's area, x^2/2 + log(x sqrt(2 pi))."""
    white, black = torch.ones(1, 1), -torch.ones(1, 1)
    found = float(decoder_term(white, black, std))
    x = (2 - 1 / 255) / std
    assert found == pytest.approx(-stats.norm.logsf(x), rel=1e-5)
    mirrored = float(decoder_term(black, white, std))
    assert mirrored == pytest.approx(found, rel=1e-6)
    mean = white.clone().requires_grad_()
    decoder_term(black, mean, std).sum().backward()
    assert mean.grad.isfinite().all()


def test_decoder_has_a_spread_per_sample_and_a_density_without_levels():
    x, mean, std = draw(28, 1, 28, 28), draw(28, 1, 28, 28, seed=1), torch.linspace(0.2, 2, 28, dtype=F64)
    theirs = torch.distributions.Normal(mean, std[:, None, None, None]).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(decoder_term(x, mean, std, levels=None), -theirs)
    each = torch.cat([decoder_term(x[i : i + 1], mean[i : i + 1], float(std[i])) for i in range(28)])
    torch.testing.assert_close(decoder_term(x, mean, std), each)


@pytest.mark.parametrize(
    ("std", "levels", "message"), [(0.0, 256, "above 0, got 0"), (0.1, 1, "at least 2 levels, got 1")]
)
def test_decoder_refuses_bad_arguments(std, levels, message):
    with pytest.raises(ValueError, match=message):
        decoder_term(torch.zeros(1, 1), torch.zeros(1, 1), std, levels)


def exact_gap(table: Table, step_std: StepStd, decoder_std: float) -> float:
    """Nats that the bound loses on N(0.4, 0.09) with the exact denoiser and prior q(x_T): exact expectation over q.

    For such a model every p(x_s | x_t) has the mean of q(x_s | x_t), so the gap is the sum over steps of
    KL(N(., a^2) || N(., b^2)) = log(b/a) + a^2/(2 b^2) - 1/2, a the spread of q(x_s | x_t) and b the model's. Here a
    comes
    from the bridge and the spread of x_0 given x_t by the law of total variance, not from `gaussian_step_std`.
    """
    t = torch.arange(1, int(table.end) + 1)
    earlier, later = table(t - 1), table(t)
    r = later.alpha / earlier.alpha
    v = later.sigma**2 - r**2 * earlier.sigma**2
    known = 1 / (1 / STD**2 + later.alpha**2 / later.sigma**2)  # the variance of x_0 given x_t
    a2 = earlier.sigma**2 * v / later.sigma**2 + (earlier.alpha * v / later.sigma**2) ** 2 * known
    b2 = torch.cat([torch.tensor([decoder_std**2]), reverse_std(step_std, table(t[1:] - 1), table(t[1:])) ** 2])
    return float((0.5 * torch.log(b2 / a2) + a2 / (2 * b2) - 0.5).sum())


def measured_gap(table: Table, step_std: StepStd, decoder_std: float | None, n: int) -> tuple[float, float]:
    """The same from the library's own `bound` on n drawn data: mean of bound - (-log p), and its standard error.

    Decoder: a density (levels=None) of x_0 given x_1.
    """
    x_0 = MEAN + STD * draw(n, 1, seed=1)
    end = table(table.end)
    prior = Isotropic(end.alpha * MEAN + torch.zeros_like(x_0), torch.hypot(end.alpha * STD, end.sigma))
    found = bound(
        gaussian_denoiser(MEAN, STD), table, x_0, torch.Generator().manual_seed(2), step_std,
        decoder_std=decoder_std, levels=None, prior=prior,
    )  # fmt: skip
    truth = -torch.distributions.Normal(MEAN, STD).log_prob(x_0)[:, 0]
    gap = found.total - truth
    return float(gap.mean()), float(gap.std() / math.sqrt(n))


@pytest.mark.parametrize(
    ("step_std", "steps", "gap", "digit"),
    [
        ("beta", 100, 0.0365, 1e-4),
        ("beta", 1000, 0.0037, 1e-4),
        ("bridge", 100, 0.665, 1e-3),
        ("bridge", 1000, 0.432, 1e-3),
        ("bridge", 10_000, 0.314, 1e-3),
        (EXACT, 100, 0.0, 1e-9),
        (EXACT, 10, 0.0, 1e-9),
    ],
)
def test_the_bound_on_gaussian_data_is_off_by_the_known_gap(step_std, steps, gap, digit):
    """Data N(0.4, 0.09), exact denoiser, prior q(x_T); the continuous Linear schedule read at T even times.

    The decoder p(x_0 | x_1) is a density with the spread of the first noising step ("beta" for either choice: beta-
    tilde is 0 there), or the exact one for the exact reverse variance. Nats, to the last digit printed.
    """
    table = Table.of(Linear(), steps)
    exact = float(EXACT(table(0), table(1)))
    found = exact_gap(table, step_std, exact if callable(step_std) else float(table(1).sigma))
    assert found == pytest.approx(gap, abs=digit / 2)


@pytest.mark.parametrize("step_std", ["beta", "bridge", EXACT], ids=["beta", "beta-tilde", "exact"])
def test_the_librarys_bound_measures_the_gap_that_was_computed(step_std):
    """20 steps, 20,000 data: within 5 standard errors of the exact expectation."""
    table = Table.of(Linear(), 20)
    decoder_std = float(EXACT(table(0), table(1))) if callable(step_std) else None
    expected = exact_gap(table, step_std, decoder_std or float(table(1).sigma))
    mean, error = measured_gap(table, step_std, decoder_std, 20_000)
    assert abs(mean - expected) < 5 * error
    assert error < 0.02


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_bound_is_tight_at_every_t_with_the_exact_reverse_variance(steps):
    table = Table.of(Linear(), steps)
    assert exact_gap(table, EXACT, float(EXACT(table(0), table(1)))) == pytest.approx(0, abs=1e-9)


def test_randomly_drawn_terms_estimate_the_whole_sum():
    """5 of 49 terms an image, 4,000 images, against all 49: equal within 5 standard errors."""
    table, x_0, denoiser = Table.of(Linear(), 50), MEAN + STD * draw(4000, 1, seed=1), gaussian_denoiser(MEAN, STD)
    whole = bound(denoiser, table, x_0, torch.Generator().manual_seed(3), levels=None)
    some = bound(denoiser, table, x_0, torch.Generator().manual_seed(4), levels=None, steps=5)
    assert whole.steps.shape == (4000, 49) and some.steps.shape == (4000, 5) and some.count == whole.count == 49
    assert whole.times[0].tolist() == list(range(2, 51)) and int(some.times.min()) == 2 and int(some.times.max()) == 50
    difference = some.step_sum - whole.step_sum
    assert abs(difference.mean()) < 5 * difference.std() / math.sqrt(4000)


@pytest.mark.parametrize("decoder_std", [None, 0.7])
def test_the_decoder_has_the_first_steps_spread_unless_told_another(decoder_std):
    """A denoiser that always answers 0.1, so that x_1 does not matter."""
    table, x_0 = Table.of(Linear(), 5), draw(3, 4).clamp(-1, 1)
    found = bound(lambda x, m: Prediction(0.1 + 0 * x, x), table, x_0, torch.Generator(), decoder_std=decoder_std)
    std = decoder_std or float(table(1).sigma)
    torch.testing.assert_close(found.decoder, decoder_term(x_0, torch.full_like(x_0, 0.1), std))


def test_one_step_is_a_plain_vae_and_a_bound_needs_no_gradients():
    """T = 1: the prior and the decoder are all there is."""
    found = bound(gaussian_denoiser(0.0, 1.0), Table.of(Linear(), 1), draw(3, 2).clamp(-1, 1), torch.Generator())
    assert found.steps.shape == (3, 0) and found.count == 0
    torch.testing.assert_close(found.total, found.prior + found.decoder)
    weight = torch.ones((), requires_grad=True)
    grown = bound(lambda x, m: Prediction(weight * x, x), Table.of(Linear(), 3), draw(2, 2), torch.Generator())
    assert not grown.total.requires_grad


def test_bits_per_dimension_by_hand():
    """8 fair coins cost 8 log 2 nats, 1 bit each; a uniform guess over 256 levels costs 8 bits a pixel."""
    torch.testing.assert_close(bits_per_dim(torch.tensor(8 * math.log(2)), 8), torch.tensor(1.0))
    some = Bound(torch.tensor([1.0]), torch.tensor([[2.0, 4.0]]), torch.tensor([3.0]), torch.tensor([[2, 5]]), 10)
    assert float(some.total) == 1 + 10 * (2 + 4) / 2 + 3
    assert float(some.bits_per_dim(4)) == pytest.approx(34 / (4 * math.log(2)))
    grey = torch.rand(1, 50, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wide = decoder_term(grey, torch.zeros(1, 50), 1e3, levels=256)  # nearly all mass on the outermost two levels
    assert float(bits_per_dim(wide, 50)) > 8


def test_the_bound_uses_kernels_of_the_table_not_of_single_steps():
    """On a table that skips times (every tenth row of 1000) the terms still cover all the SNR that is lost."""
    fine = Table.of(Linear(), 1000)
    coarse = Table(fine.alpha[::10], fine.sigma[::10])
    levels = coarse(torch.arange(1, 101))
    total = step_weight(
        Marginal(levels.alpha[:-1], levels.sigma[:-1]), Marginal(levels.alpha[1:], levels.sigma[1:])
    ).sum()
    torch.testing.assert_close(total, 0.5 * (fine(10).snr - fine(1000).snr))
    torch.testing.assert_close(coarse.betas[40], kernel(fine(400), fine(410)).std ** 2)


def test_jump_and_terms_agree_on_single_precision_images():
    """float32 images, float64 tables: terms within 1e-3 relative of double precision at T = 1000."""
    x_0, noise = draw(4, 1, 8, 8).clamp(-1, 1), draw(4, 1, 8, 8, seed=1)
    table, denoiser = Table.of(Linear(), 1000), gaussian_denoiser(0.0, 0.5)
    for t in (2, 500, 1000):
        x_t = jump(x_0, table(t), noise)
        exact = step_term(denoiser, x_0, x_t, table(t - 1), table(t), "beta")
        single = step_term(denoiser, x_0.float(), x_t.float(), table(t - 1), table(t), "beta")
        torch.testing.assert_close(single.double(), exact, rtol=1e-3, atol=1e-3)
