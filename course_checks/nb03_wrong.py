"""Plausible wrong answers to exercises 03.1 to 03.3, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped

from .contract import Mutant

# ------------------------------------------------------------------------------------ 03.1 variance of a shrinking walk


def _terms(gamma: float, t: int) -> float:
    return sum(gamma ** (2 * k) for k in range(t))


def _formula_everywhere(t: int, gamma: float, std: float, data: float) -> float:
    return gamma ** (2 * t) * data + std**2 * (1 - gamma ** (2 * t)) / (1 - gamma**2)


def _plain_sum(t: int, gamma: float, std: float, data: float) -> float:
    terms = float(t) if gamma == 1 else (1 - gamma**t) / (1 - gamma)
    return gamma ** (2 * t) * data + std**2 * terms


def _at_the_limit(t: int, gamma: float, std: float, data: float) -> float:
    return gamma ** (2 * t) * data + (std**2 / (1 - gamma**2) if gamma < 1 else math.inf)


def _wrong_denominator(t: int, gamma: float, std: float, data: float) -> float:
    terms = float(t) if gamma == 1 else (1 - gamma ** (2 * t)) / (1 - gamma)
    return gamma ** (2 * t) * data + std**2 * terms


def _wrong_numerator(t: int, gamma: float, std: float, data: float) -> float:
    terms = float(t) if gamma == 1 else (1 - gamma**t) / (1 - gamma**2)
    return gamma ** (2 * t) * data + std**2 * terms


def _still_apart(function: Callable[[int, float, float, float], float]) -> Callable[[int, float, float, float], float]:
    """`function`, but with gamma = 1 taken care of, as the docstring asks."""

    def variance(t: int, gamma: float, std: float, data: float) -> float:
        return data + t * std**2 if gamma == 1 else function(t, gamma, std, data)

    return variance


ZERO, ONE_STEP, STILL = "no step yet", "one step", "nothing shrinks, gamma = 1"
KEEPS, ALIKE, LONG = "steps that keep a variance of 1", "all data alike, variance 0", "three hundred steps"

VARIANCE = (
    Mutant(
        lambda t, gamma, std, data: gamma**t * data + std**2 * _terms(gamma, t),
        "gamma**t is what is left of a picture. What is left of its variance is the square of that.",
        agrees_on=(ZERO, STILL, ALIKE, LONG),
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data + std * _terms(gamma, t),
        "`std` multiplies the noise. What adds up are variances, so with which power does it enter?",
        agrees_on=(ZERO,),
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * t,
        "Old noise shrinks together with the picture: the first step's noise is not whole any more. See (03.3).",
        agrees_on=(ZERO, ONE_STEP, STILL),
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data + 1 - gamma ** (2 * t),
        "1 - gamma**(2 t) is right if std**2 = 1 - gamma**2. Here std is free: look at the case's numbers.",
        agrees_on=(ZERO, KEEPS),
    ),
    Mutant(
        lambda t, gamma, std, data: std**2 * _terms(gamma, t),
        "This is the variance given x_0. The pictures differ from one another too: what became of `data_variance`?",
        agrees_on=(ALIKE, LONG),
    ),
    Mutant(
        lambda t, gamma, std, data: data + std**2 * _terms(gamma, t),
        "The picture itself is shrunk in every step as well, and its variance with it.",
        agrees_on=(ZERO, ALIKE, STILL),
    ),
    Mutant(
        _plain_sum,
        "You add powers of gamma. The variance is a sum of squared coefficients: 1, gamma**2, gamma**4, ...",
        agrees_on=(ZERO, ONE_STEP, STILL),
    ),
    Mutant(
        _at_the_limit,
        "That is where the noise's variance ends after very many steps. What is it after t? After none it must be 0.",
        agrees_on=(LONG,),
    ),
    Mutant(
        _formula_everywhere,
        "With gamma = 1 this divides 0 by 0. Go back to the sum: what are its t terms then?",
        agrees_on=("three steps", ZERO, ONE_STEP, KEEPS, ALIKE, LONG),
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * _terms(gamma, t + 1),
        "Count the noises: after t steps there are t of them, so the sum runs from k = 0 to t - 1.",
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * (_terms(gamma, t) - (1 if t else 0)),
        "The newest noise is missing: it enters whole, with coefficient 1, and so the sum starts at k = 0.",
        agrees_on=(ZERO,),
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * gamma**2 * _terms(gamma, t),
        "In which order? The picture is shrunk first and noise is added then, so the newest noise is not shrunk.",
        agrees_on=(ZERO, STILL),
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * (data + t * std**2),
        "Only the oldest things have been through all t shrinkings. A noise has been through those that came after it.",
        agrees_on=(ZERO, STILL),
    ),
    Mutant(
        _wrong_denominator,
        "The sum of 1, q, q**2, ... is (1 - q**t) / (1 - q) with the same q above and below. Here q = gamma**2.",
        agrees_on=(ZERO, STILL),
    ),
    Mutant(
        _wrong_numerator,
        "In the geometric sum q = gamma**2 is taken to the power t. What is gamma**2 to the power t?",
        agrees_on=(ZERO, STILL, LONG),
    ),
    Mutant(
        lambda t, gamma, std, data: math.sqrt(gamma ** (2 * t) * data + std**2 * _terms(gamma, t)),
        "This is the standard deviation. The variance was asked for.",
    ),
    Mutant(
        _still_apart(lambda t, gamma, std, data: gamma ** (2 * t) * data + 1 - gamma ** (2 * t)),
        "b, here `std`, is free: the noise's part is std**2 times the sum. It is 1 - gamma**(2 t) only where std**2 = "
        "1 - gamma**2.",
        agrees_on=(ZERO, KEEPS, STILL),
    ),
    Mutant(
        _still_apart(lambda t, gamma, std, data: std**2 * _terms(gamma, t)),
        "For gamma = 1 you count the variance of the data, otherwise you do not. The data have a variance too: what is "
        "left of it after t steps?",
        agrees_on=(ALIKE, LONG, STILL),
    ),
    Mutant(
        _still_apart(lambda t, gamma, std, data: gamma ** (2 * t) * data + std**2 * _terms(gamma, t + 1)),
        "t steps, t terms, as you have it for gamma = 1: then the exponent in the geometric sum is 2 t.",
        agrees_on=(STILL,),
    ),
    Mutant(
        _still_apart(lambda t, gamma, std, data: gamma ** (2 * t) * data + std * _terms(gamma, t)),
        "For gamma = 1 you add std**2 for each step. Why std otherwise? Variances add up.",
        agrees_on=(ZERO, STILL),
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data + _terms(gamma, t),
        "Where is `std`? Each of the noises has the variance std**2, not 1, before it is shrunk.",
        agrees_on=(ZERO,),
    ),
    Mutant(
        lambda t, gamma, std, data: 1 - gamma ** (2 * t),
        "Two things: 1 - gamma**(2 t) takes it that std**2 = 1 - gamma**2; and the data have a variance too.",
    ),
    Mutant(
        lambda t, gamma, std, data: gamma ** (2 * t) * data**2 + std**2 * _terms(gamma, t),
        "`data_variance` is a variance already: no need to square it.",
        agrees_on=(ALIKE, LONG),
    ),
)

# ----------------------------------------------------------------------------------------- 03.2 telescoped alpha, sigma


def _table(
    alpha: Callable[[Tensor], Tensor] | None = None, sigma: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The right answer but for the rows 1 ... T of alpha, from gammas, or of sigma, from (gammas, alpha)."""

    def table(gammas: Tensor) -> tuple[Tensor, Tensor]:
        a = gammas.cumprod(0) if alpha is None else alpha(gammas)
        s = torch.sqrt((1 - a**2).clamp(min=0)) if sigma is None else sigma(gammas, a)
        return torch.cat([torch.ones_like(a[:1]), a]), torch.cat([torch.zeros_like(a[:1]), s])

    return table


