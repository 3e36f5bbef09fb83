"""alpha and sigma at one time, what a schedule is, and the two Gaussians that follow from a pair of times.

Every noising process of the course is x_t = alpha_t x_0 + sigma_t eps. Whatever concerns two times s < t, the kernel
q(x_t | x_s) and the bridge q(x_s | x_t, x_0), needs nothing but their `Marginal`s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..gaussian import AffineKernel, Isotropic, per_sample


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

    @property
    def norm(self) -> Tensor:
        """sqrt(alpha**2 + sigma**2): 1 where the variance is preserved."""
        return torch.hypot(self.alpha, self.sigma)

    @classmethod
    def from_log_snr(cls, log_snr: Tensor) -> Marginal:
        """The variance-preserving marginal with this log-SNR: alpha**2 = sigmoid(log_snr)."""
        return cls(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())

    @classmethod
    def from_ratio(cls, ratio: Tensor) -> Marginal:
        """The variance-preserving marginal with sigma / alpha = `ratio`."""
        scale = torch.rsqrt(1 + ratio**2)
        return cls(torch.where(torch.isinf(ratio), 0.0, scale), torch.where(torch.isinf(ratio), 1.0, ratio * scale))


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


class Invertible(Schedule, Protocol):
    """A schedule that also knows when a log-SNR is reached: the continuous ones."""

    def time_at(self, log_snr: Tensor | float) -> Tensor:
        """The time at which the log-SNR has this value."""
        ...


def jump(x_0: Tensor, marginal: Marginal, noise: Tensor) -> Tensor:
    """x_t = alpha_t x_0 + sigma_t noise, straight from the clean images. `x_0`, `noise` (B, ...)."""
    if x_0.shape != noise.shape:
        raise ValueError(f"noise has shape {tuple(noise.shape)}, the images have {tuple(x_0.shape)}")
    return per_sample(marginal.alpha, x_0) * x_0 + per_sample(marginal.sigma, x_0) * noise


def kernel(earlier: Marginal, later: Marginal) -> AffineKernel:
    """q(x_t | x_s) for s < t: x_t = r x_s + sqrt(sigma_t**2 - r**2 sigma_s**2) noise, with r = alpha_t / alpha_s.

    Follows from q(x_t | x_0) at both times by matching means and variances. Raises ValueError where `later` is the less
    noisy one, or where alpha_s = 0.
    """
    if bool((earlier.alpha == 0).any()):
        raise ValueError("no kernel leaves a time with alpha = 0: its image is already forgotten")
    scale = later.alpha / earlier.alpha
    variance = later.sigma**2 - (scale * earlier.sigma) ** 2
    if bool((variance < -32 * torch.finfo(variance.dtype).eps * later.sigma**2).any()):
        raise ValueError("the earlier marginal is noisier than the later one: expected s <= t")
    return AffineKernel(scale, variance.clamp(min=0).sqrt())


def bridge(earlier: Marginal, later: Marginal, x_0: Tensor, x_t: Tensor) -> Isotropic:
    """q(x_s | x_t, x_0) for s < t: the Gaussian of an intermediate image when both ends are known.

    With r = alpha_t / alpha_s and v = sigma_t**2 - r**2 sigma_s**2, the variance of the kernel from s to t,
    Bayes' rule for Gaussians (`gaussian.condition`) gives
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


StepStd = str | Tensor | Callable[[Marginal, Marginal], Tensor]
"""The standard deviation of a model's reverse step: "bridge", "beta", numbers, or a function of (earlier, later)."""


def reverse_std(step_std: StepStd, earlier: Marginal, later: Marginal) -> Tensor:
    """The standard deviation that `step_std` stands for, () or (B,).

    "bridge" is that of q(x_s | x_t, x_0), whose square is Ho's beta-tilde: right if the data were a single point.
    "beta" is that of q(x_t | x_s), whose square is beta: right if a VP schedule met standard normal data.
    """
    if isinstance(step_std, Tensor):
        return step_std
    if callable(step_std):
        return step_std(earlier, later)
    if step_std == "bridge":
        return bridge_weights(earlier, later)[2]
    if step_std == "beta":
        return kernel(earlier, later).std
    raise ValueError(f"unknown step_std {step_std!r}: expected 'bridge' (beta-tilde), 'beta', a tensor or a function")
