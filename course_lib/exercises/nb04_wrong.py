"""Plausible wrong answers to exercises 04.1 to 04.4, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from course_lib.schedule import Marginal, bridge_weights, kernel

from .contract import Mutant

# --------------------------------------------------------------------------------------------------- 04.1 discrete KL


def _safe(P: Tensor, Q: Tensor) -> Tensor:
    return torch.special.xlogy(P, P) - torch.special.xlogy(P, Q)


DISCRETE_KL = (
    Mutant(
        lambda P, Q: (torch.special.xlogy(Q, Q) - torch.special.xlogy(Q, P)).sum(1),
        "Which law do the events follow, and which one is only believed? The average is taken over what "
        "really happens.",
        agrees_on=("a coin against its mirror image", "the same law twice"),
    ),
    Mutant(
        lambda P, Q: (Q * torch.log(Q / P)).sum(1),
        "Two things: the average is over P, the law of what really happens; and an outcome with P = 0 must "
        "cost nothing.",
        agrees_on=("a coin against its mirror image", "the same law twice"),
    ),
    Mutant(
        lambda P, Q: _safe(P, Q).sum(1) / math.log(2),
        "You count in bits. Nats need the natural logarithm.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: (P * torch.log(P / Q)).sum(1),
        "0 times log 0 is NaN for a computer. An outcome that never happens costs nothing: leave it out of the sum.",
        agrees_on=("a coin against its mirror image", "three rows of four outcomes", "as many rows as outcomes"),
    ),
    Mutant(
        lambda P, Q: _safe(P, Q).mean(1),
        "The probabilities P are the weights of the average already; dividing by the number of outcomes "
        "averages twice.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: -torch.special.xlogy(P, Q).sum(1),
        "This is what the bets cost in all (the cross-entropy). Take away what they would cost somebody who knew P.",
    ),
    Mutant(
        lambda P, Q: -_safe(P, Q).sum(1),
        "A divergence is never negative. Is the ratio inside the logarithm upside down?",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: _safe(P, Q).abs().sum(1),
        "Refunds are part of the account: a term may be negative, only the sum may not.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: torch.where(P > 0, torch.log(P.clamp(min=1e-300) / Q), 0.0).sum(1),
        "Each log ratio has to be weighted by how often its outcome happens.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: (_safe(P, Q) if P.shape[0] != P.shape[1] else _safe(P, Q).T).sum(1),
        "A row is one law: sum over the outcomes, dimension 1.",
        agrees_on=("a coin against its mirror image", "three rows of four outcomes", "the same law twice"),
    ),
    Mutant(
        lambda P, Q: (_safe(P, Q) + _safe(Q, P)).sum(1) / 2,
        "That is the mean of both directions. The exercise asks for one of them: the average is over P.",
        agrees_on=("a coin against its mirror image", "the same law twice"),
    ),
)

# ---------------------------------------------------------------------------------------------------------- 04.2 ELBO

Part = Callable[[Tensor, Tensor], Tensor]


def _reconstruction(logits: Tensor, x: Tensor) -> Tensor:
    return (x * logits - softplus(logits)).sum(1)


def _price(mean: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)


def _elbo(
    std: Callable[[Tensor], Tensor] = lambda log_var: torch.exp(0.5 * log_var),
    price: Part = _price,
    reconstruction: Part = _reconstruction,
    together: Part = lambda explained, paid: explained - paid,
) -> Callable[..., Tensor]:
    """The right answer but for one thing."""

    def bound(encoder: Any, decoder: Any, x: Tensor, noise: Tensor) -> Tensor:
        mean, log_var = encoder(x)
        logits = decoder(mean + std(log_var) * noise)
        return together(reconstruction(logits, x), price(mean, log_var))

    return bound


def _naive_logs(logits: Tensor, x: Tensor) -> Tensor:
    f = torch.sigmoid(logits)
    return (x * torch.log(f) + (1 - x) * torch.log(1 - f)).sum(1)


PRIOR, STILL, DEAF = "an encoder that answers the prior", "the noise happens to be 0", "a decoder that ignores z"
SURE = "a decoder that is very sure"
VAE_ELBO = (
    Mutant(
        _elbo(std=torch.exp),
        "log_var is the logarithm of a variance. What multiplies the noise is a standard deviation.",
        agrees_on=(PRIOR, STILL, DEAF),
    ),
    Mutant(
        _elbo(std=torch.exp, price=lambda m, v: _price(m, 2 * v)),
        "You read the encoder's second output as log s; it is log s**2, in the noise and in the KL.",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(std=torch.zeros_like),
        "z has to be drawn: mean plus standard deviation times the given noise. You decoded the mean.",
        agrees_on=(STILL, DEAF),
    ),
    Mutant(
        _elbo(std=torch.ones_like),
        "How far z may lie from its mean is the encoder's decision: scale the noise by its standard deviation.",
        agrees_on=(PRIOR, STILL, DEAF),
    ),
    Mutant(
        _elbo(together=lambda explained, paid: explained + paid),
        "A longer message should lower the bound: the KL is a price.",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(together=lambda explained, paid: paid - explained),
        "This is the loss, to be minimised. The bound is what is to be maximised, a (negative) log probability.",
    ),
    Mutant(
        _elbo(price=lambda m, v: 0.5 * (v + (1 + m**2) * torch.exp(-v) - 1).sum(1)),
        "Your KL averages over the prior. In the ELBO the average is over q(z | x): KL(q || p).",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(price=lambda m, v: 2 * _price(m, v)),
        "Check your KL for one code with mean m and variance 1: it should be m**2 / 2.",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(price=lambda m, v: _price(0 * m, v)),
        "A mean away from 0 costs too, also if the variance is right.",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(price=lambda m, v: _price(m, 0 * v)),
        "A variance other than 1 costs too, also if the mean is 0.",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(reconstruction=_naive_logs),
        "sigmoid(100) is exactly 1 in floating point, and log(1 - 1) is minus infinity. Use the logits and softplus.",
        agrees_on=("one picture", "five pictures", PRIOR, STILL, DEAF, "white pictures"),
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: -(x * softplus(-logits)).sum(1)),
        "Black pixels have to be explained as well: where is (1 - x) log(1 - f)?",
        agrees_on=("white pictures",),
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: _reconstruction(logits, x) / x.shape[1]),
        "log p(x | z) is a sum over pixels. A mean weighs the price too heavily, and is no probability of the picture.",
    ),
    Mutant(
        _elbo(price=lambda m, v: _price(m, v) / m.shape[1]),
        "The KL of independent coordinates adds up: a sum over the codes, not a mean.",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: -(x - torch.sigmoid(logits)).square().sum(1)),
        "A squared error belongs to a Gaussian. These pixels are coins: what is the log probability of each?",
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: _reconstruction(torch.sigmoid(logits), x)),
        "The decoder's output are logits already; do not put a sigmoid before a formula that expects logits.",
    ),
)

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
        "Weighting the logarithms by the weights themselves favours large ones twice. No weights beside the logarithm.",
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
        _back(exponent=lambda x_t, a, s, t: _exponent(x_t, a, s, Marginal(s.alpha, s.sigma.clamp(min=1e-3)))),
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
)
