"""Schedules: alpha and sigma as functions of time, and the two Gaussians that follow from a pair of times.

Every noising process of the course is x_t = alpha_t x_0 + sigma_t eps. A *schedule* maps a time to `Marginal(alpha, sigma)`,
from t = 0 (clean: alpha = 1, sigma = 0) to t = `schedule.end` (noise): 1 for continuous schedules, T for a table of
T + 1 rows. Whatever concerns two times s < t, the kernel q(x_t | x_s) and the bridge q(x_s | x_t, x_0), needs nothing but
their marginals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .gaussian import AffineKernel, Isotropic, per_sample


@dataclass(frozen=True)
class Marginal:
    """alpha, sigma at some time or times: q(x_t | x_0) = N(alpha x_0, sigma**2 I). Each () or (B,)."""

    alpha: Tensor
    sigma: Tensor

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio alpha**2 / sigma**2; +inf where sigma = 0."""
        return (self.alpha / self.sigma) ** 2

    @property
    def log_snr(self) -> Tensor:
        """Log of the signal-to-noise ratio, in nats: +inf where sigma = 0, -inf where alpha = 0."""
        return 2 * (torch.log(self.alpha) - torch.log(self.sigma))

    @property
    def ratio(self) -> Tensor:
        """sigma / alpha, the noise level of Karras et al. 2022; +inf where alpha = 0."""
        return self.sigma / self.alpha

    @classmethod
    def from_log_snr(cls, log_snr: Tensor) -> Marginal:
        """The variance-preserving marginal with this log-SNR: alpha**2 = sigmoid(log_snr)."""
        return cls(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())

    @classmethod
    def from_ratio(cls, ratio: Tensor) -> Marginal:
        """The variance-preserving marginal with sigma / alpha = `ratio`."""
        scale = torch.rsqrt(1 + ratio**2)
        return cls(torch.where(torch.isinf(ratio), 0.0, scale), torch.where(torch.isinf(ratio), 1.0, ratio * scale))


def jump(x_0: Tensor, marginal: Marginal, noise: Tensor) -> Tensor:
    """x_t = alpha_t x_0 + sigma_t noise, straight from the clean images. `x_0`, `noise` (B, ...)."""
    if x_0.shape != noise.shape:
        raise ValueError(f"noise has shape {tuple(noise.shape)}, the images have {tuple(x_0.shape)}")
    return per_sample(marginal.alpha, x_0) * x_0 + per_sample(marginal.sigma, x_0) * noise


def kernel(earlier: Marginal, later: Marginal) -> AffineKernel:
    """q(x_t | x_s) for s < t: x_t = (alpha_t / alpha_s) x_s + sqrt(sigma_t**2 - (alpha_t / alpha_s)**2 sigma_s**2) noise.

    Follows from q(x_t | x_0) at both times by matching means and variances. Raises ValueError where `later` is the less
    noisy one, or where alpha_s = 0.
    """
    if bool((earlier.alpha == 0).any()):
        raise ValueError("no kernel leaves a time with alpha = 0: its image is already forgotten")
    scale = later.alpha / earlier.alpha
    variance = later.sigma**2 - (scale * earlier.sigma) ** 2
    if bool((variance < -1e-9 * later.sigma**2).any()):
        raise ValueError("the earlier marginal is noisier than the later one: expected s <= t")
    return AffineKernel(scale, variance.clamp(min=0).sqrt())


def bridge(earlier: Marginal, later: Marginal, x_0: Tensor, x_t: Tensor) -> Isotropic:
    """q(x_s | x_t, x_0) for s < t: the Gaussian of an intermediate image when both ends are known.

    With r = alpha_t / alpha_s and v = sigma_t**2 - r**2 sigma_s**2, the variance of the kernel from s to t,
    Bayes' rule (notebook 02, conditioning) gives
        mean = (r sigma_s**2 / sigma_t**2) x_t + (alpha_s v / sigma_t**2) x_0,   std = sigma_s sqrt(v) / sigma_t.
    In Ho et al. 2020 (their equations 6 and 7) std**2 is beta-tilde. At sigma_s = 0 it is x_0 exactly, without noise.
    """
    weight_t, weight_0, std = bridge_weights(earlier, later)
    return Isotropic(per_sample(weight_t, x_t) * x_t + per_sample(weight_0, x_0) * x_0, std)