def _shrunk_too(gammas: Tensor, alpha: Tensor) -> Tensor:
    variance, rows = torch.zeros_like(gammas[0]), []
    for gamma in gammas:
        variance = gamma**2 * (variance + 1 - gamma**2)
        rows.append(variance)
    return torch.stack(rows).sqrt()


def _one_early(gammas: Tensor) -> tuple[Tensor, Tensor]:
    alpha = torch.cat([gammas.cumprod(0), gammas.prod()[None]])
    return alpha, torch.sqrt((1 - alpha**2).clamp(min=0))


def _without_row_0(gammas: Tensor) -> tuple[Tensor, Tensor]:
    alpha = gammas.cumprod(0)
    return alpha, torch.sqrt(1 - alpha**2)


IDLE, SINGLE = "nothing happens, all gammas 1", "one step"

TELESCOPE = (
    Mutant(
        _table(sigma=lambda g, a: 1 - a),
        "alpha + sigma = 1 keeps nothing. What adds up to 1 are the variances, alpha**2 and sigma**2.",
        agrees_on=(IDLE,),
    ),
    Mutant(
        _table(sigma=lambda g, a: (1 - a).sqrt()),
        "alpha multiplies the picture, so its share of the variance is alpha**2, Ho et al.'s alpha-bar.",
        agrees_on=(IDLE,),
    ),
    Mutant(
        _table(sigma=lambda g, a: 1 - a**2),
        "1 - alpha**2 is the noise's variance; sigma is its standard deviation.",
        agrees_on=(IDLE,),
    ),
    Mutant(
        _table(alpha=lambda g: (g**2).cumprod(0), sigma=lambda g, a: (1 - a).sqrt()),
        "That is alpha-bar, the share of the variance. Our alpha is the scale of the picture.",
        agrees_on=(IDLE,),
    ),
    Mutant(
        _table(alpha=lambda g: g.cumprod(0).sqrt()),
        "The gammas multiply the picture directly. A root would be right for Ho et al.'s 1 - beta, gamma squared.",
        agrees_on=(IDLE,),
    ),
    Mutant(
        _table(alpha=lambda g: g),
        "These are single steps. After t steps the picture has been shrunk by all the gammas up to t.",
        agrees_on=(IDLE, SINGLE),
    ),
    Mutant(
        _table(sigma=lambda g, a: torch.sqrt(1 - g**2).cumsum(0)),
        "Standard deviations of independent noises do not add; and old noise shrinks. Telescope the variances.",
        agrees_on=(IDLE, SINGLE),
    ),
    Mutant(
        _table(sigma=lambda g, a: (1 - g**2).cumsum(0).sqrt()),
        "The variances are added as if old noise stayed as it was. Every later step shrinks it.",
        agrees_on=(IDLE, SINGLE),
    ),
    Mutant(
        _table(sigma=lambda g, a: torch.sqrt(1 - g**2)),
        "This is the noise of the newest step only. What is left of the older ones is in the picture too.",
        agrees_on=(IDLE, SINGLE),
    ),
    Mutant(
        _table(alpha=lambda g: g.flip(0).cumprod(0)),
        "Which steps has x_1 been through? Only the first: the product starts at gamma_1.",
        agrees_on=(IDLE, SINGLE, "equal steps"),
    ),
    Mutant(
        _table(sigma=_shrunk_too),
        "Shrink first, then add: the newest noise is whole. Yours is shrunk in its own step.",
        agrees_on=(IDLE,),
    ),
    Mutant(
        _without_row_0,
        "Row 0 is the clean picture, before any step: T steps make T + 1 rows.",
    ),
    Mutant(
        _one_early,
        "Row t belongs to time t, and at time 0 nothing has happened: alpha 1, sigma 0.",
        agrees_on=(IDLE,),
    ),
)

