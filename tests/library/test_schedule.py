"""Schedules: ends, derivatives and inverses by independent routes; kernel and bridge by Bayes' rule and by
simulation.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import Tensor

from course_lib.gaussian import Gaussian, condition
from course_lib.schedule import (
    ConstantGamma,
    Cosine,
    Linear,
    Marginal,
    Sigmoid,
    Straight,
    Table,
    Truncated,
    VarianceExploding,
    bridge,
    bridge_weights,
    jump,
    karras_times,
    kernel,
    linear_betas,
    log_snr_times,
    noising_path,
    reverse_std,
    uniform_times,
)

F64 = torch.float64
VP = [Linear(), Cosine(), Sigmoid(), ConstantGamma(), Truncated(Cosine()), Truncated(Linear(), -5.0)]
ALL = [*VP, VarianceExploding(), Straight(), Truncated(Straight())]
NAMES = [f"{type(s).__name__}{i}" for i, s in enumerate(ALL)]
every_schedule = pytest.mark.parametrize("schedule", ALL, ids=NAMES)


def marginal(log_snr: float) -> Marginal:
    return Marginal.from_log_snr(torch.tensor(log_snr, dtype=F64))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@every_schedule
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_row_zero_is_exactly_clean(schedule, dtype):
    start = schedule(torch.zeros(3, dtype=dtype))
    assert start.alpha.tolist() == [1.0] * 3 and start.sigma.tolist() == [0.0] * 3
    assert start.alpha.dtype == dtype


@pytest.mark.parametrize("schedule", [Cosine(), Sigmoid(), Straight()])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_zero_terminal_snr_is_exactly_zero(schedule, dtype):
    end = schedule(torch.ones(2, dtype=dtype))
    assert end.alpha.tolist() == [0.0] * 2 and end.sigma.tolist() == [1.0] * 2
    assert end.log_snr.tolist() == [-math.inf] * 2


@pytest.mark.parametrize("schedule", VP)
def test_variance_preserving_schedules_preserve_the_variance(schedule):
    t = torch.linspace(0, 1, 501, dtype=F64)
    m = schedule(t)
    torch.testing.assert_close(m.alpha**2 + m.sigma**2, torch.ones_like(t), atol=1e-13, rtol=0)
    m32 = schedule(t.float())
    torch.testing.assert_close(m32.sigma.double(), m.sigma, atol=2e-6, rtol=2e-6)


@every_schedule
def test_log_snr_falls_all_the_way(schedule):
    log_snr = schedule(torch.linspace(0, 1, 201, dtype=F64)).log_snr
    assert log_snr[0] == math.inf and not log_snr.isnan().any()
    assert (log_snr.diff()[1:] < 0).all()


@every_schedule
def test_rates_are_the_derivatives_that_autograd_finds(schedule):
    """drift = d log(alpha)/dt, diffusion^2 = d(sigma^2)/dt - 2 drift sigma^2."""
    t = torch.linspace(0.02, 0.97, 30, dtype=F64, requires_grad=True)
    m, rates = schedule(t), schedule.rates(t)
    drift = torch.autograd.grad((torch.log(m.alpha) + 0 * t).sum(), t, retain_graph=True)[0]
    growth = torch.autograd.grad((m.sigma**2).sum(), t)[0]
    torch.testing.assert_close(rates.drift.detach(), drift, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(
        rates.diffusion.detach() ** 2, growth - 2 * drift * m.sigma.detach() ** 2, rtol=1e-8, atol=0
    )


@every_schedule
def test_time_at_inverts_log_snr(schedule):
    t = torch.linspace(0.01, 0.99, 50, dtype=F64)
    torch.testing.assert_close(schedule.time_at(schedule(t).log_snr), t, rtol=1e-9, atol=1e-9)
    assert float(schedule.time_at(math.inf)) == pytest.approx(0, abs=1e-12)
    assert float(schedule.time_at(-math.inf)) == pytest.approx(1, abs=1e-12)


def test_linear_is_the_exponential_of_its_integrated_betas():
    for t in (0.1, 0.5, 1.0):
        integral, _ = quad(lambda r: 0.1 + r * 19.9, 0, t)
        assert float(Linear()(t).alpha) == pytest.approx(math.exp(-0.5 * integral), rel=1e-12)


def test_linear_is_the_limit_of_the_usual_table():
    """Ho's 1000 betas against the continuous schedule; the tables differ by O(1/T)."""
    ours, usual = Table.of(Linear(), 1000), Table.from_betas(linear_betas(1000))
    torch.testing.assert_close(ours.alpha, usual.alpha, atol=2e-3, rtol=0)


