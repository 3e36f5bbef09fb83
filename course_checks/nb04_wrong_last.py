"""Plausible wrong answers to exercises 04.7 and 04.8, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.objective import log_area
from course_lib.schedule import Marginal, bridge_weights, kernel

from .contract import Mutant

# ------------------------------------------------------------ 04.7 discretised decoder


def _edges(x_0: Tensor, x0_hat: Tensor, std: float, levels: int, half: float | None = None) -> tuple[Tensor, Tensor]:
    half = 1 / (levels - 1) if half is None else half
    lower = torch.where(x_0 - half < -1, -math.inf, (x_0 - half - x0_hat) / std)
    upper = torch.where(x_0 + half > 1, math.inf, (x_0 + half - x0_hat) / std)
    return lower, upper


Both = tuple[Tensor, Tensor]


def _bits(nats: Tensor, x_0: Tensor) -> Both:
    return nats, nats / (math.log(2) * x_0[0].numel())


def _decoder(
    area: Callable[[Tensor, Tensor], Tensor] = log_area,
    reduce: Callable[[Tensor], Tensor] = lambda logs: -logs.flatten(1).sum(1),
    answer: Callable[[Tensor, Tensor], Both] = _bits,
) -> Callable[..., Both]:
    """The right answer but for one thing; `area` gets the edges as the scaffold leaves them."""

    def cost(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> Both:
        lower, upper = _edges(x_0, x0_hat, std, levels)
        flip = lower > -upper
        lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
        return answer(reduce(area(lower, upper)), x_0)

    return cost


def _naive(lower: Tensor, upper: Tensor) -> Tensor:
    return torch.log(torch.special.ndtr(upper) - torch.special.ndtr(lower))


def _floored(lower: Tensor, upper: Tensor) -> Tensor:
    return torch.log((torch.special.ndtr(upper) - torch.special.ndtr(lower)).clamp(min=1e-12))


def _smaller_out(lower: Tensor, upper: Tensor) -> Tensor:
    below, whole = torch.special.log_ndtr(lower), torch.special.log_ndtr(upper)
    return below + torch.log(torch.expm1(whole - below))


def _density(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> Both:
    logs = -0.5 * ((x_0 - x0_hat) / std) ** 2 - math.log(std) - 0.5 * math.log(2 * math.pi)
    return _bits(-logs.flatten(1).sum(1), x_0)


def _density_times_width(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> Both:
    nats, _ = _density(x_0, x0_hat, std, levels)
    return _bits(nats - x_0[0].numel() * math.log(2 / (levels - 1)), x_0)


FAR = "far from the guess"
NEAR = (
    "three pictures, 256 levels", "one picture", "pictures of one pixel", "black and white pixels only", "two levels",
    "a narrow decoder",
)  # fmt: skip
DECODER = (
    Mutant(
        _decoder(_naive),
        "Far from the guess both areas are 0 in floating point, and the log of their difference is minus infinity. "
        "Subtract with logarithms.",
        agrees_on=NEAR,
    ),
    Mutant(
        _decoder(lambda lower, upper: torch.special.log_ndtr(upper) - torch.special.log_ndtr(lower)),
        "The logarithm of a difference is not the difference of the logarithms.",
    ),
    Mutant(
        _decoder(_floored),
        "A floor under the area caps the cost: the area may be e^(-5000), not 1e-12. Subtract with logarithms.",
        agrees_on=NEAR,
    ),
    Mutant(
        _decoder(_smaller_out),
        "Take the larger of the two logarithms out, not the smaller: that one may be minus infinity.",
        agrees_on=("three pictures, 256 levels", "one picture", "pictures of one pixel", "a narrow decoder"),
    ),
    Mutant(
        _decoder(reduce=lambda logs: -logs.flatten(1).mean(1), answer=lambda nats, x: (nats, nats / math.log(2))),
        "A picture's probability is the product over its pixels: sum the nats, then divide for the bits.",
        agrees_on=("pictures of one pixel",),
    ),
    Mutant(
        _decoder(lambda lower, upper: torch.special.log_ndtr(upper)),
        "That is the area of everything below the bin's upper edge. What lies below the lower edge must come off.",
        agrees_on=("black and white pixels only", "two levels"),
    ),
    Mutant(
        _decoder(
            lambda lower, upper: (
                torch.special.log_ndtr(upper)
                + torch.log1p(torch.exp(torch.special.log_ndtr(lower) - torch.special.log_ndtr(upper)))
            )
        ),
        "The two areas have to be subtracted; you added them.",
        agrees_on=("black and white pixels only", "two levels"),
    ),  # fmt: skip
    Mutant(
        _decoder(reduce=lambda logs: logs.flatten(1).sum(1)),
        "A probability is below 1, so minus its logarithm is positive: a cost.",
    ),
    Mutant(
        _decoder(reduce=lambda logs: -logs.flatten(1).mean(1)),
        "The nats of a picture are the sum over its pixels; dividing by their number comes with the bits.",
        agrees_on=("pictures of one pixel",),
    ),
    Mutant(
        _decoder(answer=lambda nats, x: (nats, nats / math.log(2))),
        "Bits per dimension: one division is missing.",
        agrees_on=("pictures of one pixel",),
    ),
    Mutant(
        _decoder(answer=lambda nats, x: (nats, nats / x[0].numel())),
        "These are nats per dimension. How many bits is a nat?",
    ),
    Mutant(
        _decoder(answer=lambda nats, x: (nats, nats * math.log(2) / x[0].numel())),
        "A fair coin costs log 2 nats and 1 bit: do you divide or multiply?",
    ),
    Mutant(
        _decoder(answer=lambda nats, x: (nats, nats / (math.log(2) * x.numel()))),
        "The number of dimensions is that of one picture, without the batch.",
        agrees_on=("one picture", FAR),
    ),
    Mutant(
        _decoder(answer=lambda nats, x: (nats, nats / (math.log(2) * x.shape[-1]))),
        "Dimensions are all pixels of a picture, not the width alone.",
        agrees_on=("pictures of one pixel", "black and white pixels only", "two levels", "a narrow decoder", FAR),
    ),
    Mutant(
        _decoder(answer=lambda nats, x: (nats / (math.log(2) * x[0].numel()), nats)),
        "Both numbers are there, in another order: nats first.",
    ),
    Mutant(
        _density_times_width,
        "Density times width is the area of a thin rectangle. It is near the truth for narrow bins in the middle; at "
        "the two ends the bins reach to infinity.",
    ),
    Mutant(
        _density,
        "That is a density. A level's probability is the area of its bin, and is never above 1.",
    ),
)

# ------------------------------------------------------------ 04.8 best reverse variance


def _before(std: float, m: Marginal) -> Tensor:
    return (m.alpha * std) ** 2 + m.sigma**2


def _best(
    total: Callable[[float, Marginal], Tensor] = _before,
    step: Callable[[Marginal, Marginal], Tensor] = lambda s, t: kernel(s, t).std ** 2,
) -> Callable[..., Tensor]:
    return lambda data_std, earlier, later: step(earlier, later) * total(data_std, earlier) / total(data_std, later)


def _with_leftover(leftover: Callable[[float, Marginal], Any]) -> Callable[..., Tensor]:
    """The law of total variance: the bridge's variance plus what is not known of x_0, times its weight squared."""

    def variance(data_std: float, earlier: Marginal, later: Marginal) -> Tensor:
        _, of_x_0, std = bridge_weights(earlier, later)
        return std**2 + of_x_0**2 * leftover(data_std, later)

    return variance


