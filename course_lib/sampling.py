"""One sampling loop, and the steps that plug into it: DDPM, DDIM, renoising, Heun.

With a prediction at time t, the whole family of first-order steps to an earlier time s is one formula,
    x_s = alpha_s x0_hat + sqrt(sigma_s**2 - c**2) eps_hat + c noise,   0 <= c <= sigma_s,
where c is how much of x_s's noise is fresh: none in DDIM, the bridge's standard deviation in DDPM, all of it in
denoise-and-renoise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .gaussian import check_floating, per_sample
from .parametrization import Denoiser, Prediction
from .schedule import Marginal, Schedule, StepStd, bridge, bridge_weights, reverse_std

Step = Callable[[Tensor, Marginal, Marginal, Denoiser, Tensor], tuple[Tensor, Prediction]]
"""(x_t, earlier, later, denoiser, noise) -> (x_s, the prediction made at x_t). `earlier` is s, `later` is t."""


@dataclass(frozen=True)
class State:
    """Where a sampler stands: `x` (B, ...) at time `t`, and `x0`, what the denoiser guessed there (at the end: x)."""

    t: float
    x: Tensor
    x0: Tensor


Noise = Callable[[], Tensor]
"""Fresh standard noise of the shape of x, one step's at every call."""


def standard_noise(x: Tensor, generator: torch.Generator | None = None) -> Noise:
    """Standard noise like `x`, drawn from `generator` on the CPU, so that a seed means the same on every device."""
    check_floating(x)
    return lambda: torch.randn(x.shape, generator=generator, dtype=x.dtype, device="cpu").to(x.device)


def sample(
    denoiser: Denoiser,
    schedule: Schedule,
    times: Tensor,
    x: Tensor,
    step: Step,
    generator: torch.Generator | None = None,
    noise: Noise | None = None,
) -> Iterator[State]:
    """Walk `x`, (B, ...) at `times[0]`, down `times` (n + 1 falling values); yields n + 1 states, the sample last.

    Every step is handed `noise()`: `standard_noise(x, generator)` unless given. Steps without randomness leave it
    unused. Raises ValueError where times do not fall.
    """
    return steps_along(falling_times(times), denoiser, schedule, x, step, noise or standard_noise(x, generator))


def steps_along(
    times: Tensor, denoiser: Denoiser, schedule: Schedule, x: Tensor, step: Step, noise: Noise
) -> Iterator[State]:
    """The loop itself, along `times` in either direction: `sample` goes down, `continuous.encode` goes up."""
    for t, s in pairwise(times):
        moved, prediction = step(x, schedule(s), schedule(t), denoiser, noise())
        yield State(float(t), x, prediction.x0)
        x = moved
    yield State(float(times[-1]), x, x)


def falling_times(times: Tensor) -> Tensor:
    """`times` as float64, (n + 1,). Raises ValueError unless they are two or more falling values."""
    times = torch.as_tensor(times, dtype=torch.float64)
    if times.ndim != 1 or len(times) < 2 or bool((times.diff() >= 0).any()):
        raise ValueError(f"times must be two or more falling values, got {times.flatten()[:8].tolist()}")
    return times


def last(states: Iterator[State]) -> Tensor:
    """The sample that `states` end in, (B, ...)."""
    return deque(states, maxlen=1)[0].x


def first_order(prediction: Prediction, earlier: Marginal, fresh: Tensor, noise: Tensor) -> Tensor:
    """x_s = alpha_s x0_hat + sqrt(sigma_s**2 - c**2) eps_hat + c noise, c = `fresh` (() or (B,)).

    Song et al. 2021 (DDIM), equation 12. Raises ValueError unless 0 <= c <= sigma_s.
    """
    kept = earlier.sigma**2 - fresh**2
    slack = 8 * torch.finfo(kept.dtype).eps * earlier.sigma**2
    if bool((kept < -slack).any()) or bool((fresh < 0).any()):
        raise ValueError(f"fresh noise must lie between 0 and sigma_s = {earlier.sigma}, got {fresh}")
    x0, eps = prediction.x0, prediction.eps
    kept = kept.clamp(min=0).sqrt()
    return per_sample(earlier.alpha, x0) * x0 + per_sample(kept, eps) * eps + per_sample(fresh, noise) * noise


