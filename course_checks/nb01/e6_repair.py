"""Exercise 01.6: denoise and renoise, the loop that repairs an image."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor

from course_lib.lessons.corruption import Degradation, Restorer, denoise_renoise, random_pixels

from ..contract import Call, Case, Exercise, WrongAnswer, normal
from .inputs import all_knowing, blind_restorer, flipping, smearing, wavy_restorer
from .shared import coins


def repair(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    return torch.stack([state.x for state in denoise_renoise(restore, degrade, times, x)])


def cases(g: Generator) -> list[Case]:
    def flips(x: Tensor) -> Call:
        d = x[0].numel()
        return Call(flipping, random_pixels(x, d, g), coins(g, len(x), d))

    def times(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    x = [normal(g, 2, 1, 3, 4) for _ in range(6)]
    truth = normal(g, 2, 1, 3, 4)
    return [
        Case("one step to 0", (wavy_restorer, flips(x[0]), times(12, 0), x[0])),
        Case("a denoiser that knows the answer", (Call(all_knowing, truth), flips(x[1]), times(12, 7, 3, 0), x[1])),
        Case("flips, uneven times", (wavy_restorer, flips(x[2]), times(12, 9, 3, 2, 0), x[2])),
        Case("flips, every time from 4", (wavy_restorer, flips(x[3]), times(4, 3, 2, 1, 0), x[3])),
        Case("blur, a denoiser that ignores t", (blind_restorer, Call(smearing, 0.5), times(3, 2, 0.5, 0), x[4])),
        Case("stop before 0", (wavy_restorer, Call(smearing, 0.8), times(3, 2.5, 1), x[5])),
        Case("single precision", (wavy_restorer, Call(smearing, 0.5), times(3, 1, 0), x[0].clone()), float32=True),
    ]


# The wrong answers are the right loop with another step, or another loop.


def loop_with(
    step: Callable[[Restorer, Degradation, Tensor, float, float], Tensor],
) -> Callable[[Restorer, Degradation, Tensor, Tensor], Tensor]:
    def loop(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
        states = [x]
        for t, s in pairwise(times.tolist()):
            states.append(step(restore, degrade, states[-1], t, s))
        return torch.stack(states)

    return loop


def guess_once(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    guess = restore(x, float(times[0]))
    return torch.stack([x, *(degrade(guess, s) for s in times[1:].tolist())])


def always_from_the_start(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    return torch.stack([x, *(degrade(restore(x, t), s) for t, s in pairwise(times.tolist()))])


def tensors_for_times(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    states = [x]
    for t, s in pairwise(times):
        states.append(degrade(restore(states[-1], t), s))
    return torch.stack(states)


def return_guesses(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    states = repair(restore, degrade, times, x)
    return torch.stack([x, *(restore(state, t) for state, t in zip(states, times[:-1].tolist(), strict=False))])


def guess_for_the_last_state(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    states = repair(restore, degrade, times, x)
    return torch.cat([states[:-1], restore(states[-2], float(times[-2]))[None]])


EXERCISE = Exercise(
    id="01.6",
    title="Denoise and renoise",
    points=3,
    reference=repair,
    cases=cases,
    answers=("course_lib.lessons.corruption.denoise_renoise",),
    wrong_answers=(
        WrongAnswer(
            loop_with(lambda restore, degrade, x, t, s: degrade(restore(x, t), t)),
            "You ruin the guess as much as it was before, and so get nowhere: which of the two times should it have "
            "after the step?",
        ),
        WrongAnswer(
            loop_with(lambda restore, degrade, x, t, s: restore(x, t)),
            "Your loop only denoises. The guess has to be ruined again, to the next time, before the denoiser sees it.",
        ),
        WrongAnswer(
            loop_with(lambda restore, degrade, x, t, s: degrade(x, s)),
            "You ruin x_t once more. What has to be ruined is the *guess* of x_0.",
        ),
        WrongAnswer(
            loop_with(lambda restore, degrade, x, t, s: degrade(restore(x, s), s)),
            "x_t has the severity t, and that is what the denoiser must be told; s is where you are going.",
        ),
        WrongAnswer(
            loop_with(lambda restore, degrade, x, t, s: degrade(restore(x, t), max(t - 1, 0.0))),
            "The next time is not t - 1: it is the next one in `times`, which may be any distance away.",
        ),
        WrongAnswer(
            guess_once,
            "Guess again in every step, from the newest x: the first guess, from pure snow, is fog.",
        ),
        WrongAnswer(
            always_from_the_start,
            "The denoiser must see the present state, the last one so far. Yours always sees the start.",
        ),
        WrongAnswer(
            tensors_for_times,
            "`restore` and `degrade` want t as a plain number, and get a tensor: take the times from `times.tolist()`.",
        ),
        WrongAnswer(
            return_guesses,
            "You return the guesses. Asked for are the states, that is x at each of the times.",
        ),
        WrongAnswer(
            guess_for_the_last_state,
            "The last time is not always 0: then the last state is ruined to it as well.",
        ),
        WrongAnswer(
            lambda restore, degrade, times, x: repair(restore, degrade, times, x)[-1],
            "You return the last state only. Asked for are all of them, the start included.",
        ),
        WrongAnswer(
            lambda restore, degrade, times, x: repair(restore, degrade, times, x)[1:],
            "The start is a state too: n + 1 of them for n steps.",
        ),
    ),
)
