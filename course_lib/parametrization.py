"""What a network predicts, and how that becomes a denoiser.

Given x_t = alpha x_0 + sigma eps, knowing any one of x_0, eps, v = alpha eps - sigma x_0 and score = -eps / sigma tells
the others exactly. A *denoiser* is anything that maps (x_t, marginal) to `Prediction(x0, eps)`; samplers and losses
know nothing else, so a network and a sampler cannot disagree about the schedule. Clipping lives here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .gaussian import per_sample
from .schedule import Marginal


@dataclass(frozen=True)
class Prediction:
    """Two names for one guess about x_t, tied by x_t = alpha x0 + sigma eps. Both have the shape of x_t."""

    x0: Tensor
    eps: Tensor

    @classmethod
    def from_x0(cls, x0: Tensor, x_t: Tensor, marginal: Marginal) -> Prediction:
        """eps = (x_t - alpha x0) / sigma; where sigma = 0 nothing was noised, and eps is 0."""
        alpha, sigma = per_sample(marginal.alpha, x_t), per_sample(marginal.sigma, x_t)
        eps = (x_t - alpha * x0) / torch.where(sigma > 0, sigma, torch.ones_like(sigma))
        return cls(x0, torch.where(sigma > 0, eps, torch.zeros_like(eps)))

    @classmethod
    def from_eps(cls, eps: Tensor, x_t: Tensor, marginal: Marginal) -> Prediction:
        """x0 = (x_t - sigma eps) / alpha. Raises ValueError where alpha = 0: there the noise says nothing about x_0."""
        if bool((marginal.alpha == 0).any()):
            raise ValueError("alpha is 0 (zero terminal SNR): the noise does not determine x_0 here; predict v or x_0")
        alpha, sigma = per_sample(marginal.alpha, x_t), per_sample(marginal.sigma, x_t)
        return cls((x_t - sigma * eps) / alpha, eps)

    @classmethod
    def from_v(cls, v: Tensor, x_t: Tensor, marginal: Marginal) -> Prediction:
        """x0 = (alpha x_t - sigma v) / n, eps = (sigma x_t + alpha v) / n, n = alpha**2 + sigma**2 (1 if VP)."""
        alpha, sigma = per_sample(marginal.alpha, x_t), per_sample(marginal.sigma, x_t)
        norm = alpha**2 + sigma**2
        return cls((alpha * x_t - sigma * v) / norm, (sigma * x_t + alpha * v) / norm)

    @classmethod
    def from_score(cls, score: Tensor, x_t: Tensor, marginal: Marginal) -> Prediction:
        """eps = -sigma score: Tweedie's formula, read backwards."""
        return cls.from_eps(-per_sample(marginal.sigma, x_t) * score, x_t, marginal)

    def v(self, marginal: Marginal) -> Tensor:
        """v = alpha eps - sigma x0 (Salimans and Ho 2022)."""
        return per_sample(marginal.alpha, self.eps) * self.eps - per_sample(marginal.sigma, self.x0) * self.x0

    def score(self, marginal: Marginal) -> Tensor:
        """The gradient of log p_t at x_t, if this prediction is the posterior mean: -eps / sigma."""
        if bool((marginal.sigma == 0).any()):
            raise ValueError("sigma is 0: the score of clean data is not defined by a denoiser")
        return -self.eps / per_sample(marginal.sigma, self.eps)


Denoiser = Callable[[Tensor, Marginal], Prediction]
"""(x_t, marginal) -> a guess about x_t (B, ...): network and sampler cannot disagree about the schedule."""


Network = Callable[[Tensor, Tensor], Tensor]
"""A network of the course: (x, log_snr) -> output of the shape of x (B, ...); `log_snr` is (B,)."""


def clip(prediction: Prediction, x_t: Tensor, marginal: Marginal, low: float = -1.0, high: float = 1.0) -> Prediction:
    """`prediction` with x0 kept in [low, high] and eps recomputed, so that the two still belong to the same x_t."""
    return Prediction.from_x0(prediction.x0.clamp(low, high), x_t, marginal)


@dataclass(frozen=True)
class Preconditioning:
    """x0 = skip x_t + out F(scale x_t, log-SNR): F's input and target have unit variance at every noise level.

    Karras et al. 2022, table 1 (right column: c_skip, c_out, c_in; their c_noise is `log_snr_of`), translated from
    y = x_t / alpha, u = sigma / alpha. Solved for F it is a x_0 + b eps with a = `of_image`, b = `of_noise`. Finite
    everywhere, also where alpha = 0 or sigma = 0; with sigma_data = 1 and a VP schedule F is minus the v prediction.
    Each () or (B,).
    """

    skip: Tensor
    out: Tensor
    scale: Tensor
    of_image: Tensor
    of_noise: Tensor

    @classmethod
    def of(cls, marginal: Marginal, sigma_data: float) -> Preconditioning:
        alpha, sigma = marginal.alpha, marginal.sigma
        total = sigma**2 + (alpha * sigma_data) ** 2  # the variance of a pixel of x_t
        return cls(
            skip=alpha * sigma_data**2 / total,
            out=sigma * sigma_data / torch.sqrt(total),
            scale=1 / torch.sqrt(total),
            of_image=sigma / (sigma_data * torch.sqrt(total)),
            of_noise=-alpha * sigma_data / torch.sqrt(total),
        )


