"""Exercise 04.5: one term of the bound."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from course_lib.gaussian import per_sample
from course_lib.objective import step_term
from course_lib.parametrization import Prediction
from course_lib.schedule import Marginal, bridge_weights, kernel

from ..contract import Call, Case, Exercise, WrongAnswer, normal
from .shared import level_pair


def one_term(x_0: Tensor, x0_hat: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal, model_std: Tensor) -> Tensor:
    return step_term(lambda x, m: Prediction(x0_hat, x0_hat), x_0, x_t, earlier, later, torch.as_tensor(model_std))


def cases(g: Generator) -> list[Case]:
    def pictures(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
        x_0 = normal(g, *shape)
        return x_0, x_0 + 0.7 * normal(g, *shape), normal(g, *shape)

    def case(
        name: str, shape: tuple[int, ...], levels: tuple[Call, Call], widen: float | None, float32: bool = False
    ) -> Case:
        marginals = [Marginal(*level.args) for level in levels]
        std = bridge_weights(*marginals)[2] if widen is None else widen * kernel(*marginals).std
        return Case(name, (*pictures(*shape), *levels, std), float32=float32)

    x_0, _, x_t = pictures(2, 1, 2, 2)
    levels = level_pair(g)
    beta = kernel(*(Marginal(*level.args) for level in levels)).std
    return [
        case("the bridge's own standard deviation", (2, 1, 2, 3), level_pair(g), None),
        case("one pixel", (3, 1), level_pair(g), 1.0),
        case("a wider model", (2, 1, 2, 2), level_pair(g), 1.3),
        Case("a perfect guess, a wider model", (x_0, x_0.clone(), x_t, *levels, beta)),
        case("a narrower model", (2, 5), level_pair(g), 0.4),
        case("a level per image, B = W", (3, 1, 3, 3), level_pair(g, 3), 1.0),
        case("alpha**2 + sigma**2 is not 1", (2, 4), level_pair(g, scale=1.6), 1.0),
        case("single precision", (2, 1, 2, 2), level_pair(g), 1.2, float32=True),
    ]


# The wrong answers.


Formula = Callable[[Tensor, Tensor, Tensor], Tensor]  # (bridge std, model std, distance of the means) -> terms


def kl(a: Tensor, b: Tensor, apart: Tensor) -> Tensor:
    return torch.log(b / a) + (a**2 + apart**2) / (2 * b**2) - 0.5


def term_with(
    formula: Formula = kl,
    weight: Callable[[Marginal, Marginal], Tensor] = lambda s, t: bridge_weights(s, t)[1],
    reduce: Callable[[Tensor], Tensor] = lambda terms: terms.flatten(1).sum(1),
    fit: Callable[[Tensor, Tensor], Tensor] = per_sample,
    own: Callable[[Marginal, Marginal], Tensor] = lambda s, t: bridge_weights(s, t)[2],
) -> Callable[..., Tensor]:
    """The right answer but for one thing."""

    def term(x_0: Tensor, x0_hat: Tensor, x_t: Tensor, s: Marginal, t: Marginal, model_std: Tensor) -> Tensor:
        apart = fit(weight(s, t), x_t) * (x_0 - x0_hat)
        terms = formula(fit(own(s, t), x_t), fit(model_std, x_t), apart)
        return reduce(terms.expand_as(x_0))

    return term


def unshaped(value: Tensor, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype)


EXERCISE = Exercise(
    id="04.5",
    title="One term of the bound",
    points=3,
    reference=one_term,
    cases=cases,
    answers=("course_lib.objective.step_term", "course_lib.gaussian.Isotropic"),
    wrong_answers=(
        WrongAnswer(
            term_with(lambda a, b, apart: kl(b, a, apart)),
            "Which of the two Gaussians is averaged over? KL(q || p), with the bridge as q.",
        ),
        WrongAnswer(
            term_with(lambda a, b, apart: apart**2 / (2 * b**2)),
            "That is all there is if both are equally wide. Here the model may be wider than the bridge, and pays for "
            "it.",
        ),
        WrongAnswer(
            term_with(lambda a, b, apart: kl(a, b, 0 * apart)),
            "The means differ as well: the model's holds x0_hat where the bridge's holds x_0.",
        ),
        WrongAnswer(
            term_with(lambda a, b, apart: torch.log(a / b) + (a**2 + apart**2) / (2 * b**2) - 0.5),
            "If the means agree the KL must be 0 for equal widths and positive for any others. Try the logarithm's "
            "sign.",
        ),
        WrongAnswer(
            term_with(lambda a, b, apart: kl(a, b, apart) + 0.5),
            "A KL of a Gaussian to itself is 0. Is a constant missing?",
        ),
        WrongAnswer(
            term_with(lambda a, b, apart: kl(a, b.sqrt(), apart)),
            "`model_std` is a standard deviation. Square it where the formula has a variance.",
        ),
        WrongAnswer(
            term_with(weight=lambda s, t: torch.ones_like(s.alpha)),
            "The means of x_s differ by less than the guesses of x_0: what is the bridge's weight of x_0?",
        ),
        WrongAnswer(
            term_with(weight=lambda s, t: s.alpha),
            "alpha_s scales x_0 in x_s if nothing else is known. With x_t known too, the bridge's weight of x_0 "
            "is smaller.",
        ),
        WrongAnswer(
            term_with(weight=lambda s, t: bridge_weights(s, t)[1].sqrt()),
            "The means differ by weight times error; the squared distance has the weight squared.",
        ),
        WrongAnswer(
            term_with(own=lambda s, t: kernel(s, t).std),
            "q(x_s | x_t, x_0) has the bridge's standard deviation, not that of the step forward.",
        ),
        WrongAnswer(
            term_with(reduce=lambda terms: terms.flatten(1).mean(1)),
            "Independent pixels: their KLs add up. A mean is no KL of the picture.",
        ),
        WrongAnswer(
            term_with(fit=unshaped),
            "With one level per picture, (B,), plain multiplication lines the levels up with the columns. Use "
            "`per_sample`.",
        ),
    ),
)