def ddim(
    x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser, noise: Tensor
) -> tuple[Tensor, Prediction]:
    """No fresh noise, c = 0: Euler's method on the probability-flow ODE in sigma / alpha. `noise` is not used."""
    prediction = denoiser(x_t, later)
    return first_order(prediction, earlier, torch.zeros_like(earlier.sigma), noise), prediction


def renoise(
    x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser, noise: Tensor
) -> tuple[Tensor, Prediction]:
    """All noise fresh, c = sigma_s: denoise, and noise again. It does not converge to the data's law."""
    prediction = denoiser(x_t, later)
    return first_order(prediction, earlier, earlier.sigma, noise), prediction


def fresh_noise(eta: float) -> Step:
    """The step with c = `eta` times the bridge's standard deviation: 0 is DDIM, 1 is DDPM (Song et al. 2021's eta)."""
    if not eta >= 0:
        raise ValueError(f"expected a fraction of fresh noise of at least 0, got {eta}")

    def step(
        x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser, noise: Tensor
    ) -> tuple[Tensor, Prediction]:
        prediction = denoiser(x_t, later)
        fresh = eta * bridge_weights(earlier, later)[2]
        return first_order(prediction, earlier, torch.minimum(fresh, earlier.sigma), noise), prediction

    return step


def ddpm(step_std: StepStd = "bridge") -> Step:
    """Ancestral sampling (Ho et al. 2020, algorithm 2): the bridge's mean at x0_hat, plus noise of `step_std`.

    "bridge": the standard deviation of q(x_s | x_t, x_0), whose square is Ho's beta-tilde. "beta": that of the kernel
    q(x_t | x_s), whose square is beta; the mean stays the same and only the noise is wider. Or a function of
    (earlier, later). No noise on the last step, whatever the choice.
    """
    if isinstance(step_std, str) and step_std not in ("bridge", "beta"):
        raise ValueError(f"unknown step_std {step_std!r}: expected 'bridge' (beta-tilde) or 'beta'")

    def step(
        x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser, noise: Tensor
    ) -> tuple[Tensor, Prediction]:
        prediction = denoiser(x_t, later)
        mean = bridge(earlier, later, prediction.x0, x_t).mean
        std = torch.where(earlier.sigma > 0, reverse_std(step_std, earlier, later), 0.0)
        return mean + per_sample(std, noise) * noise, prediction

    return step


def heun(
    x_t: Tensor, earlier: Marginal, later: Marginal, denoiser: Denoiser, noise: Tensor
) -> tuple[Tensor, Prediction]:
    """Second order: DDIM's Euler step, then the mean of eps_hat at both ends (Karras et al. 2022, algorithm 1).

    In y = x / alpha, u = sigma / alpha the ODE is dy/du = eps. On the last step (sigma_s = 0), and where alpha_t = 0 so
    that u is infinite, it is Euler's. Two evaluations a step, one on the last. `noise` is not used.
    """
    moved, prediction = ddim(x_t, earlier, later, denoiser, noise)
    if bool((earlier.sigma == 0).any()) or bool((later.alpha == 0).any()):
        return moved, prediction
    slope = 0.5 * (prediction.eps + denoiser(moved, earlier).eps)
    scale, change = earlier.alpha / later.alpha, earlier.alpha * (earlier.ratio - later.ratio)
    return per_sample(scale, x_t) * x_t + per_sample(change, slope) * slope, prediction


STEPS: dict[str, Step] = {"ddpm": ddpm(), "ddim": ddim, "heun": heun, "renoise": renoise}
