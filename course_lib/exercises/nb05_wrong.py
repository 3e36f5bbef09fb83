"""Plausible wrong answers to notebook 05's exercises, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.parametrization import Denoiser, Network, Preconditioning
from course_lib.sampling import Step
from course_lib.schedule import Marginal, Schedule, bridge_weights, jump, kernel

from .contract import Mutant
from .nb05_inputs import SetUp
from .nb05_measures import (
    MEASURES,
    Measure,
    diagnose,
    fresh_noise,
    marginal,
    table_of,
    torn_apart,
    wrong_spread,
)

# ------------------------------------------------------------------------------------------------- 05.1 four targets

Weights = Callable[[Marginal, Marginal], tuple[Tensor, Tensor]]


def _weights(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    return bridge_weights(earlier, later)[:2]


def _r_squared(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    of_x_t, of_x_0 = _weights(earlier, later)
    return of_x_t * later.alpha / earlier.alpha, of_x_0


def _ddim_mean(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    of_x_t = earlier.sigma / later.sigma
    return of_x_t, earlier.alpha - of_x_t * later.alpha


def _four(
    weights: Weights = _weights,
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
        _four(_r_squared),
        "The bridge's weight of x_t is r sigma_s**2 / sigma_t**2 with r = alpha_t / alpha_s to the first power: r "
        "scales an image, r**2 a variance.",
        agrees_on=("v given, s = 0", "x_0 given, alpha = 1"),
    ),
    Mutant(
        _four(_ddim_mean),
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
)

# ------------------------------------------------------------------------------------------------ 05.4 ancestral step

Mean = Callable[[Tensor, Tensor, Marginal, Marginal], Tensor]
Std = Callable[[Marginal, Marginal, str], Tensor]


def _mean(weights: Weights) -> Mean:
    def mean(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal) -> Tensor:
        of_x_t, of_x_0 = weights(earlier, later)
        return shaped(of_x_t, x_t) * x_t + shaped(of_x_0, x0_hat) * x0_hat

    return mean


def _std(earlier: Marginal, later: Marginal, step_std: str) -> Tensor:
    wide = torch.where(earlier.sigma > 0, kernel(earlier, later).std, 0.0)
    return wide if step_std == "beta" else bridge_weights(earlier, later)[2]


RIGHT_MEAN = _mean(_weights)


def _ancestral(mean: Mean = RIGHT_MEAN, std: Std = _std) -> Callable[..., Any]:
    def step(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal, noise: Tensor, step_std: str) -> Tensor:
        return mean(x_t, x0_hat, earlier, later) + shaped(std(earlier, later, step_std), noise) * noise

    return step


def _mean_by_columns(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal) -> Tensor:
    of_x_t, of_x_0 = _weights(earlier, later)
    return of_x_t * x_t + of_x_0 * x0_hat


def _from_clean(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """Bridge weights with alpha_t where alpha_t / alpha_s belongs."""
    variance = later.sigma**2 - (later.alpha * earlier.sigma) ** 2
    return later.alpha * (earlier.sigma / later.sigma) ** 2, earlier.alpha * variance / later.sigma**2


NO_NOISE, LAST_BRIDGE, LAST_BETA = "no noise, bridge", "last step, bridge", "last step, beta"
ANCESTRAL = (
    Mutant(
        _ancestral(std=lambda s, t, step_std: _std(s, t, "bridge")),
        'For "beta" the noise is that of the forward step q(x_t | x_s). You used the bridge\'s variance '
        "(beta-tilde) for both.",
        agrees_on=(NO_NOISE, "bridge", LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(std=lambda s, t, step_std: _std(s, t, "beta")),
        'For "bridge" the noise is that of q(x_s | x_t, x_0): knowing x_0 as well narrows it by sigma_s / sigma_t. '
        "You used beta for both.",
        agrees_on=(NO_NOISE, "beta", LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(std=lambda s, t, step_std: _std(s, t, step_std) ** 2),
        "Beta and beta-tilde are variances. Noise is multiplied by their square roots.",
        agrees_on=(NO_NOISE, LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(std=lambda s, t, step_std: kernel(s, t).std if step_std == "beta" else _std(s, t, step_std)),
        "The last step lands on x_0, where sigma_s = 0. Noise added there stays in the picture for good.",
        agrees_on=(NO_NOISE, "bridge", "beta", LAST_BRIDGE),
    ),
    Mutant(
        _ancestral(mean=_mean(_ddim_mean)),
        "Your mean keeps all of the old noise (a DDIM step) and then adds fresh noise on top: x_s gets too loud. "
        "Use the bridge's mean.",
        agrees_on=(LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean(_r_squared)),
        "The weight of x_t is r sigma_s**2 / sigma_t**2 with r = alpha_t / alpha_s, not r**2 (in Ho et al.: the "
        "square root of alpha).",
        agrees_on=(LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean(_from_clean)),
        "The step goes from t to s, so what counts is alpha_t / alpha_s. alpha_t alone is the step from t all the "
        "way to 0.",
        agrees_on=(LAST_BRIDGE, LAST_BETA),
    ),
    Mutant(
        _ancestral(mean=_mean_by_columns),
        "With one level per image, (B,), plain multiplication lines the levels up with the columns. Use `per_sample`.",
        agrees_on=(NO_NOISE, "bridge", "beta", LAST_BRIDGE, LAST_BETA),
    ),
)

# ------------------------------------------------------------------------------------------------- 05.5 sampling loop


def _loop(
    earlier: Callable[[Tensor, int], Tensor] = lambda times, i: times[i + 1],
    noise: Callable[[Tensor, int], Tensor] = lambda noises, i: noises[i],
    keep_x: bool = True,
    swapped: bool = False,
    stop: int = 0,
) -> Callable[..., Any]:
    def loop(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor, step: Step, noises: Tensor) -> Tensor:
        images, now = [x], x
        for i in range(len(times) - 1):
            goal, start = schedule(earlier(times, i)), schedule(times[i])
            goal, start = (start, goal) if swapped else (goal, start)
            if i < len(times) - 1 - stop:
                now = step(now if keep_x else x, goal, start, denoiser, noise(noises, i))[0]
            images.append(now)
        return torch.stack(images)

    return loop


def _one_tick_back(times: Tensor, i: int) -> Tensor:
    """The previous time by arithmetic: as if all steps were as long as the average one."""
    tick = times[0] / (len(times) - 1)
    return times[0] - (i + 1) * tick if i + 2 < len(times) else times[-1]


def _predictions(
    denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor, step: Step, noises: Tensor
) -> Tensor:
    images = [x]
    for i, (t, s) in enumerate(pairwise(times)):
        x, prediction = step(x, schedule(s), schedule(t), denoiser, noises[i])
        images.append(prediction.x0)
    return torch.stack(images)


SAMPLING = (
    Mutant(
        _loop(earlier=_one_tick_back),
        "You computed the next time by arithmetic, as if all steps were equally long. Take neighbours of the list: "
        "`pairwise(times)`.",
        agrees_on=("DDIM, even times", "one step", "DDPM, even times"),
    ),
    Mutant(
        _loop(keep_x=False),
        "Every step has to start where the one before it ended, not at the initial noise.",
        agrees_on=("one step",),
    ),
    Mutant(
        _loop(noise=lambda noises, i: noises[0]),
        "Each step needs noise of its own: step i gets noises[i]. One noise used again and again adds up instead "
        "of averaging out.",
        agrees_on=("DDIM, even times", "one step"),
    ),
    Mutant(
        _loop(noise=lambda noises, i: noises[-1 - i]),
        "Step i gets noises[i], counted from the noisy end.",
        agrees_on=("DDIM, even times", "one step"),
    ),
    Mutant(
        _loop(stop=1),
        "n + 1 times make n steps. The last one, to t = 0, is missing.",
    ),
    Mutant(
        _loop(swapped=True),
        "A step takes (x_t, earlier, later, ...): the marginal it goes to comes before the one it starts from.",
    ),
    Mutant(
        _predictions,
        "A step returns (x_s, the prediction made at x_t). The walk is made of the x_s; the prediction is only "
        "where it is heading.",
        agrees_on=("one step",),
    ),
)

# ----------------------------------------------------------------------------------------------------------- 05.6 EMA


def _ema(kept: Callable[[int, float], float]) -> Callable[..., Any]:
    def average(weights: Tensor, decay: float) -> Tensor:
        mean = weights[0]
        for step in range(1, len(weights)):
            d = kept(step, decay)
            mean = d * mean + (1 - d) * weights[step]
        return mean

    return average


def _from_nothing(weights: Tensor, decay: float) -> Tensor:
    mean = torch.zeros_like(weights[0]) if len(weights) > 1 else weights[0]
    for step in range(1, len(weights)):
        d = min(decay, (1 + step) / (10 + step))
        mean = d * mean + (1 - d) * weights[step]
    return mean


EMA = (
    Mutant(
        _ema(lambda step, decay: decay),
        "Without warm-up a short run hardly leaves its random start: 0.9999 ** 2000 = 0.82 of it would still be in "
        "the average.",
        agrees_on=("no step yet", "decay 0.05, below the warm-up"),
    ),
    Mutant(
        _ema(lambda step, decay: min(decay, step / (9 + step))),
        "Updates are counted from 1: the first one keeps (1 + 1) / (10 + 1) of the average.",
        agrees_on=("no step yet", "decay 0.05, below the warm-up"),
    ),
    Mutant(
        _ema(lambda step, decay: max(decay, (1 + step) / (10 + step))),
        "The warm-up keeps *less* of the past than `decay` does while the run is young: take the smaller of the two.",
        agrees_on=("no step yet",),
    ),
    Mutant(
        _ema(lambda step, decay: (1 + step) / (10 + step)),
        "The warm-up ends where it reaches `decay`; from there on `decay` decides.",
        agrees_on=("no step yet", "one step", "thirty steps, decay 0.9999"),
    ),
    Mutant(
        _ema(lambda step, decay: 1 - min(decay, (1 + step) / (10 + step))),
        "Roles swapped: the decay is the share of the *average* that is kept; the new weights get the rest.",
        agrees_on=("no step yet",),
    ),
    Mutant(
        _from_nothing,
        "The average starts as a copy of the initial weights, row 0, not at zero.",
        agrees_on=("no step yet", "weights that start at 0"),
    ),
    Mutant(
        lambda weights, decay: weights.mean(0),
        "A plain mean counts the random start as much as the last step. The running average forgets, exponentially.",
        agrees_on=("no step yet",),
    ),
)

# --------------------------------------------------------------------------------------------- 05.7 empirical denoiser

Scores = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _scores(x: Tensor, references: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x (B, 1, D), references (N, D), alpha and sigma () or (B, 1, 1) -> (B, N)."""
    return (-((x - alpha * references) ** 2) / (2 * sigma**2)).sum(-1)


