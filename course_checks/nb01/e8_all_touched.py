"""Exercise 01.8: the probability that all pixels have been touched."""

from __future__ import annotations

import math

import torch
from torch import Generator

from course_lib.lessons.corruption import touched_counts

from ..contract import Case, Exercise, WrongAnswer


def all_touched(k: int, d: int, t: int) -> float:
    return float(touched_counts(k, d, t)[-1, -1])


def cases(g: Generator) -> list[Case]:
    d = int(torch.randint(8, 14, (), generator=g))
    return [
        Case("two of four pixels, three steps", (2, 4, 3)),
        Case("one pixel a step", (1, 5, 9)),
        Case("one pixel in all", (1, 1, 2)),
        Case("too few steps", (3, 12, 3)),
        Case("exactly enough steps", (3, 9, 3)),
        Case("three of some pixels", (3, d, 9)),
        Case("all pixels at once", (6, 6, 1)),
        Case("no step", (3, 6, 0)),
        Case("five of forty, sixty steps", (5, 40, 60)),
    ]


def binomial_number_of_new(k: int, d: int, t: int) -> float:
    """Counts each of the k pixels of a step as new with the probability at the step's start."""
    law = [1.0] + [0.0] * d
    for _ in range(t):
        moved = [0.0] * (d + 1)
        for n, probability in enumerate(law):
            for j in range(k + 1):
                chance = math.comb(k, j) * (1 - n / d) ** j * (n / d) ** (k - j)
                moved[min(n + j, d)] += probability * chance
        law = moved
    return law[d]


def inclusion_exclusion(k: int, d: int, t: int, sign: int = -1, largest: int | None = None) -> float:
    """The sum over j missing pixels, to the `largest` j; `sign` = -1 is the right one."""
    total = 0.0
    for j in range((d if largest is None else min(largest, d)) + 1):
        escape = math.comb(d - j, k) / math.comb(d, k)
        total += math.comb(d, j) * sign**j * escape**t
    return total


EXERCISE = Exercise(
    id="01.8",
    title="The probability that all pixels are touched",
    points=2,
    reference=all_touched,
    cases=cases,
    answers=("course_lib.lessons.corruption.touched_counts",),
    wrong_answers=(
        WrongAnswer(
            lambda k, d, t: (1 - (1 - k / d) ** t) ** d,
            "The product would be right for independent pixels. They are not: a fixed number is hit in each step.",
        ),
        WrongAnswer(
            lambda k, d, t: 1 - (1 - k / d) ** t,
            "That is for one given pixel. All d of them have to be touched.",
        ),
        WrongAnswer(
            lambda k, d, t: 1 - d * (1 - k / d) ** t,
            "1 - d alpha_t is only a lower bound: it subtracts twice where two pixels are missing. It even gets "
            "negative.",
        ),
        WrongAnswer(
            lambda k, d, t: math.exp(-d * (1 - k / d) ** t),
            "exp(-d alpha_t) is a good estimate for many pixels and late times. Here the exact number is asked for.",
        ),
        WrongAnswer(
            lambda k, d, t: all_touched(1, d, k * t),
            "The k pixels of one step are all *different*: k single hits may coincide, one step's pixels cannot.",
        ),
        WrongAnswer(
            binomial_number_of_new,
            "How many of the k are new? They are drawn without replacement, so it is not binomial: count the ways to "
            "choose j of the d - n untouched and k - j of the n touched.",
        ),
        WrongAnswer(
            lambda k, d, t: all_touched(k, d, max(t - 1, 0)),
            "One step too few. Before any step nothing is touched; after t = 1 the first k are.",
        ),
        WrongAnswer(
            lambda k, d, t: 1 - all_touched(k, d, t),
            "That is the probability that at least one pixel is left untouched.",
        ),
        WrongAnswer(
            lambda k, d, t: inclusion_exclusion(k, d, t, sign=1),
            "Inclusion and exclusion alternate: subtract the single pixels, add the pairs, subtract the triples, ...",
        ),
        WrongAnswer(
            lambda k, d, t: 2 - all_touched(k, d, t),
            "A probability above 1, even before the first step: the sign of every term after the 1 is wrong.",
        ),
        WrongAnswer(
            lambda k, d, t: inclusion_exclusion(k, d, t, largest=2),
            "You stop after the pairs. Sets of 3, 4, ... pixels can be missing too.",
        ),
    ),
)
