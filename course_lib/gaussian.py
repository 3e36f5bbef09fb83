"""Gaussians as affine maps of standard noise, and the two shapes of them that diffusion on images needs.

A `Gaussian` is x = A e + m with e ~ N(0, I). Images never need a full covariance matrix: every
noising kernel and every bridge is `Isotropic`, a mean image plus one standard deviation, and `per_sample` is the only
place in the course where a number per sample meets the dimensions of an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


def check_floating(x: Tensor) -> None:
    """Raises ValueError where `x` holds whole numbers, to which every alpha would be rounded."""
    if not x.is_floating_point():
        raise ValueError(f"expected floating-point numbers, such as images in [-1, 1], got {x.dtype}")


def per_sample(value: Tensor | float, like: Tensor) -> Tensor:
    """`value`, () or (B,), shaped and typed so that it multiplies `like`, (B, ...), sample by sample.

    Returns () or (B, 1, ..., 1) in the dtype and on the device of `like`. A vector is never matched against the last
    dimension, which is what plain broadcasting would do and which stays silent where B equals the width of the image.
    Raises ValueError where `value` has more than one dimension or its length is not B, and where `like` holds whole
    numbers, to which `value` would be rounded.
    """
    check_floating(like)
    value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if value.ndim == 0:
        return value
    if value.ndim > 1 or like.ndim == 0 or len(value) not in (1, len(like)):
        raise ValueError(
            f"expected one number or one per sample, got shape {tuple(value.shape)} for {tuple(like.shape)}"
        )
    return value.reshape(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class Isotropic:
    """N(mean, std**2 I): `mean` (B, ...), `std` () or (B,)."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std * noise, for standard normal `noise` of the shape of `mean`."""
        return self.mean + per_sample(self.std, self.mean) * noise

    def log_density(self, x: Tensor) -> Tensor:
        """log N(x; mean, std**2 I) in nats, (B,), summed over all dimensions but the first. ValueError at std = 0."""
        std = _above_zero(per_sample(self.std, self.mean), "a density")
        terms = -0.5 * ((x - self.mean) / std) ** 2 - torch.log(std) - 0.5 * math.log(2 * math.pi)
        return terms.flatten(1).sum(1)

    def kl(self, other: Isotropic) -> Tensor:
        """KL(self || other) in nats, (B,), summed over all dimensions but the first.

        Per dimension: log(b / a) + (a**2 + (m - n)**2) / (2 b**2) - 1/2 for N(m, a**2) against N(n, b**2).
        +inf where a = 0; ValueError where b = 0.
        """
        a = per_sample(self.std, self.mean)
        b = _above_zero(per_sample(other.std, self.mean), "the second argument of a KL divergence")
        terms = torch.log(b / a) + (a**2 + (self.mean - other.mean) ** 2) / (2 * b**2) - 0.5
        return terms.expand_as(self.mean).flatten(1).sum(1)


def _above_zero(std: Tensor, what: str) -> Tensor:
    if not bool((std > 0).all()):
        raise ValueError(f"{what} needs a standard deviation above 0, got {std.min().item():g}")
    return std


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


@dataclass(frozen=True)
class Gaussian:
    """The law of x = map e + translation with e ~ N(0, I): `map` (d, k), `translation` (d,).

    Many maps make the same law (any map @ rotation does); `mean` and `cov` are its unique name.
    """

    map: Tensor
    translation: Tensor

    def __post_init__(self) -> None:
        if self.map.ndim != 2 or self.translation.shape != self.map.shape[:1]:
            shapes = f"{tuple(self.map.shape)} and {tuple(self.translation.shape)}"
            raise ValueError(f"expected a map (d, k) and a translation (d,), got {shapes}")

    @classmethod
    def from_moments(cls, mean: Tensor, cov: Tensor) -> Gaussian:
        """N(mean, cov): `mean` (d,), `cov` (d, d), which may be singular."""
        return cls(sqrt_covariance(cov), mean)

    @classmethod
    def spherical(cls, mean: Tensor, std: float) -> Gaussian:
        """N(mean, std**2 I), `mean` (d,)."""
        return cls(std * torch.eye(len(mean), dtype=mean.dtype, device=mean.device), mean)

    @property
    def dim(self) -> int:
        """d, the dimension of x."""
        return len(self.translation)

    @property
    def mean(self) -> Tensor:
        """E[x] = translation, (d,)."""
        return self.translation

    @property
    def cov(self) -> Tensor:
        """E[(x - mean)(x - mean)^T] = map map^T, (d, d)."""
        return self.map @ self.map.T

    def sample(self, noise: Tensor) -> Tensor:
        """map e + translation for each e of the standard normal `noise`, (..., k) -> (..., d)."""
        return noise @ self.map.T + self.translation

    def log_density(self, x: Tensor) -> Tensor:
        """log density at `x` (..., d), in nats, (...). Raises ValueError where the covariance is singular."""
        values, vectors = _full_rank(self.cov, "a density")
        along = (x - self.mean) @ vectors  # coordinates along the axes of the ellipsoid
        return -0.5 * (along**2 / values + torch.log(2 * math.pi * values)).sum(-1)


