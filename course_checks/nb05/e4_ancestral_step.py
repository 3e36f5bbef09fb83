"""Exercise 05.4: one ancestral step, x_t to x_s, with either choice of its noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.parametrization import Prediction
from course_lib.sampling import ddpm
from course_lib.schedule import Marginal, bridge_weights, kernel

from ..contract import ONE, Call, Case, Exercise, WrongAnswer, normal
from .shared import Weights, ddim_weights, marginal_at, marginal_pair, r_squared, right_weights


def ancestral_step(
    x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal, noise: Tensor, step_std: str
) -> Tensor:
    return ddpm(step_std)(x_t, earlier, later, lambda x, marginal: Prediction(x0_hat, x0_hat), noise)[0]


def cases(g: Generator) -> list[Case]:
    def images(*shape: int) -> tuple[Tensor, Tensor]:
        return normal(g, *shape), normal(g, *shape)

    clean, first = Call(Marginal, ONE, 0 * ONE), marginal_at(normal(g) + 2)
    loud = Call(Marginal, 0.9 * ONE, 0.5 * ONE), Call(Marginal, 0.6 * ONE, 1.3 * ONE)
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    return [
        Case("no noise, bridge", (*images(2, 3), *marginal_pair(g), zeros, "bridge")),
        Case("bridge", (*images(2, 1, 2, 3), *marginal_pair(g), normal(g, 2, 1, 2, 3), "bridge")),
        Case("beta", (*images(2, 1, 2, 3), *marginal_pair(g), normal(g, 2, 1, 2, 3), "beta")),
        Case("last step, bridge", (*images(2, 3), clean, first, normal(g, 2, 3), "bridge")),
        Case("last step, beta", (*images(2, 3), clean, first, normal(g, 2, 3), "beta")),
        Case("a level per image, B = W", (*images(3, 1, 3, 3), *marginal_pair(g, 3), normal(g, 3, 1, 3, 3), "bridge")),
        Case("variance not preserved, bridge", (*images(2, 3), *loud, normal(g, 2, 3), "bridge")),
        Case("variance not preserved, beta", (*images(2, 3), *loud, normal(g, 2, 3), "beta")),
        Case("single precision", (*images(2, 1, 2, 2), *marginal_pair(g), normal(g, 2, 1, 2, 2), "beta"), float32=True),
    ]


# The wrong answers are the right one but for its mean or its standard deviation.


def mean_with(weights: Weights) -> Callable[..., Tensor]:
    def mean(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal) -> Tensor:
        of_x_t, of_x_0 = weights(earlier, later)
        return per_sample(of_x_t, x_t) * x_t + per_sample(of_x_0, x0_hat) * x0_hat

    return mean


right_mean = mean_with(right_weights)


def right_std(earlier: Marginal, later: Marginal, step_std: str) -> Tensor:
    wide = torch.where(earlier.sigma > 0, kernel(earlier, later).std, 0.0)
    return wide if step_std == "beta" else bridge_weights(earlier, later)[2]


def step_with(mean: Callable[..., Tensor] = right_mean, std: Callable[..., Tensor] = right_std) -> Callable[..., Any]:
    def step(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal, noise: Tensor, step_std: str) -> Tensor:
        return mean(x_t, x0_hat, earlier, later) + per_sample(std(earlier, later, step_std), noise) * noise

    return step


def mean_by_columns(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal) -> Tensor:
    of_x_t, of_x_0 = right_weights(earlier, later)
    return of_x_t * x_t + of_x_0 * x0_hat


def as_if_preserving(marginal: Marginal) -> Marginal:
    return Marginal(marginal.alpha, (1 - marginal.alpha**2).clamp(min=0).sqrt())


def preserving_step(
    x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal, noise: Tensor, step_std: str
) -> Tensor:
    return step_with()(x_t, x0_hat, as_if_preserving(earlier), as_if_preserving(later), noise, step_std)


def weights_from_clean(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    variance = later.sigma**2 - (later.alpha * earlier.sigma) ** 2
    return later.alpha * (earlier.sigma / later.sigma) ** 2, earlier.alpha * variance / later.sigma**2


EXERCISE = Exercise(
    id="05.4",
    title="One ancestral step",
    points=3,
    reference=ancestral_step,
    cases=cases,
    answers=("course_lib.sampling.ddpm", "course_lib.schedule.bridge", "course_lib.schedule.bridge_weights"),
    wrong_answers=(
        WrongAnswer(
            step_with(std=lambda s, t, step_std: right_std(s, t, "bridge")),
            'For "beta" the noise is that of the forward step q(x_t | x_s). You used the bridge\'s variance '
            "(beta-tilde) for both.",
        ),
        WrongAnswer(
            step_with(std=lambda s, t, step_std: right_std(s, t, "beta")),
            'For "bridge" the noise is that of q(x_s | x_t, x_0): knowing x_0 as well narrows it by sigma_s / sigma_t. '
            "You used beta for both.",
        ),
        WrongAnswer(
            step_with(std=lambda s, t, step_std: right_std(s, t, step_std) ** 2),
            "Beta and beta-tilde are variances. Noise is multiplied by their square roots.",
        ),
        WrongAnswer(
            step_with(std=lambda s, t, step_std: kernel(s, t).std if step_std == "beta" else right_std(s, t, step_std)),
            "The last step lands on x_0, where sigma_s = 0. Noise added there stays in the picture for good.",
        ),
        WrongAnswer(
            step_with(mean=mean_with(ddim_weights)),
            "Your mean keeps all of the old noise (a DDIM step) and then adds fresh noise on top: x_s gets too loud. "
            "Use the bridge's mean.",
        ),
        WrongAnswer(
            step_with(mean=mean_with(r_squared)),
            "The weight of x_t is r sigma_s**2 / sigma_t**2 with r = alpha_t / alpha_s, not r**2 (in Ho et al.: the "
            "square root of alpha).",
        ),
        WrongAnswer(
            step_with(mean=mean_with(weights_from_clean)),
            "The step goes from t to s, so what counts is alpha_t / alpha_s. alpha_t alone is the step from t all the "
            "way to 0.",
        ),
        WrongAnswer(
            step_with(mean=mean_by_columns),
            "With one level per image, (B,), plain multiplication lines the levels up with the columns. "
            "Use `per_sample`.",
        ),
        WrongAnswer(
            step_with(std=lambda s, t, step_std: right_std(s, t, "beta" if step_std == "bridge" else "bridge")),
            'The two are swapped: "beta" is the wider one, the forward step\'s, "bridge" the narrower one.',
        ),
        WrongAnswer(
            step_with(mean=mean_with(lambda s, t: right_weights(s, t)[::-1])),
            "The two weights changed places. At s = 0 the mean must be x0_hat alone.",
        ),
        WrongAnswer(
            preserving_step,
            "You took 1 - alpha**2 for sigma**2. A marginal brings its own sigma, and one case is not variance "
            "preserving.",
        ),
    ),
)
