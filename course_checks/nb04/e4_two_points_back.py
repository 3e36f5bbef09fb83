"""Exercise 04.4: the exact reverse conditional of two points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.lessons.reverse import reverse_of_points
from course_lib.schedule import Marginal, bridge_weights, kernel

from ..contract import ONE, Call, Case, Exercise, WrongAnswer, normal
from .shared import level_pair


def two_points_back(
    x_t: Tensor, points: tuple[float, float], share: float, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor]:
    weights = torch.tensor([1 - share, share], dtype=x_t.dtype)
    return reverse_of_points(x_t, torch.tensor(points, dtype=x_t.dtype), weights, earlier, later)


def cases(g: Generator) -> list[Case]:
    even, clean = (-1.0, 1.0), Call(Marginal, ONE, 0 * ONE)
    exploding = Call(Marginal, ONE, 0.4 * ONE), Call(Marginal, ONE, 0.9 * ONE)
    quiet = Call(Marginal, 0.9999 * ONE, 0.01 * ONE), Call(Marginal, 0.999 * ONE, 0.04 * ONE)
    return [
        Case("exactly between, equal shares", (torch.zeros(1).double(), even, 0.5, *level_pair(g))),
        Case("-1 and 1, equal shares", (normal(g, 4), even, 0.5, *level_pair(g))),
        Case("-1 and 1, shares .8 and .2", (normal(g, 3), even, 0.2, *level_pair(g))),
        Case("0.3 and 2, shares .4 and .6", (normal(g, 3) + 0.5, (0.3, 2.0), 0.6, *level_pair(g))),
        Case("s = 0", (normal(g, 3), even, 0.7, clean, level_pair(g)[1])),
        Case("alpha = 1", (normal(g, 3), even, 0.4, *exploding)),
        Case("far away, hardly any noise", (torch.tensor([40.0, -40.0]).double(), even, 0.3, *quiet)),
        Case("single precision", (normal(g, 3), even, 0.35, *level_pair(g)), float32=True),
    ]


# The wrong answers.


Back = Callable[..., tuple[Tensor, Tensor, Tensor]]


def log_density_part(x_t: Tensor, a: Tensor, s: Marginal, t: Marginal) -> Tensor:
    return -((x_t[:, None] - t.alpha * a) ** 2) / (2 * t.sigma**2)


def back_with(
    exponent: Callable[[Tensor, Tensor, Marginal, Marginal], Tensor] = log_density_part,
    shares: Callable[[float], tuple[float, float]] = lambda share: (1 - share, share),
    normalise: Callable[[Tensor], Tensor] = lambda logs: torch.softmax(logs, 1),
    spread: Callable[[Marginal, Marginal], Tensor] = lambda s, t: bridge_weights(s, t)[2],
    means: Callable[[Tensor, Tensor, Tensor, Marginal, Marginal], Tensor] | None = None,
) -> Back:
    """The right answer but for one thing."""

    def back(
        x_t: Tensor, points: tuple[float, float], share: float, earlier: Marginal, later: Marginal
    ) -> tuple[Tensor, Tensor, Tensor]:
        a, prior = (torch.tensor(value, dtype=x_t.dtype) for value in (points, shares(share)))
        probabilities = normalise(torch.log(prior) + exponent(x_t, a, earlier, later))
        of_x_t, of_x_0, _ = bridge_weights(earlier, later)
        found = of_x_t * x_t[:, None] + of_x_0 * a if means is None else means(x_t, a, probabilities, earlier, later)
        return probabilities, found, spread(earlier, later)

    return back


def guess_in_both(x_t: Tensor, a: Tensor, probabilities: Tensor, s: Marginal, t: Marginal) -> Tensor:
    of_x_t, of_x_0, _ = bridge_weights(s, t)
    return of_x_t * x_t[:, None] + of_x_0 * (probabilities * a).sum(1, keepdim=True) + 0 * a


def only_points(x_t: Tensor, a: Tensor, probabilities: Tensor, s: Marginal, t: Marginal) -> Tensor:
    return s.alpha * a + 0 * x_t[:, None]


def exchanged_weights(x_t: Tensor, a: Tensor, probabilities: Tensor, s: Marginal, t: Marginal) -> Tensor:
    of_x_0, of_x_t, _ = bridge_weights(s, t)
    return of_x_t * x_t[:, None] + of_x_0 * a


def plain_exponentials(logs: Tensor) -> Tensor:
    weights = torch.exp(logs)
    return weights / weights.sum(1, keepdim=True)


EXERCISE = Exercise(
    id="04.4",
    title="The exact reverse conditional of two points",
    points=3,
    reference=two_points_back,
    cases=cases,
    answers=("course_lib.lessons.reverse.reverse_of_points",),
    wrong_answers=(
        WrongAnswer(
            back_with(shares=lambda share: (0.5, 0.5)),
            "Bayes' rule needs the shares of the two points as well as how well they explain x_t.",
        ),
        WrongAnswer(
            back_with(shares=lambda share: (share, 1 - share)),
            "`share` belongs to points[1], the second column.",
        ),
        WrongAnswer(
            back_with(exponent=lambda x_t, a, s, t: log_density_part(x_t, a, s, Marginal(t.alpha, t.sigma.sqrt()))),
            "The exponent of a normal density divides by twice the variance, sigma squared.",
        ),
        WrongAnswer(
            back_with(exponent=lambda x_t, a, s, t: 2 * log_density_part(x_t, a, s, t)),
            "There is a factor 1/2 in the exponent of a normal density.",
        ),
        WrongAnswer(
            back_with(
                exponent=lambda x_t, a, s, t: log_density_part(x_t, a, s, Marginal(torch.ones_like(t.alpha), t.sigma))
            ),
            "At time t the point a has shrunk to alpha_t a; x_t lies around that.",
        ),
        WrongAnswer(
            back_with(normalise=plain_exponentials),
            "Both exponentials are 0 if x_t is far from both points. Subtract the larger exponent first: a softmax "
            "does.",
        ),
        WrongAnswer(
            back_with(normalise=lambda logs: torch.softmax(logs, 0)),
            "The two points of a row compete, not the noisy numbers: softmax over dimension 1.",
        ),
        WrongAnswer(
            back_with(means=guess_in_both),
            "You averaged x_0 before stepping back: one bump where there are two. Each part has a point of its own.",
        ),
        WrongAnswer(
            back_with(means=only_points),
            "That is where x_s lies if only x_0 is known. x_t is known too and pulls the mean its way.",
        ),
        WrongAnswer(
            back_with(spread=lambda s, t: kernel(s, t).std),
            "That is the spread of the step forward. Each part is a bridge, with the bridge's spread.",
        ),
        WrongAnswer(
            back_with(spread=lambda s, t: bridge_weights(s, t)[2] ** 2),
            "A standard deviation is asked for, not a variance.",
        ),
        WrongAnswer(
            back_with(means=exchanged_weights),
            "`bridge_weights` returns the weight of x_t first, then that of x_0: you exchanged them.",
        ),
    ),
)