def _softmax(scores: Tensor) -> Tensor:
    return scores.softmax(1)


def _empirical(scores: Scores = _scores, weights: Callable[[Tensor], Tensor] = _softmax) -> Callable[..., Any]:
    def x0(x_t: Tensor, images: Tensor, marginal: Marginal) -> Tensor:
        x, references = x_t.flatten(1)[:, None], images.flatten(1)
        alpha, sigma = shaped(marginal.alpha, x), shaped(marginal.sigma, x)
        return (weights(scores(x, references, alpha, sigma)) @ references).reshape(x_t.shape)

    return x0


def _hardest(scores: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(scores.argmax(1), scores.shape[1]).to(scores)


def _unstable(scores: Tensor) -> Tensor:
    odds = scores.exp()
    return odds / odds.sum(1, keepdim=True)


EMPIRICAL = (
    Mutant(
        _empirical(
            lambda x, r, a, s: -((x - a * r) ** 2).sum(-1).sqrt() / (2 * s[..., 0] ** 2 if s.ndim else 2 * s**2)
        ),
        "The log density of a Gaussian holds the *squared* distance.",
        agrees_on=("one image", "hardly any noise"),
    ),
    Mutant(
        _empirical(lambda x, r, a, s: 2 * _scores(x, r, a, s)),
        "The log density of a Gaussian is -|x - mean|**2 / (2 sigma**2): the 2 matters, it makes the softmax twice "
        "as decided.",
        agrees_on=("one image", "hardly any noise"),
    ),
    Mutant(
        _empirical(lambda x, r, a, s: _scores(x, r, torch.ones_like(a), s)),
        "x_t is a noised alpha x_n, not a noised x_n. Shrink the images before you compare.",
        agrees_on=("one image", "alpha = 1", "hardly any noise"),
    ),
    Mutant(
        _empirical(lambda x, r, a, s: _scores(x, r, a, s.sqrt())),
        "Divide the squared distance by the noise's variance, sigma**2, not by sigma.",
        agrees_on=("one image", "sigma = 1", "hardly any noise"),
    ),
    Mutant(
        _empirical(lambda x, r, a, s: _scores(x, r, a, s) / r.shape[1]),
        "The log density of an image is a *sum* over its pixels. A mean makes the softmax far too undecided.",
        agrees_on=("one image",),
    ),
    Mutant(
        _empirical(weights=_hardest),
        "The nearest image alone is the most probable answer. The best answer in squared error is the average of "
        "all, weighted by their probabilities.",
        agrees_on=("one image", "hardly any noise"),
    ),
    Mutant(
        _empirical(weights=_unstable),
        "All exponentials underflow to 0 and you divide 0 by 0. Subtract the largest score first, or let `softmax` "
        "do it.",
        agrees_on=(
            "one image",
            "five images",
            "alpha = 1",
            "sigma = 1",
            "as many noisy images as images",
            "a level per image",
        ),
    ),
    Mutant(
        _empirical(weights=lambda scores: scores.softmax(0) / scores.softmax(0).sum(1, keepdim=True)),
        "For each x_t the weights of the *images* sum to 1: normalise along the images.",
        agrees_on=("one image",),
    ),
)

# ----------------------------------------------------------------------------------------------------- 05.8 diagnosis


def _with(number: int, measure: Measure) -> Callable[..., Any]:
    """`diagnose` with one measurement replaced."""
    return partial(diagnose, measures=(*MEASURES[:number], measure, *MEASURES[number + 1 :]))


def _by_set_up(set_ups: list[SetUp], data_std: float) -> tuple[Tensor, Tensor]:
    evidence, symptom = table_of(set_ups, data_std).max(dim=1)
    return symptom, evidence


def _mean_range(set_up: SetUp, data_std: float) -> Tensor:
    ends = set_up.prepare(torch.tensor([0.0, 255.0], dtype=torch.float64))
    return (ends - torch.tensor([-1.0, 1.0], dtype=torch.float64)).mean().abs()


def _largest_ratio(set_up: SetUp, data_std: float) -> Tensor:
    return wrong_spread(set_up, data_std) + 1


def _early(set_up: SetUp, data_std: float) -> Tensor:
    return marginal(set_up, set_up.T - 1).alpha


def _unclipped(set_up: SetUp, data_std: float) -> Tensor:
    return torn_apart(set_up, data_std, x_t=0.5)


def _at_the_start(set_up: SetUp, data_std: float) -> Tensor:
    return fresh_noise(set_up, set_up.T)


DIAGNOSE = (
    Mutant(
        _by_set_up,
        'You answered "which symptom does set-up i have?". Asked is, for each symptom, which set-up shows it: the '
        "inverse permutation.",
        agrees_on=("in the order of the table",),
    ),
    Mutant(
        _with(0, _mean_range),
        "Errors of opposite sign cancel in a mean of signed differences, and here they come at one end only. Take "
        "the largest absolute one.",
    ),
    Mutant(
        _with(1, _early),
        "Sampling starts at t = T. Row T - 1 is one step too clean.",
    ),
    Mutant(
        _with(3, _unclipped),
        "Clipping shows only where something gets clipped: probe with an x_t whose predicted x_0 lies outside [-1, 1].",
    ),
    Mutant(
        _with(4, _at_the_start),
        "The last step is the one from t = 1 to 0; t = T is the first one a sampler makes. There noise belongs.",
    ),
    Mutant(
        _with(5, _largest_ratio),
        "Sound means a ratio of 1, so the evidence is the distance from 1: otherwise the loudest set-up wins, not "
        "the most wrong one.",
    ),
)
