"""Continuous time: Fokker-Planck, both ways back, likelihood against closed forms, Langevin's stationary law."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from course_lib.continuous import (
    angle_times,
    density_bits_per_dim,
    dequantise,
    divergence_exact,
    divergence_hutchinson,
    encode,
    euler_maruyama,
    fokker_planck,
    forward_drift,
    forward_sde,
    langevin,
    log_likelihood,
    predictor_corrector,
    probability_flow,
    probability_flow_velocity,
    reverse_drift,
    reverse_sde,
)
from course_lib.gaussian import Isotropic, Mixture
from course_lib.oracle import gaussian_denoiser, mixture_denoiser, mixture_score
from course_lib.sampling import ddim, ddpm, heun, last, sample
from course_lib.schedule import (
    Continuous,
    Cosine,
    Linear,
    Marginal,
    Sigmoid,
    Straight,
    Truncated,
    VarianceExploding,
    log_snr_times,
)

F64 = torch.float64
LINE = Mixture(
    torch.tensor([0.3, 0.7], dtype=F64), torch.tensor([[1.0], [-0.8]], dtype=F64), torch.tensor([0.3, 0.2], dtype=F64)
)
PLANE = Mixture(
    torch.tensor([0.3, 0.7], dtype=F64),
    torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=F64),
    torch.tensor([0.3, 0.2], dtype=F64),
)
SCHEDULES = [Linear(), Truncated(Cosine()), Sigmoid(), VarianceExploding(2.0), Straight()]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def derivative(f, at: float, h: float = 1e-4) -> Tensor:
    """Central difference of fourth order."""
    return (8 * (f(at + h) - f(at - h)) - (f(at + 2 * h) - f(at - 2 * h))) / (12 * h)


X = torch.linspace(-2.5, 2.5, 41, dtype=F64)[:, None]


def density(t: float, shift: float, schedule: Continuous) -> Tensor:
    return LINE.log_density(X + shift, schedule(t)).exp()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("t", [0.3, 0.8])
def test_all_three_processes_move_the_density_as_it_moves(schedule, t):
    """dp/dt of the noised mixture against the Fokker-Planck equation of each process, by finite differences.

    Forward: -(f x p)' + g^2/2 p''. Flow: -(v p)'. Reverse SDE, read in rising t: -(b p)' - g^2/2 p''.
    """
    moving = derivative(lambda time: density(time, 0.0, schedule), t)
    half_g2 = 0.5 * schedule.rates(t).diffusion ** 2
    curvature = derivative(lambda a: derivative(lambda b: density(t, a + b, schedule), 0.0, 2e-3), 0.0, 2e-3)

    def flux(field: str, shift: float) -> Tensor:
        x = X + shift
        score = mixture_score(LINE, x, schedule(t))
        velocity = {
            "forward": lambda: forward_drift(x, t, schedule),
            "flow": lambda: probability_flow_velocity(score, x, t, schedule),
            "reverse": lambda: reverse_drift(score, x, t, schedule),
        }[field]()
        return velocity[:, 0] * density(t, shift, schedule)

    def outflow(field: str) -> Tensor:
        return derivative(partial(flux, field), 0.0)

    torch.testing.assert_close(-outflow("forward") + half_g2 * curvature, moving, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(-outflow("flow"), moving, atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(-outflow("reverse") - half_g2 * curvature, moving, atol=1e-6, rtol=1e-6)


def test_drifts_treat_each_sample_by_its_own_time_when_batch_equals_width():
    x, score, t = draw(28, 1, 28, 28), draw(28, 1, 28, 28, seed=1), torch.linspace(0.1, 0.9, 28, dtype=F64)
    for field in (reverse_drift, probability_flow_velocity, lambda _, x, t, s: forward_drift(x, t, s)):
        together = field(score, x, t, Linear())
        for i in (0, 9, 27):
            alone = field(score[i : i + 1], x[i : i + 1], float(t[i]), Linear())
            torch.testing.assert_close(together[i : i + 1], alone)


def test_infinite_rates_are_refused_in_words():
    with pytest.raises(ValueError, match="use Truncated"):
        forward_drift(draw(2, 2), 1.0, Cosine())


def test_the_flow_is_alpha_prime_x0_plus_sigma_prime_eps():
    """dx/dt = alpha' x0_hat + sigma' eps_hat, derivatives by finite differences."""
    schedule, x, t = Truncated(Cosine()), draw(5, 2), 0.6
    found = mixture_denoiser(PLANE)(x, schedule(t))
    rise = (
        derivative(lambda time: schedule(time).alpha, t) * found.x0
        + derivative(lambda time: schedule(time).sigma, t) * found.eps
    )
    velocity = probability_flow_velocity(found.score(schedule(t)), x, t, schedule)
    torch.testing.assert_close(velocity, rise, rtol=1e-8, atol=1e-8)


def test_forward_paths_have_the_marginal_at_every_time():
    """20,000 Euler-Maruyama paths of 200 steps from x_0 = 0.7: moments within 5 standard errors and 1% of bias."""
    n, times = 20_000, torch.linspace(0, 1, 201, dtype=F64)
    schedule, start = Linear(beta_min=0.5, beta_max=4.0), torch.full((n, 1), 0.7, dtype=F64)
    path = dict(forward_sde(schedule, times, start, torch.Generator().manual_seed(0)))
    for t in (times[60].item(), 1.0):
        m = schedule(t)
        assert abs(path[t].mean() - 0.7 * m.alpha) < 5 * m.sigma / math.sqrt(n) + 0.01
        assert abs(path[t].std() - m.sigma) < 5 * m.sigma / math.sqrt(2 * n) + 0.01


def distance(x: Tensor, y: Tensor) -> float:
    """Kolmogorov-Smirnov distance of two samples on a line."""
    both = torch.cat([x, y]).sort().values
    below = [torch.searchsorted(z.sort().values, both, right=True) / len(z) for z in (x, y)]
    return float((below[0] - below[1]).abs().max())


@pytest.mark.parametrize("way", ["reverse-sde", "flow-euler", "flow-heun"])
def test_both_ways_back_have_the_data_marginals(way):
    """From exact draws of p_1, 8,000 of them, back to t = 0.3: the law of the noised mixture, not only of the data.

    Kolmogorov's 0.1% level for two samples of n is 1.95 sqrt(2/n) = 0.031.
    """
    n, schedule = 8000, Truncated(Cosine(), -8.0)
    generator, denoiser = torch.Generator().manual_seed(0), mixture_denoiser(LINE)
    end, middle = schedule(1.0), schedule(0.3)
    start = end.alpha * LINE.sample(n, generator) + end.sigma * torch.randn(n, 1, generator=generator, dtype=F64)
    times = torch.linspace(1, 0.3, 301, dtype=F64)
    if way == "reverse-sde":
        states = reverse_sde(denoiser, schedule, times, start, generator)
    else:
        states = probability_flow(denoiser, schedule, times, start, way.removeprefix("flow-"))
    x = last(states)
    exact = middle.alpha * LINE.sample(n, generator) + middle.sigma * torch.randn(n, 1, generator=generator, dtype=F64)
    assert distance(x[:, 0], exact[:, 0]) < 0.031


def test_the_flow_in_t_and_the_samplers_in_sigma_over_alpha_meet():
    """One ODE, four solvers: fine Heun in t, fine Euler in t, fine DDIM and Heun in sigma / alpha, at t = 0.2."""
    schedule, denoiser, x = Truncated(Linear(), -6.0), mixture_denoiser(PLANE), draw(6, 2, seed=1)
    times = torch.linspace(1, 0.2, 601, dtype=F64)
    best = last(probability_flow(denoiser, schedule, times, x, "heun"))
    torch.testing.assert_close(last(probability_flow(denoiser, schedule, times, x)), best, atol=2e-2, rtol=0)
    torch.testing.assert_close(last(sample(denoiser, schedule, times, x, ddim)), best, atol=2e-2, rtol=0)
    torch.testing.assert_close(last(sample(denoiser, schedule, times, x, heun)), best, atol=1e-4, rtol=0)


def test_the_flow_in_t_is_of_first_and_second_order():
    schedule, denoiser, x = Truncated(Linear(), -6.0), mixture_denoiser(PLANE), draw(6, 2, seed=1)

    def run(n: int, method: str) -> Tensor:
        return last(probability_flow(denoiser, schedule, torch.linspace(1, 0.2, n + 1, dtype=F64), x, method))

    best = run(1200, "heun")
    for method, power, counts in [("euler", 1, [80, 160, 320]), ("heun", 2, [40, 80, 160])]:
        errors = [float((run(n, method) - best).norm()) for n in counts]
        assert -np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(power, abs=0.2)


def test_a_ddpm_step_and_an_euler_maruyama_step_agree_to_first_order():
    """Same noise: means differ by O(h^2), so halving h divides the difference by four; noise scales by O(h^1.5)."""
    schedule, x = Linear(), draw(6, 2, seed=1)
    zero = torch.zeros_like(x)
    denoiser = mixture_denoiser(PLANE)

    def difference(h: float) -> float:
        s, t = schedule(0.6 - h), schedule(0.6)
        score = denoiser(x, t).score(t)
        euler = euler_maruyama(x, reverse_drift(score, x, 0.6, schedule), schedule.rates(0.6).diffusion, -h, zero)
        return float((ddpm()(x, s, t, denoiser, zero)[0] - euler).norm())

    assert difference(0.01) / difference(0.005) == pytest.approx(4, rel=0.1)
    noise = torch.ones_like(x)
    spread = euler_maruyama(zero, zero, schedule.rates(0.6).diffusion, -0.001, noise)
    bridge_spread = (
        ddpm()(x, schedule(0.599), schedule(0.6), denoiser, noise)[0]
        - ddpm()(x, schedule(0.599), schedule(0.6), denoiser, zero)[0]
    )
    torch.testing.assert_close(spread, bridge_spread, rtol=0.01, atol=0)


def test_no_noise_is_added_on_the_last_step_of_the_reverse_sde():
    states = [list(reverse_sde(gaussian_denoiser(0.0, 0.5), Linear(), torch.tensor([0.01, 0.0], dtype=F64), draw(3, 1),
                               torch.Generator().manual_seed(seed))) for seed in (1, 2)]  # fmt: skip
    assert torch.equal(states[0][-1].x, states[1][-1].x)


def test_encoding_and_sampling_are_inverse():
    """Exact denoiser, 200 Heun steps even in log-SNR: to noise and back within 1e-4; DDIM, of first order, within
    0.1.
    """
    schedule, denoiser = Truncated(Cosine(), -8.0), mixture_denoiser(PLANE)
    down = log_snr_times(schedule, 200, first=-8.0, last=12.0)
    up = down.flip(0)
    x = PLANE.sample(20, torch.Generator().manual_seed(0))
    for step, error in [(heun, 1e-4), (ddim, 0.1)]:
        noise = last(encode(denoiser, schedule, up, x, step))
        back = last(sample(denoiser, schedule, down, noise, step))
        assert (back - x).abs().max() < error
    with pytest.raises(ValueError, match="times must rise"):
        encode(denoiser, schedule, down, x)


def test_exact_divergence_is_the_trace_of_the_jacobian():
    x = draw(3, 2, 2, seed=1)
    field = lambda z: torch.sin(z) * z.flatten(1).sum(1)[:, None, None]  # noqa: E731
    jacobian = torch.autograd.functional.jacobian(field, x).reshape(3, 4, 3, 4)
    traces = torch.stack([jacobian[b, :, b].trace() for b in range(3)])
    torch.testing.assert_close(divergence_exact(field, x), traces)


def test_hutchinsons_estimate_averages_to_the_divergence():
    """All 16 sign probes of a 4-dimensional field: their mean is the trace exactly, single probes are not."""
    x = draw(3, 2, 2, seed=1)
    field = lambda z: torch.sin(z) * z.flatten(1).sum(1)[:, None, None]  # noqa: E731
    probes = [torch.tensor(p, dtype=F64).reshape(1, 2, 2).expand(3, 2, 2) for p in itertools.product([-1, 1], repeat=4)]
    estimates = torch.stack([divergence_hutchinson(field, x, probe) for probe in probes])
    torch.testing.assert_close(estimates.mean(0), divergence_exact(field, x))
    assert (estimates.std(0) > 0.01).all()


@pytest.mark.parametrize("schedule", [Cosine(), VarianceExploding(20.0), Straight()], ids=lambda s: type(s).__name__)
def test_log_likelihood_of_a_gaussian_is_its_log_density(schedule):
    """Closed form, with the exact law at t = 1 as the prior, so that only the solver's error is left."""
    mean, std, end = 0.4, 0.3, schedule(1.0)
    x = mean + std * draw(6, 2, seed=1)
    prior = Isotropic((end.alpha * mean).expand(6, 2), torch.hypot(end.alpha * std, end.sigma))
    angles = torch.linspace(0, float(torch.atan2(end.sigma, end.alpha)), 101, dtype=F64)
    times = schedule.time_at(-2 * torch.log(torch.tan(angles)))
    found = log_likelihood(gaussian_denoiser(mean, std), schedule, x, times, prior=prior)
    expected = torch.distributions.Normal(mean, std).log_prob(x).sum(1)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("start", [0.0, 0.1])
