"""Exercise 05.2: the guess of x_0 from a preconditioned network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.parametrization import Network, Preconditioning
from course_lib.schedule import Marginal

from ..contract import ONE, Call, Case, Exercise, WrongAnswer, normal
from .inputs import silent_network, wavy_network
from .shared import marginal_at


def preconditioned_x0(network: Network, x_t: Tensor, marginal: Marginal, sigma_data: float) -> Tensor:
    factors = Preconditioning.of(marginal, sigma_data)
    output = network(per_sample(factors.scale, x_t) * x_t, marginal.log_snr.expand(len(x_t)))
    return per_sample(factors.skip, x_t) * x_t + per_sample(factors.out, x_t) * output


def cases(g: Generator) -> list[Case]:
    unit_data = marginal_at(normal(g))
    loud = Call(Marginal, ONE, 1.7 * ONE)
    return [
        Case("unit-variance data", (wavy_network, normal(g, 2, 1, 2, 3), unit_data, 1.0)),
        Case("alpha = 1", (wavy_network, normal(g, 2, 1, 2, 3), loud, 0.5)),
        Case("sigma = 0", (wavy_network, normal(g, 2, 1, 2, 3), Call(Marginal, ONE, 0 * ONE), 0.6)),
        Case("a network that answers 0", (silent_network, normal(g, 2, 1, 2, 2), marginal_at(normal(g)), 0.5)),
        Case("as many images as columns", (wavy_network, normal(g, 3, 1, 3, 3), marginal_at(normal(g, 3)), 0.4)),
        Case("a level per image", (wavy_network, normal(g, 4, 1, 2, 2), marginal_at(normal(g, 4)), 0.5)),
        Case("single precision", (wavy_network, normal(g, 2, 1, 2, 2), marginal_at(normal(g)), 0.5), float32=True),
    ]


# The wrong answers are the right one but for its factors, the level that the network is told, or the shapes.


def x0_with(
    factors: Callable[[Marginal, float], Preconditioning] = Preconditioning.of,
    level: Callable[[Marginal], Tensor] = lambda marginal: marginal.log_snr,
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
) -> Callable[..., Any]:
    def x0(network: Network, x_t: Tensor, marginal: Marginal, sigma_data: float) -> Tensor:
        used = factors(marginal, sigma_data)
        output = network(fit(used.scale, x_t) * x_t, level(marginal).expand(len(x_t)))
        return fit(used.skip, x_t) * x_t + fit(used.out, x_t) * output

    return x0


def without_scale(marginal: Marginal, sigma_data: float) -> Preconditioning:
    right = Preconditioning.of(marginal, sigma_data)
    return replace(right, scale=torch.ones_like(right.scale))


def with_variance_as_scale(marginal: Marginal, sigma_data: float) -> Preconditioning:
    right = Preconditioning.of(marginal, sigma_data)
    return replace(right, scale=right.scale**2)


def for_alpha_1(marginal: Marginal, sigma_data: float) -> Preconditioning:
    """Karras et al.'s factors, as they are printed, with our sigma."""
    return Preconditioning.of(Marginal(torch.ones_like(marginal.alpha), marginal.sigma), sigma_data)


def of_ratio(marginal: Marginal, sigma_data: float) -> Preconditioning:
    """Karras et al.'s factors, as they are printed, with our sigma / alpha."""
    return Preconditioning.of(Marginal(torch.ones_like(marginal.alpha), marginal.sigma / marginal.alpha), sigma_data)


def with_out_rootless(marginal: Marginal, sigma_data: float) -> Preconditioning:
    right = Preconditioning.of(marginal, sigma_data)
    return replace(right, out=right.out * right.scale)


def with_minus(marginal: Marginal, sigma_data: float) -> Preconditioning:
    right = Preconditioning.of(marginal, sigma_data)
    return replace(right, out=-right.out)


def with_skip_without_alpha(marginal: Marginal, sigma_data: float) -> Preconditioning:
    right = Preconditioning.of(marginal, sigma_data)
    return replace(right, skip=right.skip / marginal.alpha)


def with_skip_unsquared(marginal: Marginal, sigma_data: float) -> Preconditioning:
    right = Preconditioning.of(marginal, sigma_data)
    return replace(right, skip=right.skip / sigma_data)


EXERCISE = Exercise(
    id="05.2",
    title="The preconditioned prediction",
    points=2,
    reference=preconditioned_x0,
    cases=cases,
    answers=("course_lib.parametrization.Preconditioning", "course_lib.parametrization.network_denoiser"),
    wrong_answers=(
        WrongAnswer(
            x0_with(without_scale),
            "The network has to be shown an image of unit variance: scale x_t by c_in before it goes in.",
        ),
        WrongAnswer(
            x0_with(for_alpha_1),
            "These are the factors for alpha = 1. Here the image inside x_t has been shrunk: its part of the variance "
            "is (alpha sigma_data)**2.",
        ),
        WrongAnswer(
            x0_with(of_ratio),
            "You put sigma / alpha into the factors printed for alpha = 1. They then belong to y = x_t / alpha: divide "
            "x_t by alpha as well, or use the factors given here.",
        ),
        WrongAnswer(
            x0_with(with_out_rootless),
            "c_out is a standard deviation, that of what c_skip x_t leaves unexplained. Is a square root missing in "
            "its denominator?",
        ),
        WrongAnswer(
            x0_with(with_minus),
            "The network's answer is added: x_0 = c_skip x_t + c_out F. The minus belongs to v, which points away from "
            "the image.",
        ),
        WrongAnswer(
            x0_with(level=lambda marginal: marginal.snr),
            "The network is told the logarithm of the signal-to-noise ratio.",
        ),
        WrongAnswer(
            x0_with(fit=lambda number, like: number),
            "With one level per image, (B,), plain multiplication lines the levels up with the columns. `per_sample` "
            "gives them the shape (B, 1, 1, 1).",
        ),
        WrongAnswer(
            x0_with(with_skip_without_alpha),
            "x_t holds alpha x_0: what is its covariance with x_0? c_skip has that in its numerator.",
        ),
        WrongAnswer(
            x0_with(with_variance_as_scale),
            "For unit variance, divide x_t by its standard deviation, not by its variance.",
        ),
        WrongAnswer(
            x0_with(with_skip_unsquared),
            "The covariance of x_0 and x_t, in the numerator of c_skip, holds the data's variance: is sigma_data "
            "squared?",
        ),
    ),
)
