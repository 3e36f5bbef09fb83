"""Plausible wrong answers to exercises 06.1 to 06.3, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.schedule import Marginal

from .contract import Mutant

# ------------------------------------------------------------------------------------------------ 06.1 Euler-Maruyama

Number = Callable[[float], float]


def _root(h: float) -> float:
    return math.sqrt(abs(h))


def _step(
    drift_by: Number = lambda h: h,
    noise_by: Number = _root,
    strength: Callable[[Tensor], Tensor] = lambda g: g,
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
    keep: bool = True,
    times_x: bool = False,
) -> Callable[..., Tensor]:
    """The right step but for one thing: a power of h, the diffusion, its shape, x forgotten, drift taken for f."""

    def step(x: Tensor, drift: Tensor, diffusion: Tensor, h: float, noise: Tensor) -> Tensor:
        change = (drift * x if times_x else drift) * drift_by(h) + fit(strength(diffusion), x) * noise_by(h) * noise
        return x + change if keep else change

    return step


def _nan_root(h: float) -> float:
    return math.sqrt(h) if h >= 0 else math.nan


def _signed_root(h: float) -> float:
    return math.copysign(math.sqrt(abs(h)), h)


FORWARDS = ("one number, forwards", "h = 1", "diffusion = 1", "no noise", "no drift")
MARUYAMA = (
    Mutant(
        _step(noise_by=abs),
        "Variances of small steps add up, not standard deviations. Which power of h makes n steps of h = t / n give t?",
        agrees_on=("h = 1", "no noise"),
    ),
    Mutant(
        _step(noise_by=lambda h: h),
        "The noise of a short step is much larger than the step's duration; and it has no direction in time.",
        agrees_on=("h = 1", "no noise"),
    ),
    Mutant(
        _step(noise_by=math.sqrt),
        "Walking back in time, h is below 0 and has no square root. How much variance does such a step add?",
        agrees_on=FORWARDS,
    ),
    Mutant(
        _step(noise_by=_nan_root),
        "There is NaN where h < 0: the root of a negative number. The variance of the noise is g**2 times |h|.",
        agrees_on=FORWARDS,
    ),
    Mutant(
        _step(noise_by=_signed_root),
        "The drift turns round with time, the noise does not: with the noise given, its sign stays.",
        agrees_on=FORWARDS,
    ),
    Mutant(
        _step(drift_by=abs),
        "A step back in time undoes the drift: there h carries a sign that belongs to the drift.",
        agrees_on=FORWARDS,
    ),
    Mutant(
        _step(strength=torch.square),
        "The diffusion g is a standard deviation per root of time; g**2 is the variance per time.",
        agrees_on=("diffusion = 1", "no noise"),
    ),
    Mutant(
        _step(strength=torch.sqrt),
        "You took a root of the diffusion. It is g, not g**2, that is handed to you.",
        agrees_on=("diffusion = 1", "no noise"),
    ),
    Mutant(
        _step(strength=torch.ones_like),
        "How loud is the noise? One of the arguments has not been used.",
        agrees_on=("diffusion = 1", "no noise"),
    ),
    Mutant(
        _step(drift_by=_signed_root),
        "Only the noise goes with the root of h. In a short time, how far does something with a given velocity move?",
        agrees_on=("h = 1", "no drift"),
    ),
    Mutant(
        _step(noise_by=lambda h: math.sqrt(2 * abs(h))),
        "A factor 2 under the root belongs to Langevin's walk. Here the variance of a step is g**2 |h|.",
        agrees_on=("no noise",),
    ),
    Mutant(
        _step(fit=lambda value, like: value),
        "`diffusion` may hold one number per sample, (B,). It must not be spread along the last dimension.",
        agrees_on=("one number, forwards", "h = 1", "backwards, h < 0"),
    ),
    Mutant(
        _step(keep=False),
        "That is the change. Where is the walker after it?",
    ),
    Mutant(
        _step(times_x=True),
        "`drift` is the whole drift at x, not the rate f that still has to be multiplied by x.",
        agrees_on=("no drift",),
    ),
)

# ----------------------------------------------------------------------------------------- 06.2 drift and diffusion

Scales = tuple[Tensor, Tensor, Tensor, Tensor]


def _rates(
    f: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = lambda a, s, da, ds: da / a,
    variance: Callable[..., Tensor] = lambda a, s, da, ds, f: 2 * s * ds - 2 * f * s**2,
    root: Callable[[Tensor], Tensor] = torch.sqrt,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right rates but for one thing: f, g**2 of (alpha, sigma, their rates, f), or the root."""

    def rates(alpha: Tensor, sigma: Tensor, alpha_rate: Tensor, sigma_rate: Tensor) -> tuple[Tensor, Tensor]:
        drift = f(alpha, sigma, alpha_rate, sigma_rate)
        return drift, root(variance(alpha, sigma, alpha_rate, sigma_rate, drift))

    return rates


