"""One named test for each mistake that others made (docs/design.md, section 6).

Those that concern training are elsewhere: EMA (7), attention levels (8), bf16 (9), pickles (13); queued callbacks (12)
with the widgets. Each test shows the wrong way too, so that it is known to be wrong and to be caught.
"""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from course_lib.gaussian import per_sample
from course_lib.objective import decoder_term, simple
from course_lib.oracle import empirical_denoiser, gaussian_denoiser
from course_lib.parametrization import Parametrization, Prediction, clip, log_snr_of, network_denoiser
from course_lib.sampling import STEPS, ddim, ddpm, fresh_noise, last, sample
from course_lib.schedule import Cosine, Linear, Marginal, Table, jump, kernel, linear_betas

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_pitfall_01_clipping_x0_recomputes_eps():
    """An eps kept from before the clip no longer belongs to x_t, and DDIM leaves the line between the two."""
    level, x_t = Linear()(0.5), 3 * draw(4, 1, 5, 5)
    wild = Prediction.from_eps(draw(4, 1, 5, 5, seed=1), x_t, level)
    clipped = clip(wild, x_t, level)
    assert clipped.x0.abs().max() <= 1 < wild.x0.abs().max()
    torch.testing.assert_close(jump(clipped.x0, level, clipped.eps), x_t)
    assert (jump(clipped.x0, level, wild.eps) - x_t).abs().max() > 0.1


@pytest.mark.parametrize("name", [*STEPS, "ddpm-beta", "fresh-half", "ddpm-own-std"])
def test_pitfall_02_no_noise_on_the_last_step(name):
    """The step to t = 0 gives the same image whatever noise it is handed, and that image is the guess."""
    more = {"ddpm-beta": ddpm("beta"), "fresh-half": fresh_noise(0.5), "ddpm-own-std": ddpm(lambda s, t: t.sigma)}
    step = (STEPS | more)[name]
    x, s, t, denoiser = draw(3, 2), Linear()(0.0), Linear()(0.2), gaussian_denoiser(0.1, 0.6)
    ends = [step(x, s, t, denoiser, draw(3, 2, seed=seed))[0] for seed in (1, 2)]
    assert torch.equal(ends[0], ends[1])
    torch.testing.assert_close(ends[0], denoiser(x, t).x0)


def test_pitfall_03_each_step_goes_to_the_next_time_of_the_list():
    """Uneven times: the loop's steps get exactly the listed pairs, never t minus a constant."""
    seen = []

    def spy(x, earlier, later, denoiser, noise):
        seen.append((float(later.log_snr), float(earlier.log_snr)))
        return ddim(x, earlier, later, denoiser, noise)

    times = torch.tensor([1000.0, 700.0, 690.0, 11.0, 1.0, 0.0])
    table = Table.of(Linear(), 1000)
    list(sample(gaussian_denoiser(0.0, 0.5), table, times, draw(2, 2), spy))
    assert seen == [(float(table(t).log_snr), float(table(s).log_snr)) for t, s in pairwise(times.tolist())]


def test_pitfall_04_network_and_table_agree_on_the_noise_level_at_every_row():
    """A network that undoes the noising at the log-SNR it is told finds x_0 in every row; told a neighbour's, it does
    not.
    """
    table, parametrization = Table.of(Linear(), 50), Parametrization("eps")
    x_0, noise = draw(2, 1, 3, 3, seed=1), draw(2, 1, 3, 3, seed=2)

    def network(x: Tensor, log_snr: Tensor) -> Tensor:
        level = Marginal.from_log_snr(log_snr.double())
        return (x - per_sample(level.alpha, x) * x_0) / per_sample(level.sigma, x)

    for t in range(2, 50):
        x_t = jump(x_0, table(t), noise)
        torch.testing.assert_close(
            network_denoiser(network, parametrization)(x_t, table(t)).eps, noise, atol=1e-4, rtol=0
        )
        for neighbour in (table(t - 1), table(t + 1)):
            shifted = parametrization.prediction(network(x_t, log_snr_of(neighbour, x_t)), x_t, table(t))
            assert (shifted.eps - noise).abs().max() > 1e-3


def test_pitfall_05_betas_follow_from_alpha_when_the_number_of_steps_changes():
    """1e-4..0.02 over 100 steps leaves alpha_T^2 = 0.36; scaled by 1000/T it asks for beta = 2 at T = 10."""
    assert float(Table.from_betas(linear_betas(100)).alpha[-1] ** 2) == pytest.approx(0.36, abs=0.005)
    with pytest.raises(ValueError, match=r"variances in \[0, 1\]"):
        Table.from_betas(linear_betas(10) * 1000 / 10)
    ends = [float(Table.of(Linear(), steps).alpha[-1]) for steps in (10, 100, 1000)]
    assert ends == pytest.approx([ends[0]] * 3)
    fine, coarse = Table.of(Linear(), 1000), Table.of(Linear(), 10)
    assert float(coarse.betas[4]) == pytest.approx(float(kernel(fine(400), fine(500)).std ** 2))