def test_cosine_and_sigmoid_are_the_published_curves():
    """alpha^2 = f(t)/f(0), f = cos^2(pi/2 (t + .008)/1.008); and the logistic curve rescaled to fall from 1 to 0."""
    t = torch.linspace(0, 1, 11, dtype=F64)
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(Cosine()(t).alpha ** 2, f / f[0])
    logistic = 1 / (1 + torch.exp(-(t * 5 - 2) / 0.7))
    expected = (logistic[-1] - logistic) / (logistic[-1] - logistic[0])
    torch.testing.assert_close(Sigmoid(-2.0, 3.0, 0.7)(t).alpha ** 2, expected)


def test_truncated_keeps_the_curve_and_stops_early():
    cut = Truncated(Cosine(), -6.0)
    assert float(cut(1.0).log_snr) == pytest.approx(-6)
    assert float(cut(0.5).alpha) == pytest.approx(float(Cosine()(0.5 * cut.stretch).alpha))
    assert (cut.rates(torch.ones(1)).drift).isfinite().all()


def test_marginals_from_a_log_snr_or_a_ratio_are_variance_preserving_also_at_the_ends():
    for ends in (
        Marginal.from_log_snr(torch.tensor([math.inf, -math.inf])),
        Marginal.from_ratio(torch.tensor([0, math.inf])),
    ):
        assert ends.alpha.tolist() == [1, 0] and ends.sigma.tolist() == [0, 1]
        assert ends.log_snr.tolist() == [math.inf, -math.inf] and ends.snr.tolist() == [math.inf, 0]
    values = torch.tensor([-20.0, -1, 0, 3, 20], dtype=F64)
    torch.testing.assert_close(Marginal.from_log_snr(values).log_snr, values)
    torch.testing.assert_close(Marginal.from_ratio(torch.exp(-values / 2)).log_snr, values)


@given(st.lists(st.floats(-12, 12), min_size=3, max_size=3, unique=True))
@settings(max_examples=50, deadline=None)
def test_kernels_compose(log_snrs):
    """q(x_u | x_s) = q(x_u | x_t) after q(x_t | x_s), and from s = 0 the kernel is the marginal itself."""
    s, t, u = (marginal(value) for value in sorted(log_snrs, reverse=True))
    both, whole = kernel(s, t).then(kernel(t, u)), kernel(s, u)
    torch.testing.assert_close(both.scale, whole.scale, rtol=1e-9, atol=0)
    torch.testing.assert_close(both.std, whole.std, rtol=1e-7, atol=1e-9)
    clean = Marginal(torch.ones((), dtype=F64), torch.zeros((), dtype=F64))
    torch.testing.assert_close((kernel(clean, u).scale, kernel(clean, u).std), (u.alpha, u.sigma))


def test_a_walk_of_single_steps_has_the_moments_of_the_jump():
    """40,000 walks of 20 steps written out with betas; mean and variance within 5 standard errors of alpha, sigma."""
    betas, n = torch.linspace(0.01, 0.2, 20, dtype=F64), 40_000
    x = torch.full((n,), 0.8, dtype=F64)
    generator = torch.Generator().manual_seed(1)
    for beta in betas:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn(n, generator=generator, dtype=F64)
    end = Table.from_betas(betas)(20.0)
    assert abs(x.mean() - 0.8 * end.alpha) < 5 * end.sigma / math.sqrt(n)
    assert abs(x.var() - end.sigma**2) < 5 * end.sigma**2 * math.sqrt(2 / n)
    between = kernel(Table.from_betas(betas)(19.0), end)
    torch.testing.assert_close(between.std**2, betas[-1])
    torch.testing.assert_close(between.scale**2, 1 - betas[-1])


def test_kernels_run_from_earlier_to_later_only():
    with pytest.raises(ValueError, match="expected s <= t"):
        kernel(marginal(-1.0), marginal(1.0))
    with pytest.raises(ValueError, match="alpha = 0"):
        kernel(Cosine()(1.0), Cosine()(1.0))
    with pytest.raises(ValueError, match="sigma = 0"):
        bridge_weights(Cosine()(0.0), Cosine()(0.0))


def test_kernels_of_close_single_precision_times_are_not_mistaken_for_reversed_ones():
    s = torch.rand(5000, generator=torch.Generator().manual_seed(0)) * 0.99 + 0.005
    for schedule in (Linear(), Cosine(), Sigmoid()):
        assert kernel(schedule(s), schedule(torch.nextafter(s, torch.ones(())))).std.isfinite().all()


