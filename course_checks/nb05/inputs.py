"""Inputs of notebook 05's exercises that are not data: toy networks and set-ups that are broken in one place each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.gaussian import per_sample
from course_lib.schedule import Linear, Table, bridge_weights, jump, linear_betas


def wavy_network(x: Tensor, log_snr: Tensor) -> Tensor:
    """A fixed, smooth, pretend network: every output mixes two pixels and the noise level."""
    _one_per_image(x, log_snr)
    return torch.sin(x + 0.3 * x.flip(-1)) + 0.1 * per_sample(log_snr.clamp(-15, 15), x)


def blind_network(x: Tensor, log_snr: Tensor) -> Tensor:
    """A pretend network that does not look at the noise level it is told."""
    _one_per_image(x, log_snr)
    return torch.tanh(x - 0.2 * x.flip(-1))


def silent_network(x: Tensor, log_snr: Tensor) -> Tensor:
    """A pretend network that always answers 0, like one whose last layer has just been zero-initialised."""
    _one_per_image(x, log_snr)
    return torch.zeros_like(x)


def black_network(x: Tensor, log_snr: Tensor) -> Tensor:
    """Predicts the noise perfectly for images that are 0 everywhere, if the variance is preserved: x_t = sigma eps."""
    _one_per_image(x, log_snr)
    return x / per_sample(torch.sigmoid(-log_snr).sqrt(), x)


def _one_per_image(x: Tensor, log_snr: Tensor) -> None:
    if log_snr.shape != x.shape[:1]:
        raise ValueError(f"expected one log_snr per image, ({len(x)},), got shape {tuple(log_snr.shape)}")


@dataclass(frozen=True)
class SetUp:
    """Everything a diffusion model consists of, for images drawn from N(0, data_std**2). float64 throughout.

    Times are whole numbers from 0 (clean) to `T`. The "network" inside `predict` is exact: what goes wrong in a broken
    set-up goes wrong around it.
        prepare(pixels)         grey levels from 0 to 255, any shape -> training images in [-1, 1]
        corrupt(x_0, t, noise)  -> x_t = alpha_t x_0 + sigma_t noise
        predict(x_t, t)         -> (x0_hat, eps_hat), t >= 1
        step(x_t, t, noise)     -> x_{t-1}: one ancestral step with the bridge's variance, t >= 1
    """

    T: int
    prepare: Callable[[Tensor], Tensor]
    corrupt: Callable[[Tensor, int, Tensor], Tensor]
    predict: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    step: Callable[[Tensor, int, Tensor], Tensor]


def broken_set_ups(order: Sequence[int], steps: int, data_std: float) -> list[SetUp]:
    """Six set-ups of `steps` time steps, each broken in a place of its own; `order` is a permutation of 0 .. 5."""
    return [set_up(steps, data_std, broken) for broken in order]


def set_up(steps: int, data_std: float, broken: int | None = None) -> SetUp:
    """A sound set-up, or one `broken` in one of six places."""
    table = Table.from_betas(linear_betas(steps)) if broken == 1 else Table.of(Linear(), steps)

    def prepare(pixels: Tensor) -> Tensor:
        return pixels / 255 if broken == 0 else pixels / 127.5 - 1

    def corrupt(x_0: Tensor, t: int, noise: Tensor) -> Tensor:
        return jump(x_0, table(t), noise)

    def predict(x_t: Tensor, t: int) -> tuple[Tensor, Tensor]:
        told, here = table(t - 1 if broken == 2 else t), table(t)
        x0 = told.alpha * data_std**2 / (told.alpha**2 * data_std**2 + told.sigma**2) * x_t
        eps = (x_t - here.alpha * x0) / here.sigma
        return (x0.clamp(-1, 1), eps) if broken == 3 else (x0, eps)

    def step(x_t: Tensor, t: int, noise: Tensor) -> Tensor:
        of_x_t, of_x_0, std = bridge_weights(table(t - 1), table(t))
        if broken == 4 and t == 1:
            std = table(t).sigma
        if broken == 5:
            std = std**2
        return of_x_t * x_t + of_x_0 * predict(x_t, t)[0] + std * noise

    return SetUp(steps, prepare, corrupt, predict, step)
