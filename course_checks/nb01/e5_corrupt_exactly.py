"""Exercise 01.5: touch exactly t pixels, the first t of an order, with a t for each image."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.lessons.corruption import corrupt_exactly, random_pixels

from ..contract import Case, Exercise, WrongAnswer, normal


def cases(g: Generator) -> list[Case]:
    def case(name: str, shape: tuple[int, ...], t: list[int], float32: bool = False) -> Case:
        x = normal(g, *shape)
        d = x[0].numel()
        return Case(name, (x, torch.tensor(t), random_pixels(x, d, g), 2 * normal(g, len(x), d)), float32=float32)

    x = normal(g, 2, 1, 2, 3)
    in_order = torch.arange(6).expand(2, 6).clone()
    return [
        case("one image, three of nine pixels", (1, 1, 3, 3), [3]),
        Case("pixels in reading order", (x, torch.tensor([2, 5]), in_order, normal(g, 2, 6))),
        case("none, some, all", (3, 1, 2, 4), [0, 3, 8]),
        case("colour, a t for each image", (4, 3, 2, 2), [1, 5, 7, 11]),
        case("as many images as pixels", (4, 1, 2, 2), [1, 2, 3, 2]),
        case("single precision", (2, 1, 3, 3), [4, 6], float32=True),
    ]


# The wrong answers misread t, the order or the values, or lose the pixels' places.


def is_touched(t: Tensor, permutation: Tensor) -> Tensor:
    """Whether turn j comes, (B, d)."""
    return torch.arange(permutation.shape[1]) < t[:, None]


def values_by_pixel(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    """Pixel p becomes the value number p."""
    return corrupt_exactly(x, t, permutation, values.gather(1, permutation))


def pixel_number_below_t(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return torch.where(permutation < t[:, None], values.to(x.dtype), x.flatten(1)).reshape(x.shape)


def inverse_order(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation.argsort(1), values)


def reading_order(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, torch.arange(permutation.shape[1]).expand_as(permutation), values)


def one_more(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, (t + 1).clamp(max=permutation.shape[1]), permutation, values)


def first_t_for_all(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t[:1].expand_as(t), permutation, values)


def first_order_for_all(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation[:1].expand_as(permutation), values)


def flip(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation, -x.flatten(1).gather(1, permutation))


def without_scatter(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    old = x.flatten(1).gather(1, permutation)
    return torch.where(is_touched(t, permutation), values.to(x.dtype), old).reshape(x.shape)


def without_gather(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    chosen = torch.where(is_touched(t, permutation), values.to(x.dtype), x.flatten(1))
    return x.flatten(1).scatter(1, permutation, chosen).reshape(x.shape)


def without_reshape(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation, values).flatten(1)


EXERCISE = Exercise(
    id="01.5",
    title="Exactly t pixels",
    points=2,
    reference=corrupt_exactly,
    cases=cases,
    answers=("course_lib.lessons.corruption.corrupt_exactly",),
    wrong_answers=(
        WrongAnswer(
            values_by_pixel,
            "The right pixels, with the wrong coins: values[b, j] is for the pixel that is touched as number j, "
            "wherever it stands.",
        ),
        WrongAnswer(
            pixel_number_below_t,
            "`permutation < t` asks whether the pixel *touched as number j* has a number below t. Ask whether its turn "
            "j is below t, and then find out where it stands.",
        ),
        WrongAnswer(
            inverse_order,
            "A permutation and its inverse: permutation[b, j] is the pixel whose turn is j, not the turn of pixel j.",
        ),
        WrongAnswer(
            reading_order,
            "The first t in the order of `permutation`, not the first t in the picture.",
        ),
        WrongAnswer(one_more, "Exactly t pixels: their turns are 0, 1, ..., t - 1."),
        WrongAnswer(
            first_t_for_all,
            "Each image has its own t: compare turns (d,) with t as a column, t[:, None].",
        ),
        WrongAnswer(
            first_order_for_all,
            "Each image has its own order: row b of `permutation` is for image b.",
        ),
        WrongAnswer(flip, "Touching is not flipping: a touched pixel becomes its value, whatever it was."),
        WrongAnswer(
            without_scatter,
            "Your picture is still in the shuffled order. Put every pixel back where it came from (`scatter`).",
        ),
        WrongAnswer(
            without_gather,
            "Untouched pixels have moved: before you put the pixels in their places by `permutation`, they have to be "
            "*taken* by it too (`gather`).",
        ),
        WrongAnswer(
            without_reshape,
            "All numbers are right, but the answer has lost the shape of `x`: reshape it back.",
        ),
    ),
)