def test_log_likelihood_of_a_mixture_is_its_log_density_in_the_plane(start):
    """Zero terminal SNR, so the standard normal prior is exact; from clean data, and from data noised to t = 0.1."""
    schedule, x = Cosine(), PLANE.sample(8, torch.Generator().manual_seed(3))
    times = torch.linspace(start, 1, 201, dtype=F64)
    found = log_likelihood(mixture_denoiser(PLANE), schedule, x, times)
    torch.testing.assert_close(found, PLANE.log_density(x, schedule(start)), atol=5e-3, rtol=0)


def test_log_likelihood_with_all_probes_is_the_exact_one():
    """Hutchinson with the four sign probes of the plane, averaged, against the trace: the paths are the same."""
    x, times = PLANE.sample(4, torch.Generator().manual_seed(3)), torch.linspace(0, 1, 51, dtype=F64)
    run = partial(log_likelihood, mixture_denoiser(PLANE), Cosine(), x, times)
    probes = [torch.tensor(p, dtype=F64).expand(4, 2) for p in itertools.product([-1, 1], repeat=2)]
    estimates = [run(partial(divergence_hutchinson, probe=probe)) for probe in probes]
    torch.testing.assert_close(torch.stack(estimates).mean(0), run())


def test_langevin_tends_to_the_target_with_the_known_bias():
    """On N(0, 1) a step h makes variance 2h + (1-h)^2 v, whose fixed point is 1 / (1 - h/2)."""
    one = torch.ones(1, dtype=F64)
    for h in (0.1, 0.01):
        shrink, added = langevin(-one, one, h, 0 * one), langevin(0 * one, 0 * one, h, one)
        assert float(added**2 / (1 - shrink**2)) == pytest.approx(1 / (1 - h / 2))


