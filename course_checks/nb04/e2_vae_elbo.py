"""Exercise 04.2: the ELBO of a VAE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from course_lib.lessons.vae import bernoulli_log_likelihood, kl_to_standard

from ..contract import Case, Exercise, WrongAnswer, normal
from .inputs import deaf_decoder, prior_encoder, sure_decoder, toy_decoder, toy_encoder


def vae_elbo(
    encoder: Callable[..., tuple[Tensor, Tensor]], decoder: Callable[..., Tensor], x: Tensor, noise: Tensor
) -> Tensor:
    mean, log_var = encoder(x)
    logits = decoder(mean + torch.exp(0.5 * log_var) * noise)
    return bernoulli_log_likelihood(logits, x) - kl_to_standard(mean, log_var)


def cases(g: Generator) -> list[Case]:
    def pictures(count: int) -> Tensor:
        return (normal(g, count, 4) > 0).double()

    return [
        Case("one picture", (toy_encoder, toy_decoder, pictures(1), normal(g, 1, 2))),
        Case("five pictures", (toy_encoder, toy_decoder, pictures(5), normal(g, 5, 2))),
        Case("an encoder that answers the prior", (prior_encoder, toy_decoder, pictures(3), normal(g, 3, 2))),
        Case("the noise happens to be 0", (toy_encoder, toy_decoder, pictures(3), torch.zeros(3, 2).double())),
        Case("a decoder that ignores z", (toy_encoder, deaf_decoder, pictures(4), normal(g, 4, 2))),
        Case("white pictures", (toy_encoder, toy_decoder, torch.ones(2, 4).double(), normal(g, 2, 2))),
        Case("a decoder that is very sure", (toy_encoder, sure_decoder, pictures(4), normal(g, 4, 2))),
        Case("single precision", (toy_encoder, toy_decoder, pictures(3), normal(g, 3, 2)), float32=True),
    ]


# The wrong answers.


Part = Callable[[Tensor, Tensor], Tensor]


def log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    return (x * logits - softplus(logits)).sum(1)


def kl_of_code(mean: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)


def elbo(
    std: Callable[[Tensor], Tensor] = lambda log_var: torch.exp(0.5 * log_var),
    price: Part = kl_of_code,
    reconstruction: Part = log_likelihood,
    together: Part = lambda explained, paid: explained - paid,
) -> Callable[..., Tensor]:
    """The right answer but for one thing."""

    def bound(encoder: Any, decoder: Any, x: Tensor, noise: Tensor) -> Tensor:
        mean, log_var = encoder(x)
        logits = decoder(mean + std(log_var) * noise)
        return together(reconstruction(logits, x), price(mean, log_var))

    return bound


def naive_logs(logits: Tensor, x: Tensor) -> Tensor:
    f = torch.sigmoid(logits)
    return (x * torch.log(f) + (1 - x) * torch.log(1 - f)).sum(1)


def clamped_logs(logits: Tensor, x: Tensor) -> Tensor:
    f = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    return (x * torch.log(f) + (1 - x) * torch.log(1 - f)).sum(1)


EXERCISE = Exercise(
    id="04.2",
    title="The ELBO of a VAE",
    points=2,
    reference=vae_elbo,
    cases=cases,
    answers=(
        "course_lib.lessons.vae.elbo",
        "course_lib.lessons.vae.bernoulli_log_likelihood",
        "course_lib.lessons.vae.kl_to_standard",
    ),
    wrong_answers=(
        WrongAnswer(
            elbo(std=torch.exp),
            "log_var is the logarithm of a variance. What multiplies the noise is a standard deviation.",
        ),
        WrongAnswer(
            elbo(std=torch.zeros_like),
            "z has to be drawn: mean plus standard deviation times the given noise. You decoded the mean.",
        ),
        WrongAnswer(
            elbo(std=torch.ones_like),
            "How far z may lie from its mean is the encoder's decision: scale the noise by its standard deviation.",
        ),
        WrongAnswer(
            elbo(together=lambda explained, paid: explained + paid),
            "A longer message should lower the bound: the KL is a price.",
        ),
        WrongAnswer(
            elbo(together=lambda explained, paid: paid - explained),
            "This is the loss, to be minimised. The bound is what is to be maximised, a (negative) log probability.",
        ),
        WrongAnswer(
            elbo(price=lambda m, v: 0.5 * (v + (1 + m**2) * torch.exp(-v) - 1).sum(1)),
            "Your KL averages over the prior. In the ELBO the average is over q(z | x): KL(q || p).",
        ),
        WrongAnswer(
            elbo(reconstruction=naive_logs),
            "sigmoid(1000) is exactly 1 in floating point, and log(1 - 1) is minus infinity. Use the logits and "
            "softplus.",
        ),
        WrongAnswer(
            elbo(reconstruction=clamped_logs),
            "Clamping changes the number: a pixel that costs a thousand nats is booked as 14. Use the logits.",
        ),
        WrongAnswer(
            elbo(reconstruction=lambda logits, x: -(x * softplus(-logits)).sum(1)),
            "Black pixels have to be explained as well: where is (1 - x) log(1 - f)?",
        ),
        WrongAnswer(
            elbo(reconstruction=lambda logits, x: log_likelihood(logits, x) / x.shape[1]),
            "log p(x | z) is a sum over pixels. A mean weighs the price too heavily, and is no probability of the "
            "picture.",
        ),
        WrongAnswer(
            elbo(reconstruction=lambda logits, x: log_likelihood(torch.sigmoid(logits), x)),
            "The decoder's outputs are logits already; do not put a sigmoid before a formula that expects logits.",
        ),
        WrongAnswer(
            elbo(price=lambda m, v: 0 * m.sum(1)),
            "That is the reconstruction alone. What does the message cost?",
        ),
    ),
)
