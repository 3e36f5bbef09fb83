"""Plausible wrong answers to exercises 01.7 and 01.8, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from course_lib.lessons.corruption import Degradation, touched_counts

from .contract import Mutant

# --------------------------------------------------------------------------------------------------- 01.7 cold update

Update = Callable[[Tensor, Tensor, Degradation, float, float], Tensor]
RIGHT, WRONG, LINE, DARK, LAST, STILL = (
    "a right guess, blur", "a wrong guess, blur", "a wrong guess, a straight line", "a wrong guess, darkening",
    "the last step, s = 0", "no step, s = t",
)  # fmt: skip

COLD: tuple[Mutant, ...] = (
    Mutant(
        lambda x, g, D, t, s: D(g, s),
        "That is plain denoise-and-renoise: it forgets x_t. Where the guess is wrong, what does x_t know better?",
        agrees_on=(RIGHT,),
    ),
    Mutant(
        lambda x, g, D, t, s: x + D(g, t) - D(g, s),
        "Check the signs with a right guess: x_t = D(guess, t) must cancel, and D(guess, s) must remain.",
        agrees_on=(STILL,),
    ),
    Mutant(
        lambda x, g, D, t, s: x - D(g, t) + g,
        "You go all the way to the guess. Add what the guess looks like at s, not at 0.",
        agrees_on=(LAST,),
    ),
    Mutant(
        lambda x, g, D, t, s: x - g + D(g, s),
        "What has to be taken away from x_t is of its own severity: the guess, ruined to t.",
    ),
    Mutant(
        lambda x, g, D, t, s: x - D(g, t - s),
        "The difference of two ruined pictures is not a picture ruined by the difference.",
    ),
    Mutant(
        lambda x, g, D, t, s: D(x, s),
        "That ruins x_t once more and does not use the guess.",
    ),
    Mutant(
        lambda x, g, D, t, s: x - D(x, t) + D(x, s),
        "You ruin x_t, which is ruined already. Both D's are of the guess.",
        agrees_on=(STILL,),
    ),
    Mutant(
        lambda x, g, D, t, s: D(g, t) - x + D(g, s),
        "You add the guess's error with the wrong sign: what the guess fails to explain is x_t - D(guess, t).",
        agrees_on=(RIGHT,),
    ),
    Mutant(
        lambda x, g, D, t, s: D(x - D(g, t) + g, s),
        "Ruining the corrected guess as a whole also ruins the correction, which is of the right severity already.",
        agrees_on=(RIGHT,),
    ),
    Mutant(
        lambda x, g, D, t, s: x + (s - t) / t * (x - g),
        "That is a straight line from x_t to the guess. Most ways to ruin a picture are not straight lines in t.",
        agrees_on=(STILL,),
    ),
    Mutant(
        lambda x, g, D, t, s: x - D(x, t) + D(g, s),
        "x_t is ruined already. What is to be ruined to t, and taken away, is the *guess*.",
    ),
    Mutant(
        lambda x, g, D, t, s: x + (t - s) * (g - x),
        "That goes straight from x_t towards the guess, as a fade would. `degrade` may be anything: use it.",
        agrees_on=(STILL,),
    ),
    Mutant(
        lambda x, g, D, t, s: s / t * (x - D(g, t)) + D(g, s),
        "You let the unexplained part fade. The improved update carries over all of it.",
        agrees_on=(RIGHT, STILL),
    ),
    Mutant(
        lambda x, g, D, t, s: x - D(g, s) + D(g, 0.0),
        "One severity too low in both: from t to s, not from s to 0.",
    ),
    Mutant(
        lambda x, g, D, t, s: (x - D(g, t) + D(g, s)).clamp(-1, 1),
        "Do not clip: x_s may lie outside [-1, 1] on the way, and what is cut off is lost for the next step.",
    ),
)

# --------------------------------------------------------------------------------------------------- 01.8 all touched

AT_ONCE, FEW, LONE, NEVER = "all pixels at once", "too few steps", "one pixel in all", "no step"


def _touched(k: int, d: int, t: int) -> float:
    return float(touched_counts(k, d, max(t, 0))[-1, -1])


def _binomial(k: int, d: int, t: int) -> float:
    """Each of the k hits of a step independent of the others, with replacement."""
    return _touched(1, d, k * t)


def _new_pixels(k: int, d: int, t: int) -> float:
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


def _inclusion(k: int, d: int, t: int, signs: bool = True, terms: int | None = None) -> float:
    total = 0.0
    for j in range((d if terms is None else min(terms, d)) + 1):
        escape = math.comb(d - j, k) / math.comb(d, k)
        total += math.comb(d, j) * ((-1) ** j if signs else 1) * escape**t
    return total


ALL_TOUCHED = (
    Mutant(
        lambda k, d, t: (1 - (1 - k / d) ** t) ** d,
        "The product would be right for independent pixels. They are not: a fixed number is hit in each step.",
        agrees_on=(AT_ONCE, LONE, NEVER),
    ),
    Mutant(
        lambda k, d, t: 1 - (1 - k / d) ** t,
        "That is for one given pixel. All d of them have to be touched.",
        agrees_on=(AT_ONCE, LONE, NEVER),
    ),
    Mutant(
        lambda k, d, t: 1 - d * (1 - k / d) ** t,
        "1 - d alpha_t is only a lower bound: it subtracts twice where two pixels are missing. It even gets negative.",
        agrees_on=(AT_ONCE, LONE),
    ),
    Mutant(
        lambda k, d, t: max(0.0, 1 - d * (1 - k / d) ** t),
        "1 - d alpha_t is only a lower bound: it subtracts twice where two pixels are missing. Cutting it off at 0 "
        "does not mend that.",
        agrees_on=(AT_ONCE, LONE, FEW, NEVER),
    ),
    Mutant(
        lambda k, d, t: math.exp(-d * (1 - k / d) ** t),
        "exp(-d alpha_t) is a good estimate for many pixels and late times. Here the exact number is asked for.",
        agrees_on=(AT_ONCE, LONE),
    ),
    Mutant(
        _binomial,
        "The k pixels of one step are all *different*: k single hits may coincide, one step's pixels cannot.",
        agrees_on=("one pixel a step", LONE, NEVER),
    ),
    Mutant(
        _new_pixels,
        "How many of the k are new? They are drawn without replacement, so it is not binomial: count the ways to "
        "choose j of the d - n untouched and k - j of the n touched.",
        agrees_on=("one pixel a step", LONE, AT_ONCE, NEVER),
    ),
    Mutant(
        lambda k, d, t: _touched(k, d, t - 1),
        "One step too few. Before any step nothing is touched; after t = 1 the first k are.",
        agrees_on=(FEW, NEVER),
    ),
    Mutant(
        lambda k, d, t: _touched(k, d, t + 1),
        "One step too many. With t = 0 nothing has been touched.",
        agrees_on=(LONE, AT_ONCE),
    ),
    Mutant(
        lambda k, d, t: 1 - _touched(k, d, t),
        "That is the probability that at least one pixel is left untouched.",
    ),
    Mutant(
        lambda k, d, t: _inclusion(k, d, t, signs=False),
        "Inclusion and exclusion alternate: subtract the single pixels, add the pairs, subtract the triples, ...",
    ),
    Mutant(
        lambda k, d, t: 2 - _touched(k, d, t) if t > 0 else 0.0,
        "A probability above 1: check the first sign. The sum over the single pixels is *subtracted* from 1.",
        agrees_on=(LONE, AT_ONCE, NEVER),
    ),
    Mutant(
        lambda k, d, t: 2 - _touched(k, d, t),
        "A probability above 1, even before the first step: the sign of every term after the 1 is wrong.",
        agrees_on=(LONE, AT_ONCE),
    ),
    Mutant(
        lambda k, d, t: _inclusion(k, d, t, terms=2),
        "You stop after the pairs. Sets of 3, 4, ... pixels can be missing too.",
        agrees_on=(LONE, AT_ONCE),
    ),
    Mutant(
        lambda k, d, t: float(touched_counts(k, d, t)[-1, -2]) if d > 1 else 0.0,
        "That is the probability that exactly one pixel is left untouched.",
        agrees_on=(FEW, NEVER),
    ),
    Mutant(
        lambda k, d, t: min(1.0, k * t / d),
        "k t hits are enough for d pixels only if no pixel is hit twice.",
        agrees_on=(AT_ONCE, LONE, NEVER),
    ),
)
