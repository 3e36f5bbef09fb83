"""Exercise 04.7: the discretised decoder, safe in the tails."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.objective import bits_per_dim, decoder_term, log_area

from ..contract import Case, Exercise, WrongAnswer, normal


def decoder_cost(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> tuple[Tensor, Tensor]:
    nats = decoder_term(x_0, x0_hat, std, levels)
    return nats, bits_per_dim(nats, x_0[0].numel())


def cases(g: Generator) -> list[Case]:
    def on_levels(levels: int, *shape: int) -> Tensor:
        inner = (
            torch.randint(1, max(levels - 1, 2), shape, generator=g) if levels > 2 else (normal(g, *shape) > 0).long()
        )
        return 2 * inner.double() / (levels - 1) - 1

    def near(x: Tensor, spread: float) -> Tensor:
        return x + spread * normal(g, *x.shape)

    grey, single, narrow, coarse, small = (
        on_levels(256, 3, 1, 2, 3), on_levels(256, 1, 1, 2, 2), on_levels(256, 2, 4), on_levels(2, 2, 3),
        on_levels(16, 2, 1, 2, 2),
    )  # fmt: skip
    pixel, edges = on_levels(256, 2, 1), torch.tensor([[-1.0, -1.0, 1.0], [1.0, -1.0, -1.0]]).double()
    return [
        Case("three pictures, 256 levels", (grey, near(grey, 0.05), 0.05, 256)),
        Case("one picture", (single, near(single, 0.1), 0.1, 256)),
        Case("pictures of one pixel", (pixel, near(pixel, 0.03), 0.04, 256)),
        Case("black and white pixels only", (edges, near(0.9 * edges, 0.05), 0.1, 256)),
        Case("two levels", (coarse, near(0.2 * coarse, 0.2), 0.8, 2)),
        Case("a narrow decoder", (narrow, near(narrow, 0.001), 0.002, 256)),
        Case(
            "far from the guess", (torch.tensor([[-0.6, 0.2]]).double(), torch.tensor([[0.7, -0.9]]).double(), 0.01, 6)
        ),
        Case("single precision", (small, near(small, 0.1), 0.2, 16), float32=True),
    ]


# The wrong answers.


def bin_edges(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> tuple[Tensor, Tensor]:
    half = 1 / (levels - 1)
    lower = torch.where(x_0 - half < -1, -math.inf, (x_0 - half - x0_hat) / std)
    upper = torch.where(x_0 + half > 1, math.inf, (x_0 + half - x0_hat) / std)
    return lower, upper


Both = tuple[Tensor, Tensor]


def bits(nats: Tensor, x_0: Tensor) -> Both:
    return nats, nats / (math.log(2) * x_0[0].numel())


def decoder(
    area: Callable[[Tensor, Tensor], Tensor] = log_area,
    reduce: Callable[[Tensor], Tensor] = lambda logs: -logs.flatten(1).sum(1),
    answer: Callable[[Tensor, Tensor], Both] = bits,
) -> Callable[..., Both]:
    """The right answer but for one thing; `area` gets the edges as the scaffold leaves them."""

    def cost(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> Both:
        lower, upper = bin_edges(x_0, x0_hat, std, levels)
        flip = lower > -upper
        lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
        return answer(reduce(area(lower, upper)), x_0)

    return cost


def naive(lower: Tensor, upper: Tensor) -> Tensor:
    return torch.log(torch.special.ndtr(upper) - torch.special.ndtr(lower))


def floored(lower: Tensor, upper: Tensor) -> Tensor:
    return torch.log((torch.special.ndtr(upper) - torch.special.ndtr(lower)).clamp(min=1e-12))


def density(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> Both:
    logs = -0.5 * ((x_0 - x0_hat) / std) ** 2 - math.log(std) - 0.5 * math.log(2 * math.pi)
    return bits(-logs.flatten(1).sum(1), x_0)


EXERCISE = Exercise(
    id="04.7",
    title="The discretised decoder, safe in the tails",
    points=3,
    reference=decoder_cost,
    cases=cases,
    answers=("course_lib.objective.decoder_term", "course_lib.objective.log_area"),
    wrong_answers=(
        WrongAnswer(
            decoder(naive),
            "Far from the guess both areas are 0 in floating point, and the log of their difference is minus infinity. "
            "Subtract with logarithms.",
        ),
        WrongAnswer(
            decoder(lambda lower, upper: torch.special.log_ndtr(upper) - torch.special.log_ndtr(lower)),
            "The logarithm of a difference is not the difference of the logarithms.",
        ),
        WrongAnswer(
            decoder(floored),
            "A floor under the area caps the cost: the area may be e^(-5000), not 1e-12. Subtract with logarithms.",
        ),
        WrongAnswer(
            decoder(lambda lower, upper: torch.special.log_ndtr(upper)),
            "That is the area of everything below the bin's upper edge. What lies below the lower edge must come off.",
        ),
        WrongAnswer(
            decoder(reduce=lambda logs: logs.flatten(1).sum(1)),
            "A probability is below 1, so minus its logarithm is positive: a cost.",
        ),
        WrongAnswer(
            decoder(reduce=lambda logs: -logs.flatten(1).mean(1)),
            "The nats of a picture are the sum over its pixels; dividing by their number comes with the bits.",
        ),
        WrongAnswer(
            decoder(answer=lambda nats, x: (nats, nats / math.log(2))),
            "Bits per dimension: one division is missing.",
        ),
        WrongAnswer(
            decoder(answer=lambda nats, x: (nats, nats / x[0].numel())),
            "These are nats per dimension. How many bits is a nat?",
        ),
        WrongAnswer(
            decoder(answer=lambda nats, x: (nats, nats * math.log(2) / x[0].numel())),
            "A fair coin costs log 2 nats and 1 bit: do you divide or multiply?",
        ),
        WrongAnswer(
            decoder(answer=lambda nats, x: (nats, nats / (math.log(2) * x.numel()))),
            "The number of dimensions is that of one picture, without the batch.",
        ),
        WrongAnswer(
            decoder(answer=lambda nats, x: bits(nats, x)[::-1]),
            "Both numbers are there, in another order: nats first.",
        ),
        WrongAnswer(
            density,
            "That is a density. A level's probability is the area of its bin, and is never above 1.",
        ),
    ),
)