LOUD, START = "alpha = 1 always", "t = 0: alpha = 1, sigma = 0"
RATES = (
    Mutant(
        _rates(root=lambda variance: variance),
        "The formula gives g**2, the variance per unit of time. What was asked for is g.",
        agrees_on=(START,),
    ),
    Mutant(
        _rates(f=lambda a, s, da, ds: da),
        "The mean alpha x_0 has to obey m' = f m. So f is a rate of alpha relative to what?",
        agrees_on=(LOUD, START),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: 2 * s * ds),
        "V' = 2 f V + g**2: the drift shrinks the noise that is already there, and g has to make up for it.",
        agrees_on=(LOUD, START),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: 2 * s * ds + 2 * f * s**2),
        "Solve V' = 2 f V + g**2 for g**2 again, and watch the sign. f is below 0, so what does it do to g**2?",
        agrees_on=(LOUD, START),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: ds - 2 * f * s**2),
        "You are given the derivative of sigma. What is the derivative of sigma**2?",
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: s * ds - 2 * f * s**2),
        "The chain rule for sigma**2 has a factor in front.",
        agrees_on=(START,),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: 2 * s * ds - f * s**2),
        "In one step the scale (1 + f h) is squared before it acts on a variance. Which factor does that leave at f?",
        agrees_on=(LOUD, START),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: 2 * s * ds - 2 * f * s),
        "In V' = 2 f V + g**2, V is a variance: sigma**2.",
        agrees_on=(LOUD, "sigma = 1", START),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: 2 * s * ds - 2 * da * s**2),
        "Your f is right, but the diffusion uses another one: what multiplies sigma**2 there?",
        agrees_on=(LOUD, START),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: -2 * f),
        "g**2 = -2 f holds only where alpha**2 + sigma**2 = 1. Not every case preserves the variance.",
        agrees_on=("variance preserving",),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: -2 * f * s**2),
        "Something is missing: what if alpha stands still and sigma grows?",
    ),
    Mutant(
        _rates(f=lambda a, s, da, ds: -da / a),
        "alpha falls, so the drift pulls towards 0: which sign has f?",
        agrees_on=(LOUD,),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: ds**2),
        "g is not the speed of sigma: independent noises add their variances, so look at the rate of sigma**2.",
    ),
    Mutant(
        _rates(f=lambda a, s, da, ds: ds / s, variance=lambda a, s, da, ds, f: 2 * s * ds - 2 * da / a * s**2),
        "f comes from the mean, alpha x_0, and not from the noise.",
    ),
    Mutant(
        _rates(root=lambda variance: -torch.sqrt(variance)),
        "g is the size of the noise. Of the two roots of g**2, which one is a size?",
        agrees_on=(START,),
    ),
    Mutant(
        _rates(variance=lambda a, s, da, ds, f: -(s**2) * (2 * da / a - 2 * ds / s)),
        "At sigma = 0, log snr is infinite, and you get NaN. Write g**2 without dividing by sigma.",
        agrees_on=("one time", "variance preserving", LOUD, "sigma = 1", "five times", "single precision"),
    ),
    Mutant(
        lambda *scales: _rates()(*scales)[::-1],
        "Both numbers are right, in the other order: first the drift f, then the diffusion g.",
    ),
)

# -------------------------------------------------------------------------------------------------------- 06.3 Tweedie


