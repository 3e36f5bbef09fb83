"""Schedules: alpha and sigma as functions of time.

A *schedule* maps a time to its `Marginal(alpha, sigma)`, from t = 0 (clean: alpha = 1, sigma = 0) to t = `schedule.end`
(noise): 1 for continuous schedules, T for a table of T + 1 rows. What follows from the marginals of two times, the
kernel and the bridge, is in `marginal` and can be imported from here too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .marginal import Marginal, StepStd, bridge, bridge_weights, jump, kernel, reverse_std

__all__ = [
    "ConstantGamma",
    "Continuous",
    "Cosine",
    "Linear",
    "Marginal",
    "Rates",
    "Schedule",
    "Sigmoid",
    "StepStd",
    "Straight",
    "Table",
    "Truncated",
    "VarianceExploding",
    "VariancePreserving",
    "bridge",
    "bridge_weights",
    "jump",
    "karras_times",
    "kernel",
    "linear_betas",
    "log_snr_times",
    "reverse_std",
    "uniform_times",
]


@dataclass(frozen=True)
class Rates:
    """The SDE of a schedule at some time, dx = drift * x dt + diffusion dW (Song et al. 2021's f and g). () or (B,)."""

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
    """`t` as a floating-point tensor, float64 unless it is a vector of floats; ValueError where outside [0, end]."""
    t = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
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
        """Drift d log(alpha)/dt and diffusion sqrt(d sigma**2/dt - 2 drift sigma**2) at time(s) `t`.

        Infinite where alpha = 0: an SDE that forgets everything by a fixed time must run ever faster towards it.
        """
        return self._rates(as_times(t, 1.0))

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """The time, float64 in [0, 1], at which the log-SNR has this value: the inverse of `self(t).log_snr`."""
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
    """alpha**2 + sigma**2 = 1. A subclass gives `_log_alpha` (or `_marginal`), its derivative `_drift`, `_time_at`."""

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
        slope = self.beta_max - self.beta_min
        integral = torch.nn.functional.softplus(-log_snr).clamp(max=self.beta_min + slope / 2)  # -2 log(alpha)
        return 2 * integral / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * slope * integral))


@dataclass(frozen=True)
class Cosine(VariancePreserving):
    """alpha falls like a cosine (Nichol and Dhariwal 2021), reaching exactly 0 at t = 1: zero terminal SNR.

    alpha(t) = cos(a (t + offset)/(1 + offset)) / cos(a offset/(1 + offset)), a = pi/2. The offset keeps the first steps
    of a table from being too small.
    """

    offset: float = 0.008

    @property
    def _top(self) -> float:
        """The angle at t = 0, measured from the noise end: alpha(t) = sin(top (1 - t)) / sin(top)."""
        return math.pi / 2 / (1 + self.offset)

    def _marginal(self, t: Tensor) -> Marginal:
        # sin(a)**2 - sin(b)**2 = sin(a + b) sin(a - b): exact at both ends, where 1 - alpha**2 is not
        sine = math.sin(self._top)
        alpha = torch.where(t > 0, torch.sin(self._top * (1 - t)) / sine, 1.0)
        sigma = torch.sqrt(torch.sin(self._top * (2 - t)) * torch.sin(self._top * t)) / sine
        return Marginal(alpha, torch.where(t < 1, sigma, 1.0))

    def _drift(self, t: Tensor) -> Tensor:
        return -self._top / torch.tan(self._top * (1 - t))

    def _time_at(self, log_snr: Tensor) -> Tensor:
        alpha = torch.sigmoid(log_snr).sqrt()
        return 1 - torch.arcsin(alpha * math.sin(self._top)) / self._top


