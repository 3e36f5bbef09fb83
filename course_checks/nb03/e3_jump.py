"""Exercise 03.3: the jump from x_0 to x_t, with a time for each picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.schedule import Marginal, Table, jump

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import between


def picture_at(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    return jump(x_0, Marginal(alphas[t], sigmas[t]), noise)


def cases(g: Generator) -> list[Case]:
    kept = Table.from_gammas(between(g, 0.6, 0.95, 8))
    vp = kept.alpha, kept.sigma
    ve = torch.ones(9, dtype=torch.float64), torch.cat([torch.zeros(1), between(g, 0.1, 0.9, 8).cumsum(0)]).double()

    def case(name: str, batch: int, width: int, t: list[int], tables: tuple[Tensor, Tensor]) -> Case:
        shape = (batch, 1, width, width)
        return Case(name, (normal(g, *shape), torch.tensor(t), *tables, normal(g, *shape)), float32="single" in name)

    return [
        case("one picture", 1, 2, [4], vp),
        case("a time for each picture", 3, 2, [2, 7, 5], vp),
        case("as many pictures as columns", 3, 3, [3, 8, 5], vp),
        case("alpha = 1: the variance explodes", 2, 3, [3, 6], ve),
        case("t = 0", 2, 2, [0, 0], vp),
        case("one time for all", 3, 2, [6, 6, 6], vp),
        case("single precision", 3, 2, [1, 8, 4], vp),
    ]


# The wrong answers.


def jump_with(
    alpha: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda alphas, sigmas, t: alphas[t],
    sigma: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda alphas, sigmas, t: sigmas[t],
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
) -> Callable[..., Tensor]:
    def jump(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
        return fit(alpha(alphas, sigmas, t), x_0) * x_0 + fit(sigma(alphas, sigmas, t), x_0) * noise

    return jump


def leave_noise_whole(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    return per_sample(alphas[t], x_0) * x_0 + noise


def shrink_both(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    return per_sample(alphas[t], x_0) * (x_0 + per_sample(sigmas[t], x_0) * noise)


EXERCISE = Exercise(
    id="03.3",
    title="Jump",
    points=1,
    reference=picture_at,
    cases=cases,
    answers=("course_lib.schedule.jump",),
    wrong_answers=(
        WrongAnswer(
            jump_with(fit=lambda value, x: value),
            "With one number a picture, (B,), plain multiplication lines the numbers up with the last dimension, the "
            "columns. Give them the shape (B, 1, 1, 1): `per_sample` does.",
        ),
        WrongAnswer(
            jump_with(lambda a, s, t: a[t - 1], lambda a, s, t: s[t - 1]),
            "The tables have a row for t = 0, so row t belongs to time t: nothing to subtract.",
        ),
        WrongAnswer(
            jump_with(sigma=lambda a, s, t: 1 - a[t]),
            "alpha + sigma = 1 keeps nothing, and need not hold: you are given sigma.",
        ),
        WrongAnswer(
            jump_with(sigma=lambda a, s, t: 1 - a[t] ** 2),
            "1 - alpha**2 is a variance, and only where the variance is preserved. You are given the std, sigma.",
        ),
        WrongAnswer(
            jump_with(sigma=lambda a, s, t: torch.sqrt(1 - a[t] ** 2)),
            "sqrt(1 - alpha**2) assumes that the variance is preserved. You are given sigma: use it.",
        ),
        WrongAnswer(
            jump_with(lambda a, s, t: a[t].sqrt(), lambda a, s, t: (1 - a[t]).sqrt()),
            "That is the formula for alpha-bar. `alphas` multiply the picture as they are.",
        ),
        WrongAnswer(
            jump_with(sigma=lambda a, s, t: s[t] ** 2),
            "sigma is a standard deviation: it multiplies the noise as it is, without a square.",
        ),
        WrongAnswer(
            jump_with(lambda a, s, t: s[t], lambda a, s, t: a[t]),
            "Which belongs to which? At t = 0 alpha is 1 and sigma is 0, and the picture has to come back untouched.",
        ),
        WrongAnswer(
            jump_with(lambda a, s, t: a.cumprod(0)[t]),
            "The table holds the product of all steps up to t already. Multiply it up again and you go too far.",
        ),
        WrongAnswer(
            leave_noise_whole,
            "The noise has to be scaled as well: at t = 0 there is none.",
        ),
        WrongAnswer(
            shrink_both,
            "sigma_t is the noise's standard deviation in the end, after all shrinking: alpha_t does not shrink it "
            "again.",
        ),
    ),
)