def _tweedie(
    x0: Callable[..., Tensor] = lambda S, x, a, s: (x + s**2 * S) / a,
    eps: Callable[..., Tensor] = lambda S, x, a, s, x0: -s * S,
    alpha_of: Callable[[Marginal], Tensor] = lambda marginal: marginal.alpha,
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right pair but for one thing: x0 of (score, x, alpha, sigma), eps of these and x0, alpha, shapes."""

    def both(score: Tensor, x_t: Tensor, marginal: Marginal) -> tuple[Tensor, Tensor]:
        alpha, sigma = fit(alpha_of(marginal), x_t), fit(marginal.sigma, x_t)
        clean = x0(score, x_t, alpha, sigma)
        return clean, eps(score, x_t, alpha, sigma, clean)

    return both


TWEEDIE = (
    Mutant(
        _tweedie(x0=lambda S, x, a, s: x + s**2 * S),
        "x_t + sigma**2 score is the expected alpha x_0: the clean picture, still shrunk.",
        agrees_on=("alpha = 1",),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: (x + s * S) / a),
        "A score is one over a length, a step is a length: by which power of sigma must the score be multiplied?",
        agrees_on=("sigma = 1", "sigma = 0"),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: (x - s**2 * S) / a),
        "The score points uphill, towards where data are. Denoising goes along with it.",
        agrees_on=("sigma = 0",),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: x / a + s**2 * S),
        "Solve score = (alpha x_0 - x_t) / sigma**2 for x_0 once more: what does alpha divide?",
        agrees_on=("alpha = 1", "sigma = 0"),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: (x + S) / a),
        "How far to walk along the score depends on the noise: at sigma = 0 there is nothing to remove.",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _tweedie(eps=lambda S, x, a, s, x0: s * S),
        "The score points towards the data, the noise points away from them.",
        agrees_on=("sigma = 0",),
    ),
    Mutant(
        _tweedie(eps=lambda S, x, a, s, x0: -S / s),
        "score = -eps / sigma. Solve for eps: is it larger or smaller than the score at weak noise?",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _tweedie(eps=lambda S, x, a, s, x0: -(s**2) * S),
        "sigma**2 score is the noise as it sits in x_t, sigma eps. The question is for eps, of unit variance.",
        agrees_on=("sigma = 1", "sigma = 0"),
    ),
    Mutant(
        _tweedie(eps=lambda S, x, a, s, x0: -S),
        "Score and noise differ by a sign, and by a factor that depends on the noise level.",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _tweedie(eps=lambda S, x, a, s, x0: torch.where(s > 0, (x - x0) / s, 0 * x)),
        "What is left of x_t after taking away the picture is the noise, but x_t holds alpha x_0.",
        agrees_on=("alpha = 1", "sigma = 0"),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: (x - s**2 * S) / a, eps=lambda S, x, a, s, x0: s * S),
        "The two fit each other, but both have the wrong sign: which way does the score point, away from the noise?",
        agrees_on=("sigma = 0",),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: (x + S) / a, eps=lambda S, x, a, s, x0: torch.where(s > 0, -S / s, 0 * S)),
        "The two fit each other, but you multiplied where to divide: the score is minus the noise, *divided* by sigma.",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: (x + s * S) / a, eps=lambda S, x, a, s, x0: -S),
        "The two fit each other, but the score is not minus the noise: they have different units.",
        agrees_on=("sigma = 1",),
    ),
    Mutant(
        _tweedie(x0=lambda S, x, a, s: (x + s**3 * S) / a, eps=lambda S, x, a, s, x0: -(s**2) * S),
        "One factor sigma too many, in both: -sigma**2 score is sigma eps.",
        agrees_on=("sigma = 1", "sigma = 0"),
    ),
    Mutant(
        _tweedie(alpha_of=lambda marginal: torch.sqrt(1 - marginal.sigma**2)),
        "alpha is not always sqrt(1 - sigma**2). The marginal knows its own.",
        agrees_on=("variance preserving, one level",),
    ),
    Mutant(
        _tweedie(fit=lambda value, like: value),
        "alpha and sigma may hold one number per sample, (B,). They must not be spread along the last dimension.",
        agrees_on=("one number", "alpha = 1", "sigma = 1", "sigma = 0", "variance preserving, one level"),
    ),
    Mutant(
        lambda *given: _tweedie()(*given)[::-1],
        "Both are right, in the other order: first x0_hat, then eps_hat.",
    ),
)
