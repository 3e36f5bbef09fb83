"""Gaussians as affine maps of standard noise, and the two shapes of them that diffusion on images needs.

Notebook 02 introduces `Gaussian`, x = A e + m with e ~ N(0, I). Images never need a full covariance matrix: every noising
kernel and every bridge is `Isotropic`, a mean image plus one standard deviation, and `per_sample` is the only place in the
course where a number per sample meets the dimensions of an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        raise ValueError(f"expected one number or one per sample, got shape {tuple(value.shape)} for {tuple(like.shape)}")
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
        """This kernel followed by `later`: scales multiply, and the first noise is scaled before the second is added."""
        return AffineKernel(later.scale * self.scale, torch.hypot(later.scale * self.std, later.std))
