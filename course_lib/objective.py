"""The losses: simple, weighted, and every term of the evidence lower bound (ELBO).

Terms of the bound are in nats, (B,), summed over an image's dimensions; bits per dimension are reported, never summed.
For times 0 = t_0 < t_1 < ... < t_n = T,
    -log p(x_0) <= KL(q(x_T|x_0) || p(x_T)) + sum of KL(q(x_s|x_t,x_0) || p(x_s|x_t)) - log p(x_0|x_{t_1})
(Sohl-Dickstein et al. 2015; Ho et al. 2020, equation 5), where p(x_s|x_t) is the bridge with x_0 guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .gaussian import Isotropic, per_sample
from .parametrization import Denoiser, Network, Parametrization, log_snr_of
from .schedule import Marginal, StepStd, Table, bridge, jump, reverse_std


def simple(
    network: Network, parametrization: Parametrization, x_0: Tensor, marginal: Marginal, noise: Tensor
) -> Tensor:
    """Mean squared error of the network's raw output against its target, (): Ho et al. 2020, equation 14, for any
    target.

    `x_0`, `noise` (B, ...); `marginal` of the drawn times, () or (B,). Differentiable.
    """
    x_t = jump(x_0, marginal, noise)
    output = network(parametrization.input(x_t, marginal), log_snr_of(marginal, x_t))
    return (output - parametrization.output(x_0, noise, marginal)).square().mean()


def squared_error(denoiser: Denoiser, x_0: Tensor, marginal: Marginal, noise: Tensor) -> Tensor:
    """|x_0 - x0_hat|**2 averaged over the dimensions of each sample, (B,)."""
    x0_hat = denoiser(jump(x_0, marginal, noise), marginal).x0
    return (x0_hat - x_0).square().flatten(1).mean(1)


def weighted(
    denoiser: Denoiser, x_0: Tensor, marginal: Marginal, noise: Tensor, weight: Callable[[Marginal], Tensor]
) -> Tensor:
    """Mean over the batch of weight(marginal) times `squared_error`, (). Differentiable.

    With `Parametrization.error_weight` as the weight it is the `simple` loss of that target.
    """
    return (weight(marginal).to(x_0) * squared_error(denoiser, x_0, marginal, noise)).mean()


def prior_term(x_0: Tensor, last: Marginal, prior: Isotropic | None = None) -> Tensor:
    """KL(q(x_T | x_0) || p(x_T)) in nats, (B,); p(x_T) is N(0, I) unless `prior` says otherwise. `last`: marginal at
    T.
    """
    prior = Isotropic(torch.zeros_like(x_0), torch.ones(())) if prior is None else prior
    return Isotropic(per_sample(last.alpha, x_0) * x_0, last.sigma).kl(prior)


def step_term(
    denoiser: Denoiser, x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal, step_std: StepStd = "bridge"
) -> Tensor:
    """KL(q(x_s | x_t, x_0) || p(x_s | x_t)) in nats, (B,), for 0 < s < t.

    p is the bridge with x0_hat for x_0 and the standard deviation `step_std` (see `schedule.reverse_std`). With
    "bridge" it equals `step_weight` times |x_0 - x0_hat|**2. Raises ValueError where sigma_s = 0: that step is
    `decoder_term`'s.
    """
    if bool((earlier.sigma == 0).any()):
        raise ValueError("the step to s = 0 has no KL term (its bridge has no spread): use decoder_term")
    model_mean = bridge(earlier, later, denoiser(x_t, later).x0, x_t).mean
    model = Isotropic(model_mean, reverse_std(step_std, earlier, later))
    return bridge(earlier, later, x_0, x_t).kl(model)


def step_weight(earlier: Marginal, later: Marginal) -> Tensor:
    """0.5 (snr_s - snr_t), () or (B,): what |x_0 - x0_hat|**2 costs in nats in a step with the bridge's standard
    deviation.

    Kingma et al. 2021, equation 14. +inf where sigma_s = 0.
    """
    return 0.5 * (earlier.snr - later.snr)


def decoder_term(x_0: Tensor, mean: Tensor, std: Tensor | float, levels: int | None = 256) -> Tensor:
    """-log p(x_0) in nats, (B,), for N(mean, std**2 I) collected into `levels` equal bins over [-1, 1].

    Each pixel's bin is centred on its level, the outermost reach to infinity, so probabilities sum to 1 over the levels
    (Ho et al. 2020, equation 13). Works with logarithms of tail areas in float64: finite however far x_0 lies from the
    mean. `levels=None`: the negative log density instead. `std` () or (B,), above 0.
    """
    std = torch.as_tensor(std, dtype=torch.float64)
    if bool((std <= 0).any()):
        raise ValueError(f"the decoder's standard deviation must be above 0, got {std.min().item():g}")
    if levels is None:
        return -Isotropic(mean, std).log_density(x_0)
    if levels < 2:
        raise ValueError(f"expected at least 2 levels, got {levels}")
    x, centre = x_0.double(), mean.double()
    half, scale = 1 / (levels - 1), per_sample(std, centre)
    lower = torch.where(x - half < -1, -math.inf, (x - half - centre) / scale)
    upper = torch.where(x + half > 1, math.inf, (x + half - centre) / scale)
    return -log_area(lower, upper).flatten(1).sum(1).to(mean.dtype)


def log_area(lower: Tensor, upper: Tensor) -> Tensor:
    """log of the standard normal's mass between `lower` < `upper` (may be infinite), without cancellation in the
    tails.
    """
    mirrored = lower > -upper  # a bin right of 0 is its mirror image left of 0, where the areas themselves are small
    low, high = torch.where(mirrored, -upper, lower), torch.where(mirrored, -lower, upper)
    below, whole = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    return whole + torch.log(-torch.expm1(below - whole))


@dataclass(frozen=True)
class Bound:
    """An upper bound on -log p(x_0), term by term, in nats.

    `prior`, `decoder` (B,). `steps` (B, n): KL terms, column by column at `times` (B, n), the later time of each.
    `count` is how many such terms the whole sum has: n where all were computed, more where n of them were drawn at
    random.
    """

    prior: Tensor
    steps: Tensor
    decoder: Tensor
    times: Tensor
    count: int

    @property
    def step_sum(self) -> Tensor:
        """The sum of all KL terms, or its unbiased estimate, (B,)."""
        return self.steps.sum(1) * (self.count / max(self.steps.shape[1], 1))

    @property
    def total(self) -> Tensor:
        """The bound in nats for each image, (B,)."""
        return self.prior + self.step_sum + self.decoder

    def bits_per_dim(self, dims: int) -> Tensor:
        """The bound in bits per dimension, (B,), for images of `dims` numbers."""
        return bits_per_dim(self.total, dims)


def bits_per_dim(nats: Tensor, dims: int) -> Tensor:
    """Nats of a whole image -> bits per dimension: divided by `dims` and by log 2."""
    return nats / (dims * math.log(2))


@torch.no_grad()
def bound(
    denoiser: Denoiser,
    table: Table,
    x_0: Tensor,
    generator: torch.Generator | None = None,
    step_std: StepStd = "bridge",
    steps: int | None = None,
    decoder_std: Tensor | float | None = None,
    levels: int | None = 256,
    prior: Isotropic | None = None,
) -> Bound:
    """The bound on -log p(x_0) for images `x_0` (B, ...), one draw of x_t per term, without gradients.

    steps        None: all T - 1 KL terms (T evaluations); n: that many drawn uniformly for each image, unbiased.
    decoder_std  standard deviation of p(x_0 | x_1); None: that of the first noising step, sigma_1.
    levels       of the pixels, for the discretised decoder; None: a density, for data that are not pixels.
    prior        p(x_T); None: N(0, I).
    """
    last = int(table.end)
    if steps is None or last == 1:
        times = torch.arange(2, last + 1).expand(len(x_0), -1)
    else:
        times = torch.randint(2, last + 1, (len(x_0), steps), generator=generator)

    def noised(marginal: Marginal) -> Tensor:
        noise = torch.randn(x_0.shape, generator=generator, dtype=x_0.dtype).to(x_0.device)
        return jump(x_0, marginal, noise)

    terms = []
    for t in times.T:
        earlier, later = table(t - 1), table(t)
        terms.append(step_term(denoiser, x_0, noised(later), earlier, later, step_std))
    first = table(1)
    mean = denoiser(noised(first), first).x0
    decoder = decoder_term(x_0, mean, first.sigma if decoder_std is None else decoder_std, levels)
    column = torch.stack(terms, dim=1) if terms else x_0.new_zeros(len(x_0), 0)
    return Bound(prior_term(x_0, table(last), prior), column, decoder, times, last - 1)