@pytest.mark.parametrize("target", ["eps", "x0", "v", "edm"])
def test_pitfall_06_zero_terminal_snr_raises_for_eps_and_works_for_the_rest(target):
    denoiser = network_denoiser(lambda x, log_snr: 0.1 * x, Parametrization(target))
    x, times = draw(2, 1, 3, 3), Cosine().times(4)
    if target == "eps":
        with pytest.raises(ValueError, match="predict v or x_0"):
            last(sample(denoiser, Cosine(), times, x, ddpm()))
    else:
        for step in STEPS.values():
            assert last(sample(denoiser, Cosine(), times, x, step)).isfinite().all()


def test_pitfall_10_times_never_meet_the_width():
    """28 times for 28 images of width 28: plain broadcasting is silent and wrong, `per_sample` is right."""
    x_0, noise = draw(28, 1, 28, 28), draw(28, 1, 28, 28, seed=1)
    level = Linear()(torch.linspace(0, 1, 28, dtype=F64))
    silent = level.alpha * x_0 + level.sigma * noise
    right = torch.stack([level.alpha[i] * x_0[i] + level.sigma[i] * noise[i] for i in range(28)])
    assert silent.shape == right.shape and (silent - right).abs().max() > 1
    torch.testing.assert_close(jump(x_0, level, noise), right)
    network = lambda x, log_snr: x * log_snr.double().clamp(-9, 9)[:, None, None, None]  # noqa: E731
    denoised = network_denoiser(network, Parametrization("edm"))(right, level)
    alone = [
        network_denoiser(network, Parametrization("edm"))(right[i : i + 1], Marginal(level.alpha[i], level.sigma[i])).x0
        for i in range(28)
    ]
    torch.testing.assert_close(denoised.x0, torch.cat(alone), rtol=1e-6, atol=1e-6)


def test_pitfall_11_differences_are_compared_by_size_not_by_sum():
    """Two DDIM walks that start at x and -x differ everywhere, though their differences from a third cancel in the
    sum.
    """
    denoiser, x = gaussian_denoiser(0.0, 0.5), draw(100, 1)
    up, down = (last(sample(denoiser, Linear(), Linear().times(5), sign * x, ddim)) for sign in (1, -1))
    both = torch.cat([up, down])
    assert abs(float((both - torch.zeros_like(both)).sum())) < 1e-9
    with pytest.raises(AssertionError):
        torch.testing.assert_close(both, torch.zeros_like(both))


def test_pitfall_14_a_walk_is_not_a_jump_with_one_eps():
    """Equal marginals, different paths: increments of a walk are uncorrelated with the past noise, a shared eps is not.

    The correlation of the noise in x_t with that in x_s is alpha_t sigma_s / (alpha_s sigma_t) for a walk, 1 if shared.
    """
    s, t, n = Linear()(0.3), Linear()(0.5), 20_000
    x_0, first = torch.zeros(n, 1, dtype=F64), draw(n, 1, seed=1)
    x_s = jump(x_0, s, first)
    walked = kernel(s, t)(x_s).sample(draw(n, 1, seed=2))
    shared = jump(x_0, t, first)

    def correlation(x_t: Tensor) -> float:
        return float(torch.corrcoef(torch.cat([x_s, x_t], 1).T)[0, 1])

    expected = float(t.alpha * s.sigma / (s.alpha * t.sigma))
    assert expected < 0.9
    assert abs(correlation(walked) - expected) < 5 / math.sqrt(n)
    assert correlation(shared) == pytest.approx(1)
    assert float(walked.std()) == pytest.approx(float(shared.std()), rel=0.03)


def test_pitfall_15_a_density_on_exact_pixels_diverges_and_the_discrete_decoder_does_not():
    """Pixels exactly -1, a decoder centred on them: the density costs -infinity as its std falls, the bins cost 0."""
    x = -torch.ones(2, 1, 4, 4, dtype=F64)
    density = [float(decoder_term(x, x, std, levels=None)[0]) for std in (1e-2, 1e-4, 1e-6)]
    bins = [float(decoder_term(x, x, std)[0]) for std in (1e-2, 1e-4, 1e-6)]
    assert density[0] > density[1] + 60 and density[1] > density[2] + 60
    assert all(term >= 0 for term in bins) and bins[-1] == pytest.approx(0, abs=1e-9)


def test_single_images_go_through_everything():
    """B = 1, where a squeezed dimension would show: loss, denoiser, oracle, every step."""
    x, level = draw(1, 1, 28, 28), Linear()(torch.tensor([0.5], dtype=F64))
    network = lambda x, log_snr: 0.1 * x * log_snr.double()[:, None, None, None]  # noqa: E731
    assert simple(network, Parametrization(), x, level, x).ndim == 0
    for denoiser in (network_denoiser(network, Parametrization()), empirical_denoiser(draw(3, 1, 28, 28, seed=1))):
        for step in STEPS.values():
            assert last(sample(denoiser, Linear(), Linear().times(3), x, step)).shape == (1, 1, 28, 28)
