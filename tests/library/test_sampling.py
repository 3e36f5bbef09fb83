"""Samplers: equal to another library's, of the right order, and with the right statistics on exactly known data."""

import math

import diffusers
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from course_lib.gaussian import Mixture
from course_lib.oracle import gaussian_denoiser, gaussian_step_std, mixture_denoiser
from course_lib.parametrization import Denoiser, Prediction
from course_lib.sampling import STEPS, Step, ddim, ddpm, first_order, fresh_noise, heun, last, renoise, sample
from course_lib.schedule import (
    Cosine,
    Linear,
    Marginal,
    Schedule,
    Straight,
    Table,
    Truncated,
    VarianceExploding,
    bridge_weights,
    linear_betas,
    log_snr_times,
)

F64 = torch.float64
TABLE = Table.from_betas(linear_betas(1000))
BUMPS = Mixture(
    torch.tensor([0.3, 0.7], dtype=F64),
    torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=F64),
    torch.tensor([0.3, 0.2], dtype=F64),
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def guess_eps(x: Tensor, alpha: Tensor) -> Tensor:
    """A made-up noise prediction, anything smooth, the same for both libraries."""
    return 0.6 * torch.tanh(x) + 0.1 * torch.sin(3 * x) * alpha + 0.05


def made_up(x_t: Tensor, marginal: Marginal) -> Prediction:
    return Prediction.from_eps(guess_eps(x_t, marginal.alpha), x_t, marginal)


def in_double(scheduler):
    """The other library's scheduler with its float32 tables replaced by the same numbers in float64."""
    scheduler.betas = linear_betas(1000)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    scheduler.one = scheduler.final_alpha_cumprod = torch.ones((), dtype=F64)
    return scheduler


LINEAR = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "clip_sample": False,
}


def theirs(scheduler, x: Tensor, steps: int, seed: int, **arguments) -> Tensor:
    """A whole walk with `diffusers`. Their timestep i is our t = i + 1."""
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(seed)
    for i in scheduler.timesteps:
        eps = guess_eps(x, scheduler.alphas_cumprod[i].sqrt())
        x = scheduler.step(eps, i, x, generator=generator, **arguments).prev_sample
    return x