@pytest.mark.parametrize(("early", "late"), [(3.0, -1.0), (0.5, 0.1), (8.0, -8.0)])
def test_bridge_is_bayes_rule_on_a_grid(early, late):
    """q(x_s | x_t, x_0) against the normalised product q(x_t | x_s) q(x_s | x_0) on a fine grid: no shared algebra."""
    s, t, x_0, x_t = marginal(early), marginal(late), 0.7, -0.4
    found = bridge(s, t, torch.tensor([x_0], dtype=F64), torch.tensor([x_t], dtype=F64))
    r = t.alpha / s.alpha
    v = t.sigma**2 - r**2 * s.sigma**2
    grid = torch.linspace(-6, 6, 60_001, dtype=F64)
    log = -0.5 * (x_t - r * grid) ** 2 / v - 0.5 * (grid - s.alpha * x_0) ** 2 / s.sigma**2
    weight = torch.softmax(log, 0)
    mean = (weight * grid).sum()
    torch.testing.assert_close(found.mean[0], mean, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.std**2, (weight * (grid - mean) ** 2).sum(), rtol=1e-6, atol=0)


def test_bridge_is_conditioning_of_notebook_02():
    """x_s given x_0 is a prior, x_t = r x_s + noise an observation of it, through `gaussian.condition`."""
    s, t = Linear()(0.3), Linear()(0.8)
    x_0, x_t = draw(4, seed=1), draw(4, seed=2)
    step = kernel(s, t)
    eye = torch.eye(4, dtype=F64)
    posterior = condition(Gaussian.spherical(s.alpha * x_0, float(s.sigma)), x_t, step.std**2 * eye, step.scale * eye)
    found = bridge(s, t, x_0[None], x_t[None])
    torch.testing.assert_close(found.mean[0], posterior.mean)
    torch.testing.assert_close(found.std**2 * eye, posterior.cov)


def test_the_bridge_ends_in_the_clean_image_without_noise():
    x_0, x_t = draw(2, 1, 3, 3, seed=1), draw(2, 1, 3, 3, seed=2)
    end = bridge(Linear()(0.0), Linear()(0.4), x_0, x_t)
    torch.testing.assert_close(end.mean, x_0)
    assert float(end.std) == 0


@pytest.mark.parametrize("batch", [1, 28])
def test_jump_and_bridge_treat_each_sample_by_its_own_time_when_batch_equals_width(batch):
    x_0, x_t = draw(batch, 1, 28, 28, seed=1), draw(batch, 1, 28, 28, seed=2)
    s, t = torch.linspace(0.05, 0.4, batch, dtype=F64), torch.linspace(0.5, 1.0, batch, dtype=F64)
    jumped, bridged = jump(x_0, Linear()(t), x_t), bridge(Linear()(s), Linear()(t), x_0, x_t)
    for i in range(batch):
        one = slice(i, i + 1)
        torch.testing.assert_close(jumped[one], jump(x_0[one], Linear()(float(t[i])), x_t[one]))
        alone = bridge(Linear()(float(s[i])), Linear()(float(t[i])), x_0[one], x_t[one])
        torch.testing.assert_close(bridged.mean[one], alone.mean)
        torch.testing.assert_close(bridged.std[i], alone.std)


def test_jump_refuses_noise_of_another_shape():
    with pytest.raises(ValueError, match=r"\(3,\), the images have \(2, 3\)"):
        jump(torch.zeros(2, 3), Linear()(0.5), torch.zeros(3))


def test_reverse_std_knows_its_names():
    s, t = Linear()(0.3), Linear()(0.8)
    torch.testing.assert_close(reverse_std("beta", s, t), kernel(s, t).std)
    torch.testing.assert_close(reverse_std("bridge", s, t), kernel(s, t).std * s.sigma / t.sigma)
    assert reverse_std(lambda a, b: a.sigma * b.sigma, s, t) == s.sigma * t.sigma
    assert reverse_std(torch.tensor(0.5), s, t) == 0.5
    with pytest.raises(ValueError, match="'tilde'"):
        reverse_std("tilde", s, t)


def test_tables_multiply_gammas():
    gammas = torch.tensor([0.9, 0.5, 0.8], dtype=F64)
    table = Table.from_gammas(gammas)
    torch.testing.assert_close(table.alpha, torch.tensor([1, 0.9, 0.45, 0.36], dtype=F64))
    torch.testing.assert_close(table.betas, 1 - gammas**2)


