"""Exercise 01.4: the one image that predicts all images best, and its squared error."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.lessons.naive import best_constant

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import coins


def cases(g: Generator) -> list[Case]:
    return [
        Case("one image", (normal(g, 1, 1, 2, 3),)),
        Case("two black-and-white images", (torch.tensor([[[[1.0, -1, 1]]], [[[-1, -1, 1]]]], dtype=torch.float64),)),
        Case("seven black-and-white images", (coins(g, 7, 1, 3, 2),)),
        Case("grey images that are not centred", (normal(g, 6, 1, 2, 3) + 0.7,)),
        Case("colour", (0.5 * normal(g, 5, 3, 2, 2) - 0.3,)),
        Case("images of one pixel", (normal(g, 8, 1, 1, 1),)),
        Case("single precision", (normal(g, 6, 1, 2, 2) + 0.3,), float32=True),
    ]


# The wrong answers have another constant, with its squared error, or the right constant with another loss.


def constant_with(constant: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def answer(images: Tensor) -> tuple[Tensor, Tensor]:
        c = constant(images)
        return c, (images - c).square().mean()

    return answer


def loss_with(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    return lambda images: (images.mean(0), loss(images, images.mean(0)))


def black_and_white(images: Tensor) -> Tensor:
    return torch.where(images.mean(0) > 0, 1.0, -1.0).to(images.dtype)


def sample_variance(images: Tensor) -> Tensor:
    """What `images.var(0).mean()` is, without PyTorch's warning where there is one image."""
    return images.var(0).mean() if len(images) > 1 else torch.full((), torch.nan, dtype=images.dtype)


EXERCISE = Exercise(
    id="01.4",
    title="The best constant",
    points=2,
    reference=best_constant,
    cases=cases,
    answers=("course_lib.lessons.naive.best_constant",),
    wrong_answers=(
        WrongAnswer(
            constant_with(lambda images: images.mean()),
            "`images.mean()` is one number. The constant is an *image*: average over the images only, pixel by pixel.",
        ),
        WrongAnswer(
            constant_with(lambda images: images.mean(0, keepdim=True)),
            "The constant is one image, (C, H, W), without a dimension for the batch.",
        ),
        WrongAnswer(
            constant_with(lambda images: images.median(0).values),
            "The middle value is best for absolute errors. Squared errors ask for another kind of centre, see (01.1).",
        ),
        WrongAnswer(
            constant_with(black_and_white),
            "The best answer in squared error need not be black and white, even if all images are: it may hedge.",
        ),
        WrongAnswer(
            loss_with(lambda images, m: sample_variance(images)),
            "`var` divides by N - 1 unless told otherwise, and has no answer for one image. Here the plain average is "
            "meant: `correction=0`.",
        ),
        WrongAnswer(
            loss_with(lambda images, m: images.var(correction=0)),
            "That is the variance of all pixels around *one* grey. The constant image does better: subtract it first.",
        ),
        WrongAnswer(
            loss_with(lambda images, m: (images - m).square().flatten(1).sum(1).mean()),
            "Per pixel: the average over pixels too, not their sum.",
        ),
        WrongAnswer(
            loss_with(lambda images, m: (images - m).square().mean(0)),
            "You return the loss of each pixel, an image. Asked for is one number, the average.",
        ),
        WrongAnswer(
            loss_with(lambda images, m: (images - m).square().mean().sqrt()),
            "The squared error, please, not its square root.",
        ),
        WrongAnswer(
            loss_with(lambda images, m: (images - m).abs().mean()),
            "The constant is right. The loss is the *squared* error.",
        ),
        WrongAnswer(
            loss_with(lambda images, m: (1 - m.square()).mean()),
            "1 - m**2 holds for pixels that are -1 or +1. These images may be grey: compute the squared error itself.",
        ),
    ),
)
