"""Plausible wrong answers to exercises 03.7 and 03.8, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.schedule import Marginal, bridge_weights

from .contract import Mutant

# ------------------------------------------------------------------------------------------------------ 03.7 the bridge

Weights = Callable[[Marginal, Marginal], tuple[Tensor, Tensor, Tensor]]


def _parts(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    r = later.alpha / earlier.alpha
    return r, later.sigma**2 - (r * earlier.sigma) ** 2


def _bridge(weights: Weights, fit: Callable[[Tensor, Tensor], Tensor] = shaped) -> Callable[..., Any]:
    def bridge(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
        of_x_t, of_x_0, std = weights(earlier, later)
        return fit(of_x_t, x_t) * x_t + fit(of_x_0, x_0) * x_0, std

    return bridge


def _std(rule: Callable[[Marginal, Marginal, Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    """The right mean, with a standard deviation by `rule(earlier, later, r, v)`."""
    return _bridge(lambda s, t: (*bridge_weights(s, t)[:2], rule(s, t, *_parts(s, t))))


def _as_if_kept(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    r = t.alpha / s.alpha
    v = 1 - r**2
    return r * (s.sigma / t.sigma) ** 2, s.alpha * v / t.sigma**2, s.sigma * v.sqrt() / t.sigma


def _with_r(power: int) -> Weights:
    def weights(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
        r, v = _parts(s, t)
        return r**power * (s.sigma / t.sigma) ** 2, s.alpha * v / t.sigma**2, s.sigma * v.sqrt() / t.sigma

    return weights


def _of_x0(rule: Callable[[Marginal, Marginal, Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    def weights(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
        of_x_t, _, std = bridge_weights(s, t)
        return of_x_t, rule(s, t, *_parts(s, t)), std

    return _bridge(weights)


def _wrong_step_variance(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    r = t.alpha / s.alpha
    v = t.sigma**2 - s.sigma**2
    return r * (s.sigma / t.sigma) ** 2, s.alpha * v / t.sigma**2, s.sigma * v.sqrt() / t.sigma


def _unsquared_shrink(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    r = t.alpha / s.alpha
    v = t.sigma**2 - r * s.sigma**2
    return r * (s.sigma / t.sigma) ** 2, s.alpha * v / t.sigma**2, s.sigma * v.sqrt() / t.sigma


def _ratio_of_stds(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    _, of_x_0, std = bridge_weights(s, t)
    return t.alpha / s.alpha * s.sigma / t.sigma, of_x_0, std


def _ddim(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    ratio = s.sigma / t.sigma
    return ratio, s.alpha - ratio * t.alpha, bridge_weights(s, t)[2]


def _ends_swapped(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    of_x_t, of_x_0, std = bridge_weights(earlier, later)
    return shaped(of_x_0, x_t) * x_t + shaped(of_x_t, x_0) * x_0, std


def _unscaled_std(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    of_x_t, of_x_0, std = bridge_weights(earlier, later)
    return shaped(of_x_t, x_t) * x_t + shaped(of_x_0, x_0) * x_0, std * earlier.sigma


def _by_precisions(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    """Right wherever sigma_s > 0: the precisions of the two pieces of knowledge add."""
    r, v = _parts(s, t)
    variance = 1 / (1 / s.sigma**2 + r**2 / v)
    return variance * r / v, variance * (s.alpha / s.sigma**2), variance.sqrt()


PIXEL, TWO, EXPLODES = "one pixel", "two pictures", "alpha = 1: the variance explodes"
NEITHER, LAST, LEVELS = "neither kept nor exploding", "the last step, s = 0", "a level per picture, as many as columns"

BRIDGE = (
    Mutant(
        _std(lambda s, t, r, v: s.sigma**2 * v / t.sigma**2),
        "This is the variance (beta-tilde where the variance is preserved). The standard deviation is asked for.",
        agrees_on=(LAST,),
    ),
    Mutant(
        _std(lambda s, t, r, v: v.sqrt()),
        "That is the std of x_t given x_s. The way back, with x_0 known too, has another: sqrt(v) times which ratio?",
    ),
    Mutant(
        _std(lambda s, t, r, v: t.sigma * (v.sqrt() / s.sigma).nan_to_num(posinf=1.0)),
        "Two indices are exchanged: at s = 0 the picture is known, so the std must be 0 there.",
    ),
    Mutant(
        _std(lambda s, t, r, v: s.sigma),
        "sigma_s is how uncertain x_s is when only x_0 is known. x_t tells something too.",
        agrees_on=(LAST,),
    ),
    Mutant(
        _bridge(_as_if_kept),
        "1 - r**2 is the kernel's variance only where the variance is preserved. In general it is sigma_t**2 - r**2 "
        "sigma_s**2.",
        agrees_on=(PIXEL, TWO, LEVELS),
    ),
    Mutant(
        _bridge(lambda s, t: (*_as_if_kept(s, t)[:2], _as_if_kept(s, t)[2] ** 2)),
        "Two things: this is a variance, not a std; and 1 - r**2 assumes that the variance is preserved.",
        agrees_on=(LAST,),
    ),
    Mutant(
        _bridge(lambda s, t: (0 * s.alpha, s.alpha, s.sigma)),
        "That is the jump from x_0 to time s. Where x_t is known too, it pulls x_s towards itself.",
        agrees_on=(LAST,),
    ),
    Mutant(
        _bridge(_with_r(2)),
        "In the weight of x_t, r appears to the first power: it comes from the covariance r sigma_s**2.",
        agrees_on=(EXPLODES, LAST),
    ),
    Mutant(
        _bridge(_with_r(0)),
        "The weight of x_t lacks r: x_t holds x_s shrunk by r, so their covariance is r sigma_s**2.",
        agrees_on=(EXPLODES, LAST),
    ),
    Mutant(
        _bridge(_with_r(-1)),
        "r = alpha_t / alpha_s is at most 1. Yours stands upside down in the weight of x_t.",
        agrees_on=(EXPLODES, LAST),
    ),
    Mutant(
        _of_x0(lambda s, t, r, v: t.alpha * v / t.sigma**2),
        "Before x_t is seen, x_s is expected at alpha_s x_0, not at alpha_t x_0. Test your weights: "
        "w_t alpha_t + w_0 = alpha_s.",
        agrees_on=(EXPLODES,),
    ),
    Mutant(
        _of_x0(lambda s, t, r, v: v / t.sigma**2),
        "The weight of x_0 lacks alpha_s: x_s is a shrunk picture. Test your weights with w_t alpha_t + w_0 = alpha_s.",
        agrees_on=(EXPLODES, LAST),
    ),
    Mutant(
        _of_x0(lambda s, t, r, v: 1 - bridge_weights(s, t)[0]),
        "The weights need not add up to 1, because pictures shrink: w_t alpha_t + w_0 = alpha_s.",
        agrees_on=(EXPLODES, LAST),
    ),
    Mutant(
        _bridge(_wrong_step_variance),
        "The step's variance is sigma_t**2 - r**2 sigma_s**2: the noise of time s is shrunk by r on its way.",
        agrees_on=(EXPLODES, LAST),
    ),
    Mutant(
        _bridge(_unsquared_shrink),
        "In the step's variance the old noise counts with r**2: r shrinks a picture, r**2 a variance.",
        agrees_on=(EXPLODES, LAST),
    ),
    Mutant(
        _bridge(_ratio_of_stds),
        "The weight of x_t is a covariance over a variance, r sigma_s**2 / sigma_t**2. You have stds there.",
        agrees_on=(LAST,),
    ),
    Mutant(
        _bridge(_ddim),
        "This mean keeps all of the old noise. The bridge's mean keeps less of it, because the rest is drawn afresh.",
        agrees_on=(LAST,),
    ),
    Mutant(
        _bridge(bridge_weights, fit=lambda value, x: value),
        "With one level a picture, (B,), plain multiplication lines the levels up with the columns: use `per_sample`.",
        agrees_on=(PIXEL, TWO, EXPLODES, NEITHER, LAST),
    ),
    Mutant(
        _ends_swapped,
        "The weights are right but each stands at the wrong picture. At s = 0 the answer is x_0.",
    ),
    Mutant(
        _bridge(_by_precisions),
        "sigma_s is 0 at s = 0: do not divide by it. Bring the fractions together, or write the mean with a gain.",
        agrees_on=(PIXEL, TWO, EXPLODES, NEITHER, LEVELS, "single precision"),
    ),
    Mutant(
        _unscaled_std,
        "Near. The std is sigma_s sqrt(v) / sigma_t: sigma_s enters once.",
        agrees_on=(LAST,),
    ),
)

# ------------------------------------------------------------------------------------------------------ 03.8 the kernel


def _kernel(
    std: Callable[[Marginal, Marginal, Tensor], Tensor], scale: Callable[[Marginal, Marginal], Tensor] | None = None
) -> Callable[[Marginal, Marginal], tuple[Tensor, Tensor]]:
    def kernel(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
        r = later.alpha / earlier.alpha
        return (r if scale is None else scale(earlier, later)), std(earlier, later, r)

    return kernel


def _added(s: Marginal, t: Marginal, r: Tensor) -> Tensor:
    return torch.sqrt(t.sigma**2 - (r * s.sigma) ** 2)


KEPT, GROWING, BETWEEN, FROM_CLEAN, TO_NOISE = (
    "the variance preserved",
    "alpha = 1: the variance explodes",
    "neither kept nor exploding",
    "from clean, s = 0",
    "to pure noise, alpha_t = 0",
)

KERNEL = (
    Mutant(
        _kernel(lambda s, t, r: torch.sqrt(1 - r**2)),
        "1 - r**2 holds where the variance is preserved. Here it need not be: subtract what is left of the old noise.",
        agrees_on=(KEPT, FROM_CLEAN, TO_NOISE, "a level per picture"),
    ),
    Mutant(
        _kernel(lambda s, t, r: 1 - r**2),
        "1 - r**2 is a variance, not yet a std; and it holds only where the variance is preserved.",
        agrees_on=(TO_NOISE,),
    ),
    Mutant(
        _kernel(lambda s, t, r: torch.sqrt(1 - r)),
        "r multiplies a picture, so it keeps r**2 of a variance; and nothing says that the total is 1.",
        agrees_on=(TO_NOISE,),
    ),
    Mutant(
        _kernel(lambda s, t, r: t.sigma**2 - (r * s.sigma) ** 2),
        "This is the variance. The standard deviation is its root.",
        agrees_on=(TO_NOISE,),
    ),
    Mutant(
        _kernel(lambda s, t, r: torch.sqrt(t.sigma**2 - s.sigma**2)),
        "The noise of time s does not arrive whole: the step shrinks it by r first.",
        agrees_on=(GROWING, FROM_CLEAN),
    ),
    Mutant(
        _kernel(lambda s, t, r: torch.sqrt(t.sigma**2 - r * s.sigma**2)),
        "A noise that is shrunk by r keeps r**2 of its variance.",
        agrees_on=(GROWING, FROM_CLEAN, TO_NOISE),
    ),
    Mutant(
        _kernel(lambda s, t, r: t.sigma - r * s.sigma),
        "Standard deviations of independent noises do not subtract. Their squares do.",
        agrees_on=(FROM_CLEAN, TO_NOISE),
    ),
    Mutant(
        _kernel(lambda s, t, r: t.sigma),
        "sigma_t counts all the noise since the clean picture. Part of it was there at s already.",
        agrees_on=(FROM_CLEAN, TO_NOISE),
    ),
    Mutant(
        _kernel(_added, lambda s, t: t.alpha),
        "alpha_t starts from the clean picture. x_s has been shrunk by alpha_s already.",
        agrees_on=(GROWING, FROM_CLEAN, TO_NOISE),
    ),
    Mutant(
        _kernel(_added, lambda s, t: s.alpha / t.alpha),
        "Upside down: from s to t the picture gets smaller, so the scale is at most 1.",
        agrees_on=(GROWING,),
    ),
    Mutant(
        _kernel(_added, lambda s, t: (t.alpha / s.alpha) ** 2),
        "The scale multiplies a picture, not a variance: no square.",
        agrees_on=(GROWING, TO_NOISE),
    ),
    Mutant(
        _kernel(_added, lambda s, t: (t.alpha / s.alpha).sqrt()),
        "No root: here alpha multiplies the picture. (Ho et al.'s alpha-bar is alpha squared; there a root is needed.)",
        agrees_on=(GROWING, TO_NOISE),
    ),
    Mutant(
        _kernel(_added, lambda s, t: 1 - (s.alpha - t.alpha)),
        "Steps multiply: what matters is the ratio of the two alphas, not their difference.",
        agrees_on=(GROWING, FROM_CLEAN),
    ),
    Mutant(
        _kernel(lambda s, t, r: torch.sqrt(t.sigma**2 + (r * s.sigma) ** 2)),
        "The VARIANCES of the step's noise and of what is left of the old noise add up to sigma_t**2. So the step's is "
        "a difference.",
        agrees_on=(FROM_CLEAN, TO_NOISE),
    ),
    Mutant(
        _kernel(lambda s, t, r: s.sigma * _added(s, t, r) / t.sigma),
        "This is the spread of the way back, when x_0 is known too. The kernel goes forward and knows x_s only.",
    ),
    Mutant(
        _kernel(lambda s, t, r: t.sigma, lambda s, t: t.alpha),
        "That is the jump from the clean picture to t. You stand at x_s: shrunk by alpha_s, with noise in it already.",
        agrees_on=(FROM_CLEAN, TO_NOISE),
    ),
    Mutant(
        _kernel(lambda s, t, r: t.alpha * torch.sqrt((t.sigma / t.alpha) ** 2 - (s.sigma / s.alpha) ** 2)),
        "alpha_t may be 0: do not divide by it. Multiply the bracket out.",
        agrees_on=(KEPT, GROWING, BETWEEN, FROM_CLEAN, "a level per picture", "single precision"),
    ),
)
