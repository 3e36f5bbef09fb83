"""Plausible wrong answers to exercises 06.6 and 06.7, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.parametrization import Denoiser
from course_lib.schedule import Marginal, Schedule

from .contract import Mutant

# --------------------------------------------------------------------------------------------- 06.6 right step length


def _right(u_s: Tensor, u_t: Tensor) -> Tensor:
    return u_t / (u_t + u_s)


def _length(
    fraction_of: Callable[[Tensor, Tensor], Tensor] = _right,
    level: Callable[[Marginal], Tensor] = lambda marginal: marginal.ratio,
    mean_by: str = "earlier",
    start_by: str = "later",
    end_by: str = "earlier",
    backwards: bool = False,
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
    fit_fraction: Callable[[Tensor, Tensor], Tensor] = shaped,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right answer but for one thing: the fraction, its shape, or which alpha ("one": none) scales what."""

    def length(x_t: Tensor, bridge_mean: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
        scales = {"earlier": earlier.alpha, "later": later.alpha, "one": torch.ones_like(later.alpha)}
        fraction = fraction_of(level(earlier), level(later))
        start, mean = x_t / fit(scales[start_by], x_t), bridge_mean / fit(scales[mean_by], x_t)
        if backwards:
            start, mean = mean, start
        return fraction, fit(scales[end_by], x_t) * (start + fit_fraction(fraction, x_t) * (mean - start))

    return length


LOUD, ZERO = "alpha = 1 at both times", "s = 0"
LENGTH = (
    Mutant(
        _length(level=lambda marginal: marginal.sigma),
        "With the picture at its original contrast, how strong is the noise? Compare noises after dividing by alpha.",
        agrees_on=(LOUD, ZERO),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: 0.5 * torch.ones_like(u_t)),
        "One half is only the limit of short steps.",
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: u_s / (u_t + u_s)),
        "Test it at s = 0, where no noise is allowed to remain: which fraction must come out?",
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: (u_t - u_s) / u_t),
        "That is the fraction of the way to x0_hat. The bridge's mean is nearer: what noise does it leave?",
        agrees_on=(ZERO,),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: 1 - (u_s / u_t) ** 2),
        "Along a straight way the noise's standard deviation shrinks evenly, not its variance.",
        agrees_on=(ZERO,),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: (u_t + u_s) / u_t),
        "Yours is above 1. But the bridge's mean is already too far.",
        agrees_on=(ZERO,),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: u_t**2 / (u_t**2 + u_s**2)),
        "Lengths, not squares: the noise left after a fraction f of the way is u_t - f (u_t**2 - u_s**2) / u_t.",
        agrees_on=(ZERO,),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: torch.ones_like(u_t)),
        "That goes the whole way to the bridge's mean, and leaves too little noise.",
        agrees_on=(ZERO,),
    ),
    Mutant(
        _length(mean_by="one", start_by="one", end_by="one"),
        "In x the two steps have different directions, as both also undo the shrinking. Divide by alpha first.",
        agrees_on=(LOUD,),
    ),
    Mutant(
        _length(mean_by="later"),
        "The bridge's mean is a picture at time s: by which alpha is it shrunk?",
        agrees_on=(LOUD,),
    ),
    Mutant(
        _length(end_by="one"),
        "That is y_s, at its original contrast. Asked for is x_s.",
        agrees_on=(LOUD, ZERO),
    ),
    Mutant(
        _length(end_by="later"),
        "You arrive at time s: with which alpha do you turn y into x?",
        agrees_on=(LOUD,),
    ),
    Mutant(
        _length(backwards=True),
        "Where does the way begin? The fraction counts from x_t.",
    ),
    Mutant(
        _length(fit_fraction=lambda value, like: value),
        "The scales are per sample, but the fraction may be one number per sample, (B,), too: how is it spread over x?",
        agrees_on=("one number", LOUD, ZERO, "not variance preserving", "single precision"),
    ),
    Mutant(
        _length(fit=lambda value, like: value, fit_fraction=lambda value, like: value),
        "The marginals may hold one number per sample, (B,). They must not be spread along the last dimension.",
        agrees_on=("one number", LOUD, ZERO),
    ),
)