def test_langevin_samples_a_noised_mixture_from_its_score_alone():
    """4,000 walkers, 400 steps at one noise level: Kolmogorov's 0.1% level is 1.95 sqrt(2/n) = 0.044."""
    level, n, generator = (
        Marginal(torch.tensor(1.0, dtype=F64), torch.tensor(0.6, dtype=F64)),
        4000,
        torch.Generator().manual_seed(1),
    )
    x = torch.zeros(n, 1, dtype=F64)
    for _ in range(400):
        x = langevin(mixture_score(LINE, x, level), x, 0.02, torch.randn(n, 1, generator=generator, dtype=F64))
    exact = LINE.sample(n, generator) + level.sigma * torch.randn(n, 1, generator=generator, dtype=F64)
    assert distance(x[:, 0], exact[:, 0]) < 0.044


def test_dequantised_levels_fill_the_range_without_overlap():
    """Level k of 4 fills [-1 + k/2, -1 + (k+1)/2); the units of bits follow: a uniform density costs 2 bits."""
    levels = torch.tensor([-1, -1 / 3, 1 / 3, 1])
    torch.testing.assert_close(dequantise(levels, torch.zeros(4), 4), torch.tensor([-1, -0.5, 0, 0.5]))
    torch.testing.assert_close(
        dequantise(levels, torch.full((4,), 0.999), 4), torch.tensor([-0.5, 0, 0.5, 1]), atol=1e-3, rtol=0
    )
    uniform = torch.tensor(10 * math.log(1 / 2))  # density 1/2 on [-1, 1], ten dimensions
    assert float(density_bits_per_dim(uniform, 10, 4)) == pytest.approx(2)
    assert float(density_bits_per_dim(uniform, 10)) == pytest.approx(8)


