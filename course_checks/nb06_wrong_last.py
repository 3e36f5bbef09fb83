"""Plausible wrong answers to exercises 06.8 and 06.9, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.continuous import Field
from course_lib.parametrization import Denoiser
from course_lib.schedule import Marginal

from .contract import Mutant

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


def _from_trial(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
    """The averaged step, begun where the trial ended."""
    y, du = x_t / later.alpha, earlier.ratio - later.ratio
    slope = denoiser(x_t, later).eps
    once = y + du * slope
    if bool(earlier.sigma == 0):
        return earlier.alpha * once
    return earlier.alpha * (once + 0.5 * du * (slope + denoiser(earlier.alpha * once, earlier).eps))


def _midpoint(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser) -> Tensor:
    """One slope, in the middle of the step in u, at a variance-preserving level of that u."""
    y, du = x_t / later.alpha, earlier.ratio - later.ratio
    slope = denoiser(x_t, later).eps
    if bool(earlier.sigma > 0):
        half = Marginal.from_ratio(0.5 * (earlier.ratio + later.ratio))
        slope = denoiser(half.alpha * (y + 0.5 * du * slope), half).eps
    return earlier.alpha * (y + du * slope)


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
        _from_trial,
        "The average of the two slopes replaces the trial's slope: start again from y_t.",
        agrees_on=(LAST, FINAL),
    ),
    Mutant(
        _midpoint,
        "One slope in the middle is another method, of the same order. Heun's averages the slopes at both ends.",
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


MIXLESS, ONES, SINGLE = "coordinates that do not mix, signs", "probes of ones", "two probes, one dimension"
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
