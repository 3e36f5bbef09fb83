"""Continuous schedules: alpha and sigma as functions of t in [0, 1], a family with its parameters a class.

Each knows its SDE (`rates`) and the time at which it reaches a log-SNR (`time_at`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .marginal import Marginal
from .times import as_times, uniform_times


@dataclass(frozen=True)
class Rates:
    """The SDE of a schedule at some time, dx = drift * x dt + diffusion dW (Song et al. 2021's f and g). () or (B,)."""

    drift: Tensor
    diffusion: Tensor


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


STANDARD = Truncated(Cosine())
"""The schedule of the shipped digits: the cosine stopped at log-SNR -9 and stretched, so that alpha is nowhere 0."""
