"""Exercise 06.6: the right step length."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.schedule import Marginal

from ..contract import Call, Case, Exercise, WrongAnswer, normal
from .shared import between, marginal


def right_length(x_t: Tensor, bridge_mean: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    fraction = later.ratio / (later.ratio + earlier.ratio)
    start, end = x_t / per_sample(later.alpha, x_t), bridge_mean / per_sample(earlier.alpha, x_t)
    return fraction, per_sample(earlier.alpha, x_t) * torch.lerp(start, end, per_sample(fraction, x_t).expand_as(end))


def cases(g: Generator) -> list[Case]:
    def pair(*shape: int) -> tuple[Tensor, Tensor]:
        return normal(g, *shape), normal(g, *shape)

    def levels(*shape: int) -> tuple[Call, Call]:
        early, late = between(g, 0.2, 0.6, *shape), between(g, 0.8, 1.3, *shape)
        return marginal(early.cos(), early.sin()), marginal(late.cos(), late.sin())

    late = levels()[1]
    return [
        Case("one number", (*pair(1, 1), *levels())),
        Case("alpha = 1 at both times", (*pair(2, 3), marginal(1.0, 0.5), marginal(1.0, 1.4))),
        Case("s = 0", (*pair(2, 3), marginal(1.0, 0.0), late)),
        Case("not variance preserving", (*pair(2, 3), marginal(0.7, 0.3), marginal(0.4, 0.6))),
        Case("a pair of times per sample, as many as columns", (*pair(3, 3), *levels(3))),
        Case("images", (*pair(2, 1, 2, 3), *levels(2))),
        Case("single precision", (*pair(2, 3), *levels()), float32=True),
    ]


# The wrong answers.


def right(u_s: Tensor, u_t: Tensor) -> Tensor:
    return u_t / (u_t + u_s)


def length_with(
    fraction_of: Callable[[Tensor, Tensor], Tensor] = right,
    level: Callable[[Marginal], Tensor] = lambda marginal: marginal.ratio,
    mean_by: str = "earlier",
    start_by: str = "later",
    end_by: str = "earlier",
    backwards: bool = False,
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
    fit_fraction: Callable[[Tensor, Tensor], Tensor] = per_sample,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right answer but for one thing: the fraction, its shape, or which alpha ("one": none) scales what."""

    def length(x_t: Tensor, bridge_mean: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
        scales = {"earlier": earlier.alpha, "later": later.alpha, "one": torch.ones_like(later.alpha)}
        fraction = fraction_of(level(earlier), level(later))
        start, mean = x_t / fit(scales[start_by], x_t), bridge_mean / fit(scales[mean_by], x_t)
        if backwards:
            start, mean = mean, start
        return fraction, fit(scales[end_by], x_t) * (start + fit_fraction(fraction, x_t) * (mean - start))

    return length


EXERCISE = Exercise(
    id="06.6",
    title="The right step length",
    points=2,
    reference=right_length,
    cases=cases,
    wrong_answers=(
        WrongAnswer(
            length_with(level=lambda marginal: marginal.sigma),
            "With the picture at its original contrast, how strong is the noise? Compare noises after dividing by "
            "alpha.",
        ),
        WrongAnswer(
            length_with(fraction_of=lambda u_s, u_t: 0.5 * torch.ones_like(u_t)),
            "One half is only the limit of short steps.",
        ),
        WrongAnswer(
            length_with(fraction_of=lambda u_s, u_t: u_s / (u_t + u_s)),
            "Test it at s = 0, where no noise is allowed to remain: which fraction must come out?",
        ),
        WrongAnswer(
            length_with(fraction_of=lambda u_s, u_t: (u_t - u_s) / u_t),
            "That is the fraction of the way to x0_hat. The bridge's mean is nearer: what noise does it leave?",
        ),
        WrongAnswer(
            length_with(fraction_of=lambda u_s, u_t: (u_t + u_s) / u_t),
            "Yours is above 1. But the bridge's mean is already too far.",
        ),
        WrongAnswer(
            length_with(fraction_of=lambda u_s, u_t: torch.ones_like(u_t)),
            "That goes the whole way to the bridge's mean, and leaves too little noise.",
        ),
        WrongAnswer(
            length_with(mean_by="one", start_by="one", end_by="one"),
            "In x the two steps have different directions, as both also undo the shrinking. Divide by alpha first.",
        ),
        WrongAnswer(
            length_with(mean_by="later"),
            "The bridge's mean is a picture at time s: by which alpha is it shrunk?",
        ),
        WrongAnswer(
            length_with(end_by="one"),
            "That is y_s, at its original contrast. Asked for is x_s.",
        ),
        WrongAnswer(
            length_with(end_by="later"),
            "You arrive at time s: with which alpha do you turn y into x?",
        ),
        WrongAnswer(
            length_with(fit_fraction=lambda value, like: value),
            "The scales are per sample, but the fraction may be one number per sample, (B,), too: how is it spread "
            "over x?",
        ),
        WrongAnswer(
            length_with(fit=lambda value, like: value, fit_fraction=lambda value, like: value),
            "The marginals may hold one number per sample, (B,). They must not be spread along the last dimension.",
        ),
    ),
)