POINT, NORMAL, AT_0, ALPHA_1 = (
    "data that are one point", "standard normal data, variance preserving", "s = 0", "alpha = 1",
)  # fmt: skip
VARIANCE = (
    Mutant(
        lambda d, s, t: kernel(s, t).std ** 2 + 0 * s.sigma,
        "That is the variance of the step forward, beta: right for standard normal data, if the "
        "variance is preserved. Narrower data leave less doubt.",
        agrees_on=(NORMAL,),
    ),
    Mutant(
        lambda d, s, t: bridge_weights(s, t)[2] ** 2,
        "That is the bridge's variance: right if x_0 is known, that is, if the data are one point.",
        agrees_on=(POINT,),
    ),
    Mutant(
        lambda d, s, t: 0.5 * (kernel(s, t).std ** 2 + bridge_weights(s, t)[2] ** 2),
        "The two limits are data of std 0 and 1; their mean is no law for other data, and wider data lie above both. "
        "Condition x_s on x_t.",
    ),
    Mutant(
        lambda d, s, t: _best()(d, s, t).sqrt(),
        "A variance is asked for.",
    ),
    Mutant(
        _best(total=lambda d, m: m.alpha**2 * d + m.sigma**2),
        "The data's part of the variance at a time is (alpha data_std) squared.",
        agrees_on=(POINT, NORMAL),
    ),
    Mutant(
        _best(total=lambda d, m: d**2 + m.sigma**2),
        "The data have shrunk by alpha at each time; so has their variance, by alpha squared.",
        agrees_on=(POINT, ALPHA_1),
    ),
    Mutant(
        _best(total=lambda d, m: m.alpha * d**2 + m.sigma**2),
        "alpha scales a picture; its variance scales with alpha squared.",
        agrees_on=(POINT, ALPHA_1),
    ),
    Mutant(
        lambda d, s, t: kernel(s, t).std ** 2 * _before(d, t) / _before(d, s),
        "Try a large V: the answer must stay below v_s, the variance of x_s before x_t is seen. Is the quotient upside "
        "down?",
        agrees_on=(NORMAL,),
    ),
    Mutant(
        lambda d, s, t: 1 / (1 / _before(d, s) + 1 / kernel(s, t).std ** 2),
        "Precisions add, yes, but x_t shows x_s scaled by r = alpha_t / alpha_s: how precise is that as a "
        "measurement of x_s?",
        agrees_on=(ALPHA_1,),
    ),
    Mutant(
        lambda d, s, t: _before(d, s) + 0 * t.sigma,
        "That is the variance of x_s before x_t is seen. Seeing x_t narrows it.",
    ),
    Mutant(
        lambda d, s, t: _before(d, s) - kernel(s, t).scale * _before(d, s) ** 2 / _before(d, t),
        "What was learnt is the squared covariance over the variance of x_t; the covariance of x_s and x_t "
        "is r times v_s.",
        agrees_on=(ALPHA_1,),
    ),
    Mutant(
        lambda d, s, t: kernel(s, t).std ** 2 * _before(d, s),
        "Divide by the variance of what was observed, x_t.",
        agrees_on=(NORMAL,),
    ),
    Mutant(
        _with_leftover(lambda d, t: d**2),
        "x_t has told something about x_0: its remaining variance is smaller than data_std squared.",
        agrees_on=(POINT,),
    ),
    Mutant(
        _best(step=lambda s, t: 1 - (t.alpha / s.alpha) ** 2),
        "1 - (alpha_t / alpha_s)**2 is the step's variance only where the variance is preserved.",
        agrees_on=("data std 0.3", POINT, NORMAL, AT_0, "data std 2, four pairs at once"),
    ),
    Mutant(
        _best(total=lambda d, m: (m.alpha * d) ** 2 + 1 - m.alpha**2),
        "sigma**2 = 1 - alpha**2 holds only where the variance is preserved.",
        agrees_on=("data std 0.3", POINT, NORMAL, AT_0, "data std 2, four pairs at once"),
    ),
    Mutant(
        _best(step=lambda s, t: t.sigma**2 - s.sigma**2),
        "The noise of time s has been scaled by alpha_t / alpha_s on its way to t. `kernel` knows.",
        agrees_on=(AT_0, ALPHA_1),
    ),
    Mutant(
        _best(step=lambda s, t: kernel(s, t).std),
        "The step's variance, not its standard deviation, goes into the formula.",
    ),
    Mutant(
        lambda d, s, t: d**2 * t.sigma**2 / _before(d, t) + 0 * s.sigma,
        "That is what is not known of x_0. The question is about x_s.",
        agrees_on=(AT_0,),
    ),
    Mutant(
        lambda d, s, t: bridge_weights(s, t)[2] ** 2 * _before(d, s) / _before(d, t),
        "The quotient of the total variances belongs to the forward step's variance, not to the bridge's.",
    ),
    Mutant(
        lambda d, s, t: bridge_weights(s, t)[2] ** 2 + bridge_weights(s, t)[1] * (d * t.sigma) ** 2 / _before(d, t),
        "The bridge's mean moves by its weight times what is unknown of x_0; a variance has that weight squared.",
        agrees_on=(POINT, AT_0),
    ),
)