def test_unknown_methods_are_named():
    with pytest.raises(ValueError, match="'rk4'"):
        next(probability_flow(gaussian_denoiser(0.0, 1.0), Linear(), torch.tensor([1.0, 0.5]), draw(1, 1), "rk4"))


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), VarianceExploding(2.0)], ids=lambda s: type(s).__name__)
def test_the_grid_solution_of_fokker_planck_is_the_noised_density_and_of_second_order(schedule):
    """Against the closed form of the noised mixture, started at t = 0.1; halving the cells divides the error by 4."""
    errors = []
    for cells, steps in ((80, 400), (160, 1600)):
        grid = torch.linspace(-6, 6, cells + 1, dtype=F64)
        start, stop = (LINE.log_density(grid[:, None], schedule(t)).exp() for t in (0.1, 0.4))
        solved = fokker_planck(start, grid, schedule, 0.1, 0.4, steps)
        assert float((solved.sum() - start.sum()).abs()) < 1e-10
        errors.append(float((solved - stop).abs().max()))
    assert errors[1] < 5e-3
    assert 3 < errors[0] / errors[1] < 6


def test_fokker_planck_refuses_unstable_steps_in_words():
    grid = torch.linspace(-4, 4, 101, dtype=F64)
    with pytest.raises(ValueError, match="5 steps are too few"):
        fokker_planck(torch.ones_like(grid), grid, Linear(), 0.1, 0.5, 5)


