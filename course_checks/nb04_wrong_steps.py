"""Plausible wrong answers to exercises 04.3 and 04.4, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.schedule import Marginal, bridge_weights, kernel

from .contract import Mutant

# --------------------------------------------------------------------------------------- 04.3 importance-weighted bound


def _bound(log_weight: Tensor, dim: int = 0) -> Tensor:
    return torch.logsumexp(log_weight, dim) - math.log(log_weight.shape[dim])


ONE_DRAW, EQUAL, SQUARE = "one draw", "all weights equal", "as many draws as pictures"
IMPORTANCE = (
    Mutant(
        lambda p, q: (p - q).mean(0),
        "A mean of logarithms is the ELBO, L_1, estimated with more draws. Here the mean comes first, then "
        "the logarithm.",
        agrees_on=(ONE_DRAW, EQUAL),
    ),
    Mutant(
        lambda p, q: torch.logsumexp(p - q, 0),
        "A mean of K weights: what has to be subtracted from the logarithm of their sum?",
        agrees_on=(ONE_DRAW,),
    ),
    Mutant(
        lambda p, q: torch.logsumexp(p - q, 0) - len(p),
        "Dividing by K inside a logarithm subtracts log K from it, not K.",
    ),
    Mutant(
        lambda p, q: torch.logsumexp(p - q, 0) / len(p),
        "The mean belongs inside the logarithm: divide the sum of the weights by K, not its logarithm.",
        agrees_on=(ONE_DRAW,),
    ),
    Mutant(
        lambda p, q: torch.exp(p - q).mean(0).log(),
        "exp(-2000) is 0. Take the largest logarithm out first; `torch.logsumexp` does.",
        agrees_on=(ONE_DRAW, "five draws", EQUAL, SQUARE, "log q = 0"),
    ),
    Mutant(
        lambda p, q: _bound(p + q),
        "A weight is p(x, z) divided by q(z | x): a draw that q favours counts less.",
        agrees_on=("log q = 0",),
    ),
    Mutant(
        lambda p, q: _bound(p),
        "The draws came from q, not from everywhere alike. Where is the correction for that?",
        agrees_on=("log q = 0",),
    ),
    Mutant(
        lambda p, q: torch.logsumexp(p, 0) - torch.logsumexp(q, 0),
        "A mean of ratios is not a ratio of sums: each draw has a weight of its own.",
        agrees_on=(ONE_DRAW, EQUAL, "log q = 0"),
    ),
    Mutant(
        lambda p, q: (p - q).amax(0),
        "The largest weight is only one of them; the others add to the mean, and 1 / K belongs to it.",
        agrees_on=(ONE_DRAW, EQUAL),
    ),
    Mutant(
        lambda p, q: (torch.softmax(p - q, 0) * (p - q)).sum(0),
        "Weighting the logarithms by the weights averages over the posterior instead of over q: the result lies above "
        "log p(x), not below. The mean of the weights comes first, then one logarithm.",
        agrees_on=(ONE_DRAW, EQUAL),
    ),
    Mutant(
        lambda p, q: torch.logsumexp(p - q, 0) - math.log(p.shape[1]),
        "Divide by the number of draws, not by the number of pictures.",
        agrees_on=(SQUARE,),
    ),
    Mutant(
        lambda p, q: _bound(p - q, 1) if len(p) == p.shape[1] else _bound(p - q),
        "Row k holds the k-th draw of every picture: average over dimension 0.",
        agrees_on=(ONE_DRAW, "five draws", EQUAL, "log q = 0", "far below zero"),
    ),
    Mutant(
        lambda p, q: -_bound(p - q),
        "This is the loss. The bound itself is a lower bound on log p(x).",
    ),
    Mutant(
        lambda p, q: torch.exp(p - q).mean(0),
        "The mean of the weights estimates p(x). The bound is on its logarithm.",
    ),
    Mutant(
        lambda p, q: _bound(q - p),
        "The ratio is upside down: a weight is p(x, z) divided by q(z | x).",
    ),
    Mutant(
        lambda p, q: torch.logsumexp(p - q, 0) + math.log(len(p)),
        "A mean is smaller than the sum: log K comes off.",
        agrees_on=(ONE_DRAW,),
    ),
    Mutant(
        lambda p, q: (p - q).sum(0),
        "Adding logarithms multiplies the weights. They are to be averaged.",
        agrees_on=(ONE_DRAW,),
    ),
)
# ------------------------------------------------------------ 04.4 two points, one step back

Back = Callable[..., tuple[Tensor, Tensor, Tensor]]


def _exponent(x_t: Tensor, a: Tensor, s: Marginal, t: Marginal) -> Tensor:
    return -((x_t[:, None] - t.alpha * a) ** 2) / (2 * t.sigma**2)


def _back(
    exponent: Callable[[Tensor, Tensor, Marginal, Marginal], Tensor] = _exponent,
    shares: Callable[[float], tuple[float, float]] = lambda share: (1 - share, share),
    normalise: Callable[[Tensor], Tensor] = lambda logs: torch.softmax(logs, 1),
    spread: Callable[[Marginal, Marginal], Tensor] = lambda s, t: bridge_weights(s, t)[2],
    means: Callable[[Tensor, Tensor, Tensor, Marginal, Marginal], Tensor] | None = None,
) -> Back:
    """The right answer but for one thing."""

    def back(
        x_t: Tensor, points: tuple[float, float], share: float, earlier: Marginal, later: Marginal
    ) -> tuple[Tensor, Tensor, Tensor]:
        a, prior = (torch.tensor(value, dtype=x_t.dtype) for value in (points, shares(share)))
        probabilities = normalise(torch.log(prior) + exponent(x_t, a, earlier, later))
        of_x_t, of_x_0, _ = bridge_weights(earlier, later)
        found = of_x_t * x_t[:, None] + of_x_0 * a if means is None else means(x_t, a, probabilities, earlier, later)
        return probabilities, found, spread(earlier, later)

    return back


def _guess_in_both(x_t: Tensor, a: Tensor, probabilities: Tensor, s: Marginal, t: Marginal) -> Tensor:
    of_x_t, of_x_0, _ = bridge_weights(s, t)
    return of_x_t * x_t[:, None] + of_x_0 * (probabilities * a).sum(1, keepdim=True) + 0 * a


def _only_points(x_t: Tensor, a: Tensor, probabilities: Tensor, s: Marginal, t: Marginal) -> Tensor:
    return s.alpha * a + 0 * x_t[:, None]


def _only_the_pull(x_t: Tensor, a: Tensor, probabilities: Tensor, s: Marginal, t: Marginal) -> Tensor:
    return bridge_weights(s, t)[1] * a + 0 * x_t[:, None]


def _ddim_means(x_t: Tensor, a: Tensor, probabilities: Tensor, s: Marginal, t: Marginal) -> Tensor:
    return s.alpha * a + s.sigma / t.sigma * (x_t[:, None] - t.alpha * a)


def _swapped(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    probabilities, means, std = _back()(*arguments)
    return probabilities.flip(1), means, std


def _plain_exponentials(logs: Tensor) -> Tensor:
    weights = torch.exp(logs)
    return weights / weights.sum(1, keepdim=True)


BETWEEN, EVEN = "exactly between, equal shares", "-1 and 1, equal shares"
UNEVEN, SHIFTED, CLEAN = "-1 and 1, shares .8 and .2", "0.3 and 2, shares .4 and .6", "s = 0"
EXPLODING, FAR = "alpha = 1", "far away, hardly any noise"
TWO_POINTS = (
    Mutant(
        _back(exponent=lambda x_t, a, s, t: 0 * x_t[:, None] * a),
        "You use the shares as they were before x_t was seen. A large positive x_t makes the right point more likely.",
        agrees_on=(BETWEEN,),
    ),
    Mutant(
        _back(shares=lambda share: (0.5, 0.5)),
        "Bayes' rule needs the shares of the two points as well as how well they explain x_t.",
        agrees_on=(BETWEEN, EVEN, FAR),
    ),
    Mutant(
        _back(shares=lambda share: (share, 1 - share)),
        "`share` belongs to points[1], the second column.",
        agrees_on=(BETWEEN, EVEN, FAR),
    ),
    Mutant(
        _back(exponent=lambda x_t, a, s, t: _exponent(x_t, a, s, Marginal(t.alpha, t.sigma.sqrt()))),
        "The exponent of a normal density divides by twice the variance, sigma squared.",
        agrees_on=(BETWEEN, FAR),
    ),
    Mutant(
        _back(exponent=lambda x_t, a, s, t: 2 * _exponent(x_t, a, s, t)),
        "There is a factor 1/2 in the exponent of a normal density.",
        agrees_on=(BETWEEN, FAR),
    ),
    Mutant(
        _back(exponent=lambda x_t, a, s, t: -(x_t[:, None] - t.alpha * a).abs() / t.sigma),
        "The exponent of a normal density is quadratic in the distance.",
        agrees_on=(BETWEEN, FAR),
    ),
    Mutant(
        _back(exponent=lambda x_t, a, s, t: _exponent(x_t, a, s, Marginal(torch.ones_like(t.alpha), t.sigma))),
        "At time t the point a has shrunk to alpha_t a; x_t lies around that.",
        agrees_on=(BETWEEN, EXPLODING, FAR),
    ),
    Mutant(
        _back(exponent=lambda x_t, a, s, t: _exponent(x_t, a, s, s)),
        "What was seen is x_t: alpha and sigma of the later time tell how likely each point makes it.",
        agrees_on=(BETWEEN, FAR),
    ),
    Mutant(
        _back(
            exponent=lambda x_t, a, s, t: -((x_t[:, None] - t.alpha / s.alpha * a) ** 2) / (2 * kernel(s, t).std ** 2)
        ),
        "You asked how x_t comes from x_s = a. The question is how it comes from x_0 = a: use the jump, not "
        "the kernel.",
        agrees_on=(BETWEEN, CLEAN, FAR),
    ),
    Mutant(
        _back(normalise=_plain_exponentials),
        "Both exponentials are 0 if x_t is far from both points. Subtract the larger exponent first: a softmax does.",
        agrees_on=(BETWEEN, EVEN, UNEVEN, SHIFTED, CLEAN, EXPLODING),
    ),
    Mutant(
        _back(means=_guess_in_both),
        "You averaged x_0 before stepping back: one bump where there are two. Each part has a point of its own.",
        agrees_on=(),
    ),
    Mutant(
        _back(means=_only_points),
        "That is where x_s lies if only x_0 is known. x_t is known too and pulls the mean its way.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _back(means=_only_the_pull),
        "The bridge's mean has two parts: the weight of x_t times x_t is missing.",
        agrees_on=(BETWEEN, CLEAN),
    ),
    Mutant(
        _back(means=_ddim_means),
        "alpha_s a + sigma_s eps keeps all of the old noise (a DDIM step). The bridge's mean keeps less of it.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _back(spread=lambda s, t: kernel(s, t).std),
        "That is the spread of the step forward. Each part is a bridge, with the bridge's spread.",
    ),
    Mutant(
        _back(spread=lambda s, t: bridge_weights(s, t)[2] ** 2),
        "A standard deviation is asked for, not a variance.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _back(spread=lambda s, t: s.sigma),
        "sigma_s is the spread of x_s if only x_0 is known. Knowing x_t narrows it.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _swapped,
        "Column k belongs to points[k], in the probabilities as in the means.",
        agrees_on=(BETWEEN,),
    ),
    Mutant(
        _back(shares=lambda share: (math.exp(1 - share), math.exp(share))),
        "A softmax takes logarithms: of the shares as well as of the densities.",
        agrees_on=(BETWEEN, EVEN, FAR),
    ),
    Mutant(
        _back(exponent=lambda x_t, a, s, t: -_exponent(x_t, a, s, t)),
        "The point nearer to x_t should get more, not less: look at the exponent's sign.",
        agrees_on=(BETWEEN,),
    ),
    Mutant(
        _back(means=lambda x_t, a, P, s, t: bridge_weights(s, t)[1] * x_t[:, None] + bridge_weights(s, t)[0] * a),
        "`bridge_weights` returns the weight of x_t first, then that of x_0: you exchanged them.",
    ),
    Mutant(
        _back(means=lambda x_t, a, P, s, t: a + 0 * x_t[:, None]),
        "Those are the points of time 0. At time s the bridge is still on its way between x_t and the point.",
        agrees_on=(CLEAN,),
    ),
    Mutant(
        _back(normalise=lambda logs: torch.log_softmax(logs, 1)),
        "Probabilities are asked for: the two of a row sum to 1.",
    ),
    Mutant(
        _back(normalise=lambda logs: torch.softmax(logs, 0)),
        "The two points of a row compete, not the noisy numbers: softmax over dimension 1.",
    ),
    Mutant(
        _back(spread=lambda s, t: t.sigma),
        "sigma_t is the noise of x_t. The bridge back to s has a spread of its own.",
    ),
)