# ------------------------------------------------------------------------------------------------------------ 03.3 jump


def _jump(
    alpha: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda alphas, sigmas, t: alphas[t],
    sigma: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda alphas, sigmas, t: sigmas[t],
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
) -> Callable[..., Tensor]:
    def jump(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
        return fit(alpha(alphas, sigmas, t), x_0) * x_0 + fit(sigma(alphas, sigmas, t), x_0) * noise

    return jump


def _whole_noise(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    return shaped(alphas[t], x_0) * x_0 + noise


def _whole_picture(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    return x_0 + shaped(sigmas[t], x_0) * noise


def _shrunk_together(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    return shaped(alphas[t], x_0) * (x_0 + shaped(sigmas[t], x_0) * noise)


PICTURE, TIMES, SQUARE = "one picture", "a time for each picture", "as many pictures as columns"
LOUD, CLEAN, SAME = "alpha = 1: the variance explodes", "t = 0", "one time for all"

JUMP = (
    Mutant(
        _jump(fit=lambda value, x: value),
        "With one number a picture, (B,), plain multiplication lines the numbers up with the last dimension, the "
        "columns. Give them the shape (B, 1, 1, 1): `per_sample` does.",
        agrees_on=(PICTURE,),
    ),
    Mutant(
        _jump(lambda a, s, t: a[t - 1], lambda a, s, t: s[t - 1]),
        "The tables have a row for t = 0, so row t belongs to time t: nothing to subtract.",
    ),
    Mutant(
        _jump(sigma=lambda a, s, t: 1 - a[t]),
        "alpha + sigma = 1 keeps nothing, and need not hold: you are given sigma.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _jump(sigma=lambda a, s, t: 1 - a[t] ** 2),
        "1 - alpha**2 is a variance, and only where the variance is preserved. You are given the std, sigma.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _jump(lambda a, s, t: a[t] ** 2),
        "alpha multiplies the picture as it is. Its square is the picture's share of the variance.",
        agrees_on=(CLEAN, LOUD),
    ),
    Mutant(
        _jump(sigma=lambda a, s, t: torch.sqrt(1 - a[t] ** 2)),
        "sqrt(1 - alpha**2) assumes that the variance is preserved. You are given sigma: use it.",
        agrees_on=(PICTURE, TIMES, SQUARE, CLEAN, SAME),
    ),
    Mutant(
        _jump(lambda a, s, t: a[t].sqrt(), lambda a, s, t: (1 - a[t]).sqrt()),
        "That is the formula for alpha-bar. `alphas` multiply the picture as they are.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _jump(sigma=lambda a, s, t: s[t] ** 2),
        "sigma is a standard deviation: it multiplies the noise as it is, without a square.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _jump(sigma=lambda a, s, t: s[t].sqrt()),
        "sigma is the standard deviation already, not the variance: no root.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _jump(lambda a, s, t: s[t], lambda a, s, t: a[t]),
        "Which belongs to which? At t = 0 alpha is 1 and sigma is 0, and the picture has to come back untouched.",
    ),
    Mutant(
        _jump(lambda a, s, t: a.cumprod(0)[t]),
        "The table holds the product of all steps up to t already. Multiply it up again and you go too far.",
        agrees_on=(CLEAN, LOUD),
    ),
    Mutant(
        _jump(lambda a, s, t: a[t[0]], lambda a, s, t: s[t[0]]),
        "Each picture of the batch has a time of its own.",
        agrees_on=(PICTURE, CLEAN, SAME),
    ),
    Mutant(_whole_noise, "The noise has to be scaled as well: at t = 0 there is none."),
    Mutant(
        _whole_picture,
        "The picture is kept at full size. In general it has been shrunk by alpha_t.",
        agrees_on=(LOUD, CLEAN),
    ),
    Mutant(
        _shrunk_together,
        "sigma_t is the noise's standard deviation in the end, after all shrinking: alpha_t does not shrink it again.",
        agrees_on=(LOUD, CLEAN),
    ),
)
