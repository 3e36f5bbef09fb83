"""Exercise 06.3: Tweedie's formula."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.parametrization import Prediction
from course_lib.schedule import Marginal

from ..contract import Case, Exercise, WrongAnswer, normal
from .shared import between, marginal


def from_score(score: Tensor, x_t: Tensor, marginal: Marginal) -> tuple[Tensor, Tensor]:
    prediction = Prediction.from_score(score, x_t, marginal)
    return prediction.x0, prediction.eps


def cases(g: Generator) -> list[Case]:
    def pair(*shape: int) -> tuple[Tensor, Tensor]:
        return normal(g, *shape), normal(g, *shape)

    angle = between(g, 0.3, 1.2, 3)
    return [
        Case("one number", (*pair(1, 1), marginal(0.6, 0.5))),
        Case("alpha = 1", (*pair(2, 3), marginal(1.0, between(g, 0.4, 0.8)))),
        Case("sigma = 1", (*pair(2, 3), marginal(between(g, 0.3, 0.8), 1.0))),
        Case("sigma = 0", (*pair(2, 3), marginal(0.7, 0.0))),
        Case("variance preserving, one level", (*pair(2, 1, 2, 3), marginal(angle[0].cos(), angle[0].sin()))),
        Case("a level per sample, as many as columns", (*pair(3, 3), marginal(angle.cos(), 0.8 * angle.sin()))),
        Case("images", (*pair(2, 1, 2, 3), marginal(between(g, 0.3, 0.8, 2), between(g, 0.3, 0.8, 2)))),
        Case("single precision", (*pair(2, 3), marginal(0.4, 0.7)), float32=True),
    ]


# The wrong answers.


def tweedie(
    x0: Callable[..., Tensor] = lambda S, x, a, s: (x + s**2 * S) / a,
    eps: Callable[..., Tensor] = lambda S, x, a, s, x0: -s * S,
    alpha_of: Callable[[Marginal], Tensor] = lambda marginal: marginal.alpha,
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The right pair but for one thing: x0 of (score, x, alpha, sigma), eps of these and x0, alpha, shapes."""

    def both(score: Tensor, x_t: Tensor, marginal: Marginal) -> tuple[Tensor, Tensor]:
        alpha, sigma = fit(alpha_of(marginal), x_t), fit(marginal.sigma, x_t)
        clean = x0(score, x_t, alpha, sigma)
        return clean, eps(score, x_t, alpha, sigma, clean)

    return both


EXERCISE = Exercise(
    id="06.3",
    title="Tweedie's formula",
    points=2,
    reference=from_score,
    cases=cases,
    answers=("course_lib.parametrization.Prediction",),
    wrong_answers=(
        WrongAnswer(
            tweedie(x0=lambda S, x, a, s: x + s**2 * S),
            "x_t + sigma**2 score is the expected alpha x_0: the clean picture, still shrunk.",
        ),
        WrongAnswer(
            tweedie(x0=lambda S, x, a, s: (x + s * S) / a),
            "A score is one over a length, a step is a length: by which power of sigma must the score be multiplied?",
        ),
        WrongAnswer(
            tweedie(x0=lambda S, x, a, s: (x - s**2 * S) / a),
            "The score points uphill, towards where data are. Denoising goes along with it.",
        ),
        WrongAnswer(
            tweedie(x0=lambda S, x, a, s: x / a + s**2 * S),
            "Solve score = (alpha x_0 - x_t) / sigma**2 for x_0 once more: what does alpha divide?",
        ),
        WrongAnswer(
            tweedie(eps=lambda S, x, a, s, x0: s * S),
            "The score points towards the data, the noise points away from them.",
        ),
        WrongAnswer(
            tweedie(eps=lambda S, x, a, s, x0: -S / s),
            "score = -eps / sigma. Solve for eps: is it larger or smaller than the score at weak noise?",
        ),
        WrongAnswer(
            tweedie(eps=lambda S, x, a, s, x0: -(s**2) * S),
            "sigma**2 score is the noise as it sits in x_t, sigma eps. The question is for eps, of unit variance.",
        ),
        WrongAnswer(
            tweedie(eps=lambda S, x, a, s, x0: -S),
            "Score and noise differ by a sign, and by a factor that depends on the noise level.",
        ),
        WrongAnswer(
            tweedie(eps=lambda S, x, a, s, x0: torch.where(s > 0, (x - x0) / s, 0 * x)),
            "What is left of x_t after taking away the picture is the noise, but x_t holds alpha x_0.",
        ),
        WrongAnswer(
            tweedie(alpha_of=lambda marginal: torch.sqrt(1 - marginal.sigma**2)),
            "alpha is not always sqrt(1 - sigma**2). The marginal knows its own.",
        ),
        WrongAnswer(
            tweedie(fit=lambda value, like: value),
            "alpha and sigma may hold one number per sample, (B,). They must not be spread along the last dimension.",
        ),
        WrongAnswer(
            lambda *given: tweedie()(*given)[::-1],
            "Both are right, in the other order: first x0_hat, then eps_hat.",
        ),
    ),
)
