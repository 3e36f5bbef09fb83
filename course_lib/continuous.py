"""Diffusion in continuous time: the SDE of a schedule, its two ways back, likelihood, and Langevin's walk.

Forward, dx = f x dt + g dW, with f, g from `schedule.rates`. With the score of p_t, two processes have the same
marginals in reverse (Anderson 1982; Song et al. 2021):
    reverse SDE             dx = (f x - g**2 score) dt + g dW,
    probability-flow ODE    dx/dt = f x - 1/2 g**2 score.
With alpha, sigma for f, g, the ODE is dx/dt = alpha' x0_hat + sigma' eps_hat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from .gaussian import Isotropic, per_sample
from .parametrization import Denoiser
from .sampling import State, Step, heun, standard_noise, steps_along
from .schedule import Continuous, Marginal, Rates, Schedule

Field = Callable[[Tensor], Tensor]
"""A vector field: x (B, ...) -> (B, ...), each sample on its own."""


def finite_rates(schedule: Continuous, t: Tensor | float) -> Rates:
    """`schedule.rates(t)`; ValueError where they are infinite (alpha = 0 there)."""
    rates = schedule.rates(t)
    if not bool((rates.drift.isfinite() & rates.diffusion.isfinite()).all()):
        raise ValueError("the rates are infinite where alpha = 0 (zero terminal SNR): start earlier, or use Truncated")
    return rates


def forward_drift(x: Tensor, t: Tensor | float, schedule: Continuous) -> Tensor:
    """f x, the drift of the noising SDE at time(s) `t`, (B, ...)."""
    return per_sample(finite_rates(schedule, t).drift, x) * x


def reverse_drift(score: Tensor, x: Tensor, t: Tensor | float, schedule: Continuous) -> Tensor:
    """f x - g**2 score, the drift of the reverse SDE, (B, ...); `score` is that of p_t at `x`. For steps dt < 0."""
    rates = finite_rates(schedule, t)
    return per_sample(rates.drift, x) * x - per_sample(rates.diffusion**2, x) * score


def probability_flow_velocity(score: Tensor, x: Tensor, t: Tensor | float, schedule: Continuous) -> Tensor:
    """f x - 1/2 g**2 score, the velocity dx/dt of the deterministic flow, (B, ...)."""
    rates = finite_rates(schedule, t)
    return per_sample(rates.drift, x) * x - 0.5 * per_sample(rates.diffusion**2, x) * score


def euler_maruyama(x: Tensor, drift: Tensor, diffusion: Tensor, dt: float, noise: Tensor) -> Tensor:
    """x + drift dt + diffusion sqrt(|dt|) noise: one step of an SDE, backwards for `dt` < 0. `diffusion` () or (B,)."""
    return x + drift * dt + per_sample(diffusion, x) * math.sqrt(abs(dt)) * noise


def forward_sde(
    schedule: Continuous, times: Tensor, x: Tensor, generator: torch.Generator | None = None
) -> Iterator[tuple[float, Tensor]]:
    """Noise `x` (B, ...) along rising `times` by Euler-Maruyama: yields (t, x_t), the start included."""
    noise = standard_noise(x, generator)
    yield float(times[0]), x
    for t, later in pairwise(times.tolist()):
        x = euler_maruyama(x, forward_drift(x, t, schedule), finite_rates(schedule, t).diffusion, later - t, noise())
        yield later, x


def reverse_sde(
    denoiser: Denoiser,
    schedule: Continuous,
    times: Tensor,
    x: Tensor,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Euler-Maruyama on the reverse SDE along falling `times`, (B, ...): yields n + 1 states, the sample last.

    No noise on a last step that ends at t = 0. Agrees with `sampling.ddpm` to first order in the step only.
    """
    noise = standard_noise(x, generator)
    for t, s in pairwise(times.tolist()):
        prediction = denoiser(x, schedule(t))
        yield State(t, x, prediction.x0)
        drift = reverse_drift(prediction.score(schedule(t)), x, t, schedule)
        diffusion = finite_rates(schedule, t).diffusion * (1.0 if s > 0 else 0.0)
        x = euler_maruyama(x, drift, diffusion, s - t, noise())
    yield State(float(times[-1]), x, x)