@dataclass(frozen=True)
class Sigmoid(VariancePreserving):
    """alpha**2 falls along a logistic curve between `start` and `stop` (Jabri et al. 2022); zero terminal SNR."""

    start: float = -3.0
    stop: float = 3.0
    temperature: float = 1.0

    def _halves(self, t: Tensor) -> tuple[float, float, float, Tensor]:
        """Half of the logistic's argument at t = 0, at t = 1, their difference, and half of it at `t`."""
        first, last = self.start / self.temperature / 2, self.stop / self.temperature / 2
        return first, last, last - first, first + t * (last - first)

    def _marginal(self, t: Tensor) -> Marginal:
        # logistic(a) - logistic(b) = sinh((a - b) / 2) / (2 cosh(a / 2) cosh(b / 2)): exact at both ends
        first, last, span, now = self._halves(t)
        scale = math.sinh(span) * torch.cosh(now)
        alpha = torch.sqrt(torch.sinh(span * (1 - t)) * math.cosh(first) / scale)
        sigma = torch.sqrt(torch.sinh(span * t) * math.cosh(last) / scale)
        return Marginal(torch.where(t > 0, alpha, 1.0), torch.where(t < 1, sigma, 1.0))

    def _drift(self, t: Tensor) -> Tensor:
        _, last, span, now = self._halves(t)
        return -0.5 * span * math.cosh(last) / (torch.cosh(now) * torch.sinh(span * (1 - t)))

    def _time_at(self, log_snr: Tensor) -> Tensor:
        first, last = (1 / (1 + math.exp(-edge / self.temperature)) for edge in (self.start, self.stop))
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
            raise ValueError(
                f"expected two tables of T + 1 rows, got {tuple(self.alpha.shape)}, {tuple(self.sigma.shape)}"
            )
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
        """beta_t = 1 - (alpha_t / alpha_{t-1})**2, (T,): the variances of the steps of a variance-preserving table."""
        return 1 - (self.alpha[1:] / self.alpha[:-1]) ** 2

    @classmethod
    def of(cls, schedule: Continuous, steps: int) -> Table:
        """`schedule` read at `steps` + 1 even times: betas at any T are derived from alpha(t), never rescaled."""
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
        gammas = torch.as_tensor(gammas, dtype=torch.float64)
        if bool(((gammas < 0) | (gammas > 1)).any()):
            raise ValueError(f"gammas are scales in [0, 1], got {gammas[(gammas < 0) | (gammas > 1)][0]:g}")
        return cls.from_betas(1 - gammas**2)

    @classmethod
    def from_steps(cls, stds: Tensor) -> Table:
        """Variance-exploding steps: x_t = x_{t-1} + std_t noise, so sigma_t**2 is the running sum of squares. `stds`
        (T,).
        """
        variance = torch.as_tensor(stds, dtype=torch.float64).square().cumsum(0)
        sigma = torch.cat([torch.zeros(1, dtype=torch.float64), variance.sqrt()])
        return cls(torch.ones_like(sigma), sigma)


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Ho et al.'s table of betas, (T,). Made for T = 1000; with fewer steps it does not end in noise (see
    `Table.of`).
    """
    return torch.linspace(first, last, steps, dtype=torch.float64)


def uniform_times(schedule: Schedule, n: int) -> Tensor:
    """n + 1 evenly spaced times from `schedule.end` down to 0, float64."""
    if n < 1:
        raise ValueError(f"expected at least 1 step, got {n}")
    return torch.linspace(schedule.end, 0, n + 1, dtype=torch.float64)


def log_snr_times(schedule: Continuous, n: int, first: float = -9.0, last: float = 9.0) -> Tensor:
    """n + 1 times whose log-SNR runs evenly from that of t = 1 (or `first`, where that is lower) to `last`, then t =
    0.
    """
    start = max(float(schedule(1.0).log_snr), first)
    inner = schedule.time_at(torch.linspace(start, last, max(n, 1), dtype=torch.float64))
    return _with_ends(schedule, inner, n)


def karras_times(
    schedule: Continuous, n: int, largest: float = 80.0, smallest: float = 0.02, rho: float = 7.0
) -> Tensor:
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
