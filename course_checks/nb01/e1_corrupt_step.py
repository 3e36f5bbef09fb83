"""Exercise 01.1: one step, which sets some pixels of each image to given values."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.lessons.corruption import corrupt_step, random_pixels

from ..contract import Case, Exercise, WrongAnswer, normal


def cases(g: Generator) -> list[Case]:
    def case(name: str, shape: tuple[int, ...], k: int, float32: bool = False) -> Case:
        x = normal(g, *shape)
        return Case(name, (x, random_pixels(x, k, g), 2 * normal(g, len(x), k)), float32=float32)

    black = -torch.ones(1, 1, 2, 4, dtype=torch.float64)
    values = torch.tensor([[1, -1, 1]], dtype=torch.float64)
    same = normal(g, 1, 1, 2, 2).expand(2, 1, 2, 2).clone()
    return [
        Case("one black image, three pixels", (black, torch.tensor([[6, 1, 4]]), values)),
        case("one image, two pixels", (1, 1, 3, 3), 2),
        case("three images, as many as pixels touched", (3, 1, 3, 2), 3),
        case("two images in colour", (2, 3, 2, 2), 4),
        Case("the same pixels in both images", (same, torch.tensor([[3, 0], [3, 0]]), normal(g, 2, 2))),
        case("all pixels", (2, 1, 2, 2), 4),
        case("no pixel", (2, 1, 2, 2), 0),
        case("single precision", (2, 1, 3, 3), 4, float32=True),
    ]


# The wrong answers set other pixels, or set them to something else.


def scatter(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return x.flatten(1).scatter(1, indices, values.to(x.dtype)).reshape(x.shape)


def old_colours(x: Tensor, indices: Tensor) -> Tensor:
    """Of the touched pixels, (B, k)."""
    return x.flatten(1).gather(1, indices)


def every_row_in_every_image(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    flat = x.flatten(1).clone()
    flat[:, indices] = values.to(x.dtype)
    return flat.reshape(x.shape)


def down_the_columns(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return scatter(x.transpose(-1, -2), indices, values).transpose(-1, -2)


def first_channel_only(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    y, width = x.clone(), x.shape[3]
    for b in range(len(x)):
        for i, value in zip(indices[b].tolist(), values[b], strict=True):
            y[b, 0, i // width, i % width] = value
    return y


EXERCISE = Exercise(
    id="01.1",
    title="One step",
    points=1,
    reference=corrupt_step,
    cases=cases,
    answers=("course_lib.lessons.corruption.corrupt_step",),
    wrong_answers=(
        WrongAnswer(
            lambda x, indices, values: scatter(x, indices, old_colours(x, indices) + values),
            "A touched pixel becomes its value, whatever it was before; yours still depends on what it was.",
        ),
        WrongAnswer(
            lambda x, indices, values: scatter(x, indices, old_colours(x, indices) * values),
            "A value is the new colour, not a sign to multiply the old colour by. Touched is not changed.",
        ),
        WrongAnswer(
            lambda x, indices, values: scatter(x, indices, -old_colours(x, indices)),
            "Touching is not flipping: the coin does not look at the old colour, and half of the time it stays. Where "
            "do you use `values`?",
        ),
        WrongAnswer(
            lambda x, indices, values: scatter(x, indices[:1].expand_as(indices), values),
            "Each image has its own pixels: row b of `indices` is for image b. Yours uses the first row for all.",
        ),
        WrongAnswer(
            every_row_in_every_image,
            "`flat[:, indices]` pairs *every* image with *every* row of indices. You need pixel indices[b, j] of image "
            "b only: `scatter`, or a column of image numbers beside the indices.",
        ),
        WrongAnswer(
            down_the_columns,
            "Pixels count row by row: pixel 1 is right of pixel 0, not below it.",
        ),
        WrongAnswer(
            first_channel_only,
            "Right for grey images. In colour the count goes on in the next channel: index H W is its first pixel.",
        ),
        WrongAnswer(
            lambda x, indices, values: scatter(x, (indices - 1) % x[0].numel(), values),
            "Pixels count from 0: index 0 is the first one.",
        ),
        WrongAnswer(
            lambda x, indices, values: scatter(torch.zeros_like(x), indices, values),
            "What becomes of the pixels that are not touched? They keep the colour they have in `x`.",
        ),
        WrongAnswer(
            lambda x, indices, values: scatter(x, indices, values[:1].expand_as(values)),
            "Each image has its own values: row b of `values` is for image b.",
        ),
        WrongAnswer(
            lambda x, indices, values: scatter(x, indices, values).flatten(1),
            "All numbers are right, but the answer has lost the shape of `x`: reshape it back.",
        ),
    ),
)
