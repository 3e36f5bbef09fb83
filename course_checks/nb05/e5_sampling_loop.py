"""Exercise 05.5: the sampling loop, along given times and with any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor

from course_lib.oracle import gaussian_denoiser
from course_lib.parametrization import Denoiser, Prediction
from course_lib.sampling import Step, ddim, ddpm, renoise, sample
from course_lib.schedule import Cosine, Linear, Marginal, Schedule, Table, Truncated, karras_times

from ..contract import Call, Case, Exercise, WrongAnswer, normal


def sampling_loop(
    denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor, step: Step, noises: Tensor
) -> Tensor:
    prepared: Iterator[Tensor] = iter(noises)

    def with_prepared_noise(
        x_t: Tensor, s: Marginal, t: Marginal, denoise: Denoiser, _: Tensor
    ) -> tuple[Tensor, Prediction]:
        return step(x_t, s, t, denoise, next(prepared))

    return torch.stack([state.x for state in sample(denoiser, schedule, times, x, with_prepared_noise)])


def cases(g: Generator) -> list[Case]:
    denoiser, linear, cosine = Call(gaussian_denoiser, 0.4, 0.3), Call(Linear), Call(Truncated, Call(Cosine))
    table = Call(Table.of, Call(Linear), 12)
    uniform = torch.linspace(1, 0, 5, dtype=torch.float64)
    skipping = torch.tensor([12.0, 7.0, 3.0, 1.0, 0.0], dtype=torch.float64)
    x = [normal(g, 2, 1, 2, 2) for _ in range(5)]
    noises = [normal(g, 4, 2, 1, 2, 2) for _ in range(5)]
    bridge, beta, karras = Call(ddpm, "bridge"), Call(ddpm, "beta"), karras_times(Linear(), 4)
    return [
        Case("DDIM, even times", (denoiser, linear, uniform, x[0], ddim, noises[0])),
        Case("one step", (denoiser, linear, uniform[[0, -1]], x[1], bridge, noises[1][:1])),
        Case("DDPM, even times", (denoiser, cosine, uniform, x[2], bridge, noises[2])),
        Case("DDPM, Karras' times", (denoiser, linear, karras, x[3], beta, noises[3])),
        Case("renoise, a table with steps left out", (denoiser, table, skipping, x[4], renoise, noises[4])),
        Case("single precision", (denoiser, linear, uniform, x[0], renoise, noises[0]), float32=True),
    ]


# Most wrong answers are the right one but for what a step is handed.


def loop_with(
    earlier: Callable[[Tensor, int], Tensor] = lambda times, i: times[i + 1],
    noise: Callable[[Tensor, int], Tensor] = lambda noises, i: noises[i],
    keep_x: bool = True,
    swapped: bool = False,
    left_out: int = 0,
) -> Callable[..., Any]:
    """Step i goes to the time `earlier` with `noise`, from where the step before it ended (`keep_x`) or from the start.

    `swapped`: its two marginals have changed places. `left_out`: how many of the last steps are missing.
    """

    def loop(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor, step: Step, noises: Tensor) -> Tensor:
        images, now = [x], x
        for i in range(len(times) - 1):
            goal, start = schedule(earlier(times, i)), schedule(times[i])
            goal, start = (start, goal) if swapped else (goal, start)
            if i < len(times) - 1 - left_out:
                now = step(now if keep_x else x, goal, start, denoiser, noise(noises, i))[0]
            images.append(now)
        return torch.stack(images)

    return loop


def one_tick_back(times: Tensor, i: int) -> Tensor:
    """The next time by arithmetic: as if all steps were as long as the average one."""
    tick = times[0] / (len(times) - 1)
    return times[0] - (i + 1) * tick if i + 2 < len(times) else times[-1]


def predictions(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor, step: Step, noises: Tensor) -> Tensor:
    images = [x]
    for i, (t, s) in enumerate(pairwise(times)):
        x, prediction = step(x, schedule(s), schedule(t), denoiser, noises[i])
        images.append(prediction.x0)
    return torch.stack(images)


EXERCISE = Exercise(
    id="05.5",
    title="The sampling loop, with any step",
    points=2,
    reference=sampling_loop,
    cases=cases,
    answers=("course_lib.sampling.sample",),
    wrong_answers=(
        WrongAnswer(
            loop_with(earlier=one_tick_back),
            "You computed the next time by arithmetic, as if all steps were equally long. Take neighbours of the list: "
            "`pairwise(times)`.",
        ),
        WrongAnswer(
            loop_with(keep_x=False),
            "Every step has to start where the one before it ended, not at the initial noise.",
        ),
        WrongAnswer(
            loop_with(noise=lambda noises, i: noises[0]),
            "Each step needs noise of its own: step i gets noises[i]. One noise used again and again adds up instead "
            "of averaging out.",
        ),
        WrongAnswer(
            loop_with(noise=lambda noises, i: noises[-1 - i]),
            "Step i gets noises[i], counted from the noisy end.",
        ),
        WrongAnswer(loop_with(left_out=1), "n + 1 times make n steps. The last one, to t = 0, is missing."),
        WrongAnswer(
            loop_with(swapped=True),
            "A step takes (x_t, earlier, later, ...): the marginal it goes to comes before the one it starts from.",
        ),
        WrongAnswer(
            predictions,
            "A step returns (x_s, the prediction made at x_t). The walk is made of the x_s; the prediction is only "
            "where it is heading.",
        ),
        WrongAnswer(
            lambda *arguments: loop_with()(*arguments)[1:],
            "n steps make n + 1 images: the walk begins with x itself.",
        ),
        WrongAnswer(
            lambda *arguments: loop_with()(*arguments)[-1],
            "All images of the walk are asked for, not the last one alone: collect and stack them.",
        ),
    ),
)
