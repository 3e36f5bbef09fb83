"""Denoisers that are exactly right: for data of one Gaussian, of a mixture of Gaussians, and for a finite set of
images.

The best denoiser in squared error is the posterior mean E[x_0 | x_t]. Here it is computed, not learned, so that the
error of a sampler or of a bound can be measured with nothing else in the way. All are `parametrization.Denoiser`s.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .gaussian import Mixture, check_floating, per_sample
from .parametrization import Denoiser, Prediction
from .schedule import Marginal, kernel


def gaussian_denoiser(mean: Tensor | float, std: Tensor | float) -> Denoiser:
    """Exact for data N(mean, std**2 I), of any shape. `mean`, `std`: numbers, or tensors of the shape of one sample.

    With v = alpha**2 std**2 + sigma**2, the variance of x_t:
        x0_hat = mean + (alpha std**2 / v) (x_t - alpha mean),   eps_hat = (sigma / v) (x_t - alpha mean).
    """

    def denoise(x_t: Tensor, marginal: Marginal) -> Prediction:
        m, s = (torch.as_tensor(value, dtype=x_t.dtype, device=x_t.device) for value in (mean, std))
        alpha, sigma = per_sample(marginal.alpha, x_t), per_sample(marginal.sigma, x_t)
        variance = alpha**2 * s**2 + sigma**2
        offset = (x_t - alpha * m) / torch.where(variance > 0, variance, torch.ones_like(variance))
        return Prediction(m + alpha * s**2 * offset, sigma * offset)

    return denoise


def gaussian_step_std(std: Tensor | float, earlier: Marginal, later: Marginal) -> Tensor:
    """The standard deviation of q(x_s | x_t) for data N(mean, std**2 I): the best that a reverse step can use, () or
    (B,).

    The kernel's standard deviation times sqrt(v_s / v_t), v = alpha**2 std**2 + sigma**2. It lies between "bridge"
    (std = 0: the data are a point) and, on a VP schedule, "beta" (std = 1). At s = 0 it is the spread of x_0 given x_t.
    """
    std = torch.as_tensor(std, dtype=later.sigma.dtype, device=later.sigma.device)
    before, after = (torch.hypot(marginal.alpha * std, marginal.sigma) for marginal in (earlier, later))
    return kernel(earlier, later).std * before / after


def mixture_denoiser(mixture: Mixture) -> Denoiser:
    """Exact for data of a `gaussian.Mixture`: each component's own posterior mean, weighted by its probability given
    x_t.

    Components may be single points (std 0) wherever sigma > 0. Memory is B x K x dimension.
    """

    def denoise(x_t: Tensor, marginal: Marginal) -> Prediction:
        probability = torch.softmax(mixture.log_joint(x_t, marginal), dim=1)  # (B, K)
        scaled = (probability / mixture.variances(x_t, marginal)).reshape(len(x_t), -1, *[1] * (x_t.ndim - 1))
        weighted = scaled * mixture.offsets(x_t, marginal)  # (B, K, ...)
        gain = per_sample(mixture.stds**2, mixture.means).to(x_t)
        component_means = torch.einsum("bk,k...->b...", probability, mixture.means.to(x_t))
        x0 = component_means + per_sample(marginal.alpha, x_t) * (gain * weighted).sum(1)
        return Prediction(x0, per_sample(marginal.sigma, x_t) * weighted.sum(1))

    return denoise


def mixture_score(mixture: Mixture, x_t: Tensor, marginal: Marginal) -> Tensor:
    """The gradient of log p_t at `x_t` (B, ...) for data of `mixture`: sum over k of r_k (alpha m_k - x_t) / v_k."""
    probability = torch.softmax(mixture.log_joint(x_t, marginal), dim=1)
    scaled = (probability / mixture.variances(x_t, marginal)).reshape(len(x_t), -1, *[1] * (x_t.ndim - 1))
    return -(scaled * mixture.offsets(x_t, marginal)).sum(1)


def empirical_weights(images: Tensor, x_t: Tensor, marginal: Marginal) -> Tensor:
    """Probability that `x_t` (B, ...) came from each of `images` (N, ...), all equally likely before: (B, N), float64.

    A softmax of -|x_t - alpha x_n|**2 / (2 sigma**2). |x_t|**2 is common to all n and left out, which saves the
    differences (B x N x pixels of memory); float64 keeps what remains exact. Where sigma = 0 the nearest image gets all
    the weight.
    """
    points, references = x_t.flatten(1).double(), images.flatten(1).double()
    alpha = per_sample(marginal.alpha, points)
    sigma = per_sample(marginal.sigma, points).clamp(min=1e-12)
    closeness = alpha * (points @ references.T) - 0.5 * alpha**2 * references.square().sum(1)
    return torch.softmax(closeness / sigma**2, dim=1)


def empirical_denoiser(images: Tensor, chunk: int = 256) -> Denoiser:
    """Exact for data that are just `images`, (N, ...): the average of the images, weighted by `empirical_weights`.

    A perfectly trained network of unlimited capacity would be this, and would sample nothing but `images`. Works
    through the batch in chunks of `chunk`, in float64; answers in the dtype of x_t. Raises ValueError where shapes do
    not match.
    """
    references = images.flatten(1).double()

    def denoise(x_t: Tensor, marginal: Marginal) -> Prediction:
        check_floating(x_t)
        if x_t.shape[1:] != images.shape[1:]:
            raise ValueError(f"expected samples of shape {tuple(images.shape[1:])}, got {tuple(x_t.shape[1:])}")
        alpha, sigma = (value.expand(len(x_t)).split(chunk) for value in (marginal.alpha, marginal.sigma))
        parts = [
            empirical_weights(references, part, Marginal(a, s)) @ references
            for part, a, s in zip(x_t.split(chunk), alpha, sigma, strict=True)
        ]
        x0 = torch.cat(parts).reshape(x_t.shape)
        prediction = Prediction.from_x0(x0, x_t.double(), marginal)
        return Prediction(x0.to(x_t.dtype), prediction.eps.to(x_t.dtype))

    return denoise
