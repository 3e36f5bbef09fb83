"""Gaussians as affine maps of standard noise, and the two shapes of them that diffusion on images needs.

Notebook 02 introduces `Gaussian`, x = A e + m with e ~ N(0, I). Images never need a full covariance matrix: every
noising kernel and every bridge is `Isotropic`, a mean image plus one standard deviation, and `per_sample` is the only
place in the course where a number per sample meets the dimensions of an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


def per_sample(value: Tensor | float, like: Tensor) -> Tensor:
    """`value`, () or (B,), shaped and typed so that it multiplies `like`, (B, ...), sample by sample.

    Returns () or (B, 1, ..., 1) in the dtype and on the device of `like`. A vector is never matched against the last
    dimension, which is what plain broadcasting would do and which stays silent where B equals the width of the image.
    Raises ValueError where `value` has more than one dimension or its length is not B.
    """
    value = torch.as_tensor(value)
    if value.ndim == 0:
        return value.to(device=like.device, dtype=like.dtype)
    if value.ndim > 1 or like.ndim == 0 or len(value) not in (1, len(like)):
        raise ValueError(
            f"expected one number or one per sample, got shape {tuple(value.shape)} for {tuple(like.shape)}"
        )
    return value.to(device=like.device, dtype=like.dtype).reshape(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class Isotropic:
    """N(mean, std**2 I): `mean` (B, ...), `std` () or (B,)."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std * noise, for standard normal `noise` of the shape of `mean`."""
        return self.mean + per_sample(self.std, self.mean) * noise

    def log_density(self, x: Tensor) -> Tensor:
        """log N(x; mean, std**2 I) in nats, (B,): summed over all dimensions but the first."""
        std = per_sample(self.std, self.mean)
        terms = -0.5 * ((x - self.mean) / std) ** 2 - torch.log(std) - 0.5 * math.log(2 * math.pi)
        return terms.flatten(1).sum(1)

    def kl(self, other: Isotropic) -> Tensor:
        """KL(self || other) in nats, (B,), summed over all dimensions but the first.

        Per dimension: log(b / a) + (a**2 + (m - n)**2) / (2 b**2) - 1/2 for N(m, a**2) against N(n, b**2).
        """
        a, b = per_sample(self.std, self.mean), per_sample(other.std, self.mean)
        terms = torch.log(b / a) + (a**2 + (self.mean - other.mean) ** 2) / (2 * b**2) - 0.5
        return terms.expand_as(self.mean).flatten(1).sum(1)


@dataclass(frozen=True)
class AffineKernel:
    """x -> N(scale * x, std**2 I): one noising step, or many of them at once. `scale`, `std` () or (B,)."""

    scale: Tensor
    std: Tensor

    def __call__(self, x: Tensor) -> Isotropic:
        return Isotropic(per_sample(self.scale, x) * x, self.std)

    def then(self, later: AffineKernel) -> AffineKernel:
        """This kernel followed by `later`: scales multiply, the first noise is scaled before the second is added."""
        return AffineKernel(later.scale * self.scale, torch.hypot(later.scale * self.std, later.std))


class NoiseLevel(Protocol):
    """A signal scale and a noise standard deviation, each () or (B,): what `schedule.Marginal` holds."""

    @property
    def alpha(self) -> Tensor: ...

    @property
    def sigma(self) -> Tensor: ...


@dataclass(frozen=True)
class Mixture:
    """Draw a component k with probability `weights[k]`, then a point from N(means[k], stds[k]**2 I).

    `weights` (K,) summing to 1, `means` (K, ...), `stds` (K,), where 0 makes a component a single point. Noising keeps
    the family: x_t = alpha x_0 + sigma eps has means alpha m_k and variances alpha**2 s_k**2 + sigma**2.
    """

    weights: Tensor
    means: Tensor
    stds: Tensor

    def __post_init__(self) -> None:
        if not self.weights.shape == self.stds.shape == self.means.shape[:1]:
            shapes = [tuple(value.shape) for value in (self.weights, self.means, self.stds)]
            raise ValueError(
                f"expected weights (K,), means (K, ...), stds (K,), got {shapes[0]}, {shapes[1]}, {shapes[2]}"
            )
        if bool((self.weights < 0).any()) or abs(float(self.weights.sum()) - 1) > 1e-5:
            raise ValueError(f"weights must be at least 0 and sum to 1, got a sum of {float(self.weights.sum()):g}")

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` independent points, (n, ...), in the dtype of `means`."""
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        means = self.means[component]
        noise = torch.randn(means.shape, generator=generator, dtype=means.dtype)
        return Isotropic(means, self.stds[component]).sample(noise)

    def variances(self, x: Tensor, level: NoiseLevel | None = None) -> Tensor:
        """The variance of each noised component, alpha**2 s_k**2 + sigma**2: (K,) or (B, K) for `x` (B, ...)."""
        stds = self.stds.to(x)
        if level is None:
            return stds**2
        row = x.reshape(len(x), -1)
        return per_sample(level.alpha, row) ** 2 * stds**2 + per_sample(level.sigma, row) ** 2

    def offsets(self, x: Tensor, level: NoiseLevel | None = None) -> Tensor:
        """x - alpha m_k, from every noised component's mean to every point, (B, K, ...)."""
        points, means = x[:, None], self.means.to(x)[None]
        return points - (means if level is None else per_sample(level.alpha, points) * means)

    def log_joint(self, x: Tensor, level: NoiseLevel | None = None) -> Tensor:
        """log of weight times density of each component at `x` (B, ...), noised to `level`, in nats, (B, K).

        Its softmax over k is the probability of each component given x. Raises ValueError where a component has
        variance 0 (a point, without noise): it has no density.
        """
        variances = self.variances(x, level)
        if bool((variances <= 0).any()):
            raise ValueError("a component is a single point: it has a density only once noise is added (sigma > 0)")
        offsets = self.offsets(x, level).flatten(2)
        log_normaliser = 0.5 * offsets.shape[-1] * torch.log(2 * math.pi * variances)
        return torch.log(self.weights.to(x)) - log_normaliser - 0.5 * offsets.square().sum(-1) / variances

    def log_density(self, x: Tensor, level: NoiseLevel | None = None) -> Tensor:
        """log density at `x` (B, ...), of the mixture itself or of it noised to `level`, in nats, (B,)."""
        return torch.logsumexp(self.log_joint(x, level), dim=1)
