"""Plausible wrong answers to exercises 05.1 to 05.3, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.parametrization import Network, Preconditioning
from course_lib.schedule import Marginal, Schedule, bridge_weights, jump

from .contract import Mutant

# ------------------------------------------------------------------------------------------------- 05.1 four targets

Weights = Callable[[Marginal, Marginal], tuple[Tensor, Tensor]]


def right_weights(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    return bridge_weights(earlier, later)[:2]


def r_squared(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    of_x_t, of_x_0 = right_weights(earlier, later)
    return of_x_t * later.alpha / earlier.alpha, of_x_0


def ddim_mean(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    of_x_t = earlier.sigma / later.sigma
    return of_x_t, earlier.alpha - of_x_t * later.alpha


def _four(
    weights: Weights = right_weights,
    norm: bool = True,
    swap: bool = False,
    plain_eps: bool = False,
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
) -> Callable[..., Any]:
    """The right answer but for one thing: bridge weights, v's norm, v's scales swapped, eps without alpha, shapes."""

    def four(given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, ...]:
        alpha, sigma = fit(later.alpha, x_t), fit(later.sigma, x_t)
        of_x_t, of_x_0 = (fit(w, x_t) for w in weights(earlier, later))
        if given == "eps":
            x0 = (x_t - sigma * value) / (1 if plain_eps else alpha)
        elif given == "mean":
            x0 = (value - of_x_t * x_t) / of_x_0
        elif given == "v" and swap:
            x0 = (x_t - value) / (2 * alpha)
        elif given == "v":
            x0 = (alpha * x_t - sigma * value) / (alpha**2 + sigma**2 if norm else 1)
        else:
            x0 = value
        eps = value if given == "eps" else (x_t - (1 if plain_eps else alpha) * x0) / sigma
        v = sigma * eps - alpha * x0 if swap else alpha * eps - sigma * x0
        return x0, of_x_t * x_t + of_x_0 * x0, eps, v

    return four


def _unshaped(value: Tensor, like: Tensor) -> Tensor:
    return torch.as_tensor(value)


def _turned_on(given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> Any:
    if given != "v":
        return _four()(given, value, x_t, earlier, later)
    alpha, sigma = shaped(later.alpha, x_t), shaped(later.sigma, x_t)
    return _four()("x0", (alpha * x_t + sigma * value) / (alpha**2 + sigma**2), x_t, earlier, later)


def _as_if_preserving(given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> Any:
    if given != "v":
        return _four()(given, value, x_t, earlier, later)
    alpha, sigma = shaped(later.alpha, x_t), shaped(later.sigma, x_t)
    x0, eps = alpha * x_t - sigma * value, sigma * x_t + alpha * value
    return x0, _four()("x0", x0, x_t, earlier, later)[1], eps, value


def _mean_without_x_t(given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> Any:
    if given != "mean":
        return _four()(given, value, x_t, earlier, later)
    return _four()("x0", value / shaped(right_weights(earlier, later)[1], x_t), x_t, earlier, later)


def _other_order(*arguments: Any) -> Any:
    x0, mean, eps, v = _four()(*arguments)
    return x0, eps, mean, v


FOUR_TARGETS = (
    Mutant(
        _four(norm=False),
        "Solving x_t and v for x_0 leaves a factor alpha**2 + sigma**2. It is 1 only where the variance is preserved.",
        agrees_on=("v given, s = 0", "v given, as many images as columns", "x_0 given, alpha = 1"),
    ),
    Mutant(
        _four(swap=True),
        "Which scale goes with which? At sigma = 0 the image is clean, and v has to be the noise: v = alpha eps - ...",
        agrees_on=("v given, alpha = sigma = 0.5",),
    ),
    Mutant(
        _four(plain_eps=True),
        "x_t holds alpha x_0, not x_0. Before you take the image away from x_t, shrink it.",
        agrees_on=("x_0 given, alpha = 1",),
    ),
    Mutant(
        _four(r_squared),
        "The bridge's weight of x_t is r sigma_s**2 / sigma_t**2 with r = alpha_t / alpha_s to the first power: r "
        "scales an image, r**2 a variance.",
        agrees_on=("v given, s = 0", "x_0 given, alpha = 1"),
    ),
    Mutant(
        _four(ddim_mean),
        "alpha_s x_0 + sigma_s eps keeps all of the old noise: a DDIM step. The mean of the bridge keeps less of "
        "it, because the rest is drawn afresh.",
        agrees_on=("v given, s = 0", "x_0 given, alpha = 1"),
    ),
    Mutant(
        _four(fit=_unshaped),
        "With one level per image, (B,), plain multiplication lines the levels up with the last dimension, the "
        "columns. Give them the shape (B, 1, 1, 1): `per_sample` does.",
        agrees_on=("one pixel, x_0 given", "the bridge's mean given"),
    ),
    Mutant(
        _turned_on,
        "Turning back takes the other sign. Test yours at alpha = 0: there v = -x_0.",
        agrees_on=("one pixel, x_0 given", "the bridge's mean given", "x_0 given, alpha = 1"),
    ),
    Mutant(
        _as_if_preserving,
        "(05.1) needs alpha**2 + sigma**2 = 1. Solve the two equations without it: what must both be divided by?",
        agrees_on=("one pixel, x_0 given", "the bridge's mean given", "x_0 given, alpha = 1", "v given, s = 0"),
    ),
    Mutant(
        _mean_without_x_t,
        "The mean holds two pictures: take x_t's part away before you divide by the weight of x_0.",
        agrees_on=("v given, s = 0", "x_0 given, alpha = 1"),
    ),
    Mutant(_other_order, "All four values are there, in another order: (x_0, mean, eps, v)."),
)

# --------------------------------------------------------------------------------------------- 05.2 preconditioned x_0


def _preconditioned(
    factors: Callable[[Marginal, float], tuple[Tensor, Tensor, Tensor]] | None = None,
    level: Callable[[Marginal], Tensor] = lambda marginal: marginal.log_snr,
    fit: Callable[[Tensor, Tensor], Tensor] = shaped,
) -> Callable[..., Any]:
    def preconditioned(network: Network, x_t: Tensor, marginal: Marginal, sigma_data: float) -> Tensor:
        skip, out, scale = (factors or _edm)(marginal, sigma_data)
        output = network(fit(scale, x_t) * x_t, level(marginal).expand(len(x_t)))
        return fit(skip, x_t) * x_t + fit(out, x_t) * output

    return preconditioned


def _edm(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    right = Preconditioning.of(marginal, sigma_data)
    return right.skip, right.out, right.scale


def _no_scale(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    skip, out, scale = _edm(marginal, sigma_data)
    return skip, out, torch.ones_like(scale)


def _exploding(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    return _edm(Marginal(torch.ones_like(marginal.alpha), marginal.sigma), sigma_data)


def _ratio_only(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    return _edm(Marginal(torch.ones_like(marginal.alpha), marginal.sigma / marginal.alpha), sigma_data)


def _out_without_root(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    skip, out, scale = _edm(marginal, sigma_data)
    return skip, out * scale, scale


def _minus(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    skip, out, scale = _edm(marginal, sigma_data)
    return skip, -out, scale


def _skip_without_alpha(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    skip, out, scale = _edm(marginal, sigma_data)
    return skip / marginal.alpha, out, scale


def _out_with_alpha(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    skip, out, scale = _edm(marginal, sigma_data)
    return skip, marginal.alpha * out, scale


def _skip_unsquared(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    skip, out, scale = _edm(marginal, sigma_data)
    return skip / sigma_data, out, scale


def _variance_in(marginal: Marginal, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    skip, out, scale = _edm(marginal, sigma_data)
    return skip, out, scale**2


PRECONDITIONED = (
    Mutant(
        _preconditioned(_no_scale),
        "The network has to be shown an image of unit variance: scale x_t by c_in before it goes in.",
        agrees_on=("unit-variance data", "a network that answers 0"),
    ),
    Mutant(
        _preconditioned(_exploding),
        "These are the factors for alpha = 1. Here the image inside x_t has been shrunk: its part of the variance "
        "is (alpha sigma_data)**2.",
        agrees_on=("alpha = 1", "sigma = 0"),
    ),
    Mutant(
        _preconditioned(_ratio_only),
        "You put sigma / alpha into the factors printed for alpha = 1. They then belong to y = x_t / alpha: divide "
        "x_t by alpha as well, or use the factors given here.",
        agrees_on=("alpha = 1", "sigma = 0"),
    ),
    Mutant(
        _preconditioned(_out_without_root),
        "c_out is a standard deviation, that of what c_skip x_t leaves unexplained. Is a square root missing in "
        "its denominator?",
        agrees_on=("unit-variance data", "sigma = 0", "a network that answers 0"),
    ),
    Mutant(
        _preconditioned(_minus),
        "The network's answer is added: x_0 = c_skip x_t + c_out F. The minus belongs to v, which points away from "
        "the image.",
        agrees_on=("sigma = 0", "a network that answers 0"),
    ),
    Mutant(
        _preconditioned(level=lambda marginal: marginal.snr),
        "The network is told the logarithm of the signal-to-noise ratio.",
        agrees_on=("sigma = 0", "a network that answers 0"),
    ),
    Mutant(
        _preconditioned(fit=_unshaped),
        "With one level per image, (B,), plain multiplication lines the levels up with the columns. `per_sample` "
        "gives them the shape (B, 1, 1, 1).",
        agrees_on=("unit-variance data", "alpha = 1", "sigma = 0", "a network that answers 0"),
    ),
    Mutant(
        _preconditioned(_skip_without_alpha),
        "x_t holds alpha x_0: what is its covariance with x_0? c_skip has that in its numerator.",
        agrees_on=("alpha = 1", "sigma = 0"),
    ),
    Mutant(
        _preconditioned(_variance_in),
        "Unit variance: divide x_t by its standard deviation, not by its variance.",
        agrees_on=("unit-variance data", "sigma = 0", "a network that answers 0"),
    ),
    Mutant(
        _preconditioned(_out_with_alpha),
        "c_out is the posterior's standard deviation: sigma_data where the noise drowns everything. What does yours "
        "become there, where alpha tends to 0?",
        agrees_on=("alpha = 1", "sigma = 0", "a network that answers 0"),
    ),
    Mutant(
        _preconditioned(_skip_unsquared),
        "The covariance of x_0 and x_t, above the line in c_skip, holds the data's variance: is sigma_data squared?",
        agrees_on=("unit-variance data",),
    ),
)

# --------------------------------------------------------------------------------------------------- 05.3 simple loss


def _simple(
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


def _squared_scales(x_0: Tensor, marginal: Marginal, noise: Tensor) -> Tensor:
    return jump(x_0, Marginal(marginal.alpha**2, marginal.sigma**2), noise)


def _by_columns(x_0: Tensor, marginal: Marginal, noise: Tensor) -> Tensor:
    return (marginal.alpha * x_0 + marginal.sigma * noise).to(x_0)


SIMPLE_LOSS = (
    Mutant(
        _simple(error=lambda difference: difference.square().flatten(1).sum(1).mean()),
        "Average over the pixels too. A sum makes the loss, and with it the right learning rate, depend on the "
        "size of the images.",
        agrees_on=("one image of one pixel", "black images, a network that knows"),
    ),
    Mutant(
        _simple(error=lambda difference: difference.abs().mean()),
        "Squared error: its minimiser is the conditional mean, which is what the sampler needs. Absolute error is "
        "minimised by the median.",
        agrees_on=("black images, a network that knows",),
    ),
    Mutant(
        _simple(target=lambda x_0, noise: x_0),
        "What should this network answer: the image, or the noise that was added to it?",
        agrees_on=("the noise looks like the image",),
    ),
    Mutant(
        _simple(noised=_squared_scales),
        "alpha_t and sigma_t scale the image and the noise themselves. You used their squares, which are the "
        "variances (Ho et al.'s alpha-bar is our alpha squared).",
        agrees_on=("t = 0",),
    ),
    Mutant(
        _simple(at=lambda t: (t - 1).clamp(min=0)),
        "The table's row t is time t, and row 0 is clean. There is no shift by one between the table and the network.",
        agrees_on=("t = 0", "black images, a network that knows"),
    ),
    Mutant(
        _simple(level=lambda marginal, t: t),
        "The network is told the noise level as log-SNR, `schedule(t).log_snr`; the bare t would mean something "
        "else on every schedule.",
        agrees_on=("a network that ignores the level",),
    ),
    Mutant(
        _simple(noised=_by_columns),
        "With one time per image, (B,), plain multiplication lines the times up with the columns. Use `jump`, or "
        "`per_sample`.",
        agrees_on=("one image of one pixel", "t = 0"),
    ),
    Mutant(
        _simple(level=lambda marginal, t: marginal.snr),
        "The network is told the logarithm of the signal-to-noise ratio.",
        agrees_on=("t = 0", "a network that ignores the level"),
    ),
    Mutant(
        _simple(noised=lambda x_0, marginal, noise: jump(x_0, Marginal(marginal.alpha, marginal.sigma**2), noise)),
        "sigma_t is a standard deviation already: it multiplies the noise as it is.",
        agrees_on=("t = 0",),
    ),
    Mutant(
        _simple(error=lambda difference: difference.square().sum()),
        "Asked is the mean over images and pixels. A sum over everything grows with the batch and with the size of "
        "the images, and so would every step of training.",
        agrees_on=("one image of one pixel", "black images, a network that knows"),
    ),
    Mutant(
        _simple(error=lambda difference: difference.square().flatten(1).mean(1)),
        "One number for the batch: average over the images too.",
    ),
)
