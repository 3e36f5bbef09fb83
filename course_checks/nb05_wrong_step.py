"""Plausible wrong answers to exercise 05.4, one ancestral step, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.schedule import Marginal, bridge_weights, kernel

from .contract import Mutant
from .nb05_wrong import Weights, ddim_mean, r_squared, right_weights

Mean = Callable[[Tensor, Tensor, Marginal, Marginal], Tensor]
Std = Callable[[Marginal, Marginal, str], Tensor]


def _mean(weights: Weights) -> Mean:
    def mean(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal) -> Tensor:
        of_x_t, of_x_0 = weights(earlier, later)
        return shaped(of_x_t, x_t) * x_t + shaped(of_x_0, x0_hat) * x0_hat

    return mean


def _std(earlier: Marginal, later: Marginal, step_std: str) -> Tensor:
    wide = torch.where(earlier.sigma > 0, kernel(earlier, later).std, 0.0)
    return wide if step_std == "beta" else bridge_weights(earlier, later)[2]


RIGHT_MEAN = _mean(right_weights)


def _ancestral(mean: Mean = RIGHT_MEAN, std: Std = _std) -> Callable[..., Any]:
    def step(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal, noise: Tensor, step_std: str) -> Tensor:
        return mean(x_t, x0_hat, earlier, later) + shaped(std(earlier, later, step_std), noise) * noise

    return step


def _mean_by_columns(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal) -> Tensor:
    of_x_t, of_x_0 = right_weights(earlier, later)
    return of_x_t * x_t + of_x_0 * x0_hat


def _preserving(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """Bridge weights with beta = 1 - r**2, which is so where the variance is preserved."""
    of_x_t, _ = right_weights(earlier, later)
    return of_x_t, earlier.alpha * (1 - (later.alpha / earlier.alpha) ** 2) / later.sigma**2


def _preserving_std(earlier: Marginal, later: Marginal, step_std: str) -> Tensor:
    beta = torch.where(earlier.sigma > 0, 1 - (later.alpha / earlier.alpha) ** 2, 0.0)
    return beta.sqrt() * (earlier.sigma / later.sigma if step_std == "bridge" else 1)


def _as_if_preserving(marginal: Marginal) -> Marginal:
    return Marginal(marginal.alpha, (1 - marginal.alpha**2).clamp(min=0).sqrt())


def _from_clean(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """Bridge weights with alpha_t where alpha_t / alpha_s belongs."""
    variance = later.sigma**2 - (later.alpha * earlier.sigma) ** 2
    return later.alpha * (earlier.sigma / later.sigma) ** 2, earlier.alpha * variance / later.sigma**2


NO_NOISE, LAST_BRIDGE, LAST_BETA = "no noise, bridge", "last step, bridge", "last step, beta"
BY_LEVEL = "a level per image, B = W"
ANCESTRAL = (
    Mutant(
        _ancestral(std=lambda s, t, step_std: _std(s, t, "bridge")),
        'For "beta" the noise is that of the forward step q(x_t | x_s). You used the bridge\'s variance '
        "(beta-tilde) for both.",
        agrees_on=(NO_NOISE, "bridge", LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(std=lambda s, t, step_std: _std(s, t, "beta")),
        'For "bridge" the noise is that of q(x_s | x_t, x_0): knowing x_0 as well narrows it by sigma_s / sigma_t. '
        "You used beta for both.",
        agrees_on=(NO_NOISE, "beta", LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(std=lambda s, t, step_std: _std(s, t, step_std) ** 2),
        "Beta and beta-tilde are variances. Noise is multiplied by their square roots.",
        agrees_on=(NO_NOISE, LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(std=lambda s, t, step_std: kernel(s, t).std if step_std == "beta" else _std(s, t, step_std)),
        "The last step lands on x_0, where sigma_s = 0. Noise added there stays in the picture for good.",
        agrees_on=(NO_NOISE, "bridge", "beta", LAST_BRIDGE),
    ),
    Mutant(
        _ancestral(mean=_mean(ddim_mean)),
        "Your mean keeps all of the old noise (a DDIM step) and then adds fresh noise on top: x_s gets too loud. "
        "Use the bridge's mean.",
        agrees_on=(LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean(r_squared)),
        "The weight of x_t is r sigma_s**2 / sigma_t**2 with r = alpha_t / alpha_s, not r**2 (in Ho et al.: the "
        "square root of alpha).",
        agrees_on=(LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean(_from_clean)),
        "The step goes from t to s, so what counts is alpha_t / alpha_s. alpha_t alone is the step from t all the "
        "way to 0.",
        agrees_on=(LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean_by_columns),
        "With one level per image, (B,), plain multiplication lines the levels up with the columns. Use `per_sample`.",
        agrees_on=(NO_NOISE, "bridge", "beta", LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(std=lambda s, t, step_std: _std(s, t, "beta" if step_std == "bridge" else "bridge")),
        'The two are swapped: "beta" is the wider one, the forward step\'s, "bridge" the narrower one.',
        agrees_on=(NO_NOISE, LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean(lambda s, t: right_weights(s, t)[::-1])),
        "The two weights changed places. At s = 0 the mean must be x0_hat alone.",
    ),
    Mutant(
        _ancestral(
            std=lambda s, t, step_std: _std(s, t, step_std) * (s.sigma / t.sigma if step_std == "bridge" else 1)
        ),
        "beta-tilde is beta times sigma_s**2 / sigma_t**2: a standard deviation gets the ratio to the first power.",
        agrees_on=(NO_NOISE, "beta", LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean(lambda s, t: ((s.sigma / t.sigma) ** 2, right_weights(s, t)[1]))),
        "x_t was shrunk by r on its way from s. The bridge's weight of x_t holds that r.",
        agrees_on=(LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean(_preserving), std=_preserving_std),
        "1 - r**2 is beta only where the variance is preserved. The docstring's beta holds everywhere.",
        agrees_on=(NO_NOISE, "bridge", "beta", LAST_BRIDGE, LAST_BETA, BY_LEVEL),
    ),
    Mutant(
        _ancestral(std=_preserving_std),
        "Your mean is right, but the noise is 1 - r**2, beta where the variance is preserved. Use one beta for both.",
        agrees_on=(NO_NOISE, "bridge", "beta", LAST_BRIDGE, LAST_BETA, BY_LEVEL),
    ),
    Mutant(
        lambda x_t, x0_hat, s, t, noise, step_std: _ancestral()(
            x_t, x0_hat, _as_if_preserving(s), _as_if_preserving(t), noise, step_std
        ),
        "You took 1 - alpha**2 for sigma**2. A marginal brings its own sigma, and one case is not variance preserving.",
        agrees_on=(NO_NOISE, "bridge", "beta", LAST_BRIDGE, LAST_BETA, BY_LEVEL),
    ),
)
