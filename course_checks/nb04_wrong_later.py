"""Plausible wrong answers to exercises 04.5 and 04.6, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.schedule import Marginal, bridge_weights, kernel

from .contract import Mutant

# ------------------------------------------------------------ 04.5 a term of the bound

Formula = Callable[[Tensor, Tensor, Tensor], Tensor]  # (bridge std, model std, distance of the means) -> terms


def _kl(a: Tensor, b: Tensor, apart: Tensor) -> Tensor:
    return torch.log(b / a) + (a**2 + apart**2) / (2 * b**2) - 0.5


def _term(
    formula: Formula = _kl,
    weight: Callable[[Marginal, Marginal], Tensor] = lambda s, t: bridge_weights(s, t)[1],
    reduce: Callable[[Tensor], Tensor] = lambda terms: terms.flatten(1).sum(1),
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
    own: Callable[[Marginal, Marginal], Tensor] = lambda s, t: bridge_weights(s, t)[2],
    guess: Callable[[Tensor, Tensor], Tensor] = lambda x_0, x0_hat: x_0 - x0_hat,
) -> Callable[..., Tensor]:
    """The right answer but for one thing."""

    def term(x_0: Tensor, x0_hat: Tensor, x_t: Tensor, s: Marginal, t: Marginal, model_std: Tensor) -> Tensor:
        apart = fit(weight(s, t), x_t) * guess(x_0, x0_hat)
        terms = formula(fit(own(s, t), x_t), fit(model_std, x_t), apart)
        return reduce(terms.expand_as(x_0))

    return term


def _unshaped(value: Tensor, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype)


def _widths_once(x_0: Tensor, x0_hat: Tensor, x_t: Tensor, s: Marginal, t: Marginal, model_std: Tensor) -> Tensor:
    _, of_x_0, std = bridge_weights(s, t)
    b = torch.as_tensor(model_std)
    squares = (shaped(of_x_0, x_t) * (x_0 - x0_hat)).square().flatten(1).sum(1)
    return torch.log(b / std) + (std**2 + squares) / (2 * b**2) - 0.5


SAME, PIXEL, PERFECT = "the bridge's own standard deviation", "one pixel", "a perfect guess, a wider model"
ROWS = "a level per image, B = W"
ONE_TERM = (
    Mutant(
        _term(lambda a, b, apart: _kl(b, a, apart)),
        "Which of the two Gaussians is averaged over? KL(q || p), with the bridge as q.",
        agrees_on=(SAME,),
    ),
    Mutant(
        _term(lambda a, b, apart: apart**2 / (2 * b**2)),
        "That is all there is if both are equally wide. Here the model may be wider than the bridge, and pays for it.",
        agrees_on=(SAME,),
    ),
    Mutant(
        _term(lambda a, b, apart: _kl(a, b, 0 * apart)),
        "The means differ as well: the model's holds x0_hat where the bridge's holds x_0.",
        agrees_on=(PERFECT,),
    ),
    Mutant(
        _term(lambda a, b, apart: torch.log(a / b) + (a**2 + apart**2) / (2 * b**2) - 0.5),
        "If the means agree the KL must be 0 for equal widths and positive for any others. Try the logarithm's sign.",
        agrees_on=(SAME,),
    ),
    Mutant(
        _term(lambda a, b, apart: _kl(a, b, apart) + 0.5),
        "A KL of a Gaussian to itself is 0. Is a constant missing?",
    ),
    Mutant(
        _term(lambda a, b, apart: _kl(a, b, math.sqrt(2) * apart)),
        "Twice the variance stands below the squared distance of the means.",
        agrees_on=(PERFECT,),
    ),
    Mutant(
        _term(lambda a, b, apart: torch.log(b / a) + a**2 / (2 * b**2) + apart**2 / (2 * a**2) - 0.5),
        "The distance of the means is measured in the model's standard deviation, that of the second "
        "argument of the KL.",
        agrees_on=(SAME, PERFECT),
    ),
    Mutant(
        _term(lambda a, b, apart: 2 * torch.log(b / a) + (a**2 + apart**2) / (2 * b**2) - 0.5),
        "log(b / a) of standard deviations, or half the log of the variances' ratio: not both.",
        agrees_on=(SAME,),
    ),
    Mutant(
        _term(lambda a, b, apart: _kl(a, b.sqrt(), apart)),
        "`model_std` is a standard deviation. Square it where the formula has a variance.",
    ),
    Mutant(
        _term(lambda a, b, apart: _kl(a, b**2, apart)),
        "You squared `model_std` and then used it as a standard deviation.",
    ),
    Mutant(
        _term(weight=lambda s, t: torch.ones_like(s.alpha)),
        "The means of x_s differ by less than the guesses of x_0: what is the bridge's weight of x_0?",
        agrees_on=(PERFECT,),
    ),
    Mutant(
        _term(weight=lambda s, t: s.alpha),
        "alpha_s scales x_0 in x_s if nothing else is known. With x_t known too, the bridge's weight of x_0 "
        "is smaller.",
        agrees_on=(PERFECT,),
    ),
    Mutant(
        _term(weight=lambda s, t: bridge_weights(s, t)[0]),
        "You multiplied by the weight of x_t. Both means have the same x_t; they differ in x_0.",
        agrees_on=(PERFECT,),
    ),
    Mutant(
        _term(weight=lambda s, t: bridge_weights(s, t)[1].sqrt()),
        "The means differ by weight times error; the squared distance has the weight squared.",
        agrees_on=(PERFECT,),
    ),
    Mutant(
        _term(own=lambda s, t: kernel(s, t).std),
        "q(x_s | x_t, x_0) has the bridge's standard deviation, not that of the step forward.",
    ),
    Mutant(
        _term(reduce=lambda terms: terms.flatten(1).mean(1)),
        "Independent pixels: their KLs add up. A mean is no KL of the picture.",
        agrees_on=(PIXEL,),
    ),
    Mutant(
        _widths_once,
        "The terms that compare the two widths belong to every pixel: sum them over the picture too.",
        agrees_on=(SAME, PIXEL),
    ),
    Mutant(
        _term(reduce=lambda terms: terms.flatten(1)[:, : terms.shape[-1]].sum(1)),
        "Sum over all dimensions but the first: channels, rows and columns.",
        agrees_on=(PIXEL,),
    ),
    Mutant(
        _term(fit=_unshaped),
        "With one level per picture, (B,), plain multiplication lines the levels up with the columns. Use "
        "`per_sample`.",
        agrees_on=(SAME, PIXEL, PERFECT, "a wider model", "a narrower model", "alpha**2 + sigma**2 is not 1"),
    ),
    Mutant(
        _term(lambda a, b, apart: apart**2 / (2 * a**2)),
        "That holds if the model is as wide as the bridge. Which width measures the distance, and what does "
        "a wider one cost?",
        agrees_on=(SAME,),
    ),
    Mutant(
        _term(lambda a, b, apart: torch.log(b / a) + (a**2 + apart**2) / b**2 - 0.5),
        "For a Gaussian against itself the KL must be 0. Is a factor missing below the squares?",
    ),
    Mutant(
        _term(lambda a, b, apart: 0.5 * torch.log(b / a) + (a**2 + apart**2) / (2 * b**2) - 0.5),
        "Half the log of the ratio of variances is the whole log of the ratio of standard deviations.",
        agrees_on=(SAME,),
    ),
    Mutant(
        _term(lambda a, b, apart: torch.log(b / a) + (a + apart**2) / (2 * b) - 0.5),
        "`model_std` and the bridge's std are standard deviations: the quotient needs their squares.",
    ),
    Mutant(
        _term(lambda a, b, apart: torch.log(b / a) + (a**2 + apart.abs()) / (2 * b**2) - 0.5),
        "The distance of the means enters squared.",
        agrees_on=(PERFECT,),
    ),
    Mutant(
        _term(lambda a, b, apart: apart**2 / b**2),
        "The widths differ as well, and twice the variance stands below the squared distance.",
    ),
)

# ------------------------------------------------------------ 04.6 weight of the squared error


def _weight(power_of_x_0: float = 2.0, power_of_std: float = 2.0, half: float = 0.5) -> Callable[..., Tensor]:
    def weight(earlier: Marginal, later: Marginal) -> Tensor:
        _, of_x_0, std = bridge_weights(earlier, later)
        return half * of_x_0**power_of_x_0 / std**power_of_std

    return weight


def _snr(m: Marginal) -> Tensor:
    return (m.alpha / m.sigma) ** 2


WEIGHT = (
    Mutant(
        lambda s, t: _snr(s) - _snr(t),
        "The KL of two equally wide Gaussians is the squared distance over twice the variance.",
    ),
    Mutant(
        lambda s, t: 0.5 * (s.alpha / s.sigma - t.alpha / t.sigma),
        "A squared error needs a ratio of variances: signal to noise, each squared.",
    ),
    Mutant(
        lambda s, t: 0.5 * (_snr(t) - _snr(s)),
        "A KL is never negative. Which of the two times has the larger signal-to-noise ratio?",
    ),
    Mutant(
        lambda s, t: 0.5 * _snr(s),
        "That would be the price if x_t told nothing. What x_t has told already must be taken off.",
    ),
    Mutant(
        lambda s, t: 0.5 * _snr(t),
        "A step is paid for what it reveals between the two times: both noise levels are needed.",
    ),
    Mutant(
        lambda s, t: 0.5 * (torch.log(_snr(s)) - torch.log(_snr(t))),
        "The difference of the ratios themselves, not of their logarithms: derive it, do not guess it.",
    ),
    Mutant(
        lambda s, t: 0.5 * (1 / s.sigma**2 - 1 / t.sigma**2),
        "Does your formula know how much the picture has shrunk at each time?",
        agrees_on=("alpha = 1",),
    ),
    Mutant(
        lambda s, t: 0.5 * (s.alpha**2 / (1 - s.alpha**2) - t.alpha**2 / (1 - t.alpha**2)),
        "sigma**2 = 1 - alpha**2 holds only where the variance is preserved.",
        agrees_on=("two noise levels", "five pairs at once"),
    ),
    Mutant(
        lambda s, t: 0.5 * (s.alpha**2 - t.alpha**2),
        "How much signal is left is half of the story. How much noise is there at each time?",
    ),
    Mutant(
        lambda s, t: 0.5 * (_snr(s) / _snr(t) - 1),
        "That is the weight of the noise's squared error. Here the error is that of x_0.",
    ),
    Mutant(
        _weight(power_of_x_0=1.0),
        "The means differ by the bridge's weight of x_0 times the error. A squared distance has that weight squared.",
    ),
    Mutant(
        _weight(power_of_std=1.0),
        "Twice the variance stands below the squared distance; you used the standard deviation.",
    ),
    Mutant(
        lambda s, t: bridge_weights(s, t)[1] ** 2 / (2 * kernel(s, t).std ** 2),
        "That is for a model with the variance of the forward step, beta. Here it has the bridge's.",
    ),
    Mutant(
        lambda s, t: 1 / (2 * bridge_weights(s, t)[2] ** 2),
        "An error in x_0 is not the same error in the mean of x_s: multiply by the bridge's weight first.",
    ),
    Mutant(
        lambda s, t: 0.5 * bridge_weights(s, t)[1] ** 2,
        "The distance of the means is measured in standard deviations of the bridge: divide by its variance.",
    ),
    Mutant(
        lambda s, t: (bridge_weights(s, t)[1] / bridge_weights(s, t)[2]) / 2,
        "Weight over standard deviation, yes: but the squared distance has the square of both.",
    ),
)
