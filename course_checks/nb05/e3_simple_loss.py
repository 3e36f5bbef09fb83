"""Exercise 05.3: the simple loss, the mean squared error of the predicted noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.objective import simple
from course_lib.parametrization import Network, Parametrization
from course_lib.schedule import Cosine, Marginal, Schedule, Table, jump

from ..contract import Call, Case, Exercise, WrongAnswer, normal
from .inputs import black_network, blind_network, wavy_network


def simple_loss(network: Network, schedule: Schedule, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    return simple(network, Parametrization("eps"), x_0, schedule(t), noise)


def cases(g: Generator) -> list[Case]:
    table = Call(Table.of, Call(Cosine), 10)
    t = torch.randint(2, 9, (4,), generator=g)
    black, twin = torch.zeros(2, 1, 2, 2, dtype=torch.float64), normal(g, 3, 1, 2, 2)
    return [
        Case("one image of one pixel", (wavy_network, table, normal(g, 1, 1, 1, 1), t[:1], normal(g, 1, 1, 1, 1))),
        Case("t = 0", (wavy_network, table, normal(g, 2, 1, 2, 2), torch.zeros(2).long(), normal(g, 2, 1, 2, 2))),
        Case("black images, a network that knows", (black_network, table, black, t[:2], normal(g, 2, 1, 2, 2))),
        Case(
            "a network that ignores the level", (blind_network, table, normal(g, 4, 1, 2, 3), t, normal(g, 4, 1, 2, 3))
        ),
        Case("the noise looks like the image", (wavy_network, table, twin, t[:3], twin.clone())),
        Case("as many images as columns", (wavy_network, table, normal(g, 3, 1, 3, 3), t[:3], normal(g, 3, 1, 3, 3))),
        Case(
            "single precision", (wavy_network, table, normal(g, 2, 1, 2, 3), t[:2], normal(g, 2, 1, 2, 3)), float32=True
        ),
    ]


# The wrong answers are the right one but for one of its parts.


def loss_with(
    error: Callable[[Tensor], Tensor] = lambda difference: difference.square().mean(),
    target: Callable[[Tensor, Tensor], Tensor] = lambda x_0, noise: noise,
    at: Callable[[Tensor], Tensor] = lambda t: t,
    noised: Callable[[Tensor, Marginal, Tensor], Tensor] = jump,
    level: Callable[[Marginal, Tensor], Tensor] = lambda marginal, t: marginal.log_snr,
) -> Callable[..., Any]:
    def loss(network: Network, schedule: Schedule, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        marginal = schedule(at(t))
        return error(network(noised(x_0, marginal, noise), level(marginal, t).to(x_0)) - target(x_0, noise))

    return loss


def noised_by_columns(x_0: Tensor, marginal: Marginal, noise: Tensor) -> Tensor:
    return (marginal.alpha * x_0 + marginal.sigma * noise).to(x_0)


EXERCISE = Exercise(
    id="05.3",
    title="The simple loss",
    points=2,
    reference=simple_loss,
    cases=cases,
    answers=("course_lib.objective.simple",),
    wrong_answers=(
        WrongAnswer(
            loss_with(error=lambda difference: difference.square().flatten(1).sum(1).mean()),
            "Average over the pixels too. A sum makes the loss, and with it the right learning rate, depend on the "
            "size of the images.",
        ),
        WrongAnswer(
            loss_with(target=lambda x_0, noise: x_0),
            "What should this network answer: the image, or the noise that was added to it?",
        ),
        WrongAnswer(
            loss_with(noised=lambda x_0, at, noise: jump(x_0, Marginal(at.alpha**2, at.sigma**2), noise)),
            "alpha_t and sigma_t scale the image and the noise themselves. You used their squares, which are the "
            "variances (Ho et al.'s alpha-bar is our alpha squared).",
        ),
        WrongAnswer(
            loss_with(at=lambda t: (t - 1).clamp(min=0)),
            "The table's row t is time t, and row 0 is clean. There is no shift by one between the table and the "
            "network.",
        ),
        WrongAnswer(
            loss_with(level=lambda marginal, t: t),
            "The network is told the noise level as log-SNR, `schedule(t).log_snr`; the bare t would mean something "
            "else on every schedule.",
        ),
        WrongAnswer(
            loss_with(noised=noised_by_columns),
            "With one time per image, (B,), plain multiplication lines the times up with the columns. Use `jump`, or "
            "`per_sample`.",
        ),
        WrongAnswer(
            loss_with(level=lambda marginal, t: marginal.snr),
            "The network is told the logarithm of the signal-to-noise ratio.",
        ),
        WrongAnswer(
            loss_with(noised=lambda x_0, at, noise: jump(x_0, Marginal(at.alpha, at.sigma**2), noise)),
            "sigma_t is a standard deviation already: it multiplies the noise as it is.",
        ),
        WrongAnswer(
            loss_with(error=lambda difference: difference.square().sum()),
            "The mean over images and pixels is asked for. A sum over everything grows with the batch and with the "
            "size of the images, and so would every step of training.",
        ),
        WrongAnswer(
            loss_with(error=lambda difference: difference.square().flatten(1).mean(1)),
            "One number is asked for, for the whole batch: average over the images too.",
        ),
    ),
)
