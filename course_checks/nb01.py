"""Exercises of notebook 01: flipping pixels, how long it takes, the loop that repairs, the cold update."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.lessons.corruption import (
    Degradation,
    Restorer,
    cold_update,
    corrupt_exactly,
    corrupt_step,
    denoise_renoise,
    random_pixels,
    random_values,
    steps_to_reach,
    touched_counts,
    untouched_probability,
)
from course_lib.lessons.naive import best_constant

from . import nb01_wrong as wrong
from . import nb01_wrong_cold as wrong_cold
from . import nb01_wrong_constant as wrong_constant
from . import nb01_wrong_later as wrong_later
from .contract import Call, Case, Exercise
from .nb01_inputs import all_knowing, blind_restorer, drifting, flipping, smearing, vanishing, wavy_restorer


def _draw(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _coins(generator: Generator, *shape: int) -> Tensor:
    return random_values(shape, generator).double()


def _pixels(generator: Generator, images: Tensor, count: int) -> Tensor:
    return random_pixels(images, count, generator)


# ------------------------------------------------------------------------------------------------------ 01.1 one step


def _one_step_cases(g: Generator) -> list[Case]:
    def case(name: str, shape: tuple[int, ...], k: int, float32: bool = False) -> Case:
        x = _draw(g, *shape)
        return Case(name, (x, _pixels(g, x, k), 2 * _draw(g, len(x), k)), float32=float32)

    black = -torch.ones(1, 1, 2, 4, dtype=torch.float64)
    same = _draw(g, 1, 1, 2, 2).expand(2, 1, 2, 2).clone()
    return [
        Case(
            "one black image, three pixels", (black, torch.tensor([[6, 1, 4]]), torch.tensor([[1.0, -1, 1]]).double())
        ),
        case("one image, two pixels", (1, 1, 3, 3), 2),
        case("three images, as many as pixels touched", (3, 1, 3, 2), 3),
        case("two images in colour", (2, 3, 2, 2), 4),
        Case("the same pixels in both images", (same, torch.tensor([[3, 0], [3, 0]]), _draw(g, 2, 2))),
        case("all pixels", (2, 1, 2, 2), 4),
        case("no pixel", (2, 1, 2, 2), 0),
        case("single precision", (2, 1, 3, 3), 4, float32=True),
    ]


# ------------------------------------------------------------------------------------------------------ 01.2 how long


def how_long(k: int, d: int, t: int, alpha: float) -> tuple[float, int]:
    return float(untouched_probability(k, d, t)), steps_to_reach(alpha, k, d)


def _how_long_cases(g: Generator) -> list[Case]:
    k, t = int(torch.randint(3, 20, (), generator=g)), int(torch.randint(5, 40, (), generator=g))
    return [
        Case("ten of 784 pixels", (10, 784, 100, 0.01)),
        Case("one pixel a step", (1, 9, 20, 0.05)),
        Case("one step", (3, 10, 1, 0.5)),
        Case("no step yet", (3, 10, 0, 0.3)),
        Case("half of the pixels: alpha is met exactly", (8, 16, 3, 0.25)),
        Case("alpha = 1", (5, 60, 7, 1.0)),
        Case("some of 100 pixels", (k, 100, t, 0.2)),
        Case("nearly all pixels", (90, 100, 2, 0.001)),
    ]


# -------------------------------------------------------------------------------------------------- 01.3 pixel moments


def pixel_moments(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    alpha = float(untouched_probability(k, d, t))
    mean = alpha * x_0 + (1 - alpha) * (2 * white - 1)
    return mean, alpha + (1 - alpha) - mean**2, alpha


def _moments_cases(g: Generator) -> list[Case]:
    t = int(torch.randint(3, 9, (), generator=g))
    white = round(float(0.6 + 0.3 * torch.rand((), generator=g)), 3)
    return [
        Case("a fair coin", (_coins(g, 2, 1, 2, 2), 3, 20, t, 0.5)),
        Case("a coin that likes white", (_coins(g, 2, 1, 2, 3), 3, 20, t, white)),
        Case("black and white pixel", (torch.tensor([-1.0, 1.0], dtype=torch.float64), 2, 16, t, 0.25)),
        Case("no step", (_coins(g, 2, 3), 3, 20, 0, 0.7)),
        Case("one step", (_coins(g, 4), 5, 20, 1, 0.3)),
        Case("all pixels in one step", (_coins(g, 2, 2), 16, 16, 1, 0.8)),
        Case("a coin that is always white", (_coins(g, 5), 2, 16, t, 1.0)),
        Case("single precision", (_coins(g, 2, 1, 2, 2), 3, 20, t, 0.4), float32=True),
    ]


# -------------------------------------------------------------------------------------------------- 01.4 best constant


def _constant_cases(g: Generator) -> list[Case]:
    return [
        Case("one image", (_draw(g, 1, 1, 2, 3),)),
        Case("two black-and-white images", (torch.tensor([[[[1.0, -1, 1]]], [[[-1, -1, 1]]]], dtype=torch.float64),)),
        Case("seven black-and-white images", (_coins(g, 7, 1, 3, 2),)),
        Case("grey images that are not centred", (_draw(g, 6, 1, 2, 3) + 0.7,)),
        Case("colour", (0.5 * _draw(g, 5, 3, 2, 2) - 0.3,)),
        Case("images of one pixel", (_draw(g, 8, 1, 1, 1),)),
        Case("single precision", (_draw(g, 6, 1, 2, 2) + 0.3,), float32=True),
    ]


# --------------------------------------------------------------------------------------------- 01.5 exactly t pixels


def _exactly_cases(g: Generator) -> list[Case]:
    def case(name: str, shape: tuple[int, ...], t: list[int], float32: bool = False) -> Case:
        x = _draw(g, *shape)
        d = x[0].numel()
        return Case(name, (x, torch.tensor(t), _pixels(g, x, d), 2 * _draw(g, len(x), d)), float32=float32)

    x = _draw(g, 2, 1, 2, 3)
    in_order = torch.arange(6).expand(2, 6).clone()
    return [
        case("one image, three of nine pixels", (1, 1, 3, 3), [3]),
        Case("pixels in reading order", (x, torch.tensor([2, 5]), in_order, _draw(g, 2, 6))),
        case("none, some, all", (3, 1, 2, 4), [0, 3, 8]),
        case("colour, a t for each image", (4, 3, 2, 2), [1, 5, 7, 11]),
        case("as many images as pixels", (4, 1, 2, 2), [1, 2, 3, 2]),
        case("single precision", (2, 1, 3, 3), [4, 6], float32=True),
    ]


# ---------------------------------------------------------------------------------------------- 01.6 denoise, renoise


def repair(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Tensor:
    return torch.stack([state.x for state in denoise_renoise(restore, degrade, times, x)])


def _repair_cases(g: Generator) -> list[Case]:
    def flips(x: Tensor) -> Call:
        d = x[0].numel()
        return Call(flipping, _pixels(g, x, d), _coins(g, len(x), d))

    def times(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    x = [_draw(g, 2, 1, 3, 4) for _ in range(6)]
    truth = _draw(g, 2, 1, 3, 4)
    return [
        Case("one step to 0", (wavy_restorer, flips(x[0]), times(12, 0), x[0])),
        Case("a denoiser that knows the answer", (Call(all_knowing, truth), flips(x[1]), times(12, 7, 3, 0), x[1])),
        Case("flips, uneven times", (wavy_restorer, flips(x[2]), times(12, 9, 3, 2, 0), x[2])),
        Case("flips, every time from 4", (wavy_restorer, flips(x[3]), times(4, 3, 2, 1, 0), x[3])),
        Case("blur, a denoiser that ignores t", (blind_restorer, Call(smearing, 0.5), times(3, 2, 0.5, 0), x[4])),
        Case("stop before 0", (wavy_restorer, Call(smearing, 0.8), times(3, 2.5, 1), x[5])),
        Case("single precision", (wavy_restorer, Call(smearing, 0.5), times(3, 1, 0), x[0].clone()), float32=True),
    ]


# --------------------------------------------------------------------------------------------------- 01.7 cold update


def _cold_cases(g: Generator) -> list[Case]:
    blurs, line, dark = Call(smearing, 1.5), Call(drifting, _draw(g, 1, 1, 3, 4)), Call(vanishing, 2.0)
    images = [_draw(g, 2, 1, 3, 4) for _ in range(10)]
    level = smearing(1.5)
    return [
        Case("a right guess, blur", (level(images[0], 0.8), images[0], blurs, 0.8, 0.3)),
        Case("a wrong guess, blur", (images[1], images[2], blurs, 0.8, 0.3)),
        Case("a wrong guess, a straight line", (images[3], images[4], line, 0.9, 0.2)),
        Case("a wrong guess, darkening", (images[5], images[6], dark, 2.0, 1.5)),
        Case("the last step, s = 0", (images[7], images[8], blurs, 0.4, 0.0)),
        Case("no step, s = t", (images[9], images[2], dark, 1.0, 1.0)),
        Case("single precision", (images[1].clone(), images[2].clone(), dark, 1.4, 0.7), float32=True),
    ]


# --------------------------------------------------------------------------------------------------- 01.8 all touched


def all_touched(k: int, d: int, t: int) -> float:
    return float(touched_counts(k, d, t)[-1, -1])


def _all_touched_cases(g: Generator) -> list[Case]:
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


LIBRARY = "course_lib."
EXERCISES = (
    Exercise(
        "01.1", "One step", 1, corrupt_step, _one_step_cases, wrong.ONE_STEP,
        answers=(f"{LIBRARY}corruption.corrupt_step",),
    ),
    Exercise(
        "01.2", "How long?", 1, how_long, _how_long_cases, wrong.HOW_LONG,
        answers=(f"{LIBRARY}corruption.untouched_probability", f"{LIBRARY}corruption.steps_to_reach"),
    ),
    Exercise("01.3", "Mean and variance of a flipped pixel", 2, pixel_moments, _moments_cases, wrong_constant.MOMENTS),
    Exercise(
        "01.4", "The best constant", 2, best_constant, _constant_cases, wrong_constant.CONSTANT,
        answers=(f"{LIBRARY}naive.best_constant",),
    ),
    Exercise(
        "01.5", "Exactly t pixels", 2, corrupt_exactly, _exactly_cases, wrong_later.EXACTLY,
        answers=(f"{LIBRARY}corruption.corrupt_exactly",),
    ),
    Exercise(
        "01.6", "Denoise and renoise", 3, repair, _repair_cases, wrong_later.REPAIR,
        answers=(f"{LIBRARY}corruption.denoise_renoise",),
    ),
    Exercise(
        "01.7", "The improved update", 2, cold_update, _cold_cases, wrong_cold.COLD,
        answers=(f"{LIBRARY}corruption.cold_update", f"{LIBRARY}corruption.cold_sample"),
    ),
    Exercise(
        "01.8", "The probability that all pixels are touched", 2, all_touched, _all_touched_cases,
        wrong_cold.ALL_TOUCHED, answers=(f"{LIBRARY}corruption.touched_counts",),
    ),
)  # fmt: skip