def bridge_weights(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    """The weight of x_t, the weight of x_0 and the standard deviation of `bridge`; each () or (B,)."""
    if bool((later.sigma == 0).any()):
        raise ValueError("no bridge ends in a time with sigma = 0: nothing was noised there")
    step = kernel(earlier, later)
    shrink = earlier.sigma / later.sigma
    return step.scale * shrink**2, earlier.alpha * (step.std / later.sigma) ** 2, shrink * step.std


@dataclass(frozen=True)
class Rates:
    """The SDE of a schedule, dx = drift * x dt + diffusion dW, at some time: f and g of Song et al. 2021. Each () or (B,)."""

    drift: Tensor
    diffusion: Tensor


class Schedule(Protocol):
    """What samplers, losses and notebooks ask of a schedule."""

    @property
    def end(self) -> float:
        """The time of the noise: 1 for continuous schedules, T for a table."""
        ...

    def __call__(self, t: Tensor | float) -> Marginal:
        """The marginal at time(s) `t` in [0, end], () or (B,). Raises ValueError outside."""
        ...

    def times(self, n: int) -> Tensor:
        """n + 1 float64 values from `end` down to 0, evenly spaced."""
        ...


def as_times(t: Tensor | float, end: float) -> Tensor:
    """`t` as a floating-point tensor, float64 unless it is one already; ValueError unless all of it lies in [0, end]."""
    t = torch.as_tensor(t)
    t = t if t.is_floating_point() and t.ndim else t.to(torch.float64)
    outside = ~((t >= 0) & (t <= end))
    if bool(outside.any()):
        raise ValueError(f"time {t[outside].flatten()[0].item():g} is outside [0, {end:g}]")
    return t


class Continuous:
    """Base of the schedules on [0, 1]. A subclass gives `_marginal`, `_rates` and `_time_at`."""

    end = 1.0

    def __call__(self, t: Tensor | float) -> Marginal:
        return self._marginal(as_times(t, 1.0))

    def rates(self, t: Tensor | float) -> Rates:
        """Drift d log(alpha)/dt and diffusion sqrt(d sigma**2/dt - 2 drift sigma**2) at time(s) `t`."""
        return self._rates(as_times(t, 1.0))

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """The time at which the log-SNR has this value, float64: the inverse of `self(t).log_snr`, kept within [0, 1]."""
        return self._time_at(torch.as_tensor(log_snr, dtype=torch.float64)).clamp(0, 1)

    def times(self, n: int) -> Tensor:
        return uniform_times(self, n)

    def _marginal(self, t: Tensor) -> Marginal:
        raise NotImplementedError

    def _rates(self, t: Tensor) -> Rates:
        raise NotImplementedError

    def _time_at(self, log_snr: Tensor) -> Tensor:
        raise NotImplementedError


class VariancePreserving(Continuous):
    """alpha**2 + sigma**2 = 1. A subclass gives `_log_alpha`, its derivative `_drift`, and `_time_at`."""

    def _log_alpha(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def _drift(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def _marginal(self, t: Tensor) -> Marginal:
        log_alpha = self._log_alpha(t)
        return Marginal(log_alpha.exp(), torch.sqrt(-torch.expm1(2 * log_alpha)))

    def _rates(self, t: Tensor) -> Rates:
        drift = self._drift(t)
        return Rates(drift, torch.sqrt(-2 * drift))


@dataclass(frozen=True)
class Linear(VariancePreserving):
    """The continuous limit of Ho et al.'s linear betas: beta(t) grows linearly from `beta_min` to `beta_max`.

    log(alpha) = -1/2 integral of beta (Song et al. 2021, "VP-SDE"). With T = 1000 steps, the usual betas 1e-4 .. 0.02
    are beta(t) / T.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def _log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * (self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2)

    def _drift(self, t: Tensor) -> Tensor:
        return -0.5 * (self.beta_min + (self.beta_max - self.beta_min) * t)

    def _time_at(self, log_snr: Tensor) -> Tensor:
        integral = torch.nn.functional.softplus(-log_snr)  # -2 log(alpha)
        slope = self.beta_max - self.beta_min
        return 2 * integral / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * slope * integral))


@dataclass(frozen=True)
class Cosine(VariancePreserving):
    """alpha falls like a cosine (Nichol and Dhariwal 2021), reaching exactly 0 at t = 1: zero terminal SNR.

    alpha(t) = cos(a (t + offset)/(1 + offset)) / cos(a offset/(1 + offset)), a = pi/2. The offset keeps the first steps of
    a table from being too small.
    """

    offset: float = 0.008

    def _angle(self, t: Tensor) -> Tensor:
        return (1 - t) * (math.pi / 2 / (1 + self.offset))  # measured from the noise end, where alpha = sin(0) = 0

    @property
    def _top(self) -> float:
        return math.sin(math.pi / 2 / (1 + self.offset))

    def _log_alpha(self, t: Tensor) -> Tensor:
        return torch.log(torch.sin(self._angle(t)) / self._top).clamp(max=0)

    def _drift(self, t: Tensor) -> Tensor:
        return -(math.pi / 2 / (1 + self.offset)) / torch.tan(self._angle(t))

    def _time_at(self, log_snr: Tensor) -> Tensor:
        alpha = torch.sigmoid(log_snr).sqrt()
        return 1 - torch.arcsin((alpha * self._top).clamp(max=1)) / (math.pi / 2 / (1 + self.offset))


@dataclass(frozen=True)
class Sigmoid(VariancePreserving):
    """alpha**2 falls along a logistic curve between `start` and `stop` (Jabri et al. 2022); zero terminal SNR."""

    start: float = -3.0
    stop: float = 3.0
    temperature: float = 1.0

    def _argument(self, t: Tensor) -> Tensor:
        return (t * (self.stop - self.start) + self.start) / self.temperature

    def _edges(self) -> tuple[float, float]:
        first, last = (1 / (1 + math.exp(-e / self.temperature)) for e in (self.start, self.stop))
        return first, last

    def _log_alpha(self, t: Tensor) -> Tensor:
        first, last = self._edges()
        return 0.5 * torch.log(((last - torch.sigmoid(self._argument(t))) / (last - first)).clamp(0, 1))

    def _drift(self, t: Tensor) -> Tensor:
        _, last = self._edges()
        value = torch.sigmoid(self._argument(t))
        return -0.5 * value * (1 - value) * (self.stop - self.start) / self.temperature / (last - value)

    def _time_at(self, log_snr: Tensor) -> Tensor:
        first, last = self._edges()
        value = last - torch.sigmoid(log_snr) * (last - first)
        return (torch.logit(value) * self.temperature - self.start) / (self.stop - self.start)


@dataclass(frozen=True)
class ConstantGamma(VariancePreserving):
    """The same shrinkage all the time, alpha(t) = exp(-rate t): what gamma**t becomes when steps get small."""

    rate: float = 5.0

    def _log_alpha(self, t: Tensor) -> Tensor:
        return -self.rate * t

    def _drift(self, t: Tensor) -> Tensor:
        return torch.full_like(t, -self.rate)

    def _time_at(self, log_snr: Tensor) -> Tensor:
        return torch.nn.functional.softplus(-log_snr) / (2 * self.rate)


@dataclass(frozen=True)
class VarianceExploding(Continuous):
    """alpha = 1, sigma(t) = sigma_max t: Karras et al.'s schedule with their time running to 1 instead of sigma_max."""

    sigma_max: float = 80.0

    def _marginal(self, t: Tensor) -> Marginal:
        return Marginal(torch.ones_like(t), self.sigma_max * t)

    def _rates(self, t: Tensor) -> Rates:
        return Rates(torch.zeros_like(t), self.sigma_max * torch.sqrt(2 * t))

    def _time_at(self, log_snr: Tensor) -> Tensor:
        return torch.exp(-0.5 * log_snr) / self.sigma_max


@dataclass(frozen=True)
class Straight(Continuous):
    """alpha = 1 - t, sigma = t: the straight paths of flow matching (Lipman et al. 2023). Not variance preserving."""

    def _marginal(self, t: Tensor) -> Marginal:
        return Marginal(1 - t, t)

    def _rates(self, t: Tensor) -> Rates:
        return Rates(-1 / (1 - t), torch.sqrt(2 * t / (1 - t)))

    def _time_at(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-0.5 * log_snr)


@dataclass(frozen=True)
class Truncated(Continuous):
    """`base` stopped where its log-SNR is `log_snr`, and stretched so that this happens at t = 1.

    Keeps alpha above 0 for what must divide by it (eps prediction, the ODE in sigma / alpha). The default, -9, leaves
    alpha = 0.011: an image 90 times weaker than its noise.
    """

    base: Continuous
    log_snr: float = -9.0

    @property
    def stretch(self) -> float:
        """The time of `base` that this schedule calls 1."""
        return float(self.base.time_at(self.log_snr))

    def _marginal(self, t: Tensor) -> Marginal:
        return self.base(t * self.stretch)

    def _rates(self, t: Tensor) -> Rates:
        rates = self.base.rates(t * self.stretch)
        return Rates(rates.drift * self.stretch, rates.diffusion * math.sqrt(self.stretch))

    def _time_at(self, log_snr: Tensor) -> Tensor:
        return self.base.time_at(log_snr) / self.stretch


@dataclass(frozen=True)
class Table:
    """A discrete schedule: `alpha`, `sigma` of shape (T + 1,), float64; row 0 is clean, row T is noise."""

    alpha: Tensor
    sigma: Tensor

    def __post_init__(self) -> None:
        if self.alpha.shape != self.sigma.shape or self.alpha.ndim != 1 or len(self.alpha) < 2:
            raise ValueError(f"expected two tables of T + 1 rows, got {tuple(self.alpha.shape)}, {tuple(self.sigma.shape)}")
        if self.alpha[0] != 1 or self.sigma[0] != 0:
            raise ValueError(f"row 0 must be clean (alpha 1, sigma 0), got {self.alpha[0]:g} and {self.sigma[0]:g}")

    @property
    def end(self) -> float:
        return float(len(self.alpha) - 1)

    def __call__(self, t: Tensor | float) -> Marginal:
        t = as_times(t, self.end)
        index = t.round().long()
        if bool((index != t).any()):
            raise ValueError(f"a table has whole times only, got {t[index != t].flatten()[0].item():g}")
        return Marginal(self.alpha.to(t.device)[index], self.sigma.to(t.device)[index])

    def times(self, n: int) -> Tensor:
        if n > self.end:
            raise ValueError(f"a table of {self.end:g} steps cannot be walked in {n}")
        return uniform_times(self, n).round()

    @property
    def betas(self) -> Tensor:
        """beta_t = 1 - (alpha_t / alpha_{t-1})**2, the variances of the T steps, (T,)."""
        return 1 - (self.alpha[1:] / self.alpha[:-1]) ** 2

    @classmethod
    def of(cls, schedule: Continuous, steps: int) -> Table:
        """`schedule` read at `steps` + 1 even times. This is how betas change with T: they are derived, never rescaled."""
        marginal = schedule(torch.linspace(0, 1, steps + 1, dtype=torch.float64))
        return cls(marginal.alpha, marginal.sigma)

    @classmethod
    def from_betas(cls, betas: Tensor) -> Table:
        """Variance-preserving steps: x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise. `betas` (T,), in [0, 1]."""
        betas = torch.as_tensor(betas, dtype=torch.float64)
        if bool(((betas < 0) | (betas > 1)).any()):
            raise ValueError(f"betas are variances in [0, 1], got {betas[(betas < 0) | (betas > 1)][0]:g}")
        log_alpha = torch.cat([torch.zeros(1, dtype=torch.float64), 0.5 * torch.log1p(-betas).cumsum(0)])
        return cls(log_alpha.exp(), torch.sqrt(-torch.expm1(2 * log_alpha)))

    @classmethod
    def from_gammas(cls, gammas: Tensor) -> Table:
        """Variance-preserving steps: x_t = gamma_t x_{t-1} + sqrt(1 - gamma_t**2) noise. `gammas` (T,), in [0, 1]."""
        return cls.from_betas(1 - torch.as_tensor(gammas, dtype=torch.float64) ** 2)

    @classmethod
    def from_steps(cls, stds: Tensor) -> Table:
        """Variance-exploding steps: x_t = x_{t-1} + std_t noise, so sigma_t**2 is the running sum of squares. `stds` (T,)."""
        variance = torch.as_tensor(stds, dtype=torch.float64).square().cumsum(0)
        sigma = torch.cat([torch.zeros(1, dtype=torch.float64), variance.sqrt()])
        return cls(torch.ones_like(sigma), sigma)


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Ho et al.'s table of betas, (T,). Made for T = 1000; with fewer steps it does not end in noise (see `Table.of`)."""
    return torch.linspace(first, last, steps, dtype=torch.float64)


def uniform_times(schedule: Schedule, n: int) -> Tensor:
    """n + 1 evenly spaced times from `schedule.end` down to 0, float64."""
    if n < 1:
        raise ValueError(f"expected at least 1 step, got {n}")
    return torch.linspace(schedule.end, 0, n + 1, dtype=torch.float64)


def log_snr_times(schedule: Continuous, n: int, first: float = -9.0, last: float = 9.0) -> Tensor:
    """n + 1 times whose log-SNR runs evenly from that of t = 1 (or `first`, where that is lower) to `last`, then t = 0."""
    start = max(float(schedule(1.0).log_snr), first)
    inner = schedule.time_at(torch.linspace(start, last, max(n, 1), dtype=torch.float64))
    return _with_ends(schedule, inner, n)


def karras_times(schedule: Continuous, n: int, largest: float = 80.0, smallest: float = 0.02, rho: float = 7.0) -> Tensor:
    """n + 1 times whose sigma / alpha follows Karras et al. 2022 (equation 5), then t = 0.

    Starts at the ratio of t = 1, or at `largest` where that is higher.
    """
    largest = min(float(schedule(1.0).ratio), largest)
    ramp = torch.linspace(largest ** (1 / rho), smallest ** (1 / rho), max(n, 1), dtype=torch.float64)
    return _with_ends(schedule, schedule.time_at(-2 * rho * torch.log(ramp)), n)


def _with_ends(schedule: Continuous, inner: Tensor, n: int) -> Tensor:
    if n < 1:
        raise ValueError(f"expected at least 1 step, got {n}")
    times = torch.cat([inner, torch.zeros(1, dtype=torch.float64)])
    times[0] = schedule.end
    return times
