"""How to space the times at which a schedule is visited: evenly, by log-SNR, or as Karras et al. do."""

from __future__ import annotations

import torch
from torch import Tensor

from .marginal import Invertible, Schedule


def as_times(t: Tensor | float, end: float) -> Tensor:
    """`t` as a floating-point tensor, float64 unless it is a vector of floats; ValueError where outside [0, end].

    Within a few roundings of an end it is that end: 0.05 added up twenty times is a little more than 1.
    """
    t = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
    t = t if t.is_floating_point() and t.ndim else t.to(torch.float64)
    slack = 8 * torch.finfo(t.dtype).eps * end
    outside = ~((t >= -slack) & (t <= end + slack))
    if bool(outside.any()):
        raise ValueError(f"time {t[outside].flatten()[0].item():g} is outside [0, {end:g}]")
    return t.clamp(0, end)


def uniform_times(schedule: Schedule, n: int) -> Tensor:
    """n + 1 evenly spaced times from `schedule.end` down to 0, float64."""
    if n < 1:
        raise ValueError(f"expected at least 1 step, got {n}")
    return torch.linspace(schedule.end, 0, n + 1, dtype=torch.float64)


def log_snr_times(schedule: Invertible, n: int, first: float = -9.0, last: float = 9.0) -> Tensor:
    """n + 1 times whose log-SNR runs evenly from that of the end (or `first`, where that is higher) to `last`,
    then t = 0.
    """
    start = max(float(schedule(schedule.end).log_snr), first)
    inner = schedule.time_at(torch.linspace(start, last, max(n, 1), dtype=torch.float64))
    return _with_ends(schedule, inner, n)


def karras_times(
    schedule: Invertible, n: int, largest: float = 80.0, smallest: float = 0.02, rho: float = 7.0
) -> Tensor:
    """n + 1 times whose sigma / alpha follows Karras et al. 2022 (equation 5), then t = 0.

    Starts at the ratio of t = 1, or at `largest` where that is higher.
    """
    largest = min(float(schedule(schedule.end).ratio), largest)
    ramp = torch.linspace(largest ** (1 / rho), smallest ** (1 / rho), max(n, 1), dtype=torch.float64)
    return _with_ends(schedule, schedule.time_at(-2 * rho * torch.log(ramp)), n)


def _with_ends(schedule: Invertible, inner: Tensor, n: int) -> Tensor:
    if n < 1:
        raise ValueError(f"expected at least 1 step, got {n}")
    times = torch.cat([inner, torch.zeros(1, dtype=torch.float64)])
    times[0] = schedule.end
    return times