Pair = tuple[Tensor, Tensor]


def _edm(marginal: Marginal, sigma_data: float) -> Pair:
    factors = Preconditioning.of(marginal, sigma_data)
    return factors.of_image, factors.of_noise


# Every target is a x_0 + b eps, one and the same knowledge in four forms: (marginal, sigma_data) -> (a, b).
TARGETS: dict[str, Callable[[Marginal, float], Pair]] = {
    "x0": lambda at, _: (torch.ones_like(at.alpha), torch.zeros_like(at.alpha)),
    "eps": lambda at, _: (torch.zeros_like(at.alpha), torch.ones_like(at.alpha)),
    "v": lambda at, _: (-at.sigma, at.alpha),
    "edm": _edm,
}


@dataclass(frozen=True)
class Parametrization:
    """What a network's output means. `target`: "x0", "eps", "v", or "edm" (preconditioned, with `sigma_data`)."""

    target: str = "edm"
    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"unknown target {self.target!r}: expected one of {', '.join(TARGETS)}")

    def weights(self, marginal: Marginal) -> Pair:
        """(a, b), each () or (B,): the output stands for a x_0 + b eps."""
        return TARGETS[self.target](marginal, self.sigma_data)

    def input(self, x_t: Tensor, marginal: Marginal) -> Tensor:
        """What the network is shown: x_t, rescaled to unit variance for "edm"."""
        if self.target != "edm":
            return x_t
        return per_sample(Preconditioning.of(marginal, self.sigma_data).scale, x_t) * x_t

    def output(self, x_0: Tensor, noise: Tensor, marginal: Marginal) -> Tensor:
        """What a perfect network would answer for x_t = alpha x_0 + sigma noise: the regression target of training."""
        a, b = self.weights(marginal)
        return per_sample(a, x_0) * x_0 + per_sample(b, noise) * noise

    def error_weight(self, marginal: Marginal) -> Tensor:
        """w(t), () or (B,), such that the squared error of the network's output is w(t) |x_0 - x0_hat|**2.

        (a - b alpha / sigma)**2, as an error of x_0 by e is one of eps by -e alpha / sigma: 1 for "x0", snr for "eps",
        snr + 1 for "v" (VP), snr + 1 / sigma_data**2 for "edm"; +inf at sigma = 0 but for "x0".
        """
        a, b = self.weights(marginal)
        return (a - torch.where(b == 0, 0.0, b * marginal.alpha / marginal.sigma)) ** 2

    def prediction(self, output: Tensor, x_t: Tensor, marginal: Marginal) -> Prediction:
        """The prediction that the network's `output` stands for.

        The two equations a x0 + b eps = output and alpha x0 + sigma eps = x_t, solved. Their determinant
        d = a sigma - b alpha is never 0 for "v" and "edm". It is -alpha for "eps": raises ValueError where alpha = 0,
        as there the noise says nothing about x_0. It is sigma for "x0": where that is 0 nothing was noised; eps is 0.
        """
        a, b = self.weights(marginal)
        d = a * marginal.sigma - b * marginal.alpha
        if self.target == "eps" and bool((d == 0).any()):
            raise ValueError("alpha is 0 (zero terminal SNR): the noise does not determine x_0 here; predict v or x_0")
        clean = d == 0
        d = torch.where(clean, 1.0, d)

        def mix(of_x_t: Tensor, of_output: Tensor) -> Tensor:
            return per_sample(of_x_t, x_t) * x_t + per_sample(of_output, output) * output

        x0 = mix(-b / d, torch.where(clean, 1.0, marginal.sigma / d))
        return Prediction(x0, mix(torch.where(clean, 0.0, a / d), torch.where(clean, 0.0, -marginal.alpha / d)))


def log_snr_of(marginal: Marginal, x_t: Tensor) -> Tensor:
    """What a network is told about the noise level of `x_t` (B, ...): its log-SNR, one float32 per sample, (B,)."""
    return marginal.log_snr.to(device=x_t.device, dtype=torch.float32).expand(len(x_t))


def network_denoiser(network: Network, parametrization: Parametrization, clip_x0: bool = False) -> Denoiser:
    """`network` as a denoiser: input scaled, log-SNR told, output translated, x0 clipped to [-1, 1] if asked.

    The marginal may hold one number for the whole batch or one per sample; the network always sees (B,).
    """

    def denoise(x_t: Tensor, marginal: Marginal) -> Prediction:
        output = network(parametrization.input(x_t, marginal), log_snr_of(marginal, x_t)).to(x_t.dtype)
        prediction = parametrization.prediction(output, x_t, marginal)
        return clip(prediction, x_t, marginal) if clip_x0 else prediction

    return denoise
