"""Plausible wrong answers to exercises 04.1 and 04.2, each with a hint that says what to think about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, softplus

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
    Mutant(
        lambda P, Q: (P * torch.log2(P / Q)).sum(1),
        "Two things: nats need the natural logarithm; and an outcome with P = 0 must cost nothing, where 0 * "
        "log 0 is NaN.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: (P * torch.log(Q / P)).sum(1),
        "Two things: your divergence is negative, so look at the ratio; and with P = 0 the computer's 0 * "
        "log 0 is NaN.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: -(P * torch.log(Q)).sum(1),
        "This is what the bets cost in all (the cross-entropy); take off what they cost who knows P. And 0 * "
        "log 0 is NaN.",
    ),
    Mutant(
        lambda P, Q: (P * torch.log(P / Q)).mean(1),
        "Two things: the weights P make it an average already, so add up the terms; and mind the outcomes with P = 0.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: ((P - Q) * torch.log(P / Q)).sum(1),
        "That is the sum of both directions. Only one is asked for: the average over P.",
        agrees_on=("the same law twice",),
    ),
    Mutant(
        lambda P, Q: torch.log(P / Q).sum(1),
        "Each log ratio has to be weighted by how often its outcome happens. Then P = 0 can cost nothing, too.",
        agrees_on=("the same law twice",),
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


def _clamped(floor: float) -> Part:
    def reconstruction(logits: Tensor, x: Tensor) -> Tensor:
        f = torch.sigmoid(logits).clamp(floor, 1 - floor)
        return (x * torch.log(f) + (1 - x) * torch.log(1 - f)).sum(1)

    return reconstruction


PRIOR, STILL, DEAF = "an encoder that answers the prior", "the noise happens to be 0", "a decoder that ignores z"
MODEST = ("one picture", "five pictures", PRIOR, STILL, DEAF, "white pictures")
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
        "sigmoid(1000) is exactly 1 in floating point, and log(1 - 1) is minus infinity. Use the logits and softplus.",
        agrees_on=MODEST,
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: (x * logits - torch.log(1 + torch.exp(logits))).sum(1)),
        "exp(1000) is infinite in floating point. log(1 + exp(l)) is softplus(l), which knows what to do.",
        agrees_on=MODEST,
    ),
    Mutant(
        _elbo(reconstruction=_clamped(1e-6)),
        "Clamping changes the number: a pixel that costs a thousand nats is booked as 14. Use the logits.",
        agrees_on=MODEST,
    ),
    Mutant(
        _elbo(reconstruction=_clamped(1e-7)),
        "Clamping changes the number: a pixel that costs a thousand nats is booked as 16. Use the logits.",
        agrees_on=MODEST,
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: -binary_cross_entropy(logits.sigmoid(), x, reduction="none").sum(1)),
        "`binary_cross_entropy` caps the cost of a pixel at 100 nats; these pixels cost more. Use the logits.",
        agrees_on=MODEST,
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
    Mutant(
        _elbo(std=lambda log_var: log_var),
        "log_var is a logarithm, and may be negative. What standard deviation does it stand for?",
        agrees_on=(STILL, DEAF),
    ),
    Mutant(
        _elbo(price=lambda m, v: _price(m, v) + m.shape[1] / 2),
        "For a code that is the prior itself the KL must be 0. Is a constant missing in yours?",
    ),
    Mutant(
        _elbo(price=lambda m, v: 0 * m.sum(1)),
        "That is the reconstruction alone. What does the message cost?",
        agrees_on=(PRIOR,),
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: -_reconstruction(logits, x)),
        "The binary cross-entropy is minus the log probability. The better the explanation, the higher the bound.",
    ),
    Mutant(
        _elbo(reconstruction=lambda logits, x: (x * logits - softplus(-logits)).sum(1)),
        "Try one black pixel and a large logit: log(1 - f) should be about minus the logit.",
    ),
    Mutant(
        _elbo(std=lambda log_var: torch.exp(2 * log_var)),
        "A standard deviation is the square root of a variance: half of its logarithm, not twice.",
        agrees_on=(PRIOR, STILL, DEAF),
    ),
)
