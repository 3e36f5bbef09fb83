"""Plausible wrong answers to exercises 05.5 to 05.8, each with a hint that says what to think about."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from course_lib.gaussian import per_sample as shaped
from course_lib.parametrization import Denoiser
from course_lib.sampling import Step
from course_lib.schedule import Marginal, Schedule, bridge_weights, kernel

from .contract import Mutant
from .nb05_inputs import SetUp
from .nb05_measures import MEASURES, Measure, diagnose, fresh_noise, marginal, table_of, torn_apart, wrong_spread

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
    Mutant(lambda *a: _loop()(*a)[1:], "n steps make n + 1 images: the walk begins with x itself."),
    Mutant(
        lambda *a: _loop()(*a)[-1],
        "All images of the walk are asked for, not the last one alone: collect and stack them.",
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
    mean = torch.zeros_like(weights[0])
    for step in range(1, len(weights)):
        d = min(decay, (1 + step) / (10 + step))
        mean = d * mean + (1 - d) * weights[step]
    return mean


def _one_short(weights: Tensor, decay: float) -> Tensor:
    return _ema(lambda step, decay: min(decay, (1 + step) / (10 + step)))(weights[: max(len(weights) - 1, 1)], decay)


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
        agrees_on=("weights that start at 0",),
    ),
    Mutant(
        lambda weights, decay: weights.mean(0),
        "A plain mean counts the random start as much as the last step. The running average forgets, exponentially.",
        agrees_on=("no step yet",),
    ),
    Mutant(
        _one_short,
        "n + 1 rows make n updates: the last row, weights[n], counts too.",
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
        _empirical(weights=lambda scores: scores.softmax(0)),
        "For each x_t the weights of the *images* sum to 1: normalise along the images.",
    ),
    Mutant(
        _empirical(lambda x, r, a, s: -_scores(x, r, a, s)),
        "The nearest image must weigh most: a score is minus a distance.",
        agrees_on=("one image",),
    ),
    Mutant(
        lambda x_t, images, marginal: shaped(marginal.alpha, x_t) * _empirical()(x_t, images, marginal),
        "alpha belongs into the comparison. What is averaged are the clean images.",
        agrees_on=("alpha = 1", "hardly any noise"),
    ),
    Mutant(
        _empirical(lambda x, r, a, s: _scores(x / a, r, torch.ones_like(a), s)),
        "Dividing x_t by alpha divides its noise too: the standard deviation is then sigma / alpha.",
        agrees_on=("one image", "alpha = 1", "hardly any noise"),
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


def _index_of_symptom(set_ups: list[SetUp], data_std: float) -> tuple[Tensor, Tensor]:
    index, evidence = diagnose(set_ups, data_std)
    return index.argsort(), evidence


def _full_difference(set_up: SetUp, t: int) -> Tensor:
    return 2 * fresh_noise(set_up, t)


def _doubled_last(set_up: SetUp, data_std: float) -> Tensor:
    return _full_difference(set_up, 1)


def _doubled_ratio(set_up: SetUp, data_std: float) -> Tensor:
    t = set_up.T // 2
    std = bridge_weights(marginal(set_up, t - 1), marginal(set_up, t))[2]
    return (_full_difference(set_up, t) / std - 1).abs()


def _skip(set_up: SetUp, above: float, below: float) -> Tensor:
    """Symptom 2 with `above` and `below` where c_skip has the data's variance."""
    t = set_up.T // 2
    now = marginal(set_up, t)
    skip = now.alpha * above / (now.alpha**2 * below + now.sigma**2)
    return (set_up.predict(torch.full((1,), 0.1, dtype=torch.float64), t)[0][0] / (0.1 * skip) - 1).abs()


def _signed_ratio(set_up: SetUp, data_std: float) -> Tensor:
    t = set_up.T // 2
    return fresh_noise(set_up, t) / bridge_weights(marginal(set_up, t - 1), marginal(set_up, t))[2] - 1


def _against_forward(set_up: SetUp, data_std: float) -> Tensor:
    t = set_up.T // 2
    return (fresh_noise(set_up, t) / kernel(marginal(set_up, t - 1), marginal(set_up, t)).std - 1).abs()


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
    Mutant(
        _index_of_symptom,
        "index[k] is the set-up that shows symptom k; yours is the symptom of set-up k, the inverse permutation.",
        agrees_on=("in the order of the table", "in reverse order"),
    ),
    Mutant(
        _with(5, _against_forward),
        "The step is meant to use the bridge's std, which is smaller than the forward step's.",
    ),
    Mutant(
        partial(diagnose, measures=(*MEASURES[:4], _doubled_last, _doubled_ratio)),
        "Noise +1 and noise -1 lie two units apart, so their results differ by twice what one unit of noise does.",
    ),
    Mutant(
        _with(2, lambda set_up, data_std: _skip(set_up, data_std, data_std)),
        "data_std is a standard deviation. Where (05.5) has the data's variance, square it.",
    ),
    Mutant(
        _with(2, lambda set_up, data_std: _skip(set_up, data_std, data_std**2)),
        "Above the line in c_skip stands the covariance of x_0 and x_t: the data's *variance* times alpha.",
    ),
    Mutant(
        _with(5, _signed_ratio),
        "Too little noise is a fault as well as too much: how far from 1 is the ratio, whichever side it lies on?",
    ),
)
