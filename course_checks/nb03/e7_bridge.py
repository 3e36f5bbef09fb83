"""Exercise 03.7: the bridge, q(x_s | x_t, x_0) for any two times s < t."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.schedule import Marginal, bridge, bridge_weights

from ..contract import ONE, Call, Case, Exercise, WrongAnswer, normal
from .shared import exploding, neither, pair

Weights = Callable[[Marginal, Marginal], tuple[Tensor, Tensor, Tensor]]


def bridge_moments(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    law = bridge(earlier, later, x_0, x_t)
    return law.mean, law.std


def cases(g: Generator) -> list[Case]:
    def images(*shape: int) -> tuple[Tensor, Tensor]:
        return normal(g, *shape), normal(g, *shape)

    clean = Call(Marginal, ONE, 0 * ONE)
    return [
        Case("one pixel", (*images(1, 1), *pair(g))),
        Case("two pictures", (*images(2, 1, 2, 3), *pair(g))),
        Case("alpha = 1: the variance explodes", (*images(2, 3), *exploding(g))),
        Case("neither kept nor exploding", (*images(2, 3), *neither(g))),
        Case("the last step, s = 0", (*images(2, 3), clean, pair(g)[1])),
        Case("a level per picture, as many as columns", (*images(3, 1, 3, 3), *pair(g, 3))),
        Case("single precision", (*images(2, 1, 2, 2), *pair(g)), float32=True),
    ]


# The wrong answers.


def parts(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """r, what the step from s to t keeps of a picture, and v, the variance of its noise."""
    r = later.alpha / earlier.alpha
    return r, later.sigma**2 - (r * earlier.sigma) ** 2


def bridge_with(weights: Weights, fit: Callable[[Tensor, Tensor], Tensor] = per_sample) -> Callable[..., Any]:
    def bridge(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
        of_x_t, of_x_0, std = weights(earlier, later)
        return fit(of_x_t, x_t) * x_t + fit(of_x_0, x_0) * x_0, std

    return bridge


def with_std(rule: Callable[[Marginal, Marginal, Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    """The right mean, with a standard deviation by `rule(earlier, later, r, v)`."""
    return bridge_with(lambda s, t: (*bridge_weights(s, t)[:2], rule(s, t, *parts(s, t))))


def as_if_preserving(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    r = t.alpha / s.alpha
    v = 1 - r**2
    return r * (s.sigma / t.sigma) ** 2, s.alpha * v / t.sigma**2, s.sigma * v.sqrt() / t.sigma


def with_r(power: int) -> Weights:
    def weights(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
        r, v = parts(s, t)
        return r**power * (s.sigma / t.sigma) ** 2, s.alpha * v / t.sigma**2, s.sigma * v.sqrt() / t.sigma

    return weights


def of_x0(rule: Callable[[Marginal, Marginal, Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    def weights(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
        of_x_t, _, std = bridge_weights(s, t)
        return of_x_t, rule(s, t, *parts(s, t)), std

    return bridge_with(weights)


def shrink_without_square(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    r = t.alpha / s.alpha
    v = t.sigma**2 - r * s.sigma**2
    return r * (s.sigma / t.sigma) ** 2, s.alpha * v / t.sigma**2, s.sigma * v.sqrt() / t.sigma


def by_precisions(s: Marginal, t: Marginal) -> tuple[Tensor, Tensor, Tensor]:
    """Right wherever sigma_s > 0: the precisions of the two pieces of knowledge add."""
    r, v = parts(s, t)
    variance = 1 / (1 / s.sigma**2 + r**2 / v)
    return variance * r / v, variance * (s.alpha / s.sigma**2), variance.sqrt()


def swap_ends(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    of_x_t, of_x_0, std = bridge_weights(earlier, later)
    return per_sample(of_x_0, x_t) * x_t + per_sample(of_x_t, x_0) * x_0, std


EXERCISE = Exercise(
    id="03.7",
    title="The bridge",
    points=3,
    reference=bridge_moments,
    cases=cases,
    answers=("course_lib.schedule.bridge", "course_lib.schedule.bridge_weights"),
    wrong_answers=(
        WrongAnswer(
            with_std(lambda s, t, r, v: s.sigma**2 * v / t.sigma**2),
            "This is the variance (beta-tilde where the variance is preserved). The standard deviation is asked for.",
        ),
        WrongAnswer(
            with_std(lambda s, t, r, v: v.sqrt()),
            "That is the std of x_t given x_s. The way back, with x_0 known too, has another: sqrt(v) times which "
            "ratio?",
        ),
        WrongAnswer(
            bridge_with(as_if_preserving),
            "1 - r**2 is the kernel's variance only where the variance is preserved. In general it is "
            "sigma_t**2 - r**2 sigma_s**2.",
        ),
        WrongAnswer(
            bridge_with(lambda s, t: (0 * s.alpha, s.alpha, s.sigma)),
            "That is the jump from x_0 to time s. Where x_t is known too, it pulls x_s towards itself.",
        ),
        WrongAnswer(
            bridge_with(with_r(2)),
            "In the weight of x_t, r appears to the first power: it comes from the covariance r sigma_s**2.",
        ),
        WrongAnswer(
            bridge_with(with_r(0)),
            "The weight of x_t lacks r: x_t holds x_s shrunk by r, so their covariance is r sigma_s**2.",
        ),
        WrongAnswer(
            of_x0(lambda s, t, r, v: t.alpha * v / t.sigma**2),
            "Before x_t is seen, x_s is expected at alpha_s x_0, not at alpha_t x_0. Test your weights: "
            "w_t alpha_t + w_0 = alpha_s.",
        ),
        WrongAnswer(
            of_x0(lambda s, t, r, v: 1 - bridge_weights(s, t)[0]),
            "The weights need not add up to 1, because pictures shrink: w_t alpha_t + w_0 = alpha_s.",
        ),
        WrongAnswer(
            bridge_with(shrink_without_square),
            "In the step's variance the old noise counts with r**2: r shrinks a picture, r**2 a variance.",
        ),
        WrongAnswer(
            bridge_with(by_precisions),
            "sigma_s is 0 at s = 0: do not divide by it. Bring the fractions together, or write the mean with a gain.",
        ),
        WrongAnswer(
            bridge_with(bridge_weights, fit=lambda value, x: value),
            "With one level a picture, (B,), plain multiplication lines the levels up with the columns: use "
            "`per_sample`.",
        ),
        WrongAnswer(
            swap_ends,
            "The weights are right but each stands at the wrong picture. At s = 0 the answer is x_0.",
        ),
    ),
)