def probability_flow(
    denoiser: Denoiser, schedule: Continuous, times: Tensor, x: Tensor, method: str = "euler"
) -> Iterator[State]:
    """The probability-flow ODE by steps in t itself, along falling or rising `times` > 0 (a falling run may end at 0).

    `method`: "euler", or "heun" (Euler on a step that ends at sigma = 0). The textbook way: `sampling.ddim` and `heun`
    step in sigma / alpha, where the same ODE contains no rate of the schedule.
    """
    if method not in ("euler", "heun"):
        raise ValueError(f"unknown method {method!r}: expected 'euler' or 'heun'")

    def velocity(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        prediction = denoiser(x, schedule(t))
        return probability_flow_velocity(prediction.score(schedule(t)), x, t, schedule), prediction.x0

    for t, s in pairwise(times.tolist()):
        slope, x0 = velocity(x, t)
        yield State(t, x, x0)
        if method == "heun" and s > 0:
            slope = 0.5 * (slope + velocity(x + (s - t) * slope, s)[0])
        x = x + (s - t) * slope
    yield State(float(times[-1]), x, x)


def encode(denoiser: Denoiser, schedule: Schedule, times: Tensor, x: Tensor, step: Step = heun) -> Iterator[State]:
    """Images to their noise: a deterministic `step` (ddim or heun) along *rising* `times`. Yields n + 1 states.

    Sampling from the last state's x with the same step leads back, up to the solver's error.
    """
    if bool((torch.as_tensor(times).diff() <= 0).any()):
        raise ValueError("to encode, times must rise (use `sample` for falling ones)")
    return steps_along(torch.as_tensor(times), denoiser, schedule, x, step, standard_noise(x))


def divergence_exact(field: Field, x: Tensor) -> Tensor:
    """The trace of the field's Jacobian at `x` (B, ...), (B,): one backward pass per dimension, so for 2-D toys."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = field(x).flatten(1)
        columns = [torch.autograd.grad(value[:, i].sum(), x, retain_graph=True)[0] for i in range(value.shape[1])]
    return torch.stack([column.flatten(1)[:, i] for i, column in enumerate(columns)]).sum(0)


def divergence_hutchinson(field: Field, x: Tensor, probe: Tensor) -> Tensor:
    """probe^T J probe at `x` (B, ...), (B,): one backward pass; its mean over probes with E[probe probe^T] = I is tr J.

    Hutchinson 1990. `probe` (B, ...): signs +-1 (least variance) or standard normal.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad((field(x) * probe).sum(), x)
    return (gradient * probe).flatten(1).sum(1)


def log_likelihood(
    denoiser: Denoiser,
    schedule: Schedule,
    x: Tensor,
    times: Tensor,
    divergence: Callable[[Field, Tensor], Tensor] = divergence_exact,
    prior: Isotropic | None = None,
) -> Tensor:
    """log p(x) in nats, (B,), of the model that samples by the probability-flow ODE, by the change of variables.

    `x` (B, ...) lives at `times[0]`; `times` rise to the noise, where `prior` is the density: N(0, n_T**2 I) unless
    given, n**2 = alpha**2 + sigma**2. `divergence(field, x)` is `divergence_exact` or a `divergence_hutchinson` with
    its probe.

    Steps are Heun's in the angle a with tan a = sigma / alpha: for z = x / n (x itself where VP) the ODE is
    dz/da = cos a eps_hat - sin a x0_hat, the v prediction, finite at both ends; and d log p(z)/da = -div.
    """
    start, stop = schedule(times[0]), schedule(times[-1])
    z = x / per_sample(start.norm, x)
    change = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for s, t in pairwise(times):
        here, there = schedule(s), schedule(t)
        turn = float(_angle(there) - _angle(here))
        slope, div = _turning(denoiser, here, z, divergence)
        slope_there, div_there = _turning(denoiser, there, z + turn * slope, divergence)
        z = z + 0.5 * turn * (slope + slope_there)
        change = change + 0.5 * turn * (div + div_there)
    end = z * per_sample(stop.norm, z)
    prior = Isotropic(torch.zeros_like(end), stop.norm) if prior is None else prior
    scaling = x[0].numel() * torch.log(stop.norm / start.norm).to(change)
    return prior.log_density(end) + scaling + change


def angle_times(schedule: Continuous, n: int, first: float = 13.0, power: float = 4.0) -> Tensor:
    """n + 1 rising times for `log_likelihood`, from log-SNR `first` (may be inf, which is t = 0) to t = 1, float64.

    The angle atan(sigma / alpha) grows like (k / n)**power: small steps near the data, where an image's density is
    sharp.
    """
    start, stop = math.atan(math.exp(-0.5 * first)), float(_angle(schedule(schedule.end)))
    ramp = torch.linspace(0, 1, n + 1, dtype=torch.float64) ** power
    times = schedule.time_at(-2 * torch.log(torch.tan(start + (stop - start) * ramp)))
    times[-1] = schedule.end
    return times


def _angle(marginal: Marginal) -> Tensor:
    return torch.atan2(marginal.sigma, marginal.alpha)


def _turning(
    denoiser: Denoiser, marginal: Marginal, z: Tensor, divergence: Callable[[Field, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """dz/da at `z` and its divergence."""
    norm = marginal.norm
    unit = Marginal(marginal.alpha / norm, marginal.sigma / norm)

    def field(z: Tensor) -> Tensor:
        return denoiser(z * per_sample(norm, z), marginal).v(unit)

    return field(z), divergence(field, z)


def dequantise(images: Tensor, uniform: Tensor, levels: int = 256) -> Tensor:
    """Spread every level of `images` (in [-1, 1]) evenly over its own bin of width 2 / levels, in [-1, 1].

    `uniform` in [0, 1) of the same shape. A density on pixels that sit exactly on their levels has no finite best
    likelihood; after this it has, and `density_bits_per_dim` bounds that of the discrete pixels (Theis et al. 2016).
    """
    index = ((images + 1) / 2 * (levels - 1)).round()
    return (index + uniform) / levels * 2 - 1


def density_bits_per_dim(log_density: Tensor, dims: int, levels: int = 256) -> Tensor:
    """Bits per dimension of the pixels whose `dequantise`d images have this log density in nats, (B,)."""
    return -log_density / (dims * math.log(2)) + math.log2(levels / 2)


def langevin(score: Tensor, x: Tensor, step: float, noise: Tensor) -> Tensor:
    """x + step score + sqrt(2 step) noise: one step of a walk whose law tends to p, `score` = grad log p at `x`.

    Needs the score of one p only, no time; its bias falls with `step`.
    """
    return x + step * score + math.sqrt(2 * step) * noise


def predictor_corrector(
    denoiser: Denoiser,
    schedule: Schedule,
    times: Tensor,
    x: Tensor,
    predictor: Step,
    corrections: int = 1,
    size: float = 0.1,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """`predictor` steps along falling `times`, each followed by `corrections` steps of `langevin` at the new time.

    Langevin's step is `size` * sigma_s**2, as the score changes over a distance of about sigma_s. A step that ends at
    s = 0 is not corrected. Yields n + 1 states; 1 + `corrections` evaluations a step for a first-order predictor.
    Song et al. 2021, algorithms 2 and 3.
    """

    noise = standard_noise(x, generator)
    for t, s in pairwise(torch.as_tensor(times, dtype=torch.float64)):
        moved, prediction = predictor(x, schedule(s), schedule(t), denoiser, noise())
        yield State(float(t), x, prediction.x0)
        x, here = moved, schedule(s)
        for _ in range(corrections if bool(here.sigma > 0) else 0):
            x = langevin(denoiser(x, here).score(here), x, size * float(here.sigma) ** 2, noise())
    yield State(float(times[-1]), x, x)


def fokker_planck(density: Tensor, grid: Tensor, schedule: Continuous, start: float, stop: float, steps: int) -> Tensor:
    """Evolve a `density` on an even 1-D `grid`, both (N,), from `start` to `stop` under the noising SDE.

    dp/dt = -d/dx (f x p - 1/2 g**2 dp/dx), by fluxes between neighbouring cells: what leaves one enters the next and
    nothing leaves the grid, so that the mass stays the same to rounding. Second order in the cell's width; Euler steps,
    and a ValueError where they are too long to be stable.
    """
    width, h = float(grid[1] - grid[0]), (stop - start) / steps
    middle = 0.5 * (grid[1:] + grid[:-1])
    edge = torch.zeros(1, dtype=density.dtype)
    for k in range(steps):
        rates = finite_rates(schedule, start + (k + 0.5) * h)
        if float(rates.diffusion) ** 2 * h > width**2:
            raise ValueError(f"{steps} steps are too few: g**2 dt must stay below the squared width {width**2:.3g}")
        carried = rates.drift * middle * 0.5 * (density[1:] + density[:-1])
        spread = 0.5 * rates.diffusion**2 * density.diff() / width
        flux = torch.cat([edge, carried - spread, edge])
        density = density - h / width * flux.diff()
    return density
