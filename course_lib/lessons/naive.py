"""Notebook 01's training: one loop, and the streams of examples that it learns from.

Algorithms 1 and 2 differ in what they show the network and ask of it, not in how it learns. So a stream yields
`Example`s (what is seen, the time, what is wanted) and `fit` takes them as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data import binarise
from ..sampling import State
from ..training import learning_rate_factor
from .corruption import (
    Degradation,
    Restorer,
    corrupt_exactly,
    corrupt_step,
    denoise_renoise,
    random_pixels,
    random_values,
    touched_counts,
)


@dataclass(frozen=True)
class Example:
    """A batch: from `seen` (B, C, H, W) at time `t` (B,), a share of the whole in [0, 1], predict `wanted`."""

    seen: Tensor
    t: Tensor
    wanted: Tensor


@dataclass(frozen=True)
class Fitted:
    """Where training stands after `step` steps: the `loss` () of this step's `example`, and the `network` itself."""

    step: int
    loss: Tensor
    example: Example
    network: nn.Module


def batches(images: Tensor, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """`batch` different images at a time, (batch, C, H, W), for ever."""
    while True:
        yield images[torch.randperm(len(images), generator=generator)[:batch]]


def along_the_chain(images: Tensor, k: int, steps: int, batch: int, generator: torch.Generator) -> Iterator[Example]:
    """Algorithm 1: take a batch, corrupt it step by step, and after each step ask for the image one step earlier.

    A step sets `k` random pixels of each image to -1 or +1. After `steps` steps a new batch starts at t = 0. All images
    of a batch are at the same t, and neighbouring batches are nearly the same images.
    """
    for x in batches(images, batch, generator):
        for t in range(1, steps + 1):
            before, x = x, _one_step(x, k, generator)
            yield Example(x, torch.full((len(x),), t / steps), before)


def anywhere_on_the_chain(
    images: Tensor, k: int, steps: int, batch: int, generator: torch.Generator
) -> Iterator[Example]:
    """The same pairs (x_{t-1}, x_t), each image at its own random t from 1 to `steps`.

    Jumps to x_{t-1} by drawing how many different pixels t - 1 steps have touched, from `touched_counts`.
    """
    below = touched_counts(k, images[0].numel(), steps - 1).cumsum(1)  # (steps, d + 1): P(at most n touched)
    for x in batches(images, batch, generator):
        t = torch.randint(1, steps + 1, (len(x),), generator=generator)
        uniform = torch.rand(len(x), 1, generator=generator, dtype=torch.float64)
        touched = torch.searchsorted(below[t - 1], uniform)[:, 0].clamp(max=x[0].numel())
        before = touch(x, touched, generator)
        yield Example(_one_step(before, k, generator), t / steps, before)


def by_number_touched(images: Tensor, batch: int, generator: torch.Generator) -> Iterator[Example]:
    """Algorithm 2: touch exactly t of the d pixels, t random from 1 to d, and ask for the clean image."""
    for x in batches(images, batch, generator):
        t = torch.randint(1, x[0].numel() + 1, (len(x),), generator=generator)
        yield Example(touch(x, t, generator), t / x[0].numel(), x)


def by_degradation(
    images: Tensor, degrade: Callable[[Tensor, Tensor], Tensor], batch: int, generator: torch.Generator
) -> Iterator[Example]:
    """Cold diffusion: `degrade(x_0, t)` by t (B,), uniform in [0, 1), and ask for the clean image."""
    for x in batches(images, batch, generator):
        t = torch.rand(len(x), generator=generator)
        yield Example(degrade(x, t), t, x)


def fit(network: nn.Module, examples: Iterator[Example], steps: int, learning_rate: float = 4e-3) -> Iterator[Fitted]:
    """Train `network(seen, t)` to the least mean squared error, for `steps` batches; yields after each.

    AdamW; the learning rate rises over 30 steps and falls to zero along a cosine; gradients longer than 1 are cut.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, betas=(0.9, 0.99), fused=True)
    network.train()
    for step in range(steps):
        example = next(examples)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * learning_rate_factor(step, step / steps, 30)
        loss = (network(example.seen, example.t) - example.wanted).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield Fitted(step + 1, loss.detach(), example, network)
    network.eval()


def touch(x: Tensor, touched: Tensor | int, generator: torch.Generator) -> Tensor:
    """`touched`, () or (B,), random pixels of each image of `x` (B, ...) set to -1 or +1 at random."""
    size = x[0].numel()
    return corrupt_exactly(x, touched, random_pixels(x, size, generator), random_values((len(x), size), generator))


def touching(generator: torch.Generator) -> Degradation:
    """The degradation that touches exactly t random pixels, freshly chosen each time, for `denoise_renoise`."""
    return lambda x, t: touch(x, round(t), generator)


def restorer(network: nn.Module, longest: float = 1.0, finish: Callable[[Tensor], Tensor] | None = None) -> Restorer:
    """`network`'s guess of x_0 from x_t, for the sampling loops, told t / `longest`; `finish` changes the guess."""

    @torch.no_grad()
    def restore(x: Tensor, t: float) -> Tensor:
        guess = network(x, torch.full((len(x),), t / longest))
        return guess if finish is None else finish(guess)

    return restore


def draw_pixels(mean: Tensor, generator: torch.Generator) -> Tensor:
    """-1 or +1 for every pixel, independently, so that the expectation is `mean` (clamped to [-1, 1])."""
    return torch.where(torch.rand(mean.shape, generator=generator) < (mean + 1) / 2, 1.0, -1.0)


@torch.no_grad()
def fake_denoising(
    network: nn.Module, x: Tensor, steps: int, generator: torch.Generator | None = None
) -> Iterator[Tensor]:
    """Algorithm 1's sampler: pretend that `x` (B, C, H, W), pure noise, is x_T, and predict one step back, T times.

    Without a generator the predicted means themselves are fed back; with one, pixels drawn from them. Yields steps + 1
    images, noise first; the last prediction is never drawn.
    """
    yield x
    for t in range(steps, 0, -1):
        x = network(x, torch.full((len(x),), t / steps))
        if generator is not None and t > 1:
            x = draw_pixels(x, generator)
        yield x


def falling_counts(longest: int, count: int) -> Tensor:
    """`count` + 1 whole times from `longest` down to 0, as evenly spaced as whole numbers can be, float64."""
    if not 1 <= count <= longest:
        raise ValueError(f"expected 1 to {longest} steps, got {count}")
    return torch.linspace(longest, 0, count + 1, dtype=torch.float64).round()


def _one_step(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    return corrupt_step(x, random_pixels(x, k, generator), random_values((len(x), k), generator))


def smooth(losses: Sequence[float] | Tensor, window: int) -> Tensor:
    """The mean of each `window` neighbouring losses, (n - window + 1,), to see a trend in a noisy curve."""
    return torch.as_tensor(losses, dtype=torch.float64).unfold(0, window, 1).mean(1)


def repair_digits(
    network: nn.Module, steps: int, between: str, x: Tensor, generator: torch.Generator
) -> Iterator[State]:
    """Algorithm 2's sampler: from `x` (B, C, H, W), all pixels touched, denoise and renoise `steps` times.

    `between` says what is done to a guess before it is renoised: "as it is" (grey), "rounded" to -1 or +1, or "drawn"
    with the guess as expectation. The last guess is rounded always, since digits here are black and white.
    """
    finish = {"as it is": None, "rounded": binarise, "drawn": lambda mean: draw_pixels(mean, generator)}[between]
    size = x[0].numel()
    times = falling_counts(size, steps)
    states = denoise_renoise(restorer(network, size), renoising(finish, generator), times, x)
    for state in states:
        yield State(state.t, state.x, state.x0) if state.t > 0 else State(0.0, binarise(state.x), state.x0)


def renoising(finish: Callable[[Tensor], Tensor] | None, generator: torch.Generator) -> Degradation:
    """The degradation of `touching`, of images that go through `finish` first; at t = 0 the image as it is."""
    touches = touching(generator)
    return lambda x, t: x if t == 0 else touches(x if finish is None else finish(x), t)


def best_constant(images: Tensor) -> tuple[Tensor, Tensor]:
    """The one image that predicts all `images` (N, ...) best, their mean (...), and its mean squared error, ()."""
    mean = images.mean(0)
    return mean, (images - mean).square().mean()


def nearest_restorer(images: Tensor, degrade: Degradation) -> Restorer:
    """A restorer that needs no training: the one of `images` (N, ...) which, degraded by t, comes nearest to x_t."""

    def restore(x: Tensor, t: float) -> Tensor:
        distances = torch.cdist(x.flatten(1), degrade(images, t).flatten(1))
        return images[distances.argmin(1)]

    return restore
