"""Plausible wrong answers to exercises 01.3 and 01.4, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .contract import Mutant

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


def _touched_for_alpha(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    mean, variance, alpha = _moments()(x_0, k, d, t, white)
    return mean, variance, 1 - alpha


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
        _touched_for_alpha,
        "Mean and variance are right, but 1 - (1 - k/d)**t is the touched share. alpha is what is *left*.",
    ),
    Mutant(
        _squared_alpha,
        "With a fair coin, and pixels as often white as black, alpha**2 is the share of the *variance* that the "
        "picture still explains. The slope of the mean is alpha.",
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


def _sample_variance(images: Tensor) -> Tensor:
    """What `images.var(0).mean()` is, without PyTorch's warning where there is one image."""
    return images.var(0).mean() if len(images) > 1 else torch.full((), torch.nan, dtype=images.dtype)


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
        lambda images: (images.mean(), (images - images.mean()).square().mean()),
        "`images.mean()` is one number. The constant is an *image*: average over the images only, pixel by pixel.",
    ),
    Mutant(
        lambda images: (images.mean(), images.var()),
        "One number for all pixels, and its variance. The constant is an *image*: average over dimension 0 only.",
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
        _of_mean(lambda images, m: _sample_variance(images)),
        "`var` divides by N - 1 unless told otherwise, and has no answer for one image. Here the plain average is "
        "meant: `correction=0`.",
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
