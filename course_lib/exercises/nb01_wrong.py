"""Plausible wrong answers to exercises 01.1 to 01.4, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .contract import Mutant

# ------------------------------------------------------------------------------------------------------ 01.1 one step

ONE, COLOUR, ALL = "one black image, three pixels", "two images in colour", "all pixels"


def _scatter(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return x.flatten(1).scatter(1, indices, values.to(x.dtype)).reshape(x.shape)


def _added(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return x.flatten(1).scatter_add(1, indices, values.to(x.dtype)).reshape(x.shape)


def _multiplied(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(x, indices, x.flatten(1).gather(1, indices) * values)


def _negated(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(x, indices, -x.flatten(1).gather(1, indices))


def _first_image_for_all(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(x, indices[:1].expand_as(indices), values)


def _every_pixel_in_every_image(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    flat = x.flatten(1).clone()
    flat[:, indices] = values.to(x.dtype)
    return flat.reshape(x.shape)


def _by_columns(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(x.transpose(-1, -2), indices, values).transpose(-1, -2)


def _counted_from_one(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return (
        _scatter(x, indices - 1, values)
        if bool((indices > 0).all())
        else _scatter(x, (indices - 1) % x[0].numel(), values)
    )


def _sorted_pixels(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(x, indices.sort(1).values, values)


def _untouched_black(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(torch.zeros_like(x), indices, values)


def _zero_one(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(x, indices, 2 * values - 1)


def _signs(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return _scatter(x, indices, values.sign())


def _flat(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return x.flatten(1).scatter(1, indices, values.to(x.dtype))


def _values_by_pixel(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    flat = x.flatten(1).clone()
    for b in range(len(x)):
        for j in range(indices.shape[1]):
            flat[b, indices[b, j]] = values[0, j]
    return flat.reshape(x.shape)


ONE_STEP = (
    Mutant(
        _added,
        "A touched pixel becomes its value, whatever it was before; yours still depends on what it was.",
        agrees_on=("no pixel",),
    ),
    Mutant(
        _multiplied,
        "A value is the new colour, not a sign to multiply the old colour by. Touched is not changed.",
        agrees_on=("no pixel",),
    ),
    Mutant(
        _negated,
        "Touching is not flipping: the coin does not look at the old colour, and half of the time it stays. Where do "
        "you use `values`?",
        agrees_on=("no pixel",),
    ),
    Mutant(
        _first_image_for_all,
        "Each image has its own pixels: row b of `indices` is for image b. Yours uses the first row for all.",
        agrees_on=(ONE, "one image, two pixels", "the same pixels in both images"),
    ),
    Mutant(
        _every_pixel_in_every_image,
        "`flat[:, indices]` pairs *every* image with *every* row of indices. You need pixel indices[b, j] of image b "
        "only: `scatter`, or a column of image numbers beside the indices.",
        agrees_on=(ONE, "one image, two pixels"),
    ),
    Mutant(
        _by_columns,
        "Pixels count row by row: pixel 1 is right of pixel 0, not below it.",
        agrees_on=("no pixel",),
    ),
    Mutant(_counted_from_one, "Pixels count from 0: index 0 is the first one.", agrees_on=("no pixel",)),
    Mutant(
        _sorted_pixels,
        "values[b, j] belongs to indices[b, j]. If you sort one of them, the pairs are torn apart.",
        agrees_on=("no pixel",),
    ),
    Mutant(
        _untouched_black,
        "What becomes of the pixels that are not touched? They keep the colour they have in `x`.",
        agrees_on=(ALL,),
    ),
    Mutant(
        _zero_one,
        "The values are colours already, in [-1, 1]. They need no mapping from {0, 1}.",
        agrees_on=("no pixel",),
    ),
    Mutant(
        _signs,
        "Set each pixel to its value as it is; the cases have other values than -1 and +1 on purpose.",
        agrees_on=(ONE, "no pixel"),
    ),
    Mutant(_values_by_pixel, "Each image has its own values: row b of `values` is for image b.", agrees_on=(ONE,)),
    Mutant(_flat, "All numbers are right, but the answer has lost the shape of `x`: reshape it back."),
)

# ------------------------------------------------------------------------------------------------------ 01.2 how long

HowLong = Callable[[int, int, int, float], tuple[float, int]]
NONE_YET, FIRST, TEN, EXACT, CERTAIN = (
    "no step yet", "one step", "ten of 784 pixels", "half of the pixels: alpha is met exactly", "alpha = 1",
)  # fmt: skip


def _steps(k: int, d: int, alpha: float) -> int:
    return max(0, math.ceil(math.log(alpha) / math.log(1 - k / d) - 1e-9))


def _how(
    probability: Callable[[int, int, int], float] | None = None, steps: Callable[[int, int, float], Any] = _steps
) -> HowLong:
    chance = probability or (lambda k, d, t: (1 - k / d) ** t)
    return lambda k, d, t, alpha: (chance(k, d, t), steps(k, d, alpha))


HOW_LONG = (
    Mutant(
        _how(lambda k, d, t: max(0.0, 1 - t * k / d)),
        "1 - t k / d would be right if no pixel were ever hit twice. Here each step chooses anew among all d.",
        agrees_on=(NONE_YET, FIRST),
    ),
    Mutant(
        _how(lambda k, d, t: 1 - t * k / d),
        "Yours becomes negative for large t: the steps may hit the same pixel again. Multiply what survives each step.",
        agrees_on=(NONE_YET, FIRST),
    ),
    Mutant(
        _how(lambda k, d, t: (1 - 1 / d) ** (k * t)),
        "The k pixels of one step are all different: a pixel escapes the step with probability 1 - k/d, not "
        "(1 - 1/d)**k.",
        agrees_on=(NONE_YET, "one pixel a step"),
    ),
    Mutant(
        _how(lambda k, d, t: math.exp(-k * t / d)),
        "exp(-k t / d) is what this tends to when k/d is tiny. Here it can be had exactly.",
        agrees_on=(NONE_YET,),
    ),
    Mutant(
        _how(lambda k, d, t: 1 - (1 - k / d) ** t),
        "That is the probability of having been touched. Asked for is that of *not* having been touched.",
    ),
    Mutant(
        _how(lambda k, d, t: (1 - k / (2 * d)) ** t),
        "Touched is not changed: a pixel is touched in one step with probability k/d, whichever colour the coin gives.",
        agrees_on=(NONE_YET,),
    ),
    Mutant(
        _how(lambda k, d, t: (1 + (1 - k / d) ** t) / 2),
        "That is the probability of having the same colour as at the start. Half of the touched pixels have it too.",
        agrees_on=(NONE_YET,),
    ),
    Mutant(
        _how(lambda k, d, t: (k / d) ** t),
        "(k/d)**t: touched in *every* step. What is the probability of escaping one step, and then all of them?",
        agrees_on=(NONE_YET,),
    ),
    Mutant(
        _how(lambda k, d, t: (1 - k / d) ** (t - 1) if t > 0 else 1.0),
        "Count the steps at which the pixel could have been hit: after one step it is one, not none.",
        agrees_on=(NONE_YET,),
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: math.floor(math.log(alpha) / math.log(1 - k / d) + 1e-9)),
        "After a whole number of steps the probability has to be at most alpha: rounding down is one step too early.",
        agrees_on=(EXACT, CERTAIN),
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: round(math.log(alpha) / math.log(1 - k / d))),
        "The nearest whole number may come too early: the probability has to be at most alpha there.",
        agrees_on=(EXACT, CERTAIN),
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: math.log(alpha) / math.log(1 - k / d)),
        "Steps are whole: the first whole number at which the probability is at most alpha.",
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: math.floor(math.log(alpha) / math.log(1 - k / d) + 1e-9) + 1),
        "*At most* alpha includes alpha itself. Try k/d = 1/2 and alpha = 1/4 by hand.",
        agrees_on=(TEN,),
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: math.ceil((1 - alpha) * d / k - 1e-9)),
        "That solves 1 - t k / d = alpha, a straight line. The probability is a power: take logarithms.",
        agrees_on=(CERTAIN,),
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: max(0, math.ceil(-math.log(alpha) * d / k - 1e-9))),
        "log(1 - k/d) is only nearly -k/d. Keep the logarithm.",
        agrees_on=(CERTAIN,),
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: _steps(k, d, alpha / d)),
        "Your number of steps is for the last of all d pixels. Asked for is one given pixel.",
    ),
)

# -------------------------------------------------------------------------------------------------- 01.3 pixel moments

NO_STEP, AT_ONCE, FAIR, ALWAYS = "no step", "all pixels in one step", "a fair coin", "a coin that is always white"
Moments = Callable[[Tensor, int, int, int, float], tuple[Tensor, Any, float]]


def _moments(
    mean: Callable[[Tensor, float, float], Tensor] | None = None,
    variance: Callable[[Tensor, Tensor, float, float], Any] | None = None,
    alpha: Callable[[int, int, int], float] | None = None,
) -> Moments:
    """The right answer but for one of its parts: mean(x_0, alpha, coin), variance(x_0, mean, alpha, coin), alpha."""

    def moments(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Any, float]:
        left, coin = (alpha(k, d, t) if alpha else (1 - k / d) ** t), 2 * white - 1
        m = mean(x_0, left, coin) if mean else left * x_0 + (1 - left) * coin
        return m, variance(x_0, m, left, coin) if variance else 1 - m**2, left

    return moments


def _fair_only(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    alpha = (1 - k / d) ** t
    return alpha * x_0, torch.full_like(x_0, 1 - alpha**2), alpha


def _slope_of_changed(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    mean, variance, alpha = _moments()(x_0, k, d, t, white)
    return mean, variance, (1 + alpha) / 2


def _squared_alpha(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    mean, variance, alpha = _moments()(x_0, k, d, t, white)
    return mean, variance, alpha**2


MOMENTS = (
    Mutant(
        _fair_only,
        "(01.4) is for a fair coin. What is the mean of a touched pixel here? It is not 0 where white is not 1/2.",
        agrees_on=(FAIR, NO_STEP),
    ),
    Mutant(
        _moments(variance=lambda x, m, a, c: torch.full_like(x, 1 - a**2)),
        "Your mean knows the unfair coin, your variance does not: mean square minus squared mean, with *this* mean.",
        agrees_on=(FAIR, NO_STEP),
    ),
    Mutant(
        _moments(mean=lambda x, a, c: a * x, variance=lambda x, m, a, c: 1 - (a * x + (1 - a) * c) ** 2),
        "The mean has two parts: untouched pixels bring x_0, touched pixels bring the mean of the coin.",
        agrees_on=(FAIR, NO_STEP),
    ),
    Mutant(
        _moments(mean=lambda x, a, c: a * x + (1 - a) * (c + 1) / 2),
        "A touched pixel is +1 or -1, so its mean is 2 white - 1; yours would be right for pixels 0 and 1.",
        agrees_on=(NO_STEP, ALWAYS),
    ),
    Mutant(
        _moments(mean=lambda x, a, c: a * x + c),
        "The coin counts only where the pixel was touched: weigh its mean with the probability of that.",
        agrees_on=(FAIR, AT_ONCE),
    ),
    Mutant(
        _moments(mean=lambda x, a, c: a * x + (1 - a) * -c),
        "Check the sign with white = 1: every touched pixel becomes +1, so the mean must rise.",
        agrees_on=(FAIR, NO_STEP),
    ),
    Mutant(
        _moments(variance=lambda x, m, a, c: (1 - m**2).sqrt()),
        "That is the standard deviation; the variance is its square.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _moments(variance=lambda x, m, a, c: torch.ones_like(x)),
        "The mean square of a pixel is 1, but the variance is the mean square minus the squared mean.",
    ),
    Mutant(
        _moments(variance=lambda x, m, a, c: torch.full_like(x, (1 - a) * (1 - c**2))),
        "You averaged the variances of touched and untouched pixels. The two kinds also have different means, and that "
        "spread counts too.",
        agrees_on=(NO_STEP, AT_ONCE),
    ),
    Mutant(
        _moments(variance=lambda x, m, a, c: torch.full_like(x, a * (1 - a))),
        "a (1 - a) is the variance of 'is it untouched', a number 0 or 1. The pixel itself is -1 or +1.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _moments(variance=lambda x, m, a, c: (1 - m**2) / 4),
        "(1 - mean**2) / 4 is the variance on {0, 1}. From -1 to +1 is twice as far: four times the variance.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _moments(alpha=lambda k, d, t: max(0.0, 1 - t * k / d)),
        "1 - t k / d: without replacement. Here a pixel may be hit again in a later step.",
        agrees_on=(NO_STEP, "one step", AT_ONCE),
    ),
    Mutant(
        _moments(alpha=lambda k, d, t: (1 - k / (2 * d)) ** t),
        "Touched is not changed: with probability k/d a pixel is touched, and then the coin decides alone.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _moments(mean=lambda x, a, c: (1 + a) / 2 * x + (1 - a) / 2 * c),
        "Untouched with probability alpha, not (1 + alpha)/2: the pixels that were touched and kept their colour by "
        "luck are the coin's.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _slope_of_changed,
        "(1 + alpha)/2 is the probability of having the old colour, with a fair coin. The slope of the mean is "
        "alpha itself.",
        agrees_on=(NO_STEP,),
    ),
    Mutant(
        _squared_alpha,
        "alpha**2 is the share of the *variance* that the picture still explains; the slope of the mean is alpha.",
        agrees_on=(NO_STEP, AT_ONCE),
    ),
)

# -------------------------------------------------------------------------------------------------- 01.4 best constant

SINGLE, TWO, SEVEN, PIXEL = (
    "one image", "two black-and-white images", "seven black-and-white images", "images of one pixel",
)  # fmt: skip


def _one_grey(images: Tensor) -> tuple[Tensor, Tensor]:
    grey = images.mean().expand(images.shape[1:])
    return grey, (images - grey).square().mean()


def _per_image(images: Tensor) -> tuple[Tensor, Tensor]:
    grey = images.mean((1, 2, 3), keepdim=True)
    return images.mean(0), (images - grey).square().mean()


def _median(images: Tensor) -> tuple[Tensor, Tensor]:
    middle = images.median(0).values
    return middle, (images - middle).square().mean()


def _rounded(images: Tensor) -> tuple[Tensor, Tensor]:
    constant = torch.where(images.mean(0) > 0, 1.0, -1.0).to(images.dtype)
    return constant, (images - constant).square().mean()


def _of_mean(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    return lambda images: (images.mean(0), loss(images, images.mean(0)))


def _with_batch_dimension(images: Tensor) -> tuple[Tensor, Tensor]:
    constant = images.mean(0, keepdim=True)
    return constant, (images - constant).square().mean()


def _over_batch_and_pixels(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.mean(0), images.mean(0).square().mean()


CONSTANT = (
    Mutant(
        _one_grey,
        "The constant may be a different number for each pixel: one *image*, not one grey.",
        agrees_on=(PIXEL,),
    ),
    Mutant(
        _median,
        "The middle value is best for absolute errors. Squared errors ask for another kind of centre, see (01.1).",
        agrees_on=(SINGLE,),
    ),
    Mutant(
        _rounded,
        "The best answer in squared error need not be black and white, even if all images are: it may hedge.",
    ),
    Mutant(
        _of_mean(lambda images, m: ((images - m).square().sum(0) / max(len(images) - 1, 1)).mean()),
        "Divide by the number of images, N: nothing is estimated here, the average over *these* images is meant.",
        agrees_on=(SINGLE,),
    ),
    Mutant(
        _of_mean(lambda images, m: (images - m).square().flatten(1).sum(1).mean()),
        "Per pixel: the average over pixels too, not their sum.",
        agrees_on=(SINGLE, PIXEL),
    ),
    Mutant(
        _of_mean(lambda images, m: (images - m).square().mean().sqrt()),
        "The squared error, please, not its square root.",
        agrees_on=(SINGLE,),
    ),
    Mutant(
        _of_mean(lambda images, m: (images - m).abs().mean()),
        "The constant is right. The loss is the *squared* error.",
        agrees_on=(SINGLE,),
    ),
    Mutant(
        _of_mean(lambda images, m: (1 - m.square()).mean()),
        "1 - m**2 holds for pixels that are -1 or +1. These images may be grey: compute the squared error itself.",
        agrees_on=(TWO, SEVEN),
    ),
    Mutant(
        _of_mean(lambda images, m: images.var(correction=0)),
        "That is the variance of all pixels around *one* grey. The constant image does better: subtract it first.",
        agrees_on=(PIXEL,),
    ),
    Mutant(
        _of_mean(lambda images, m: (images - m).square().mean(0)),
        "You return the loss of each pixel, an image. Asked for is one number, the average.",
    ),
    Mutant(
        _per_image,
        "Your loss compares each image with its own brightness. The constant has to serve all images alike.",
    ),
    Mutant(
        _over_batch_and_pixels,
        "Your loss is the size of the mean image. How far are the *images* from it?",
    ),
    Mutant(
        _with_batch_dimension,
        "The constant is one image, (C, H, W), without a dimension for the batch.",
    ),
)
