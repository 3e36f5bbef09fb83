"""Plausible wrong answers to exercises 01.5 and 01.6, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from course_lib.lessons.corruption import Degradation, Restorer, corrupt_exactly

from .contract import Mutant

# --------------------------------------------------------------------------------------------- 01.5 exactly t pixels

ALONE, READING, EXTREMES = "one image, three of nine pixels", "pixels in reading order", "none, some, all"


def _by_pixel(values: Tensor, permutation: Tensor) -> Tensor:
    """The values that make `corrupt_exactly` give pixel p the value number p."""
    return values.gather(1, permutation)


def _inverse(permutation: Tensor) -> Tensor:
    return permutation.argsort(1)


def _values_by_pixel(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation, _by_pixel(values, permutation))


def _rank_mask(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return torch.where(permutation < t[:, None], values.to(x.dtype), x.flatten(1)).reshape(x.shape)


def _inverse_order(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, _inverse(permutation), values)


def _without_permutation(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, torch.arange(permutation.shape[1]).expand_as(permutation), values)


def _one_more(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, (t + 1).clamp(max=permutation.shape[1]), permutation, values)


def _one_less(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, (t - 1).clamp(min=0), permutation, values)


def _first_t_for_all(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t[:1].expand_as(t), permutation, values)


def _largest_t_for_all(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t.max().expand_as(t), permutation, values)


def _last_ones(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation.flip(1), values)


def _others(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    untouched = torch.arange(permutation.shape[1]) >= t[:, None]
    chosen = torch.where(untouched, values.to(x.dtype), x.flatten(1).gather(1, permutation))
    return x.flatten(1).scatter(1, permutation, chosen).reshape(x.shape)


def _same_order_for_all(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation[:1].expand_as(permutation), values)


def _flipped(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation, -x.flatten(1).gather(1, permutation))


def _added(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation, x.flatten(1).gather(1, permutation) + values)


def _left_shuffled(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    touched = torch.arange(permutation.shape[1]) < t[:, None]
    return torch.where(touched, values.to(x.dtype), x.flatten(1).gather(1, permutation)).reshape(x.shape)


def _left_flat(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    return corrupt_exactly(x, t, permutation, values).flatten(1)


def _from_the_front(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    """Gathers by the inverse and scatters by the permutation: untouched pixels move."""
    touched = torch.arange(permutation.shape[1]) < t[:, None]
    chosen = torch.where(touched, values.to(x.dtype), x.flatten(1))
    return x.flatten(1).scatter(1, permutation, chosen).reshape(x.shape)


EXACTLY = (
    Mutant(
        _values_by_pixel,
        "The right pixels, with the wrong coins: values[b, j] is for the pixel that is touched as number j, wherever "
        "it stands.",
        agrees_on=(READING,),
    ),
    Mutant(
        _rank_mask,
        "`permutation < t` asks whether the pixel *touched as number j* has a number below t. Ask whether its turn j "
        "is below t, and then find out where it stands.",
        agrees_on=(READING,),
    ),
    Mutant(
        _inverse_order,
        "A permutation and its inverse: permutation[b, j] is the pixel whose turn is j, not the turn of pixel j.",
        agrees_on=(READING,),
    ),
    Mutant(
        _without_permutation,
        "The first t in the order of `permutation`, not the first t in the picture.",
        agrees_on=(READING,),
    ),
    Mutant(_one_more, "Exactly t pixels: their turns are 0, 1, ..., t - 1."),
    Mutant(_one_less, "Exactly t pixels: turns count from 0, so turn t - 1 is the last one."),
    Mutant(
        _first_t_for_all,
        "Each image has its own t: compare turns (d,) with t as a column, t[:, None].",
        agrees_on=(ALONE,),
    ),
    Mutant(
        _largest_t_for_all,
        "Each image has its own t; yours touches as many in all images as in the one with most.",
        agrees_on=(ALONE,),
    ),
    Mutant(_last_ones, "The order is read from its front: permutation[b, 0] is touched first."),
    Mutant(_others, "Touched are the first t of the order; yours sets the others and leaves these."),
    Mutant(
        _same_order_for_all,
        "Each image has its own order: row b of `permutation` is for image b.",
        agrees_on=(ALONE, READING),
    ),
    Mutant(_flipped, "Touching is not flipping: a touched pixel becomes its value, whatever it was."),
    Mutant(_added, "A touched pixel becomes its value; yours still depends on what it was."),
    Mutant(
        _left_shuffled,
        "Your picture is still in the shuffled order. Put every pixel back where it came from (`scatter`).",
        agrees_on=(READING,),
    ),
    Mutant(
        _from_the_front,
        "Untouched pixels have moved: before you put the pixels in their places by `permutation`, they have to be "
        "*taken* by it too (`gather`).",
        agrees_on=(READING,),
    ),
    Mutant(_left_flat, "All numbers are right, but the answer has lost the shape of `x`: reshape it back."),
)

# ---------------------------------------------------------------------------------------------- 01.6 denoise, renoise

Loop = Callable[[Restorer, Degradation, Tensor, Tensor], Tensor]
SINGLE, KNOWING, EVERY, BLIND, EARLY = (
    "one step to 0", "a denoiser that knows the answer", "flips, every time from 4", "blur, a denoiser that ignores t",
    "stop before 0",
)  # fmt: skip


def _loop(move: Callable[..., Tensor]) -> Loop:
    """The right loop with another move(restore, degrade, x, t, s, times)."""

    def run(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
        states = [x]
        for t, s in pairwise(times.tolist()):
            states.append(move(restore, degrade, states[-1], t, s, times))
        return torch.stack(states)

    return run


def _one_guess(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    guess = restore(x, float(times[0]))
    return torch.stack([x, *(degrade(guess, s) for s in times[1:].tolist())])


def _from_the_start(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    return torch.stack([x, *(degrade(restore(x, t), s) for t, s in pairwise(times.tolist()))])


def _times_as_tensors(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    states = [x]
    for t, s in pairwise(times):
        states.append(degrade(restore(states[-1], t), s))
    return torch.stack(states)


def _guesses(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    shown = [x]
    for t, s in pairwise(times.tolist()):
        guess = restore(x, t)
        shown.append(guess)
        x = degrade(guess, s)
    return torch.stack(shown)


def _only_last(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    return _right(restore, degrade, times, x)[-1]


def _without_start(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    return _right(restore, degrade, times, x)[1:]


def _last_guess(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    states = _right(restore, degrade, times, x)
    return torch.cat([states[:-1], restore(states[-2], float(times[-2]))[None]])


def _guess_more(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    states = _right(restore, degrade, times, x)
    return torch.cat([states[:-1], restore(states[-1], float(times[-1]))[None]])


def _whole_steps(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    states = [x]
    for t in times[:-1].tolist():
        states.append(degrade(restore(states[-1], t), max(t - 1, 0.0)))
    return torch.stack(states)


def _even_steps(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    even = torch.linspace(float(times[0]), float(times[-1]), len(times), dtype=torch.float64).round(decimals=6)
    return _right(restore, degrade, even, x)


_right = _loop(lambda restore, degrade, x, t, s, times: degrade(restore(x, t), s))

REPAIR = (
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: degrade(restore(x, t), t)),
        "You ruin the guess as much as it was before, and so get nowhere: which of the two times should it have "
        "after the step?",
    ),
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: restore(x, t)),
        "Your loop only denoises. The guess has to be ruined again, to the next time, before the denoiser sees it.",
        agrees_on=(SINGLE,),
    ),
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: degrade(x, s)),
        "You ruin x_t once more. What has to be ruined is the *guess* of x_0.",
    ),
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: degrade(restore(x, s), s)),
        "x_t has the severity t, and that is what the denoiser must be told; s is where you are going.",
        agrees_on=(BLIND, KNOWING),
    ),
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: degrade(restore(x, float(times[0])), s)),
        "The denoiser is told the first time in every step. x is less ruined by now.",
        agrees_on=(SINGLE, BLIND, KNOWING),
    ),
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: x - degrade(restore(x, t), t) + degrade(restore(x, t), s)),
        "That is the improved update of section 8. Here the guess itself is ruined to s.",
    ),
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: degrade(restore(x, t), t - s)),
        "`degrade` wants the severity to arrive at, not the difference of two.",
    ),
    Mutant(
        _loop(lambda restore, degrade, x, t, s, times: degrade(degrade(restore(x, t), t), s)),
        "You ruin twice. One `degrade` a step, of the guess.",
    ),
    Mutant(
        _one_guess,
        "Guess again in every step, from the newest x: the first guess, from pure snow, is fog.",
        agrees_on=(SINGLE, KNOWING),
    ),
    Mutant(
        _from_the_start,
        "The denoiser must see the present state, the last one so far. Yours always sees the start.",
        agrees_on=(SINGLE, KNOWING),
    ),
    Mutant(
        _times_as_tensors,
        "`restore` and `degrade` want t as a plain number, and get a tensor: take the times from `times.tolist()`.",
        agrees_on=(BLIND, EARLY),
    ),
    Mutant(
        _guesses,
        "You return the guesses. Asked for are the states, that is x at each of the times.",
        agrees_on=(SINGLE,),
    ),
    Mutant(
        _last_guess,
        "The last time is not always 0: then the last state is ruined to it as well.",
        agrees_on=(SINGLE, EVERY, BLIND, KNOWING),
    ),
    Mutant(
        _guess_more,
        "One guess too many: at the last of the times you have arrived, nothing is left to do there.",
    ),
    Mutant(
        _whole_steps,
        "The next time is not t - 1: it is the next one in `times`, which may be any distance away.",
        agrees_on=(EVERY,),
    ),
    Mutant(
        _even_steps,
        "The times are not always even. Take them from `times`, as pairs of neighbours.",
        agrees_on=(SINGLE, EVERY),
    ),
    Mutant(_only_last, "You return the last state only. Asked for are all of them, the start included."),
    Mutant(_without_start, "The start is a state too: n + 1 of them for n steps."),
)