# --------------------------------------------------------------------------------------------- 06.7 DDIM from the ODE


def _euler(
    clock: str = "ratio",
    asked: Callable[[Tensor, Tensor], Tensor] = lambda alpha, y: alpha * y,
    begin: bool = True,
    final: str = "last",
    level: str = "start",
    sign: float = 1.0,
    ask_once: bool = False,
    stop: int | None = None,
    trapezoid: bool = False,
) -> Callable[..., Tensor]:
    """The right walk but for one thing: the clock, what the denoiser is shown, the scales, which level it is told."""

    def time_of(schedule: Schedule, t: Tensor) -> Tensor:
        return t if clock == "t" else schedule(t).sigma if clock == "sigma" else schedule(t).ratio

    def walk(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor) -> Tensor:
        y = x / schedule(times[0]).alpha if begin else x
        times, eps = times[:stop], torch.zeros_like(x)
        for k, (t, s) in enumerate(pairwise(times)):
            now = schedule(t)
            if not (ask_once and k):
                told = now if level == "start" else schedule(s)
                eps = denoiser(asked((told if level == "all" else now).alpha, y), told).eps
            step = sign * (time_of(schedule, s) - time_of(schedule, t))
            if trapezoid and schedule(s).sigma > 0:
                y = y + 0.5 * step * (eps + denoiser(schedule(s).alpha * (y + step * eps), schedule(s)).eps)
            else:
                y = y + step * eps
        if final == "none":
            return y
        return schedule(times[-1] if final == "last" else times[0]).alpha * y

    return walk


def _in_x(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor) -> Tensor:
    """The ODE's u, with x left as it is."""
    for t, s in pairwise(times):
        x = x + (schedule(s).ratio - schedule(t).ratio) * denoiser(x, schedule(t)).eps
    return x


ONCE, TO_ZERO, FLAT = "one step", "one step to t = 0", "alpha = 1, even times"
EULER = (
    Mutant(
        _euler(asked=lambda alpha, y: y),
        "The denoiser was trained on x, not on y = x / alpha. Translate before you ask it.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _euler(level="end"),
        "Euler's slope is the one at the start of the step: which noise level has the x that you show?",
    ),
    Mutant(
        _euler(level="all"),
        "That is the slope where the step ends, for the point where it begins. Euler knows only the start.",
    ),
    Mutant(
        _euler(final="none"),
        "That is y at the end. They are the same only where alpha = 1: translate back to x.",
        agrees_on=(TO_ZERO, FLAT, "three bumps, uneven times"),
    ),
    Mutant(
        _euler(final="first"),
        "Translating back at the end, which time's alpha belongs to it?",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _euler(begin=False),
        "y is x at its original contrast: translate at the start, too.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _euler(sign=-1.0),
        "Going to less noise, u falls, and noise is taken away: which sign has u_s - u_t?",
    ),
    Mutant(
        _euler(clock="sigma"),
        "The clock of this ODE is the noise relative to the picture, sigma / alpha.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _euler(clock="t"),
        "eps_hat is the slope with respect to u, not to t.",
        agrees_on=(FLAT,),
    ),
    Mutant(
        _euler(ask_once=True),
        "The noise changes along the way: ask again at every step.",
        agrees_on=(ONCE, TO_ZERO),
    ),
    Mutant(
        _euler(stop=-1),
        "The walk ends one step early: n + 1 times make n steps.",
    ),
    Mutant(
        _euler(trapezoid=True),
        "That averages two slopes: Heun's method, a later exercise. Euler's uses the first alone.",
        agrees_on=(TO_ZERO,),
    ),
    Mutant(
        _in_x,
        "dy/du = eps_hat holds for y = x / alpha. Did you change coordinates?",
        agrees_on=(FLAT,),
    ),
)
