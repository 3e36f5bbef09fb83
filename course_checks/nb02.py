"""Exercises of notebook 02: Gaussians are affine maps of standard noise."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.gaussian import Gaussian, Isotropic, chain, compose, condition, kl, sqrt_covariance

from . import nb02_wrong as wrong
from . import nb02_wrong_chain as wrong_chain
from . import nb02_wrong_condition as wrong_condition
from . import nb02_wrong_kl as wrong_kl
from .contract import Call, Case, Exercise

F64 = torch.float64


def _draw(g: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=g, dtype=F64)


def _covariance(g: Generator, d: int, size: float = 1.0) -> Tensor:
    """A well-conditioned covariance (d, d) with clear correlations; its eigenvalues lie around `size`."""
    root = _draw(g, d, d)
    cov = root @ root.T / d + 0.4 * torch.eye(d, dtype=F64)
    return size * (cov + cov.T) / 2


def _width(g: Generator) -> float:
    """A standard deviation, two decimals, at least 0.2 away from 1."""
    return round(float(1.25 + 0.75 * torch.rand((), generator=g)), 2)


# --------------------------------------------------------------------------------------------------- 02.1 log density


def log_normal(x: Tensor, m: Tensor, sigma: float) -> Tensor:
    return Isotropic(m.expand_as(x), torch.tensor(sigma, dtype=x.dtype)).log_density(x)


def _log_normal_cases(g: Generator) -> list[Case]:
    centre = _draw(g, 3)
    return [
        Case("one dimension", (_draw(g, 4, 1), _draw(g, 1), _width(g))),
        Case("four dimensions", (_draw(g, 3, 4), _draw(g, 4), _width(g))),
        Case("sigma = 1", (_draw(g, 3, 2), _draw(g, 2), 1.0)),
        Case("at the centre", (centre[None].clone(), centre, _width(g) / 3)),
        Case("as many points as dimensions, narrow", (_draw(g, 3, 3), _draw(g, 3), _width(g) / 4)),
        Case("single precision", (_draw(g, 3, 2), _draw(g, 2), _width(g)), float32=True),
    ]


# ---------------------------------------------------------------------------------------------------- 02.2 moments


def affine_moments(A: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    law = Gaussian(A, m)
    return law.mean.clone(), law.cov


def _moments_cases(g: Generator) -> list[Case]:
    return [
        Case("one noise, one number", (1 + _draw(g, 1, 1).abs(), _draw(g, 1))),
        Case("a square map", (_draw(g, 2, 2), _draw(g, 2))),
        Case("a symmetric map", (_covariance(g, 2), _draw(g, 2))),
        Case("a diagonal map", (torch.diag(_draw(g, 3)), _draw(g, 3))),
        Case("the identity", (torch.eye(2, dtype=F64), _draw(g, 2))),
        Case("m = 0", (_draw(g, 3, 3), torch.zeros(3, dtype=F64))),
        Case("four noises, two numbers", (_draw(g, 2, 4), _draw(g, 2))),
        Case("one noise, three numbers", (_draw(g, 3, 1), _draw(g, 3))),
        Case("single precision", (_draw(g, 2, 3), _draw(g, 2)), float32=True),
    ]


# ---------------------------------------------------------------------------------------------------- 02.3 compose


def composed(A: Tensor, m: Tensor, B: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    law = compose(A, m, compose(A, m, Gaussian(B, b)))
    return law.map, law.translation


def _compose_cases(g: Generator) -> list[Case]:
    eye, zero = torch.eye(3, dtype=F64), torch.zeros(3, dtype=F64)
    return [
        Case("square maps", (_draw(g, 3, 3), _draw(g, 3), _draw(g, 3, 3), _draw(g, 3))),
        Case("four noises, two numbers", (_draw(g, 2, 2), _draw(g, 2), _draw(g, 2, 4), _draw(g, 2))),
        Case("one noise, three numbers", (_draw(g, 3, 3), _draw(g, 3), _draw(g, 3, 1), _draw(g, 3))),
        Case("diagonal maps", (torch.diag(_draw(g, 3)), _draw(g, 3), torch.diag(_draw(g, 3)), _draw(g, 3))),
        Case("A the identity", (eye, _draw(g, 3), _draw(g, 3, 3), _draw(g, 3))),
        Case("m = 0", (_draw(g, 3, 3), zero, _draw(g, 3, 2), _draw(g, 3))),
        Case("b = 0", (_draw(g, 3, 3), _draw(g, 3), _draw(g, 3, 2), zero)),
        Case("single precision", (_draw(g, 2, 2), _draw(g, 2), _draw(g, 2, 3), _draw(g, 2)), float32=True),
    ]


# ------------------------------------------------------------------------------------------------ 02.4 sum and chain


def sum_and_chain(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
    law, eye = Gaussian.from_moments(mu, cov), torch.eye(len(mu), dtype=mu.dtype)
    total = compose(eye, b, chain(law, eye, Q))
    for _ in range(steps):
        law = compose(eye, b, chain(law, A, Q))
    return (total.mean, total.cov), (law.mean.clone(), law.cov)


def _chain_cases(g: Generator) -> list[Case]:
    def case(
        name: str, d: int, steps: int, A: Tensor | None = None, b: Tensor | None = None, float32: bool = False
    ) -> Case:
        mu, cov, drawn_b, Q = _draw(g, d), _covariance(g, d), _draw(g, d), _covariance(g, d, 0.5)
        drawn_A = 0.8 * _draw(g, d, d)
        args = (mu, cov, drawn_b if b is None else b, Q, drawn_A if A is None else A, steps)
        return Case(name, args, float32=float32)

    return [
        case("no step", 2, 0),
        case("one step", 2, 1),
        case("one step in one dimension", 1, 1, A=torch.full((1, 1), 0.7, dtype=F64)),
        case("three steps", 2, 3),
        case("three steps, A the identity", 3, 3, A=torch.eye(3, dtype=F64)),
        case("three steps, noise of mean 0", 3, 3, b=torch.zeros(3, dtype=F64)),
        case("four steps that shrink", 2, 4, A=0.8 * torch.eye(2, dtype=F64)),
        case("single precision", 2, 2, float32=True),
    ]


# ------------------------------------------------------------------------------------------------- 02.5 square root


def _root_cases(g: Generator) -> list[Case]:
    thin = _draw(g, 4, 2)
    flat = torch.zeros(3, 3, dtype=F64)
    flat[:2, :2] = _covariance(g, 2)
    return [
        Case("one dimension", (2 + _draw(g, 1, 1).abs(),)),
        Case("full rank", (_covariance(g, 3),)),
        Case("diagonal", (torch.diag(0.5 + _draw(g, 3).abs()),)),
        Case("the identity", (torch.eye(2, dtype=F64),)),
        Case("no spread in the last direction", (flat,)),
        Case("rank 2 in four dimensions", (thin @ thin.T,)),
        Case("a variance of 0 that rounding made -1e-17", (torch.diag(torch.tensor([1.3, 0.7, -1e-17], dtype=F64)),)),
        Case("a very narrow Gaussian", (_covariance(g, 2, 1e-6),)),
        Case("a wide Gaussian", (_covariance(g, 2, 1e4),)),
        Case("single precision", (_covariance(g, 2),), float32=True),
    ]


# --------------------------------------------------------------------------------------------------- 02.6 condition


def posterior_moments(mu: Tensor, cov: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    law = condition(Gaussian.from_moments(mu, cov), y, Q, observe=H)
    return law.mean, law.cov


def _seeing(g: Generator) -> Tensor:
    """A matrix H (2, 2) that is easily inverted, and neither symmetric nor the identity."""
    return torch.tensor([[1.0, 0.6], [-0.4, 0.8]], dtype=F64) + 0.1 * _draw(g, 2, 2)


def _condition_cases(g: Generator) -> list[Case]:
    eye, same = torch.eye(2, dtype=F64), _covariance(g, 2)
    flat = torch.zeros(3, 3, dtype=F64)
    flat[1:, 1:] = _covariance(g, 2)
    zero, no_noise = torch.zeros(2, dtype=F64), torch.zeros(2, 2, dtype=F64)
    one = torch.ones(1, 1, dtype=F64)
    return [
        Case("one dimension, H = 1", (_draw(g, 1), 1.7 * one, one, 0.6 * one, _draw(g, 1))),
        Case("H = I", (_draw(g, 2), _covariance(g, 2), eye, _covariance(g, 2, 0.5), _draw(g, 2))),
        Case("H = I, prior and noise equally wide", (_draw(g, 2), same, eye, same.clone(), _draw(g, 2))),
        Case("mu = 0", (zero, _covariance(g, 2), _seeing(g), _covariance(g, 2, 0.5), _draw(g, 2))),
        Case("one number seen of three", (_draw(g, 3), _covariance(g, 3), _draw(g, 1, 3), 0.3 * one, _draw(g, 1))),
        Case(
            "two other numbers seen of three", (_draw(g, 3), _covariance(g, 3), _draw(g, 2, 3), same / 2, _draw(g, 2))
        ),
        Case("no noise", (_draw(g, 3), _covariance(g, 3), torch.eye(3, dtype=F64)[:2], no_noise, _draw(g, 2))),
        Case("Q = I", (_draw(g, 2), _covariance(g, 2), _seeing(g), eye, _draw(g, 2))),
        Case("a direction known for certain", (_draw(g, 3), flat, _draw(g, 2, 3), _covariance(g, 2), _draw(g, 2))),
        Case(
            "single precision",
            (_draw(g, 3), _covariance(g, 3), _draw(g, 1, 3), 0.4 * one, _draw(g, 1)),
            float32=True,
        ),
    ]


# ------------------------------------------------------------------------------------------------ 02.7 KL, spherical


def kl_spherical(mu_p: Tensor, sigma_p: float, mu_q: Tensor, sigma_q: float) -> Tensor:
    p, q = (
        Isotropic(mean[None], torch.tensor(std, dtype=mean.dtype)) for mean, std in ((mu_p, sigma_p), (mu_q, sigma_q))
    )
    return p.kl(q)[0]


def _kl_spherical_cases(g: Generator) -> list[Case]:
    same = _draw(g, 3)
    wide, narrow = _width(g), round(_width(g) / 2.7, 3)
    return [
        Case("one dimension", (_draw(g, 1), narrow, _draw(g, 1), wide)),
        Case("four dimensions", (_draw(g, 4), narrow, _draw(g, 4), wide)),
        Case("four dimensions, the second one narrow", (_draw(g, 4), wide, _draw(g, 4), narrow)),
        Case("equal widths", (_draw(g, 3), wide, _draw(g, 3), wide)),
        Case("equal means", (same, wide, same.clone(), narrow)),
        Case("the second one standard", (_draw(g, 2), narrow, torch.zeros(2, dtype=F64), 1.0)),
        Case("single precision", (_draw(g, 3), narrow, _draw(g, 3), wide), float32=True),
    ]


# -------------------------------------------------------------------------------------------------- 02.8 KL, general


def kl_general(mu_p: Tensor, cov_p: Tensor, mu_q: Tensor, cov_q: Tensor) -> Tensor:
    return kl(Gaussian.from_moments(mu_p, cov_p), Gaussian.from_moments(mu_q, cov_q))


def _kl_general_cases(g: Generator) -> list[Case]:
    same_mean, same_cov = _draw(g, 3), _covariance(g, 3)
    many = 1e-4 * (1 + torch.rand(2, 110, generator=g, dtype=F64))
    return [
        Case("one dimension", (_draw(g, 1), _covariance(g, 1), _draw(g, 1), _covariance(g, 1, 2.5))),
        Case("two dimensions", (_draw(g, 2), _covariance(g, 2), _draw(g, 2), _covariance(g, 2, 2.0))),
        Case("three dimensions", (_draw(g, 3), _covariance(g, 3), _draw(g, 3), _covariance(g, 3, 0.5))),
        Case(
            "diagonal covariances",
            (_draw(g, 3), torch.diag(0.5 + _draw(g, 3).abs()), _draw(g, 3), torch.diag(0.3 + _draw(g, 3).abs())),
        ),
        Case("equal covariances", (_draw(g, 3), same_cov, _draw(g, 3), same_cov.clone())),
        Case("equal means", (same_mean, _covariance(g, 3), same_mean.clone(), _covariance(g, 3, 3.0))),
        Case(
            "110 narrow dimensions",
            (0.01 * _draw(g, 110), Call(torch.diag, many[0]), 0.01 * _draw(g, 110), Call(torch.diag, many[1])),
        ),
        Case("single precision", (_draw(g, 3), _covariance(g, 3), _draw(g, 3), _covariance(g, 3)), float32=True),
    ]


LIBRARY = "course_lib.gaussian."
EXERCISES = (
    Exercise(
        "02.1", "Log density", 1, log_normal, _log_normal_cases, wrong.LOG_NORMAL,
        answers=(f"{LIBRARY}Isotropic", f"{LIBRARY}Gaussian"),
    ),
    Exercise(
        "02.2", "Covariance and mean of an affine map", 1, affine_moments, _moments_cases, wrong.MOMENTS,
        answers=(f"{LIBRARY}Gaussian",),
    ),
    Exercise("02.3", "Compose", 2, composed, _compose_cases, wrong_chain.COMPOSED, answers=(f"{LIBRARY}compose",)),
    Exercise(
        "02.4", "Sum and chain", 2, sum_and_chain, _chain_cases, wrong_chain.SUM_AND_CHAIN,
        answers=(f"{LIBRARY}add", f"{LIBRARY}chain"),
    ),
    Exercise(
        "02.5", "A map for a covariance, singular ones too", 2, sqrt_covariance, _root_cases, wrong_condition.ROOT,
        canonical=lambda root: root @ root.T, answers=(f"{LIBRARY}sqrt_covariance",),
    ),
    Exercise(
        "02.6", "Condition on a noisy observation", 3, posterior_moments, _condition_cases, wrong_condition.CONDITION,
        answers=(f"{LIBRARY}condition",),
    ),
    Exercise(
        "02.7", "KL between spherical Gaussians", 2, kl_spherical, _kl_spherical_cases, wrong_kl.KL_SPHERICAL,
        answers=(f"{LIBRARY}Isotropic", f"{LIBRARY}kl"),
    ),
    Exercise(
        "02.8", "KL between any two Gaussians", 3, kl_general, _kl_general_cases, wrong_kl.KL_GENERAL,
        answers=(f"{LIBRARY}kl",),
    ),
)  # fmt: skip