def _eigen(cov: Tensor) -> tuple[Tensor, Tensor, float]:
    """Eigenvalues (rising) and eigenvectors of a covariance, and the size below which an eigenvalue is rounding
    error.
    """
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1]:
        raise ValueError(f"a covariance is a square matrix, got shape {tuple(cov.shape)}")
    tolerance = 10 * len(cov) * torch.finfo(cov.dtype).eps * max(float(cov.abs().max()), torch.finfo(cov.dtype).tiny)
    if bool(((cov - cov.T).abs() > tolerance).any()):
        raise ValueError(f"a covariance is symmetric, got entries that differ by {float((cov - cov.T).abs().max()):g}")
    values, vectors = torch.linalg.eigh(cov)
    if float(values[0]) < -tolerance:
        raise ValueError(f"a covariance has no negative eigenvalue, got {float(values[0]):g}")
    return values, vectors, tolerance


def _full_rank(cov: Tensor, what: str) -> tuple[Tensor, Tensor]:
    values, vectors, tolerance = _eigen(cov)
    if float(values[0]) <= tolerance:
        raise ValueError(
            f"{what} needs a covariance of full rank; here the smallest eigenvalue is {float(values[0]):g}"
        )
    return values, vectors


def sqrt_covariance(cov: Tensor) -> Tensor:
    """The symmetric A, (d, d), with A A^T = `cov`; singular covariances too, where Cholesky's factor does not exist.

    Eigenvalues keep their axes and are replaced by their roots. Raises ValueError where `cov` is not symmetric or has a
    negative eigenvalue.
    """
    values, vectors, _ = _eigen(cov)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def compose(A: Tensor, m: Tensor, x: Gaussian) -> Gaussian:
    """The law of A x + m: the map A @ x.map, the translation A @ x.translation + m.

    `A` (n, d), `m` (n,). Raises ValueError where A does not fit x.
    """
    if A.ndim != 2 or A.shape[1] != x.dim:
        raise ValueError(
            f"expected a matrix of {x.dim} columns for a Gaussian of dimension {x.dim}, got {tuple(A.shape)}"
        )
    return Gaussian(A @ x.map, A @ x.translation + m)


def add(x: Gaussian, y: Gaussian) -> Gaussian:
    """The law of the sum of independent draws from `x` and `y`, both on R^d: means and covariances add.

    Side by side, the two noises are one: A e + B e' = [A B][e; e'], so the map is (d, k + k'). It is not the law of a
    draw
    from either one (a mixture). Raises ValueError where the dimensions differ.
    """
    if x.dim != y.dim:
        raise ValueError(f"cannot add Gaussians of dimension {x.dim} and {y.dim}")
    return Gaussian(torch.cat([x.map, y.map], dim=1), x.translation + y.translation)


def chain(x: Gaussian, A: Tensor, noise_cov: Tensor) -> Gaussian:
    """The law of y = A x + noise, noise ~ N(0, noise_cov): a draw from `x` becomes, scaled by `A`, the next mean.

    `A` (n, d), `noise_cov` (n, n). The integral of p(y | x) p(x) over x, in one line.
    """
    zero = torch.zeros(len(noise_cov), dtype=x.mean.dtype, device=x.mean.device)
    return add(compose(A, zero, x), Gaussian.from_moments(zero, noise_cov))


def condition(prior: Gaussian, observation: Tensor, noise_cov: Tensor, observe: Tensor | None = None) -> Gaussian:
    """The law of x ~ `prior` once y = H x + noise, noise ~ N(0, noise_cov), is seen to be `observation` (n,).

    With the gain G = C H^T (H C H^T + Q)^-1, C the prior's covariance and Q `noise_cov`: the mean is
    mean + G (y - H mean), the covariance (I - G H) C. The map is that of the residual, (I - G H)(x - mean) - G noise:
    what remains of prior and noise once what y explains is taken away. `observe` is H, (n, d); None: the identity.
    Raises ValueError where some direction of y has neither spread nor noise.
    """
    H = torch.eye(prior.dim, dtype=prior.mean.dtype, device=prior.mean.device) if observe is None else observe
    values, vectors = _full_rank(H @ prior.cov @ H.T + noise_cov, "what is observed")
    gain = prior.cov @ H.T @ (vectors / values) @ vectors.T
    mean = prior.mean + gain @ (observation - H @ prior.mean)
    kept = torch.eye(prior.dim, dtype=mean.dtype, device=mean.device) - gain @ H
    return Gaussian(torch.cat([kept @ prior.map, -gain @ sqrt_covariance(noise_cov)], dim=1), mean)


def kl(p: Gaussian, q: Gaussian) -> Tensor:
    """KL(p || q) in nats, (): the mean over p of log p - log q.

    1/2 [trace(Q^-1 P) - d + (m_q - m_p)^T Q^-1 (m_q - m_p) + log det Q - log det P]. +inf where p is singular (and q is
    not); ValueError where q is singular or the dimensions differ.
    """
    if p.dim != q.dim:
        raise ValueError(f"cannot compare Gaussians of dimension {p.dim} and {q.dim}")
    values, vectors = _full_rank(q.cov, "the second argument of a KL divergence")
    own, _, tolerance = _eigen(p.cov)
    log_det = torch.log(torch.where(own > tolerance, own, 0.0)).sum()
    spread = (vectors.T @ p.map).square().sum(1) / values  # trace(Q^-1 P), axis by axis
    shift = (vectors.T @ (p.mean - q.mean)) ** 2 / values
    return 0.5 * ((spread + shift - 1 + torch.log(values)).sum() - log_det)
