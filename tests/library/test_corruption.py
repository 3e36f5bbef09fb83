"""Notebook 01's corruptions: probabilities against counting and simulation; the cold update, and its meeting with
DDIM.
"""

import itertools
import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from course_lib.lessons.corruption import (
    blur,
    blurring,
    cold_sample,
    corrupt_exactly,
    corrupt_step,
    denoise_renoise,
    fade,
    fading,
    pixelate,
    pixelation,
    random_pixels,
    random_values,
    steps_to_reach,
    touched_counts,
    untouched_probability,
)
from course_lib.oracle import gaussian_denoiser
from course_lib.sampling import ddim, last, renoise, sample
from course_lib.schedule import Cosine, Linear, Marginal, Table, jump

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_a_step_sets_the_named_pixels_of_each_image_and_no_others():
    x = draw(2, 1, 2, 3)
    found = corrupt_step(x, torch.tensor([[0, 5], [2, 3]]), torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    expected = x.clone()
    expected[0, 0, 0, 0], expected[0, 0, 1, 2], expected[1, 0, 0, 2], expected[1, 0, 1, 0] = 1, -1, -1, 1
    assert torch.equal(found, expected)
    with pytest.raises(ValueError, match="0 to 5, got 0..6"):
        corrupt_step(x, torch.tensor([[0, 6], [2, 3]]), torch.ones(2, 2))


def test_the_jump_touches_the_first_of_the_permutation_and_walks_one_path():
    """x_t from the permutation equals t single steps along it, for a different t in each image."""
    x = torch.ones(28, 1, 4, 7)
    generator = torch.Generator().manual_seed(0)
    order, values = random_pixels(x, 28, generator), random_values((28, 28), generator)
    touched = torch.arange(28)
    found = corrupt_exactly(x, touched, order, values)
    for b in range(28):
        walk = x[b : b + 1]
        for j in range(b):
            walk = corrupt_step(walk, order[b : b + 1, j : j + 1], values[b : b + 1, j : j + 1])
        assert torch.equal(found[b], walk[0])
    assert torch.equal(corrupt_exactly(x, 0, order, values), x)
    with pytest.raises(ValueError, match="0 to 28 touched"):
        corrupt_exactly(x, 29, order, values)


def test_random_pixels_are_different_and_equally_likely():
    """3 of 8 pixels, 8,000 draws: each chosen with probability 3/8 within 5 standard errors."""
    picks = random_pixels(torch.zeros(8000, 1, 2, 4), 3, torch.Generator().manual_seed(0))
    assert picks.shape == (8000, 3)
    assert all(len(set(row)) == 3 for row in picks[:200].tolist())
    share = torch.bincount(picks.flatten(), minlength=8) / 8000
    assert ((share - 3 / 8).abs() < 5 * math.sqrt(3 / 8 * 5 / 8 / 8000)).all()
    with pytest.raises(ValueError, match="choose 9 of 8"):
        random_pixels(torch.zeros(1, 8), 9)


def test_flipping_keeps_alpha_of_the_mean_and_preserves_the_variance():
    """12 steps of 5 of 50 white pixels, 4,000 images: mean alpha_t, variance 1 - alpha_t^2, to 5 standard errors."""
    x, generator = torch.ones(4000, 50), torch.Generator().manual_seed(1)
    for _ in range(12):
        x = corrupt_step(x, random_pixels(x, 5, generator), random_values((4000, 5), generator))
    alpha = float(untouched_probability(5, 50, 12))
    sigma = math.sqrt(1 - alpha**2)
    assert alpha == pytest.approx(0.9**12)
    pixel = x[:, 17]
    assert abs(pixel.mean() - alpha) < 5 * sigma / math.sqrt(4000)
    assert abs(pixel.var() - sigma**2) < 5 * 2 * alpha * sigma / math.sqrt(4000)


def test_without_replacement_alpha_falls_on_a_line_to_zero():
    x, generator = torch.ones(4000, 20), torch.Generator().manual_seed(1)
    found = corrupt_exactly(x, 15, random_pixels(x, 20, generator), random_values((4000, 20), generator))
    alpha = 1 - 15 / 20
    assert abs(found[:, 3].mean() - alpha) < 5 * math.sqrt((1 - alpha**2) / 4000)


def test_steps_to_reach_alpha_are_the_first_that_do():
    """784 pixels, 10 a step: alpha = .01 at t = 359, while fewer than .01 untouched pixels are expected only at 878."""
    assert steps_to_reach(0.01, 10, 784) == 359
    assert float(untouched_probability(10, 784, 359)) <= 0.01 < float(untouched_probability(10, 784, 358))
    left = 784 * untouched_probability(10, 784, torch.tensor([877, 878]))
    assert left[0] > 0.01 >= left[1]
    assert steps_to_reach(1.0, 10, 784) == 0 and steps_to_reach(0.9, 1, 10) == 1
    with pytest.raises(ValueError, match="got alpha 0"):
        steps_to_reach(0.0, 10, 784)
    with pytest.raises(ValueError, match="0 to 4 pixels"):
        untouched_probability(5, 4, 1)


def test_counts_of_touched_pixels_are_those_of_full_enumeration():
    """3 steps of 2 of 4 pixels: all 6^3 choices listed."""
    choices = [set(pair) for pair in itertools.combinations(range(4), 2)]
    counts = torch.zeros(5, dtype=F64)
    for walk in itertools.product(choices, repeat=3):
        counts[len(set.union(*walk))] += 1 / 6**3
    found = touched_counts(2, 4, 3)
    torch.testing.assert_close(found[3], counts, atol=1e-12, rtol=0)
    assert found[0].tolist() == [1, 0, 0, 0, 0]


def test_all_pixels_touched_is_the_coupon_collectors_sum():
    """One pixel of 12 a step, inclusion and exclusion; and the mean number touched is d (1 - alpha_t) for k = 10."""
    by_sum = sum((-1) ** j * math.comb(12, j) * (1 - j / 12) ** 40 for j in range(13))
    assert float(touched_counts(1, 12, 40)[40, 12]) == pytest.approx(by_sum, rel=1e-9)
    rows = touched_counts(10, 784, 400)
    mean = rows @ torch.arange(785, dtype=F64)
    expected = 784 * (1 - untouched_probability(10, 784, torch.arange(401)))
    torch.testing.assert_close(mean, expected, atol=1e-8, rtol=1e-9)


def test_blur_is_scipys_gaussian_filter_with_reflecting_edges():
    x = draw(2, 1, 28, 20, seed=1)
    theirs = torch.stack(
        [torch.from_numpy(gaussian_filter(image[0].numpy(), 2.0, mode="reflect", truncate=8)) for image in x]
    )
    torch.testing.assert_close(blur(x, 2.0)[:, 0], theirs, atol=1e-6, rtol=0)


def test_blurs_add_their_variances_and_end_in_the_mean():
    x = draw(2, 3, 8, 6)
    torch.testing.assert_close(blur(blur(x, 1.5), 2.0), blur(x, 2.5))
    torch.testing.assert_close(blur(x, 0.0), x)
    torch.testing.assert_close(blur(x, 1e3), x.mean((2, 3), keepdim=True).expand_as(x))
    with pytest.raises(ValueError, match="got -1"):
        blur(x, -1.0)


@pytest.mark.parametrize("degrade", [blur, lambda x, t: fade(x, -x, t)], ids=["blur", "fade"])
@pytest.mark.parametrize("batch", [1, 28])
def test_severities_are_per_image_when_batch_equals_width(degrade, batch):
    x, t = draw(batch, 1, 28, 28), torch.linspace(0.1, 1, batch, dtype=F64)
    together = degrade(x, t)
    assert together.shape == x.shape
    for i in (0, batch - 1):
        torch.testing.assert_close(together[i : i + 1], degrade(x[i : i + 1], float(t[i])))


def test_pixelate_is_the_mean_of_each_block():
    x = draw(2, 1, 4, 6)
    found = pixelate(x, 2)
    for r, c in itertools.product(range(4), range(6)):
        block = x[:, 0, r // 2 * 2 : r // 2 * 2 + 2, c // 2 * 2 : c // 2 * 2 + 2]
        torch.testing.assert_close(found[:, 0, r, c], block.mean((1, 2)))
    torch.testing.assert_close(pixelate(x, 1), x)
    with pytest.raises(ValueError, match="blocks of 4 pixels do not tile an image of 4 x 6"):
        pixelate(x, 4)


def test_a_fade_moves_evenly_from_one_image_to_the_other():
    x, other = draw(2, 1, 4, 4), draw(2, 1, 4, 4, seed=1)
    torch.testing.assert_close(fade(x, other, 0.25), x + (other - x) / 4)
    torch.testing.assert_close(fading(other)(x, 0.25), x + (other - x) / 4)


def test_degradations_do_nothing_at_zero_and_wipe_out_at_the_end():
    x, other = draw(2, 1, 28, 28), draw(2, 1, 28, 28, seed=1)
    for degrade in (blurring(25.0), pixelation(), fading(other)):
        torch.testing.assert_close(degrade(x, 0), x)
    mean = x.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(pixelation()(x, 5), mean)
    torch.testing.assert_close(fading(other)(x, 1), other)
    assert (blurring(25.0)(x, 1) - mean).abs().max() < 0.01


@pytest.mark.parametrize("loop", [denoise_renoise, cold_sample])
def test_a_perfect_restorer_returns_the_image_whatever_the_steps(loop):
    x_0 = draw(2, 1, 28, 28)
    degrade = blurring(5.0)
    for n in (1, 4, 9):
        times = torch.linspace(1, 0, n + 1, dtype=F64)
        states = list(loop(lambda x, t: x_0, degrade, times, degrade(x_0, 1)))
        assert [state.t for state in states] == pytest.approx(times.tolist())
        torch.testing.assert_close(states[-1].x, x_0)
        torch.testing.assert_close(states[n // 2].x, degrade(x_0, float(times[n // 2])))


def test_the_cold_update_forgives_a_wrong_guess_where_the_first_loop_returns_it():
    """D(x, t) = x + t e: the guess cancels, so any restorer at all leads back to x_0 (Bansal et al. 2022, section
    3.3).
    """
    x_0, e = draw(2, 1, 4, 4), draw(2, 1, 4, 4, seed=1)
    times = torch.linspace(1, 0, 11, dtype=F64)

    def degrade(x: Tensor, t: float) -> Tensor:
        return x + t * e

    def wrong(x: Tensor, t: float) -> Tensor:
        return torch.sin(x) + t

    for state in cold_sample(wrong, degrade, times, degrade(x_0, 1)):
        torch.testing.assert_close(state.x, degrade(x_0, state.t))
    *_, end = denoise_renoise(wrong, degrade, times, degrade(x_0, 1))
    assert (end.x - x_0).abs().max() > 0.1


def test_the_cold_update_with_gaussian_noise_is_ddim():
    """D(x_0, t) = alpha_t x_0 + sigma_t eps_hat with the eps_hat that the same guess implies: notebook 06's promise."""
    schedule, denoiser = Linear(), gaussian_denoiser(0.1, 0.6)
    times, x = torch.linspace(1, 0, 9, dtype=F64), draw(3, 1, 4, 4)
    belief = {}

    def restore(x_t: Tensor, t: float) -> Tensor:
        found = denoiser(x_t, schedule(t))
        belief["eps"] = found.eps
        return found.x0

    cold = list(cold_sample(restore, lambda x_0, t: jump(x_0, schedule(t), belief["eps"]), times, x))
    by_ddim = list(sample(denoiser, schedule, times, x, ddim))
    for ours, theirs in zip(cold, by_ddim, strict=True):
        torch.testing.assert_close((ours.x, ours.x0), (theirs.x, theirs.x0))
    torch.testing.assert_close(cold[-1].x, last(iter(by_ddim)))


def test_denoise_renoise_with_fresh_gaussian_noise_is_the_renoise_step():
    """Notebook 01's loop fed with jumps of fresh noise and `sampling.renoise`, on the same noises."""
    schedule, denoiser, times, x = (
        Cosine(),
        gaussian_denoiser(0.1, 0.6),
        torch.linspace(0.9, 0, 6, dtype=F64),
        draw(3, 2),
    )
    generator = torch.Generator().manual_seed(5)

    def degrade(x_0: Tensor, t: float) -> Tensor:
        return jump(x_0, schedule(t), torch.randn(x_0.shape, generator=generator, dtype=F64))

    ours = list(denoise_renoise(lambda x_t, t: denoiser(x_t, schedule(t)).x0, degrade, times, x))
    theirs = list(sample(denoiser, schedule, times, x, renoise, torch.Generator().manual_seed(5)))
    torch.testing.assert_close(ours[-1].x, theirs[-1].x)
    torch.testing.assert_close(ours[3].x, theirs[3].x)


@pytest.mark.parametrize("loop", [denoise_renoise, cold_sample])
def test_repairs_run_downwards_only(loop):
    with pytest.raises(ValueError, match="falling values"):
        list(loop(lambda x, t: x, lambda x, t: x, torch.tensor([0.0, 1.0]), draw(1, 1)))


def test_the_pixel_process_obeys_the_bridges_conditions():
    """Flipping is variance preserving, and its kernel's scale is 1 - k/d, whatever t."""
    alpha = untouched_probability(10, 784, torch.arange(51))
    table = Table(alpha, torch.sqrt(1 - alpha**2))
    torch.testing.assert_close(table.betas, torch.full((50,), 1 - (1 - 10 / 784) ** 2, dtype=F64))
    assert isinstance(table(50), Marginal)
