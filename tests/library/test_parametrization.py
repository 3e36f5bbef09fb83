"""What a network predicts: exact conversions, unit-variance preconditioning, clipping that stays consistent."""

import math

import pytest
import torch
from torch import Tensor

from course_lib.parametrization import (
    TARGETS,
    Parametrization,
    Preconditioning,
    Prediction,
    clip,
    log_snr_of,
    network_denoiser,
)
from course_lib.schedule import Cosine, Linear, Marginal, Straight, VarianceExploding, jump

F64 = torch.float64
LEVELS = {
    "one-vp": Linear()(0.4),
    "per-sample": Linear()(torch.linspace(0.1, 0.9, 28, dtype=F64)),
    "exploding": VarianceExploding()(torch.linspace(0.01, 1, 28, dtype=F64)),
    "straight": Straight()(torch.linspace(0.1, 0.9, 28, dtype=F64)),
}
every_level = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS.keys())


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


X_0, NOISE = draw(28, 1, 28, 28, seed=1), draw(28, 1, 28, 28, seed=2)


def by_hand(level: Marginal, i: int) -> tuple[float, float]:
    """alpha and sigma of sample i as plain numbers."""
    return float(level.alpha.expand(28)[i]), float(level.sigma.expand(28)[i])


@every_level
def test_each_of_the_four_names_tells_the_other_two_when_batch_equals_width(level):
    x_t = jump(X_0, level, NOISE)
    v = torch.stack([by_hand(level, i)[0] * NOISE[i] - by_hand(level, i)[1] * X_0[i] for i in range(28)])
    score = torch.stack([-NOISE[i] / by_hand(level, i)[1] for i in range(28)])
    for found in (
        Prediction.from_x0(X_0, x_t, level),
        Prediction.from_eps(NOISE, x_t, level),
        Prediction.from_v(v, x_t, level),
        Prediction.from_score(score, x_t, level),
    ):
        torch.testing.assert_close(found.x0, X_0, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(found.eps, NOISE, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(found.v(level), v, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(found.score(level), score, atol=1e-7, rtol=1e-7)


@every_level
@pytest.mark.parametrize("target", TARGETS)
def test_a_perfect_output_becomes_the_truth(level, target):
    parametrization = Parametrization(target, sigma_data=0.4)
    output = parametrization.output(X_0, NOISE, level)
    found = parametrization.prediction(output, jump(X_0, level, NOISE), level)
    torch.testing.assert_close(found.x0, X_0, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(found.eps, NOISE, atol=1e-8, rtol=1e-8)


@every_level
@pytest.mark.parametrize("target", TARGETS)
def test_a_wrong_output_is_still_one_prediction_of_x_t(level, target):
    """x_t = alpha x0 + sigma eps holds for whatever the network says."""
    x_t = jump(X_0, level, NOISE)
    found = Parametrization(target, 0.4).prediction(draw(28, 1, 28, 28, seed=9), x_t, level)
    torch.testing.assert_close(jump(found.x0, level, found.eps), x_t)


@every_level
@pytest.mark.parametrize("target", TARGETS)
def test_error_weight_turns_x0_error_into_output_error(level, target):
    """Ratio of the two squared errors, measured on a random wrong output, sample by sample."""
    parametrization = Parametrization(target, 0.4)
    wrong, right = draw(28, 1, 28, 28, seed=9), parametrization.output(X_0, NOISE, level)
    found = parametrization.prediction(wrong, jump(X_0, level, NOISE), level)
    ratio = (wrong - right).square().sum((1, 2, 3)) / (found.x0 - X_0).square().sum((1, 2, 3))
    torch.testing.assert_close(ratio, parametrization.error_weight(level).expand(28), rtol=1e-7, atol=0)


def test_preconditioned_input_and_target_have_unit_variance_at_every_level():
    """Pixels of standard deviation 0.4, 100,000 of them, five noise levels from nearly none to nothing but: within
    2%.
    """
    x_0, noise = 0.4 * draw(5, 100_000, seed=3), draw(5, 100_000, seed=4)
    level = Cosine()(torch.tensor([0.01, 0.2, 0.5, 0.9, 1.0], dtype=F64))
    edm = Parametrization("edm", 0.4)
    for numbers in (edm.input(jump(x_0, level, noise), level), edm.output(x_0, noise, level)):
        torch.testing.assert_close(numbers.std(1), torch.ones(5, dtype=F64), atol=0.02, rtol=0)


def test_preconditioning_is_the_published_table_in_their_variables():
    """Karras et al. 2022, table 1, for y = x / alpha and their sigma = sigma / alpha."""
    level, data = Straight()(0.3), 0.5
    u = float(level.ratio)
    ours, alpha = Preconditioning.of(level, data), float(level.alpha)
    assert float(ours.skip) * alpha == pytest.approx(data**2 / (u**2 + data**2))
    assert float(ours.out) == pytest.approx(u * data / math.sqrt(u**2 + data**2))
    assert float(ours.scale) * alpha == pytest.approx(1 / math.sqrt(u**2 + data**2))


def test_edm_with_unit_data_is_minus_v():
    level = Linear()(torch.linspace(0, 1, 28, dtype=F64))
    torch.testing.assert_close(Parametrization("edm", 1.0).output(X_0, NOISE, level), -Prediction(X_0, NOISE).v(level))


@pytest.mark.parametrize("target", ["edm", "v"])
def test_both_ends_of_a_zero_terminal_snr_schedule_are_finite(target):
    level = Cosine()(torch.tensor([0.0, 1.0]))
    x_t, output = draw(2, 1, 4, 4).float(), draw(2, 1, 4, 4, seed=1).float()
    found = Parametrization(target).prediction(output, x_t, level)
    assert found.x0.isfinite().all() and found.eps.isfinite().all()
    torch.testing.assert_close(found.x0[0], x_t[0])


def test_scores_need_noise():
    with pytest.raises(ValueError, match="sigma is 0"):
        Prediction(X_0, NOISE).score(Linear()(0.0))


def test_unknown_targets_are_named():
    with pytest.raises(ValueError, match="'noise': expected one of x0, eps, v, edm"):
        Parametrization("noise")


def test_a_network_is_told_one_log_snr_per_sample_and_shown_its_scaled_input():
    """Alike for one marginal for all, one per sample, and a batch of one."""
    seen = {}

    def network(x: Tensor, log_snr: Tensor) -> Tensor:
        seen.update(x=x, log_snr=log_snr)
        return torch.zeros_like(x)

    for batch, t in [(28, 0.3), (28, torch.full((28,), 0.3)), (1, 0.3), (1, torch.full((1,), 0.3))]:
        x_t, level = draw(batch, 1, 28, 28).float(), Linear()(t)
        found = network_denoiser(network, Parametrization("edm", 0.5))(x_t, level)
        torch.testing.assert_close(seen["log_snr"], Linear()(0.3).log_snr.float().expand(batch), rtol=1e-5, atol=0)
        factors = Preconditioning.of(Linear()(0.3), 0.5)
        torch.testing.assert_close(seen["x"], float(factors.scale) * x_t)
        torch.testing.assert_close(found.x0, float(factors.skip) * x_t)
    assert log_snr_of(Cosine()(1.0), x_t).tolist() == [-math.inf]


def test_clipped_denoisers_keep_x0_in_range_and_the_prediction_whole():
    level, x_t = Linear()(torch.linspace(0.1, 1, 28, dtype=F64)), 3 * draw(28, 1, 28, 28)
    found = network_denoiser(lambda x, log_snr: -5 * x, Parametrization("eps"), clip_x0=True)(x_t, level)
    assert found.x0.abs().max() == 1
    torch.testing.assert_close(jump(found.x0, level, found.eps), x_t)
    half = clip(Prediction.from_x0(X_0, x_t, level), x_t, level, -0.5, 0.5)
    torch.testing.assert_close(half.x0, X_0.clamp(-0.5, 0.5))


def test_gradients_are_finite_where_sigma_is_zero():
    output = draw(2, 3).requires_grad_()
    level = Linear()(torch.tensor([0.0, 0.5], dtype=F64))
    found = Prediction.from_x0(output, draw(2, 3, seed=1), level)
    (found.x0.square().sum() + found.eps.square().sum()).backward()
    assert output.grad.isfinite().all()
