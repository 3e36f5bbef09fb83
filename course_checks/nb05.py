"""Exercises of notebook 05: the four targets, preconditioning, the simple loss, sampling, averaging, diagnosis."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from course_lib.objective import simple
from course_lib.oracle import empirical_denoiser, gaussian_denoiser
from course_lib.parametrization import Denoiser, Network, Parametrization, Preconditioning, Prediction
from course_lib.sampling import Step, ddim, ddpm, renoise, sample
from course_lib.schedule import Cosine, Linear, Marginal, Schedule, Table, Truncated, bridge, bridge_weights
from course_lib.schedule import karras_times as karras
from course_lib.training import warmed_decay

from . import nb05_wrong as wrong
from . import nb05_wrong_later as wrong_later
from . import nb05_wrong_step as wrong_step
from .contract import Call, Case, Exercise
from .nb05_inputs import black_network, blind_network, broken_set_ups, silent_network, wavy_network
from .nb05_measures import diagnose

ONE = torch.ones((), dtype=torch.float64)


def _draw(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _marginal(log_snr: Tensor) -> Call:
    """The variance-preserving marginal(s) with this log-SNR, as a recipe."""
    return Call(Marginal, torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())


def _pair(generator: Generator, *shape: int) -> tuple[Call, Call]:
    """A less and a more noisy marginal of this shape, as recipes."""
    later = 1.5 * _draw(generator, *shape) - 0.5
    return _marginal(later + 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)), _marginal(later)


# ------------------------------------------------------------------------------------------------- 05.1 four targets


def four_targets(
    given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if given == "mean":
        of_x_t, of_x_0, _ = bridge_weights(earlier, later)
        given, value = "x0", (value - wrong.shaped(of_x_t, x_t) * x_t) / wrong.shaped(of_x_0, x_t)
    convert = {"x0": Prediction.from_x0, "eps": Prediction.from_eps, "v": Prediction.from_v}[given]
    known = convert(value, x_t, later)
    return known.x0, bridge(earlier, later, known.x0, x_t).mean, known.eps, known.v(later)


def _four_targets_cases(g: Generator) -> list[Case]:
    clean, even = Call(Marginal, ONE, 0 * ONE), Call(Marginal, 0.5 * ONE, 0.5 * ONE)
    return [
        Case("one pixel, x_0 given", ("x0", _draw(g, 1, 1), _draw(g, 1, 1), *_pair(g))),
        Case("the noise given, a level per image", ("eps", _draw(g, 3, 1, 2, 2), _draw(g, 3, 1, 2, 2), *_pair(g, 3))),
        Case("v given, as many images as columns", ("v", _draw(g, 2, 1, 2, 2), _draw(g, 2, 1, 2, 2), *_pair(g, 2))),
        Case("the bridge's mean given", ("mean", _draw(g, 2, 1, 2, 3), _draw(g, 2, 1, 2, 3), *_pair(g))),
        Case("v given, s = 0", ("v", _draw(g, 2, 3), _draw(g, 2, 3), clean, _pair(g)[1])),
        Case("v given, alpha = sigma = 0.5", ("v", _draw(g, 2, 3), _draw(g, 2, 3), clean, even)),
        Case("x_0 given, alpha = 1", ("x0", _draw(g, 2, 3), _draw(g, 2, 3), clean, Call(Marginal, ONE, 0.7 * ONE))),
        Case("single precision", ("eps", _draw(g, 2, 1, 2, 2), _draw(g, 2, 1, 2, 2), *_pair(g)), float32=True),
    ]


# --------------------------------------------------------------------------------------------- 05.2 preconditioned x_0


def preconditioned_x0(network: Network, x_t: Tensor, marginal: Marginal, sigma_data: float) -> Tensor:
    factors = Preconditioning.of(marginal, sigma_data)
    output = network(wrong.shaped(factors.scale, x_t) * x_t, marginal.log_snr.expand(len(x_t)))
    return wrong.shaped(factors.skip, x_t) * x_t + wrong.shaped(factors.out, x_t) * output


def _preconditioned_cases(g: Generator) -> list[Case]:
    unit_data = _marginal(_draw(g))
    loud = Call(Marginal, ONE, 1.7 * ONE)
    return [
        Case("unit-variance data", (wavy_network, _draw(g, 2, 1, 2, 3), unit_data, 1.0)),
        Case("alpha = 1", (wavy_network, _draw(g, 2, 1, 2, 3), loud, 0.5)),
        Case("sigma = 0", (wavy_network, _draw(g, 2, 1, 2, 3), Call(Marginal, ONE, 0 * ONE), 0.6)),
        Case("a network that answers 0", (silent_network, _draw(g, 2, 1, 2, 2), _marginal(_draw(g)), 0.5)),
        Case("as many images as columns", (wavy_network, _draw(g, 3, 1, 3, 3), _marginal(_draw(g, 3)), 0.4)),
        Case("a level per image", (wavy_network, _draw(g, 4, 1, 2, 2), _marginal(_draw(g, 4)), 0.5)),
        Case("single precision", (wavy_network, _draw(g, 2, 1, 2, 2), _marginal(_draw(g)), 0.5), float32=True),
    ]


# --------------------------------------------------------------------------------------------------- 05.3 simple loss


def simple_loss(network: Network, schedule: Schedule, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    return simple(network, Parametrization("eps"), x_0, schedule(t), noise)


def _simple_loss_cases(g: Generator) -> list[Case]:
    table = Call(Table.of, Call(Cosine), 10)
    t = torch.randint(2, 9, (4,), generator=g)
    black, twin = torch.zeros(2, 1, 2, 2, dtype=torch.float64), _draw(g, 3, 1, 2, 2)
    return [
        Case("one image of one pixel", (wavy_network, table, _draw(g, 1, 1, 1, 1), t[:1], _draw(g, 1, 1, 1, 1))),
        Case("t = 0", (wavy_network, table, _draw(g, 2, 1, 2, 2), torch.zeros(2).long(), _draw(g, 2, 1, 2, 2))),
        Case("black images, a network that knows", (black_network, table, black, t[:2], _draw(g, 2, 1, 2, 2))),
        Case("a network that ignores the level", (blind_network, table, _draw(g, 4, 1, 2, 3), t, _draw(g, 4, 1, 2, 3))),
        Case("the noise looks like the image", (wavy_network, table, twin, t[:3], twin.clone())),
        Case("as many images as columns", (wavy_network, table, _draw(g, 3, 1, 3, 3), t[:3], _draw(g, 3, 1, 3, 3))),
        Case(
            "single precision", (wavy_network, table, _draw(g, 2, 1, 2, 3), t[:2], _draw(g, 2, 1, 2, 3)), float32=True
        ),
    ]


# ------------------------------------------------------------------------------------------------ 05.4 ancestral step


def ancestral_step(
    x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal, noise: Tensor, step_std: str
) -> Tensor:
    return ddpm(step_std)(x_t, earlier, later, lambda x, marginal: Prediction(x0_hat, x0_hat), noise)[0]


def _ancestral_cases(g: Generator) -> list[Case]:
    def images(*shape: int) -> tuple[Tensor, Tensor]:
        return _draw(g, *shape), _draw(g, *shape)

    clean, first = Call(Marginal, ONE, 0 * ONE), _marginal(_draw(g) + 2)
    loud = Call(Marginal, 0.9 * ONE, 0.5 * ONE), Call(Marginal, 0.6 * ONE, 1.3 * ONE)
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    return [
        Case("no noise, bridge", (*images(2, 3), *_pair(g), zeros, "bridge")),
        Case("bridge", (*images(2, 1, 2, 3), *_pair(g), _draw(g, 2, 1, 2, 3), "bridge")),
        Case("beta", (*images(2, 1, 2, 3), *_pair(g), _draw(g, 2, 1, 2, 3), "beta")),
        Case("last step, bridge", (*images(2, 3), clean, first, _draw(g, 2, 3), "bridge")),
        Case("last step, beta", (*images(2, 3), clean, first, _draw(g, 2, 3), "beta")),
        Case("a level per image, B = W", (*images(3, 1, 3, 3), *_pair(g, 3), _draw(g, 3, 1, 3, 3), "bridge")),
        Case("variance not preserved, bridge", (*images(2, 3), *loud, _draw(g, 2, 3), "bridge")),
        Case("variance not preserved, beta", (*images(2, 3), *loud, _draw(g, 2, 3), "beta")),
        Case("single precision", (*images(2, 1, 2, 2), *_pair(g), _draw(g, 2, 1, 2, 2), "beta"), float32=True),
    ]


# ------------------------------------------------------------------------------------------------- 05.5 sampling loop


def sampling_loop(
    denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor, step: Step, noises: Tensor
) -> Tensor:
    prepared: Iterator[Tensor] = iter(noises)

    def with_prepared_noise(
        x_t: Tensor, s: Marginal, t: Marginal, denoise: Denoiser, _: Tensor
    ) -> tuple[Tensor, Prediction]:
        return step(x_t, s, t, denoise, next(prepared))

    return torch.stack([state.x for state in sample(denoiser, schedule, times, x, with_prepared_noise)])


def _sampling_cases(g: Generator) -> list[Case]:
    denoiser, linear, cosine = Call(gaussian_denoiser, 0.4, 0.3), Call(Linear), Call(Truncated, Call(Cosine))
    table = Call(Table.of, Call(Linear), 12)
    uniform = torch.linspace(1, 0, 5, dtype=torch.float64)
    skipping = torch.tensor([12.0, 7.0, 3.0, 1.0, 0.0], dtype=torch.float64)
    x = [_draw(g, 2, 1, 2, 2) for _ in range(5)]
    noises = [_draw(g, 4, 2, 1, 2, 2) for _ in range(5)]
    return [
        Case("DDIM, even times", (denoiser, linear, uniform, x[0], ddim, noises[0])),
        Case("one step", (denoiser, linear, uniform[[0, -1]], x[1], Call(ddpm, "bridge"), noises[1][:1])),
        Case("DDPM, even times", (denoiser, cosine, uniform, x[2], Call(ddpm, "bridge"), noises[2])),
        Case("DDPM, Karras' times", (denoiser, linear, karras(Linear(), 4), x[3], Call(ddpm, "beta"), noises[3])),
        Case("renoise, a table with steps left out", (denoiser, table, skipping, x[4], renoise, noises[4])),
        Case("single precision", (denoiser, linear, uniform, x[0], renoise, noises[0]), float32=True),
    ]


# ----------------------------------------------------------------------------------------------------------- 05.6 EMA


def ema(weights: Tensor, decay: float) -> Tensor:
    average = weights[0]
    for step in range(1, len(weights)):
        average = torch.lerp(average, weights[step], 1 - warmed_decay(step, decay))
    return average


def _ema_cases(g: Generator) -> list[Case]:
    from_zero = _draw(g, 6, 3)
    from_zero[0] = 0
    return [
        Case("no step yet", (_draw(g, 1, 3), 0.9999)),
        Case("one step", (_draw(g, 2, 3), 0.9999)),
        Case("three steps", (_draw(g, 4, 3), 0.9999)),
        Case("thirty steps, decay 0.9999", (_draw(g, 31, 2), 0.9999)),
        Case("thirty steps, decay 0.6", (_draw(g, 31, 2), 0.6)),
        Case("decay 0.05, below the warm-up", (_draw(g, 9, 2), 0.05)),
        Case("weights that start at 0", (from_zero, 0.9)),
        Case("single precision", (_draw(g, 12, 3), 0.999), float32=True),
    ]


# --------------------------------------------------------------------------------------------- 05.7 empirical denoiser


def empirical_x0(x_t: Tensor, images: Tensor, marginal: Marginal) -> Tensor:
    return empirical_denoiser(images)(x_t, marginal).x0


def _empirical_cases(g: Generator) -> list[Case]:
    images = _draw(g, 4, 1, 2, 2)
    level = _marginal(_draw(g) - 0.5)
    return [
        Case("one image", (_draw(g, 3, 1, 2, 2), _draw(g, 1, 1, 2, 2), level)),
        Case("five images", (_draw(g, 3, 1, 2, 2), 0.5 * _draw(g, 5, 1, 2, 2), level)),
        Case("alpha = 1", (_draw(g, 2, 3), _draw(g, 4, 3), Call(Marginal, ONE, 1.2 * ONE))),
        Case("sigma = 1", (_draw(g, 2, 3), _draw(g, 4, 3), Call(Marginal, 0.6 * ONE, ONE))),
        Case("hardly any noise", (images[1:3] + 0.05, images, Call(Marginal, ONE, 0.001 * ONE))),
        Case("as many noisy images as images", (_draw(g, 3, 3), 0.5 * _draw(g, 3, 3), level)),
        Case("a level per image", (_draw(g, 3, 1, 1, 2), 0.5 * _draw(g, 5, 1, 1, 2), _marginal(_draw(g, 3)))),
        Case("single precision", (_draw(g, 3, 1, 2, 2), 0.5 * _draw(g, 5, 1, 2, 2), level), float32=True),
    ]


# ----------------------------------------------------------------------------------------------------- 05.8 diagnosis


def _diagnose_cases(g: Generator) -> list[Case]:
    def case(name: str, order: list[int], steps: int) -> Case:
        std = round(float(0.3 + 0.4 * torch.rand((), generator=g)), 3)
        return Case(name, (Call(broken_set_ups, order, steps, std), std))

    def shuffled() -> list[int]:
        while True:
            order = torch.randperm(6, generator=g).tolist()
            if order[order[0]] != 0:  # not its own inverse
                return order

    return [
        case("in the order of the table", list(range(6)), 100),
        case("in reverse order", list(range(5, -1, -1)), 60),
        case("shuffled, 100 steps", shuffled(), 100),
        case("shuffled, 200 steps", shuffled(), 200),
    ]


LIBRARY = "course_lib."
EXERCISES = (
    Exercise(
        "05.1", "Conversions between the four", 2, four_targets, _four_targets_cases, wrong.FOUR_TARGETS,
        answers=(f"{LIBRARY}parametrization.Prediction",),
    ),
    Exercise(
        "05.2", "The preconditioned prediction", 2, preconditioned_x0, _preconditioned_cases, wrong.PRECONDITIONED,
        answers=(f"{LIBRARY}parametrization.Preconditioning", f"{LIBRARY}parametrization.network_denoiser"),
    ),
    Exercise(
        "05.3", "The simple loss", 2, simple_loss, _simple_loss_cases, wrong.SIMPLE_LOSS,
        answers=(f"{LIBRARY}objective.simple",),
    ),
    Exercise(
        "05.4", "One ancestral step", 3, ancestral_step, _ancestral_cases, wrong_step.ANCESTRAL,
        answers=(f"{LIBRARY}sampling.ddpm", f"{LIBRARY}schedule.bridge", f"{LIBRARY}schedule.bridge_weights"),
    ),
    Exercise(
        "05.5", "The sampling loop, with any step", 2, sampling_loop, _sampling_cases, wrong_later.SAMPLING,
        answers=(f"{LIBRARY}sampling.sample",),
    ),
    Exercise(
        "05.6", "An average with warm-up", 2, ema, _ema_cases, wrong_later.EMA,
        answers=(f"{LIBRARY}training.Ema", f"{LIBRARY}training.warmed_decay"),
    ),
    Exercise(
        "05.7", "The denoiser of a finite set", 3, empirical_x0, _empirical_cases, wrong_later.EMPIRICAL,
        answers=(f"{LIBRARY}oracle.empirical_denoiser",),
    ),
    Exercise("05.8", "Diagnose", 3, diagnose, _diagnose_cases, wrong_later.DIAGNOSE),
)  # fmt: skip
