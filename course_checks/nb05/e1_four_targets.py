"""Exercise 05.1: from one of x_0, the bridge's mean, the noise and v to all four."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.parametrization import Prediction
from course_lib.schedule import Marginal, bridge, bridge_weights

from ..contract import ONE, Call, Case, Exercise, WrongAnswer, normal
from .shared import Weights, ddim_weights, marginal_pair, r_squared, right_weights


def four_targets(
    given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if given == "mean":
        of_x_t, of_x_0, _ = bridge_weights(earlier, later)
        given, value = "x0", (value - per_sample(of_x_t, x_t) * x_t) / per_sample(of_x_0, x_t)
    convert = {"x0": Prediction.from_x0, "eps": Prediction.from_eps, "v": Prediction.from_v}[given]
    known = convert(value, x_t, later)
    return known.x0, bridge(earlier, later, known.x0, x_t).mean, known.eps, known.v(later)


def cases(g: Generator) -> list[Case]:
    def images(*shape: int) -> tuple[Tensor, Tensor]:
        return normal(g, *shape), normal(g, *shape)

    clean, even = Call(Marginal, ONE, 0 * ONE), Call(Marginal, 0.5 * ONE, 0.5 * ONE)
    return [
        Case("one pixel, x_0 given", ("x0", *images(1, 1), *marginal_pair(g))),
        Case("the noise given, a level per image", ("eps", *images(3, 1, 2, 2), *marginal_pair(g, 3))),
        Case("v given, as many images as columns", ("v", *images(2, 1, 2, 2), *marginal_pair(g, 2))),
        Case("the bridge's mean given", ("mean", *images(2, 1, 2, 3), *marginal_pair(g))),
        Case("v given, s = 0", ("v", *images(2, 3), clean, marginal_pair(g)[1])),
        Case("v given, alpha = sigma = 0.5", ("v", *images(2, 3), clean, even)),
        Case("x_0 given, alpha = 1", ("x0", *images(2, 3), clean, Call(Marginal, ONE, 0.7 * ONE))),
        Case("single precision", ("eps", *images(2, 1, 2, 2), *marginal_pair(g)), float32=True),
    ]


# The wrong answers are the right one but for a conversion, the bridge's weights or the shapes.

Convert = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def x0_from_v(x_t: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (alpha * x_t - sigma * v) / (alpha**2 + sigma**2)


def x0_from_v_unnormalised(x_t: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x_t - sigma * v


def v_from_both(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * eps - sigma * x0


def x0_from_mean(mean: Tensor, x_t: Tensor, of_x_t: Tensor, of_x_0: Tensor) -> Tensor:
    return (mean - of_x_t * x_t) / of_x_0


def four_with(
    weights: Weights = right_weights,
    from_v: Convert = x0_from_v,
    to_v: Convert = v_from_both,
    from_mean: Convert = x0_from_mean,
    image_scale: Callable[[Tensor], Tensor] = lambda alpha: alpha,
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
) -> Callable[..., Any]:
    def four(given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, ...]:
        alpha, sigma = fit(later.alpha, x_t), fit(later.sigma, x_t)
        of_x_t, of_x_0 = (fit(weight, x_t) for weight in weights(earlier, later))
        if given == "eps":
            x0 = (x_t - sigma * value) / image_scale(alpha)
        elif given == "mean":
            x0 = from_mean(value, x_t, of_x_t, of_x_0)
        elif given == "v":
            x0 = from_v(x_t, value, alpha, sigma)
        else:
            x0 = value
        eps = value if given == "eps" else (x_t - image_scale(alpha) * x0) / sigma
        return x0, of_x_t * x_t + of_x_0 * x0, eps, to_v(x0, eps, alpha, sigma)

    return four


def as_if_preserving(
    given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(05.1) as it is printed, for x_0 and for the noise."""
    x0, mean, eps, v = four_with(from_v=x0_from_v_unnormalised)(given, value, x_t, earlier, later)
    if given != "v":
        return x0, mean, eps, v
    return x0, mean, per_sample(later.sigma, x_t) * x_t + per_sample(later.alpha, x_t) * value, value


def other_order(*arguments: Any) -> tuple[Tensor, ...]:
    x0, mean, eps, v = four_with()(*arguments)
    return x0, eps, mean, v


EXERCISE = Exercise(
    id="05.1",
    title="Conversions between the four",
    points=2,
    reference=four_targets,
    cases=cases,
    answers=("course_lib.parametrization.Prediction",),
    wrong_answers=(
        WrongAnswer(
            four_with(from_v=x0_from_v_unnormalised),
            "Solving x_t and v for x_0 leaves a factor alpha**2 + sigma**2. It is 1 only where the variance is "
            "preserved.",
        ),
        WrongAnswer(
            four_with(
                from_v=lambda x_t, v, alpha, sigma: (x_t - v) / (2 * alpha),
                to_v=lambda x0, eps, alpha, sigma: sigma * eps - alpha * x0,
            ),
            "Which scale goes with which? At sigma = 0 the image is clean, and v has to be the noise: v = alpha eps - "
            "...",
        ),
        WrongAnswer(
            four_with(image_scale=lambda alpha: alpha**0),
            "x_t holds alpha x_0, not x_0. Before you take the image away from x_t, shrink it.",
        ),
        WrongAnswer(
            four_with(r_squared),
            "The bridge's weight of x_t is r sigma_s**2 / sigma_t**2 with r = alpha_t / alpha_s to the first power: r "
            "scales an image, r**2 a variance.",
        ),
        WrongAnswer(
            four_with(ddim_weights),
            "alpha_s x_0 + sigma_s eps keeps all of the old noise: a DDIM step. The mean of the bridge keeps less of "
            "it, because the rest is drawn afresh.",
        ),
        WrongAnswer(
            four_with(fit=lambda number, like: number),
            "With one level per image, (B,), plain multiplication lines the levels up with the last dimension, the "
            "columns. Give them the shape (B, 1, 1, 1): `per_sample` does.",
        ),
        WrongAnswer(
            four_with(from_v=lambda x_t, v, alpha, sigma: (alpha * x_t + sigma * v) / (alpha**2 + sigma**2)),
            "Turning back takes the other sign. Test yours at alpha = 0: there v = -x_0.",
        ),
        WrongAnswer(
            as_if_preserving,
            "(05.1) needs alpha**2 + sigma**2 = 1. Solve the two equations without it: what must both be divided by?",
        ),
        WrongAnswer(
            four_with(from_mean=lambda mean, x_t, of_x_t, of_x_0: mean / of_x_0),
            "The mean holds two pictures: take x_t's part away before you divide by the weight of x_0.",
        ),
        WrongAnswer(other_order, "All four values are there, in another order: (x_0, mean, eps, v)."),
    ),
)
