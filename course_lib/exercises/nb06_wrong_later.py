"""Plausible wrong answers to exercises 06.6 to 06.9, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from course_lib.continuous import Field
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
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right answer but for one thing: the fraction, or which alpha ("one": none) scales mean, start and end."""

    def length(x_t: Tensor, bridge_mean: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
        scales = {"earlier": earlier.alpha, "later": later.alpha, "one": torch.ones_like(later.alpha)}
        fraction = fraction_of(level(earlier), level(later))
        start, mean = x_t / fit(scales[start_by], x_t), bridge_mean / fit(scales[mean_by], x_t)
        if backwards:
            start, mean = mean, start
        return fraction, fit(scales[end_by], x_t) * (start + fit(fraction, x_t) * (mean - start))

    return length


STILL, LOUD, ZERO = "no step at all, s = t", "alpha = 1 at both times", "s = 0"
LENGTH = (
    Mutant(
        _length(level=lambda marginal: marginal.sigma),
        "With the picture at its original contrast, how strong is the noise? Compare noises after dividing by alpha.",
        agrees_on=(LOUD, ZERO, STILL),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: 0.5 * torch.ones_like(u_t)),
        "One half is only the limit of short steps.",
        agrees_on=(STILL,),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: u_s / (u_t + u_s)),
        "Test it at s = 0, where no noise is allowed to remain: which fraction must come out?",
        agrees_on=(STILL,),
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
        agrees_on=(ZERO, STILL),
    ),
    Mutant(
        _length(fraction_of=lambda u_s, u_t: torch.ones_like(u_t)),
        "That goes the whole way to the bridge's mean, and leaves too little noise.",
        agrees_on=(ZERO,),
    ),
    Mutant(
        _length(mean_by="one", start_by="one", end_by="one"),
        "In x the two steps have different directions, as both also undo the shrinking. Divide by alpha first.",
        agrees_on=(LOUD, STILL),
    ),
    Mutant(
        _length(mean_by="later"),
        "The bridge's mean is a picture at time s: by which alpha is it shrunk?",
        agrees_on=(LOUD, STILL),
    ),
    Mutant(
        _length(end_by="one"),
        "That is y_s, at its original contrast. Asked for is x_s.",
        agrees_on=(LOUD, ZERO),
    ),
    Mutant(
        _length(end_by="later"),
        "You arrive at time s: with which alpha do you turn y into x?",
        agrees_on=(LOUD, STILL),
    ),
    Mutant(
        _length(backwards=True),
        "Where does the way begin? The fraction counts from x_t.",
        agrees_on=(STILL,),
    ),
    Mutant(
        _length(fit=lambda value, like: value),
        "The marginals may hold one number per sample, (B,). They must not be spread along the last dimension.",
        agrees_on=("one number", LOUD, ZERO, STILL),
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
                told = schedule(s) if level == "end" else now
                eps = denoiser(asked(now.alpha, y), told).eps
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

# ---------------------------------------------------------------------------------------------------------- 06.8 Heun


def _heun(
    weights: tuple[float, float] = (0.5, 0.5),
    shown: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda alpha, y, x_t: alpha * y,
    level: str = "earlier",
    reach: float = 1.0,
    clock: Callable[[Marginal], Tensor] = lambda marginal: marginal.ratio,
    begin: bool = True,
    end: bool = True,
    last_too: bool = False,
) -> Callable[..., Tensor]:
    """The right step but for one thing: weights of the slopes, what is shown at the trial, its level, the scales."""

    def step(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
        y, du = x_t / later.alpha if begin else x_t, clock(earlier) - clock(later)
        slope = denoiser(x_t, later).eps
        if last_too or bool(earlier.sigma > 0):
            trial = shown(earlier.alpha, y + reach * du * slope, x_t)
            slope = weights[0] * slope + weights[1] * denoiser(trial, earlier if level == "earlier" else later).eps
        return (earlier.alpha if end else 1.0) * (y + du * slope)

    return step


def _two_steps(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
    """The average of where Euler's step ends and where a second one from there would."""
    y, du = x_t / later.alpha, earlier.ratio - later.ratio
    once = y + du * denoiser(x_t, later).eps
    if bool(earlier.sigma == 0):
        return earlier.alpha * once
    return earlier.alpha * 0.5 * (once + once + du * denoiser(earlier.alpha * once, earlier).eps)


def _mean_x0(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
    """DDIM with the average of the two guesses of x_0, and the first noise."""
    guess = denoiser(x_t, later)
    x_s = earlier.alpha * guess.x0 + earlier.sigma * guess.eps
    if bool(earlier.sigma == 0):
        return x_s
    x0 = 0.5 * (guess.x0 + denoiser(x_s, earlier).x0)
    return earlier.alpha * x0 + earlier.sigma * guess.eps


LAST, FINAL, UNSHRUNK = "the last step, sigma_s = 0", "the last step, alpha = 1", "alpha = 1 at both times"
HEUN = (
    Mutant(
        _heun(weights=(1.0, 0.0)),
        "That is Euler's step. Where it ends, the slope is another one: use both.",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _heun(weights=(0.0, 1.0)),
        "You use only the slope at the end of the trial. One slope is too old, the other too new: which weights?",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _heun(weights=(1.0, 1.0)),
        "Two slopes, added up, move twice as far.",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _heun(shown=lambda alpha, y, x_t: y),
        "The denoiser wants x, not y: with which alpha do you translate the trial?",
        agrees_on=(UNSHRUNK, LAST, FINAL),
    ),
    Mutant(
        _heun(shown=lambda alpha, y, x_t: x_t),
        "The second slope belongs to where Euler's step would end, not to where it starts.",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _heun(level="later"),
        "The trial has less noise than x_t: tell the denoiser which.",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _heun(reach=0.5),
        "The trial goes the whole step; half of it would be for the midpoint method.",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _heun(last_too=True),
        "At sigma = 0 there is no noise to estimate, and no slope there to average with: make the last step Euler's.",
        agrees_on=("one number", "three bumps", UNSHRUNK, "images, not variance preserving"),
    ),
    Mutant(
        _heun(clock=lambda marginal: marginal.sigma),
        "The clock is u = sigma / alpha.",
        agrees_on=(UNSHRUNK, FINAL),
    ),
    Mutant(
        _heun(end=False),
        "That is y_s. Translate it back: x_s = alpha_s y_s.",
        agrees_on=(UNSHRUNK, LAST, FINAL),
    ),
    Mutant(
        _heun(begin=False),
        "The step is straight in y = x / alpha, not in x: divide first.",
        agrees_on=(UNSHRUNK, FINAL),
    ),
    Mutant(
        _two_steps,
        "You average two places, the second a whole step further. Average the two slopes, then take one step from y_t.",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _mean_x0,
        "A new guess of the picture implies a new noise as well. The slope of this ODE is the noise: average that.",
        agrees_on=(LAST, FINAL),
    ),
)

# ----------------------------------------------------------------------------------------------------- 06.9 Hutchinson


def _trace(
    estimate: Callable[[Field, Tensor, Tensor], Tensor],
    error: Callable[[Tensor], Tensor] = lambda found: found.std(0) / math.sqrt(len(found)),
    mean: Callable[[Tensor], Tensor] = lambda found: found.mean(0),
    first_only: bool = False,
) -> Callable[..., tuple[Tensor, Tensor]]:
    def trace(field: Field, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        used = [probes[0]] * len(probes) if first_only else probes
        found = torch.stack([estimate(field, x, probe) for probe in used])
        return mean(found), error(found)

    return trace


def _pull_back(field: Field, x: Tensor, z: Tensor) -> Tensor:
    """z^T J, of the shape of x."""
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad((field(leaf) * z).sum(), leaf)[0]


def _rows(value: Tensor) -> Tensor:
    return value.flatten(1).sum(1)


def _right_estimate(field: Field, x: Tensor, z: Tensor) -> Tensor:
    return _rows(_pull_back(field, x, z) * z)


MIXLESS, ONES, SINGLE = "coordinates that do not mix, signs", "probes of ones", "two signs, one dimension"
TRACE = (
    Mutant(
        _trace(lambda field, x, z: _rows(_pull_back(field, x, z))),
        "z^T J is a vector. One more product with z makes it the number z^T J z.",
        agrees_on=(ONES,),
    ),
    Mutant(
        _trace(lambda field, x, z: _rows(_pull_back(field, x, torch.ones_like(z)) * z)),
        "z has to stand on both sides of J: multiply the field's values by it before you differentiate.",
        agrees_on=(ONES,),
    ),
    Mutant(
        _trace(lambda field, x, z: _rows(field(x) * z * z)),
        "No derivative has been taken: the divergence is about how the field changes.",
    ),
    Mutant(
        _trace(lambda field, x, z: _right_estimate(field, x, z) / x[0].numel()),
        "A trace is a sum over the dimensions, not a mean.",
        agrees_on=(SINGLE,),
    ),
    Mutant(
        _trace(lambda field, x, z: _right_estimate(field, x, z) / _rows(z * z)),
        "E[z z^T] = I needs no further normalisation: do not divide by z^T z.",
    ),
    Mutant(
        _trace(lambda field, x, z: (_pull_back(field, x, z) * z).sum()),
        "One number per sample: sum over the dimensions of a sample, not over the batch.",
    ),
    Mutant(
        _trace(lambda field, x, z: (_pull_back(field, x, z) * z).sum(1)),
        "A sample may be an image: sum over all dimensions but the first.",
        agrees_on=(SINGLE, ONES, MIXLESS, "signs", "normal probes"),
    ),
    Mutant(
        _trace(_right_estimate, error=lambda found: found.std(0)),
        "That is the spread of one estimate. How does the error of a mean fall with the number of probes?",
        agrees_on=(ONES, MIXLESS),
    ),
    Mutant(
        _trace(_right_estimate, error=lambda found: found.std(0) / len(found)),
        "Averaging K independent numbers divides the variance by K: and the standard deviation?",
        agrees_on=(ONES, MIXLESS),
    ),
    Mutant(
        _trace(_right_estimate, error=lambda found: found.std(0, correction=0) / math.sqrt(len(found))),
        "The mean was estimated from the same numbers: divide by K - 1.",
        agrees_on=(ONES, MIXLESS),
    ),
    Mutant(
        _trace(_right_estimate, error=lambda found: found.std(0) / math.sqrt(found.shape[1])),
        "K counts the probes, not the samples: over which of the two did you average?",
        agrees_on=(ONES, MIXLESS),
    ),
    Mutant(
        _trace(_right_estimate, error=lambda found: found.var(0) / len(found)),
        "That is the variance of the mean. Asked for is its standard error.",
        agrees_on=(ONES, MIXLESS),
    ),
    Mutant(
        _trace(_right_estimate, mean=lambda found: found.sum(0)),
        "Average the estimates of the probes; a sum grows with their number.",
    ),
    Mutant(
        _trace(_right_estimate, first_only=True),
        "Every turn of the loop has its own probe.",
        agrees_on=(ONES, MIXLESS),
    ),
)
