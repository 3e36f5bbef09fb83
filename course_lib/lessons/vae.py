"""A small variational autoencoder (VAE) on binarised digits: notebook 04 starts from it.

Images here are rows of pixels that are 0 or 1, (B, pixels): a Bernoulli decoder gives such an image a probability, so
that every number below is a true likelihood. All are in nats, per image. Kingma and Welling 2014; Burda et al. 2016
for the bound with several samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Vae(nn.Module):
    """Encoder and decoder with one hidden layer each. z ~ N(0, I), pixels of x independent given z."""

    def __init__(self, pixels: int = 784, hidden: int = 400, latent: int = 2) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, latent), for `x` (B, pixels)."""
        mean, log_var = self.encoder(x).chunk(2, dim=-1)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        """The logits of the pixels, (..., pixels), for `z` (..., latent); their sigmoid is the chance of a 1."""
        return self.decoder(z)


def bernoulli_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x | z) in nats, (...), summed over the last dimension: x log f + (1 - x) log(1 - f), f = sigmoid(logits).

    `x` holds 0s and 1s. Written as x * logit - log(1 + exp(logit)): finite for every logit.
    """
    return (x * logits - F.softplus(logits)).sum(-1)


def kl_to_standard(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, I)) in nats, summed over the last dimension."""
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)


def normal_log_density(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mean, exp(log_var)) in nats, summed over the last dimension."""
    return -0.5 * ((z - mean) ** 2 * torch.exp(-log_var) + log_var + math.log(2 * math.pi)).sum(-1)


@dataclass(frozen=True)
class Elbo:
    """The evidence lower bound of each image, (B,), in nats: `reconstruction` minus `kl`."""

    reconstruction: Tensor
    kl: Tensor

    @property
    def value(self) -> Tensor:
        return self.reconstruction - self.kl


def elbo(vae: Vae, x: Tensor, noise: Tensor) -> Elbo:
    """One-sample estimate of the bound for `x` (B, pixels), with `noise` (B, latent) standard normal."""
    mean, log_var = vae.encode(x)
    z = mean + torch.exp(0.5 * log_var) * noise
    return Elbo(bernoulli_log_likelihood(vae.decode(z), x), kl_to_standard(mean, log_var))


def log_weights(vae: Vae, x: Tensor, noise: Tensor) -> Tensor:
    """log p(x, z) - log q(z | x) in nats, (K, B), for z from q with `noise` (K, B, latent)."""
    mean, log_var = vae.encode(x)
    z = mean + torch.exp(0.5 * log_var) * noise
    prior = normal_log_density(z, torch.zeros_like(z), torch.zeros_like(z))
    return bernoulli_log_likelihood(vae.decode(z), x) + prior - normal_log_density(z, mean, log_var)


def importance_bound(log_joint: Tensor, log_q: Tensor) -> Tensor:
    """log of the mean of K importance weights, (B,), from log p(x, z_k) and log q(z_k | x), each (K, B), in nats.

    K = 1 is the ELBO's estimate; its expectation rises with K towards log p(x) (Burda et al. 2016). A log-sum-exp:
    weights of images lie far below the smallest single-precision number.
    """
    return torch.logsumexp(log_joint - log_q, dim=0) - math.log(len(log_joint))


@torch.no_grad()
def grid_log_joint(
    vae: Vae, x: Tensor, side: int = 120, limit: float = 5.0, centre: Tensor | None = None
) -> tuple[Tensor, Tensor, float]:
    """log p(x, z) in nats on a square grid of a two-dimensional latent space: (B, side**2), the grid (side**2, 2), the
    area of a cell. The grid reaches from -limit to limit around `centre` (2,), the origin if none is given.

    logsumexp over the grid plus the log of the area is log p(x): with two latents the integral can simply be done.
    """
    if vae.latent != 2:
        raise ValueError(f"a grid is for two latents, this network has {vae.latent}")
    line = torch.linspace(-limit, limit, side, dtype=x.dtype)
    grid = torch.cartesian_prod(line, line) + (0 if centre is None else centre)
    prior, found = normal_log_density(grid, torch.zeros_like(grid), torch.zeros_like(grid)), []
    for part in grid.split(2000):
        logits = vae.decode(part)  # x log f + (1 - x) log(1 - f) for all pairs at once is one matrix product
        found.append(x @ logits.T - F.softplus(logits).sum(-1))
    return torch.cat(found, dim=1) + prior, grid, float((line[1] - line[0]) ** 2)


@dataclass(frozen=True)
class VaeState:
    """Where training stands: `loss` is that of the batch, nats per image; `vae` is the network itself, not a copy."""

    step: int
    loss: float
    vae: Vae


def train_vae(
    images: Tensor,
    steps: int,
    batch: int = 64,
    learning_rate: float = 2e-3,
    kl_weight: float = 1.0,
    seed: int = 0,
    hidden: int = 400,
    latent: int = 2,
) -> Iterator[VaeState]:
    """Train on `images` (N, pixels) of 0s and 1s; yields before the first step and after each one, steps + 1 states.

    `kl_weight=0` makes a plain autoencoder: no noise in the code, no price for it.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = Vae(images.shape[1], hidden, latent)
    optimizer = torch.optim.Adam(vae.parameters(), lr=learning_rate)
    yield VaeState(0, math.nan, vae)
    for step in range(1, steps + 1):
        x = images[torch.randint(len(images), (batch,), generator=generator)]
        noise = torch.randn(batch, latent, generator=generator)
        found = elbo(vae, x, noise) if kl_weight else plain_reconstruction(vae, x)
        loss = (kl_weight * found.kl - found.reconstruction).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield VaeState(step, loss.item(), vae)


def plain_reconstruction(vae: Vae, x: Tensor) -> Elbo:
    """An autoencoder's view: the code is the encoder's mean, without noise, and nothing is paid for it."""
    mean, _ = vae.encode(x)
    found = bernoulli_log_likelihood(vae.decode(mean), x)
    return Elbo(found, torch.zeros_like(found))


def minimise(function: Callable[[Tensor], Tensor], start: Tensor, steps: int = 200) -> Tensor:
    """Where `function` of a few numbers (P,) is smallest near `start` (P,), by a general-purpose minimiser (L-BFGS)."""
    found = start.clone().requires_grad_()
    minimiser = torch.optim.LBFGS(
        [found], max_iter=steps, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def cost() -> Tensor:
        minimiser.zero_grad()
        value = function(found)
        value.backward()
        return value

    minimiser.step(cost)
    return found.detach()