def test_angle_times_rise_from_the_wanted_log_snr_to_one_with_small_steps_first():
    for schedule in (Linear(), Cosine(), Truncated(Cosine())):
        times = angle_times(schedule, 12, first=9.0, power=3.0)
        assert times.shape == (13,) and bool((times.diff() > 0).all())
        assert float(schedule(times[0]).log_snr) == pytest.approx(9.0) and float(times[-1]) == 1.0
        angle = torch.atan2(schedule(times).sigma, schedule(times).alpha)
        ramp = (angle - angle[0]) / (angle[-1] - angle[0])
        np.testing.assert_allclose(ramp, (torch.arange(13, dtype=F64) / 12) ** 3, atol=1e-9)
    assert float(angle_times(Linear(), 5, first=math.inf)[0]) == 0.0


def test_corrections_leave_the_right_law_alone_and_repair_a_wrong_start():
    """Gaussian data, 20,000 walkers: spread within 3% of the data's, and the mean of a shifted start comes back."""
    denoiser, schedule, times = gaussian_denoiser(0.4, 0.3), Linear(), log_snr_times(Linear(), 30)
    x = draw(20_000, 1)
    generator = torch.Generator().manual_seed(1)
    for start, corrections in ((x, 0), (x, 2), (x + 2.0, 2)):
        states = predictor_corrector(denoiser, schedule, times, start, ddim, corrections, 0.3, generator)
        end = last(states)
        tolerance = 0.15 if corrections == 0 else 0.03  # 30 steps of DDIM alone are too narrow by their own error
        assert float(end.std()) == pytest.approx(0.3, rel=tolerance)
        assert float(end.mean()) == pytest.approx(0.4, abs=0.02)


def test_without_corrections_the_predictor_is_alone():
    times, x = log_snr_times(Linear(), 7), draw(5, 2)
    denoiser = mixture_denoiser(PLANE)
    states = list(predictor_corrector(denoiser, Linear(), times, x, heun, 0))
    assert [state.t for state in states] == times.tolist()
    torch.testing.assert_close(states[-1].x, last(sample(denoiser, Linear(), times, x, heun)))


def test_a_correction_asks_the_denoiser_once_more_but_not_at_the_end():
    calls = []

    def counted(x, marginal):
        calls.append(float(marginal.sigma))
        return mixture_denoiser(PLANE)(x, marginal)

    last(predictor_corrector(counted, Linear(), log_snr_times(Linear(), 5), draw(3, 2), ddim, 2))
    assert len(calls) == 5 + 4 * 2 and min(calls) > 0
