"""Plausible wrong answers to exercises 01.1 and 01.2, each with a hint that says what to think about."""

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


def _by_columns_of_the_first_channel(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    y, height = x.clone(), x.shape[2]
    for b in range(len(x)):
        for i, value in zip(indices[b].tolist(), values[b], strict=True):
            y[b, 0, i % height, i // height] = value
    return y


def _by_rows_of_the_first_channel(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    y, width = x.clone(), x.shape[3]
    for b in range(len(x)):
        for i, value in zip(indices[b].tolist(), values[b], strict=True):
            y[b, 0, i // width, i % width] = value
    return y


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
    Mutant(
        _by_columns_of_the_first_channel,
        "Pixels count row by row: pixel i is in row i // W and column i % W, with the width W, not the height. (And an "
        "image in colour has pixels beyond its first channel.)",
        agrees_on=("no pixel",),
    ),
    Mutant(
        _by_rows_of_the_first_channel,
        "Right for grey images. In colour the count goes on in the next channel: index H W is its first pixel.",
        agrees_on=(ONE, "one image, two pixels", ALL, "no pixel"),
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
        "That is the probability of having the same colour as at the start. On average half of the touched "
        "pixels have it too.",
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
        _how(steps=lambda k, d, alpha: int(math.log(alpha) / math.log(1 - k / d))),
        "`int` cuts off what is behind the point, so the probability is still above alpha there: round *up*.",
        agrees_on=(EXACT, CERTAIN),
    ),
    Mutant(
        _how(steps=lambda k, d, alpha: math.floor(math.log(alpha) / math.log(1 - k / d)) + 1),
        "*At most* alpha includes alpha itself; rounding down and adding one goes a step too far where alpha is met "
        "exactly. Try k/d = 1/2 and alpha = 1/4 by hand.",
        agrees_on=(TEN,),
    ),
    Mutant(
        _how(
            lambda k, d, t: (1 - 1 / d) ** (k * t),
            lambda k, d, alpha: max(0, math.ceil(math.log(alpha) / (k * math.log(1 - 1 / d)) - 1e-9)),
        ),
        "(1 - 1/d)**(k t) is for k t single draws, each from all d pixels. The k pixels of one step are all different: "
        "what is the probability that a given pixel is not among them?",
        agrees_on=("one pixel a step",),
    ),
    Mutant(
        _how(
            lambda k, d, t: math.exp(-k * t / d),
            lambda k, d, alpha: max(0, math.ceil(-math.log(alpha) * d / k - 1e-9)),
        ),
        "An exponential is what this tends to when k/d is tiny. Here the exact probability is asked for, and the steps "
        "follow from it.",
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
        "Yours waits until the *expected number* of untouched pixels is at most alpha. Asked for is one given pixel.",
    ),
)