def test_a_table_is_read_at_whole_times_only_and_its_last_row_is_the_end():
    table = Table.of(Linear(), 10)
    assert table.end == 10 and float(table(10).alpha) == float(table.alpha[-1])
    torch.testing.assert_close(table(torch.tensor([0, 3, 10])).alpha, table.alpha[[0, 3, 10]])
    with pytest.raises(ValueError, match="whole times only, got 2.5"):
        table(2.5)
    for outside in (-1, 11, math.nan):
        with pytest.raises(ValueError, match="outside"):
            table(outside)


@pytest.mark.parametrize("n", [1, 3, 7, 50, 333, 1000])
def test_times_of_a_table_are_whole_and_fall_from_its_end_to_zero(n):
    times = Table.of(Linear(), 1000).times(n)
    assert len(times) == n + 1 and times[0] == 1000 and times[-1] == 0
    assert (times == times.round()).all() and (times.diff() < 0).all()


def test_bad_tables_are_refused_by_value():
    for build, message in [
        (lambda: Table.from_betas(torch.tensor([0.1, 1.5])), "got 1.5"),
        (lambda: Table.from_gammas(torch.tensor([0.9, -0.5])), "got -0.5"),
        (lambda: Table(torch.ones(3), torch.ones(3)), "row 0 must be clean"),
        (lambda: Table(torch.ones(3), torch.ones(2)), "T \\+ 1 rows"),
        (lambda: Table.of(Linear(), 10).times(11), "cannot be walked in 11"),
        (lambda: Linear()(1.5), "time 1.5 is outside"),
        (lambda: uniform_times(Linear(), 0), "at least 1 step, got 0"),
        (lambda: karras_times(Linear(), 0), "at least 1 step, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            build()


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), VarianceExploding()])
@pytest.mark.parametrize("n", [1, 2, 18])
def test_spacings_fall_from_the_end_to_zero(schedule, n):
    for times in (uniform_times(schedule, n), log_snr_times(schedule, n), karras_times(schedule, n)):
        assert len(times) == n + 1 and times[0] == 1 and times[-1] == 0
        assert (times.diff() < 0).all()


def test_spacings_are_even_in_what_they_promise():
    log_snr = Cosine()(log_snr_times(Cosine(), 12)).log_snr[1:-1]
    torch.testing.assert_close(log_snr.diff(), torch.full((10,), 18 / 11, dtype=F64))
    root = VarianceExploding()(karras_times(VarianceExploding(), 12)).ratio[:-1] ** (1 / 7)
    torch.testing.assert_close(root.diff(), (root[-1] - root[0]).expand(11) / 11)
    assert float(root[0] ** 7) == pytest.approx(80) and float(root[-1] ** 7) == pytest.approx(0.02)


def test_a_walk_of_impulses_holds_every_noise_s_coefficient():
    """Against products written out: what injection i became by time t is std_i times all later scales."""
    gammas = torch.tensor([0.9, 0.5, 0.8], dtype=F64)
    seen = noising_path(torch.zeros(3, dtype=F64), Table.from_gammas(gammas), torch.eye(3, dtype=F64))
    for t in range(4):
        for i in range(3):
            expected = math.sqrt(1 - gammas[i] ** 2) * math.prod(gammas[i + 1 : t].tolist()) if i < t else 0.0
            assert float(seen[t, i]) == pytest.approx(expected, abs=1e-12)


def test_a_walk_has_the_marginals_of_its_table_and_the_correlations_of_a_chain():
    table = Table.of(Linear(), 12)
    noise = draw(12, 40_000, seed=5)
    path = noising_path(torch.full((40_000,), 0.7, dtype=F64), table, noise)
    centred = path - 0.7 * table.alpha[:, None]
    assert float((centred.mean(1)).abs().max()) < 4 / math.sqrt(40_000)
    assert centred[1:].std(1) == pytest.approx(table.sigma[1:], rel=0.02)
    s, t = 5, 11
    expected = table.alpha[t] / table.alpha[s] * table.sigma[s] / table.sigma[t]
    correlation = torch.corrcoef(torch.stack([centred[s], centred[t]]))[0, 1]
    assert float(correlation) == pytest.approx(float(expected), abs=4 / math.sqrt(40_000))


def test_a_walk_without_a_noise_for_each_step_is_refused():
    with pytest.raises(ValueError, match="a path of 4 steps"):
        noising_path(torch.zeros(2), Table.of(Linear(), 4), torch.zeros(3, 2))


def test_the_clean_row_s_sigma_is_zero_without_a_minus_sign():
    for table in (Table.from_betas(linear_betas(10)), Table.from_gammas(torch.ones(3, dtype=F64))):
        assert not bool(torch.signbit(table.sigma).any())
