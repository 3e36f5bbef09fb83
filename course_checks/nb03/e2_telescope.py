"""Exercise 03.2: alpha and sigma from the gammas."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.schedule import Table

from ..contract import Case, Exercise, WrongAnswer
from .shared import between


def telescope(gammas: Tensor) -> tuple[Tensor, Tensor]:
    table = Table.from_gammas(gammas)
    return table.alpha, table.sigma


def cases(g: Generator) -> list[Case]:
    forgets = between(g, 0.5, 0.9, 4)
    forgets[1] = 0
    return [
        Case("three steps", (between(g, 0.4, 0.9, 3),)),
        Case("one step", (between(g, 0.4, 0.9, 1),)),
        Case("nothing happens, all gammas 1", (torch.ones(4, dtype=torch.float64),)),
        Case("equal steps", (0.9 * torch.ones(5, dtype=torch.float64),)),
        Case("the second step forgets everything, gamma = 0", (forgets,)),
        Case("thirty small steps", (between(g, 0.95, 0.999, 30),)),
        Case("single precision", (between(g, 0.4, 0.9, 4),), float32=True),
    ]


# The wrong answers.


def table_with(
    alpha: Callable[[Tensor], Tensor] | None = None, sigma: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The right answer but for the rows 1 ... T of alpha, from gammas, or of sigma, from (gammas, alpha)."""

    def table(gammas: Tensor) -> tuple[Tensor, Tensor]:
        a = gammas.cumprod(0) if alpha is None else alpha(gammas)
        s = torch.sqrt((1 - a**2).clamp(min=0)) if sigma is None else sigma(gammas, a)
        return torch.cat([torch.ones_like(a[:1]), a]), torch.cat([torch.zeros_like(a[:1]), s])

    return table


def one_early(gammas: Tensor) -> tuple[Tensor, Tensor]:
    alpha = torch.cat([gammas.cumprod(0), gammas.prod()[None]])
    return alpha, torch.sqrt((1 - alpha**2).clamp(min=0))


def without_row_0(gammas: Tensor) -> tuple[Tensor, Tensor]:
    alpha = gammas.cumprod(0)
    return alpha, torch.sqrt(1 - alpha**2)


EXERCISE = Exercise(
    id="03.2",
    title="Alpha and sigma from the gammas",
    points=2,
    reference=telescope,
    cases=cases,
    answers=("course_lib.schedule.Table",),
    wrong_answers=(
        WrongAnswer(
            table_with(sigma=lambda g, a: 1 - a),
            "alpha + sigma = 1 keeps nothing. What adds up to 1 are the variances, alpha**2 and sigma**2.",
        ),
        WrongAnswer(
            table_with(sigma=lambda g, a: (1 - a).sqrt()),
            "alpha multiplies the picture, so its share of the variance is alpha**2, Ho et al.'s alpha-bar.",
        ),
        WrongAnswer(
            table_with(sigma=lambda g, a: 1 - a**2),
            "1 - alpha**2 is the noise's variance; sigma is its standard deviation.",
        ),
        WrongAnswer(
            table_with(alpha=lambda g: (g**2).cumprod(0), sigma=lambda g, a: (1 - a).sqrt()),
            "That is alpha-bar, the share of the variance. Our alpha is the scale of the picture.",
        ),
        WrongAnswer(
            table_with(alpha=lambda g: g.cumprod(0).sqrt()),
            "The gammas multiply the picture directly. A root would be right for Ho et al.'s 1 - beta, gamma squared.",
        ),
        WrongAnswer(
            table_with(alpha=lambda g: g),
            "These are single steps. After t steps the picture has been shrunk by all the gammas up to t.",
        ),
        WrongAnswer(
            table_with(sigma=lambda g, a: torch.sqrt(1 - g**2).cumsum(0)),
            "Standard deviations of independent noises do not add; and old noise shrinks. Telescope the variances.",
        ),
        WrongAnswer(
            table_with(sigma=lambda g, a: (1 - g**2).cumsum(0).sqrt()),
            "The variances are added as if old noise stayed as it was. Every later step shrinks it.",
        ),
        WrongAnswer(
            table_with(sigma=lambda g, a: torch.sqrt(1 - g**2)),
            "This is the noise of the newest step only. What is left of the older ones is in the picture too.",
        ),
        WrongAnswer(
            without_row_0,
            "Row 0 is the clean picture, before any step: T steps make T + 1 rows.",
        ),
        WrongAnswer(
            one_early,
            "Row t belongs to time t, and at time 0 nothing has happened: alpha 1, sigma 0.",
        ),
    ),
)