def ours(step: Step, x: Tensor, steps: int, seed: int) -> Tensor:
    """The same walk here: times 1 + 1000/steps * (steps - 1), ..., 1, then 0."""
    times = torch.cat([1 + torch.arange(0, 1000, 1000 // steps).flip(0), torch.zeros(1)])
    return last(sample(made_up, TABLE, times, x, step, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("steps", [1000, 50])
@pytest.mark.parametrize(("ours_is", "theirs_is"), [("bridge", "fixed_small"), ("beta", "fixed_large")])
def test_ddpm_walks_are_those_of_diffusers(steps, ours_is, theirs_is):
    x = draw(3, 1, 4, 4, seed=1)
    scheduler = in_double(diffusers.DDPMScheduler(variance_type=theirs_is, **LINEAR))
    torch.testing.assert_close(ours(ddpm(ours_is), x, steps, 7), theirs(scheduler, x, steps, 7), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1000, 50])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_walks_are_those_of_diffusers(steps, eta):
    """Their last variance is clipped nowhere and their row before the first is clean (set_alpha_to_one), as is ours."""
    x = draw(3, 1, 4, 4, seed=1)
    scheduler = in_double(diffusers.DDIMScheduler(set_alpha_to_one=True, **LINEAR))
    found = ours(fresh_noise(eta), x, steps, 7)
    if eta == 0:
        torch.testing.assert_close(found, ours(ddim, x, steps, 7))
        torch.testing.assert_close(found, theirs(scheduler, x, steps, 7, eta=0.0), rtol=1e-9, atol=1e-9)
    else:  # no noise is drawn on their last step either: its variance is 0 and ours multiplies by 0
        torch.testing.assert_close(found, theirs(scheduler, x, steps, 7, eta=eta), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", [Linear(), Straight(), VarianceExploding()])
def test_ddpm_is_ddim_with_the_bridges_noise_fresh(schedule):
    s, t = schedule(torch.tensor([0.2, 0.5], dtype=F64)), schedule(torch.tensor([0.6, 0.9], dtype=F64))
    x, noise, denoiser = draw(2, 3), draw(2, 3, seed=1), gaussian_denoiser(0.1, 0.6)
    torch.testing.assert_close(ddpm()(x, s, t, denoiser, noise)[0], fresh_noise(1.0)(x, s, t, denoiser, noise)[0])


def test_the_knob_ends_in_ddim_and_in_renoising():
    s, t, x, noise = Linear()(0.3), Linear()(0.8), draw(4, 3), draw(4, 3, seed=1)
    found = gaussian_denoiser(0.1, 0.6)(x, t)
    torch.testing.assert_close(first_order(found, s, torch.zeros(()), noise), s.alpha * found.x0 + s.sigma * found.eps)
    torch.testing.assert_close(first_order(found, s, s.sigma, noise), s.alpha * found.x0 + s.sigma * noise)
    for step, c in [(ddim, torch.zeros(())), (renoise, s.sigma), (fresh_noise(1e6), s.sigma)]:
        torch.testing.assert_close(step(x, s, t, lambda *_: found, noise)[0], first_order(found, s, c, noise))


@pytest.mark.parametrize("fresh", [-0.1, 1.1])
def test_more_fresh_noise_than_there_is_noise_is_refused(fresh):
    s = Linear()(0.3)
    with pytest.raises(ValueError, match="between 0 and sigma_s"):
        first_order(Prediction(draw(2, 2), draw(2, 2)), s, fresh * s.sigma, draw(2, 2))


def test_heun_is_karras_algorithm_one_in_their_variables():
    """Written out for y = x / alpha against u = sigma / alpha with the denoiser D(y, u), in numpy."""
    level = Linear()(torch.linspace(0.9, 0.1, 9, dtype=F64))
    u = level.ratio.numpy()
    denoiser = mixture_denoiser(BUMPS)

    def D(y, u):
        one = Marginal(torch.ones((), dtype=F64), torch.tensor(u, dtype=F64))
        return denoiser(torch.from_numpy(y), one).x0.numpy()

    x = draw(3, 2, seed=1)
    y = (x / level.alpha[0]).numpy()
    for i in range(8):
        d = (y - D(y, u[i])) / u[i]
        y_next = y + (u[i + 1] - u[i]) * d
        y = y + (u[i + 1] - u[i]) * 0.5 * (d + (y_next - D(y_next, u[i + 1])) / u[i + 1])
        x = heun(
            x, Marginal(level.alpha[i + 1], level.sigma[i + 1]), Marginal(level.alpha[i], level.sigma[i]), denoiser, x
        )[0]
    torch.testing.assert_close(x / level.alpha[-1], torch.from_numpy(y))


def test_heun_falls_back_to_euler_at_both_ends():
    denoiser, x = gaussian_denoiser(0.1, 0.6), draw(2, 3)
    for s, t in [(Cosine()(0.0), Cosine()(0.3)), (Cosine()(0.7), Cosine()(1.0))]:
        torch.testing.assert_close(heun(x, s, t, denoiser, x)[0], ddim(x, s, t, denoiser, x)[0])


def order(step: Step, counts: list[int]) -> float:
    """Fitted power of the step size in the error at log-SNR 4, from -5, against scipy's solution of dy/du = eps."""
    denoiser, schedule = mixture_denoiser(BUMPS), Linear()
    x = draw(8, 2, seed=3)

    def times(n: int) -> Tensor:
        return schedule.time_at(torch.linspace(-5, 4, n + 1, dtype=F64))

    start, stop = (schedule(times(1)[i]) for i in (0, 1))

    def slope(u: float, y: np.ndarray) -> np.ndarray:
        level = Marginal(torch.ones((), dtype=F64), torch.tensor(u, dtype=F64))
        return denoiser(torch.from_numpy(y).reshape(8, 2), level).eps.numpy().ravel()

    span = (float(start.ratio), float(stop.ratio))
    solution = solve_ivp(slope, span, (x / start.alpha).numpy().ravel(), "DOP853", rtol=1e-12, atol=1e-12)
    exact = torch.from_numpy(solution.y[:, -1]).reshape(8, 2) * stop.alpha
    errors = [
        float((last(sample(denoiser, schedule, times(n), x, step)) - exact).square().mean().sqrt()) for n in counts
    ]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


def test_ddim_is_of_first_order_and_heun_of_second():
    assert order(ddim, [100, 200, 400]) == pytest.approx(1, abs=0.1)
    assert order(heun, [50, 100, 200]) == pytest.approx(2, abs=0.15)


def moments(step: Step, denoiser: Denoiser, schedule: Schedule, times: Tensor) -> tuple[float, float]:
    """Exact mean and variance of a sampler whose steps are affine in x and noise, started from N(0, 1).

    Each step is probed: x_s = a + b x_t + c noise, then mean -> a + b mean, variance -> b^2 variance + c^2.
    """
    mean, variance = 0.0, 1.0
    zero, one = torch.zeros(1, 1, dtype=F64), torch.ones(1, 1, dtype=F64)
    for i in range(len(times) - 1):
        levels = schedule(times[i + 1]), schedule(times[i])
        a = float(step(zero, *levels, denoiser, zero)[0])
        b = float(step(one, *levels, denoiser, zero)[0]) - a
        c = float(step(zero, *levels, denoiser, one)[0]) - a
        mean, variance = a + b * mean, b**2 * variance + c**2
    return mean, variance


@pytest.mark.parametrize(
    ("step", "variance"),
    [(renoise, 0.044), (ddpm(), 0.088), (ddim, 0.089)],
    ids=["renoise", "ddpm", "ddim"],
)
def test_renoising_halves_the_variance_of_gaussian_data(step, variance):
    """Data N(0.4, 0.09), exact denoiser, 1000 linear steps: exact recursion, no sampling error."""
    mean, found = moments(step, gaussian_denoiser(0.4, 0.3), TABLE, TABLE.times(1000))
    assert found == pytest.approx(variance, abs=5e-4)
    assert mean == pytest.approx(0.4, abs=5e-3)


@pytest.mark.parametrize("steps", [10, 100, 1000])
def test_the_exact_reverse_variance_leaves_only_the_last_step_short(steps):
    """With q(x_s | x_t)'s own spread every law but the last is exact; the last step returns a mean, without its
    noise.
    """
    table = Table.of(Cosine(), steps)
    step = ddpm(lambda s, t: gaussian_step_std(0.3, s, t))
    mean, variance = moments(step, gaussian_denoiser(0.4, 0.3), table, table.times(steps))
    kept = 0.09 - float(gaussian_step_std(0.3, table(0), table(1))) ** 2
    assert (mean, variance) == pytest.approx((0.4, kept), rel=1e-9)


def test_sampled_moments_are_those_of_the_recursion():
    """4,000 draws through the loop itself, 200 steps; mean and variance within 5 standard errors."""
    denoiser, n = gaussian_denoiser(0.4, 0.3), 4000
    for step in (renoise, ddpm(), ddpm("beta"), ddim, fresh_noise(0.5)):
        mean, variance = moments(step, denoiser, TABLE, TABLE.times(200))
        x = last(sample(denoiser, TABLE, TABLE.times(200), draw(n, 1, seed=5), step, torch.Generator().manual_seed(6)))
        assert abs(float(x.mean()) - mean) < 5 * math.sqrt(variance / n)
        assert abs(float(x.var()) - variance) < 5 * variance * math.sqrt(2 / n)


@pytest.mark.parametrize(("step", "steps"), [(ddpm(), 250), (heun, 60)], ids=["ddpm", "heun"])
def test_samples_of_an_exactly_denoised_mixture_have_its_statistics(step, steps):
    """6,000 samples, log-SNR steps: weights and component means within 5 standard errors, spreads within 5%."""
    n, schedule = 6000, Truncated(Cosine(), -12.0)
    times = log_snr_times(schedule, steps, first=-12.0)
    x = last(
        sample(mixture_denoiser(BUMPS), schedule, times, draw(n, 2, seed=8), step, torch.Generator().manual_seed(9))
    )
    right = x[:, 0] > 0.15
    for inside, weight, mean, std in zip([right, ~right], BUMPS.weights, BUMPS.means, BUMPS.stds, strict=True):
        assert abs(inside.double().mean() - weight) < 5 * (weight * (1 - weight) / n).sqrt()
        assert ((x[inside].mean(0) - mean).abs() < 5 * std / (n * weight).sqrt()).all()
        torch.testing.assert_close(x[inside].std(0), std.expand(2), rtol=0.05, atol=0)


def test_the_loop_yields_every_state_and_the_sample_last():
    states = list(sample(gaussian_denoiser(0.0, 1.0), Linear(), Linear().times(5), draw(2, 3), ddim))
    assert [round(state.t, 6) for state in states] == [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]
    torch.testing.assert_close(states[0].x, draw(2, 3))
    torch.testing.assert_close(states[-1].x, states[-2].x0)  # the last step returns the guess
    torch.testing.assert_close(last(iter(states)), states[-1].x)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
@pytest.mark.parametrize("batch", [1, 28])
def test_steps_treat_each_sample_by_its_own_time_when_batch_equals_width(step: Step, batch: int):
    x, noise, denoiser = draw(batch, 1, 28, 28), draw(batch, 1, 28, 28, seed=1), gaussian_denoiser(0.1, 0.6)
    s, t = torch.linspace(0.05, 0.4, batch, dtype=F64), torch.linspace(0.5, 1.0, batch, dtype=F64)
    together = step(x, Linear()(s), Linear()(t), denoiser, noise)[0]
    for i in (0, batch - 1):
        one = slice(i, i + 1)
        alone = step(x[one], Linear()(float(s[i])), Linear()(float(t[i])), denoiser, noise[one])[0]
        torch.testing.assert_close(together[one], alone)


def test_a_seed_fixes_the_sample_and_states_keep_the_dtype():
    def run(seed: int, x: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return last(sample(gaussian_denoiser(0.0, 0.5), Linear(), Linear().times(10), x, ddpm(), generator))

    x = draw(2, 1, 4, 4)
    assert torch.equal(run(3, x), run(3, x)) and not torch.equal(run(3, x), run(4, x))
    assert run(3, x.float()).dtype == torch.float32


@pytest.mark.parametrize("times", [[0.0, 1.0], [1.0], [1.0, 1.0, 0.0], [[1.0, 0.0]]])
def test_times_that_do_not_fall_are_refused_at_once(times):
    with pytest.raises(ValueError, match="falling values"):
        sample(gaussian_denoiser(0.0, 1.0), Linear(), torch.tensor(times), draw(1, 1), ddim)


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="'tilde'"):
        ddpm("tilde")
    with pytest.raises(ValueError, match="got -1"):
        fresh_noise(-1.0)


def test_bridge_weights_are_ho_et_als_equation_seven():
    """beta-tilde and the two coefficients from betas and cumulative products, at t = 300 of the usual table."""
    betas = linear_betas(1000)
    bar = torch.cumprod(1 - betas, 0)
    weight_t, weight_0, std = bridge_weights(TABLE(299), TABLE(300))
    beta, now, before = betas[299], bar[299], bar[298]
    torch.testing.assert_close(weight_0, before.sqrt() * beta / (1 - now))
    torch.testing.assert_close(weight_t, (1 - beta).sqrt() * (1 - before) / (1 - now))
    torch.testing.assert_close(std**2, (1 - before) / (1 - now) * beta)
