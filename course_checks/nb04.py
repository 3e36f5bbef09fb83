"""Exercises of notebook 04: KL, the ELBO, importance weights, the reverse step, the terms of the bound."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.lessons.reverse import reverse_of_points
from course_lib.lessons.vae import bernoulli_log_likelihood, importance_bound, kl_to_standard
from course_lib.objective import bits_per_dim, decoder_term, step_term, step_weight
from course_lib.oracle import gaussian_step_std
from course_lib.parametrization import Prediction
from course_lib.schedule import Marginal, bridge_weights, kernel

from . import nb04_wrong as wrong
from . import nb04_wrong_last as wrong_last
from . import nb04_wrong_later as wrong_later
from . import nb04_wrong_steps as wrong_steps
from .contract import Call, Case, Exercise
from .nb04_inputs import deaf_decoder, prior_encoder, sure_decoder, toy_decoder, toy_encoder

ONE = torch.ones((), dtype=torch.float64)


def _draw(g: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=g, dtype=torch.float64)


def _marginal(log_snr: Tensor, scale: float = 1.0) -> Call:
    """The marginal(s) with this log-SNR, as a recipe; variance preserving for scale = 1."""
    return Call(Marginal, scale * torch.sigmoid(log_snr).sqrt(), scale * torch.sigmoid(-log_snr).sqrt())


def _levels(g: Generator, *shape: int, scale: float = 1.0) -> tuple[Call, Call]:
    """A less and a more noisy marginal of this shape, as recipes."""
    later = 1.2 * _draw(g, *shape) - 0.5
    gap = 0.5 + torch.rand(shape, generator=g, dtype=torch.float64)
    return _marginal(later + gap), _marginal(later, scale)


# --------------------------------------------------------------------------------------------------- 04.1 discrete KL


def discrete_kl(P: Tensor, Q: Tensor) -> Tensor:
    return (torch.special.xlogy(P, P) - torch.special.xlogy(P, Q)).sum(1)


def _discrete_kl_cases(g: Generator) -> list[Case]:
    def laws(rows: int, outcomes: int) -> Tensor:
        return torch.softmax(_draw(g, rows, outcomes), 1)

    same, with_zero, both_zero = laws(3, 4), laws(2, 3), laws(2, 3)
    with_zero[0, 1], both_zero[:, 0] = 0, 0
    with_zero, both_zero = with_zero / with_zero.sum(1, keepdim=True), both_zero / both_zero.sum(1, keepdim=True)
    mirrored = laws(1, 2)
    return [
        Case("a coin against its mirror image", (mirrored, mirrored.flip(1))),
        Case("three rows of four outcomes", (laws(3, 4), laws(3, 4))),
        Case("the same law twice", (same, same.clone())),
        Case("an outcome with P = 0", (with_zero, laws(2, 3))),
        Case("an outcome with P = Q = 0", (both_zero, both_zero.roll(1, 0))),
        Case("as many rows as outcomes", (laws(3, 3), laws(3, 3))),
        Case("single precision", (laws(2, 5), laws(2, 5)), float32=True),
    ]


# ---------------------------------------------------------------------------------------------------- 04.2 ELBO


def vae_elbo(
    encoder: Callable[..., tuple[Tensor, Tensor]], decoder: Callable[..., Tensor], x: Tensor, noise: Tensor
) -> Tensor:
    mean, log_var = encoder(x)
    logits = decoder(mean + torch.exp(0.5 * log_var) * noise)
    return bernoulli_log_likelihood(logits, x) - kl_to_standard(mean, log_var)


def _vae_elbo_cases(g: Generator) -> list[Case]:
    def pictures(count: int) -> Tensor:
        return (_draw(g, count, 4) > 0).double()

    return [
        Case("one picture", (toy_encoder, toy_decoder, pictures(1), _draw(g, 1, 2))),
        Case("five pictures", (toy_encoder, toy_decoder, pictures(5), _draw(g, 5, 2))),
        Case("an encoder that answers the prior", (prior_encoder, toy_decoder, pictures(3), _draw(g, 3, 2))),
        Case("the noise happens to be 0", (toy_encoder, toy_decoder, pictures(3), torch.zeros(3, 2).double())),
        Case("a decoder that ignores z", (toy_encoder, deaf_decoder, pictures(4), _draw(g, 4, 2))),
        Case("white pictures", (toy_encoder, toy_decoder, torch.ones(2, 4).double(), _draw(g, 2, 2))),
        Case("a decoder that is very sure", (toy_encoder, sure_decoder, pictures(4), _draw(g, 4, 2))),
        Case("single precision", (toy_encoder, toy_decoder, pictures(3), _draw(g, 3, 2)), float32=True),
    ]


# --------------------------------------------------------------------------------------- 04.3 importance-weighted bound


def _importance_cases(g: Generator) -> list[Case]:
    def logs(draws: int, pictures: int, level: float = -5.0) -> tuple[Tensor, Tensor]:
        return level + 1.5 * _draw(g, draws, pictures), -1.0 + _draw(g, draws, pictures)

    joint, log_q = logs(4, 2)
    return [
        Case("one draw", logs(1, 3)),
        Case("five draws", logs(5, 3)),
        Case("all weights equal", (joint, joint + joint.new_tensor([2.0, 3.0]))),
        Case("as many draws as pictures", logs(3, 3)),
        Case("log q = 0", (logs(4, 2)[0], torch.zeros(4, 2).double())),
        Case("far below zero", (logs(4, 3, -2000.0)[0], log_q[:, :1].expand(4, 3).clone())),
        Case("single precision", logs(6, 2), float32=True),
    ]


# ------------------------------------------------------------ 04.4 two points, one step back


def two_points_back(
    x_t: Tensor, points: tuple[float, float], share: float, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor]:
    weights = torch.tensor([1 - share, share], dtype=x_t.dtype)
    return reverse_of_points(x_t, torch.tensor(points, dtype=x_t.dtype), weights, earlier, later)


def _two_points_cases(g: Generator) -> list[Case]:
    even, clean = (-1.0, 1.0), Call(Marginal, ONE, 0 * ONE)
    exploding = Call(Marginal, ONE, 0.4 * ONE), Call(Marginal, ONE, 0.9 * ONE)
    quiet = Call(Marginal, 0.9999 * ONE, 0.01 * ONE), Call(Marginal, 0.999 * ONE, 0.04 * ONE)
    return [
        Case("exactly between, equal shares", (torch.zeros(1).double(), even, 0.5, *_levels(g))),
        Case("-1 and 1, equal shares", (_draw(g, 4), even, 0.5, *_levels(g))),
        Case("-1 and 1, shares .8 and .2", (_draw(g, 3), even, 0.2, *_levels(g))),
        Case("0.3 and 2, shares .4 and .6", (_draw(g, 3) + 0.5, (0.3, 2.0), 0.6, *_levels(g))),
        Case("s = 0", (_draw(g, 3), even, 0.7, clean, _levels(g)[1])),
        Case("alpha = 1", (_draw(g, 3), even, 0.4, *exploding)),
        Case("far away, hardly any noise", (torch.tensor([40.0, -40.0]).double(), even, 0.3, *quiet)),
        Case("single precision", (_draw(g, 3), even, 0.35, *_levels(g)), float32=True),
    ]


# ------------------------------------------------------------ 04.5 a term of the bound


def one_term(x_0: Tensor, x0_hat: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal, model_std: Tensor) -> Tensor:
    return step_term(lambda x, m: Prediction(x0_hat, x0_hat), x_0, x_t, earlier, later, torch.as_tensor(model_std))


def _one_term_cases(g: Generator) -> list[Case]:
    def pictures(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
        x_0 = _draw(g, *shape)
        return x_0, x_0 + 0.7 * _draw(g, *shape), _draw(g, *shape)

    def case(
        name: str, shape: tuple[int, ...], levels: tuple[Call, Call], widen: float | None, float32: bool = False
    ) -> Case:
        marginals = [Marginal(*level.args) for level in levels]
        std = bridge_weights(*marginals)[2] if widen is None else widen * kernel(*marginals).std
        return Case(name, (*pictures(*shape), *levels, std), float32=float32)

    x_0, _, x_t = pictures(2, 1, 2, 2)
    levels = _levels(g)
    beta = kernel(*(Marginal(*level.args) for level in levels)).std
    return [
        case("the bridge's own standard deviation", (2, 1, 2, 3), _levels(g), None),
        case("one pixel", (3, 1), _levels(g), 1.0),
        case("a wider model", (2, 1, 2, 2), _levels(g), 1.3),
        Case("a perfect guess, a wider model", (x_0, x_0.clone(), x_t, *levels, beta)),
        case("a narrower model", (2, 5), _levels(g), 0.4),
        case("a level per image, B = W", (3, 1, 3, 3), _levels(g, 3), 1.0),
        case("alpha**2 + sigma**2 is not 1", (2, 4), _levels(g, scale=1.6), 1.0),
        case("single precision", (2, 1, 2, 2), _levels(g), 1.2, float32=True),
    ]


# ------------------------------------------------------------ 04.6 weight of the squared error


def _weight_cases(g: Generator) -> list[Case]:
    return [
        Case("two noise levels", _levels(g)),
        Case("five pairs at once", _levels(g, 5)),
        Case("alpha = 1", (Call(Marginal, ONE, 0.3 * ONE), Call(Marginal, ONE, 0.8 * ONE))),
        Case("alpha**2 + sigma**2 is not 1", _levels(g, 3, scale=1.6)),
        Case("single precision", _levels(g, 4), float32=True),
    ]


# ------------------------------------------------------------ 04.7 discretised decoder


def decoder_cost(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> tuple[Tensor, Tensor]:
    nats = decoder_term(x_0, x0_hat, std, levels)
    return nats, bits_per_dim(nats, x_0[0].numel())


def _decoder_cases(g: Generator) -> list[Case]:
    def on_levels(levels: int, *shape: int) -> Tensor:
        inner = (
            torch.randint(1, max(levels - 1, 2), shape, generator=g) if levels > 2 else (_draw(g, *shape) > 0).long()
        )
        return 2 * inner.double() / (levels - 1) - 1

    def near(x: Tensor, spread: float) -> Tensor:
        return x + spread * _draw(g, *x.shape)

    grey, single, narrow, coarse, small = (
        on_levels(256, 3, 1, 2, 3), on_levels(256, 1, 1, 2, 2), on_levels(256, 2, 4), on_levels(2, 2, 3),
        on_levels(16, 2, 1, 2, 2),
    )  # fmt: skip
    pixel, edges = on_levels(256, 2, 1), torch.tensor([[-1.0, -1.0, 1.0], [1.0, -1.0, -1.0]]).double()
    return [
        Case("three pictures, 256 levels", (grey, near(grey, 0.05), 0.05, 256)),
        Case("one picture", (single, near(single, 0.1), 0.1, 256)),
        Case("pictures of one pixel", (pixel, near(pixel, 0.03), 0.04, 256)),
        Case("black and white pixels only", (edges, near(0.9 * edges, 0.05), 0.1, 256)),
        Case("two levels", (coarse, near(0.2 * coarse, 0.2), 0.8, 2)),
        Case("a narrow decoder", (narrow, near(narrow, 0.001), 0.002, 256)),
        Case(
            "far from the guess", (torch.tensor([[-0.6, 0.2]]).double(), torch.tensor([[0.7, -0.9]]).double(), 0.01, 6)
        ),
        Case("single precision", (small, near(small, 0.1), 0.2, 16), float32=True),
    ]


# ------------------------------------------------------------ 04.8 best reverse variance


def best_variance(data_std: float, earlier: Marginal, later: Marginal) -> Tensor:
    return gaussian_step_std(data_std, earlier, later) ** 2


def _variance_cases(g: Generator) -> list[Case]:
    clean = Call(Marginal, ONE, 0 * ONE)
    return [
        Case("data std 0.3", (0.3, *_levels(g))),
        Case("data that are one point", (0.0, *_levels(g))),
        Case("standard normal data, variance preserving", (1.0, *_levels(g))),
        Case("s = 0", (0.5, clean, _levels(g)[1])),
        Case("alpha = 1", (0.6, Call(Marginal, ONE, 0.3 * ONE), Call(Marginal, ONE, 0.8 * ONE))),
        Case("data std 2, four pairs at once", (2.0, *_levels(g, 4))),
        Case("alpha**2 + sigma**2 is not 1", (0.4, *_levels(g, 3, scale=1.6))),
        Case("single precision", (0.3, *_levels(g, 3)), float32=True),
    ]


LIBRARY = "course_lib."
EXERCISES = (
    Exercise("04.1", "Discrete KL", 1, discrete_kl, _discrete_kl_cases, wrong.DISCRETE_KL),
    Exercise(
        "04.2", "The ELBO of a VAE", 2, vae_elbo, _vae_elbo_cases, wrong.VAE_ELBO,
        answers=(f"{LIBRARY}vae.elbo", f"{LIBRARY}vae.bernoulli_log_likelihood", f"{LIBRARY}vae.kl_to_standard"),
    ),
    Exercise(
        "04.3", "The importance-weighted bound", 2, importance_bound, _importance_cases, wrong_steps.IMPORTANCE,
        answers=(f"{LIBRARY}vae.importance_bound",),
    ),
    Exercise(
        "04.4", "The exact reverse conditional of two points", 3, two_points_back, _two_points_cases,
        wrong_steps.TWO_POINTS,
        answers=(f"{LIBRARY}reverse.reverse_of_points",),
    ),
    Exercise(
        "04.5", "One term of the bound", 3, one_term, _one_term_cases, wrong_later.ONE_TERM,
        answers=(f"{LIBRARY}objective.step_term", f"{LIBRARY}gaussian.Isotropic"),
    ),
    Exercise(
        "04.6", "The weight of a squared error", 2, step_weight, _weight_cases, wrong_later.WEIGHT,
        answers=(f"{LIBRARY}objective.step_weight",),
    ),
    Exercise(
        "04.7", "The discretised decoder, safe in the tails", 3, decoder_cost, _decoder_cases, wrong_last.DECODER,
        answers=(f"{LIBRARY}objective.decoder_term", f"{LIBRARY}objective.log_area"),
    ),
    Exercise(
        "04.8", "The best variance for Gaussian data", 2, best_variance, _variance_cases, wrong_last.VARIANCE,
        answers=(f"{LIBRARY}oracle.gaussian_step_std",),
    ),
)  # fmt: skip
