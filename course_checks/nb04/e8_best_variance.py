"""Exercise 04.8: the best variance for Gaussian data."""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor

from course_lib.oracle import gaussian_step_std
from course_lib.schedule import Marginal, bridge_weights, kernel

from ..contract import ONE, Call, Case, Exercise, WrongAnswer
from .shared import level_pair


def best_variance(data_std: float, earlier: Marginal, later: Marginal) -> Tensor:
    return gaussian_step_std(data_std, earlier, later) ** 2


def cases(g: Generator) -> list[Case]:
    clean = Call(Marginal, ONE, 0 * ONE)
    return [
        Case("data std 0.3", (0.3, *level_pair(g))),
        Case("data that are one point", (0.0, *level_pair(g))),
        Case("standard normal data, variance preserving", (1.0, *level_pair(g))),
        Case("s = 0", (0.5, clean, level_pair(g)[1])),
        Case("alpha = 1", (0.6, Call(Marginal, ONE, 0.3 * ONE), Call(Marginal, ONE, 0.8 * ONE))),
        Case("data std 2, four pairs at once", (2.0, *level_pair(g, 4))),
        Case("alpha**2 + sigma**2 is not 1", (0.4, *level_pair(g, 3, scale=1.6))),
        Case("single precision", (0.3, *level_pair(g, 3)), float32=True),
    ]


# The wrong answers.


def before(std: float, m: Marginal) -> Tensor:
    return (m.alpha * std) ** 2 + m.sigma**2


def best(
    total: Callable[[float, Marginal], Tensor] = before,
    step: Callable[[Marginal, Marginal], Tensor] = lambda s, t: kernel(s, t).std ** 2,
) -> Callable[..., Tensor]:
    return lambda data_std, earlier, later: step(earlier, later) * total(data_std, earlier) / total(data_std, later)


def all_of_x_0_unknown(data_std: float, earlier: Marginal, later: Marginal) -> Tensor:
    _, of_x_0, std = bridge_weights(earlier, later)
    return std**2 + (of_x_0 * data_std) ** 2


EXERCISE = Exercise(
    id="04.8",
    title="The best variance for Gaussian data",
    points=2,
    reference=best_variance,
    cases=cases,
    answers=("course_lib.oracle.gaussian_step_std",),
    wrong_answers=(
        WrongAnswer(
            lambda d, s, t: kernel(s, t).std ** 2 + 0 * s.sigma,
            "That is the variance of the step forward, beta: right for standard normal data, if the "
            "variance is preserved. Narrower data leave less doubt.",
        ),
        WrongAnswer(
            lambda d, s, t: bridge_weights(s, t)[2] ** 2,
            "That is the bridge's variance: right if x_0 is known, that is, if the data are one point.",
        ),
        WrongAnswer(
            lambda d, s, t: best()(d, s, t).sqrt(),
            "A variance is asked for.",
        ),
        WrongAnswer(
            best(total=lambda d, m: m.alpha**2 * d + m.sigma**2),
            "The data's part of the variance at a time is (alpha data_std) squared.",
        ),
        WrongAnswer(
            best(total=lambda d, m: d**2 + m.sigma**2),
            "The data have shrunk by alpha at each time; so has their variance, by alpha squared.",
        ),
        WrongAnswer(
            lambda d, s, t: kernel(s, t).std ** 2 * before(d, t) / before(d, s),
            "Try a large V: the answer must stay below v_s, the variance of x_s before x_t is seen. Is the quotient "
            "upside down?",
        ),
        WrongAnswer(
            lambda d, s, t: before(d, s) + 0 * t.sigma,
            "That is the variance of x_s before x_t is seen. Seeing x_t narrows it.",
        ),
        WrongAnswer(
            lambda d, s, t: kernel(s, t).std ** 2 * before(d, s),
            "Divide by the variance of what was observed, x_t.",
        ),
        WrongAnswer(
            all_of_x_0_unknown,
            "x_t has told something about x_0: its remaining variance is smaller than data_std squared.",
        ),
        WrongAnswer(
            best(step=lambda s, t: 1 - (t.alpha / s.alpha) ** 2),
            "1 - (alpha_t / alpha_s)**2 is the step's variance only where the variance is preserved.",
        ),
        WrongAnswer(
            best(step=lambda s, t: t.sigma**2 - s.sigma**2),
            "The noise of time s has been scaled by alpha_t / alpha_s on its way to t. `kernel` knows.",
        ),
        WrongAnswer(
            best(step=lambda s, t: kernel(s, t).std),
            "The step's variance, not its standard deviation, goes into the formula.",
        ),
    ),
)
