"""Explorer: samplers on three bumps in the plane, whose exact denoiser is known; what errs is the sampler alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import oracle
from ..data import toys
from ..sampling import Step, ddpm, fresh_noise, heun, renoise, sample
from ..schedule import STANDARD, Continuous, karras_times, log_snr_times, uniform_times
from .drawing import BLUE, GREEN, ORANGE, PAGE, Plot, dots, ellipse, line, table
from .panel import Explorer, choice, slider, whole

POINTS, DRAWN = 400, 20
KNOB = "knob: c = η × bridge std"
SAMPLERS: dict[str, Callable[[float], Step]] = {
    KNOB: fresh_noise,
    "DDPM, step std β": lambda eta: ddpm("beta"),
    "renoise: c = σ_s": lambda eta: renoise,
    "Heun": lambda eta: heun,
}
SPACINGS: dict[str, Callable[[Continuous, int], Tensor]] = {
    "even in t": uniform_times,
    "even in log SNR": log_snr_times,
    "Karras": karras_times,
}


@dataclass(frozen=True)
class SamplerRun:
    """All states of a walk: `times` (n + 1,) falling to 0, `tracks` (n + 1, B, 2), `evaluations` of the denoiser."""

    times: np.ndarray
    tracks: np.ndarray
    evaluations: int

    @property
    def ends(self) -> np.ndarray:
        """The samples, (B, 2)."""
        return self.tracks[-1]


def run_sampler(
    sampler: str, steps: int, eta: float = 0.0, spacing: str = "even in log SNR", seed: int = 0
) -> SamplerRun:
    """`POINTS` walks of `steps` steps from standard noise to the three bumps.

    The seed fixes the starting noise and the fresh noise, so samplers can be compared from the same start.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(POINTS, 2, generator=generator, dtype=torch.float64)
    calls, exact = 0, oracle.mixture_denoiser(toys.mixture_2d())

    def count_calls(x_t: Tensor, marginal: Any) -> Any:
        nonlocal calls
        calls += 1
        return exact(x_t, marginal)

    times = SPACINGS[spacing](STANDARD, steps)
    states = sample(count_calls, STANDARD, times, start, SAMPLERS[sampler](eta), generator)
    tracks = torch.stack([state.x for state in states]).numpy()
    return SamplerRun(times.numpy(), tracks, calls)


def render_tracks(run: SamplerRun) -> str:
    """SVG: the first `DRAWN` walks in the plane, from a ring to a dot, over data points."""
    plot = _plane(3.0)
    tracks = run.tracks[:, :DRAWN]
    content = [dots(plot, _data(), PAGE, size=3, opacity=0.35)]
    content += [
        line(plot, tracks[:, i, 0], tracks[:, i, 1], BLUE, width=1.2, opacity=0.8) for i in range(tracks.shape[1])
    ]
    content += [dots(plot, tracks[0], BLUE, size=7, opacity=1), dots(plot, tracks[0], "#ffffff", size=4, opacity=1)]
    content.append(dots(plot, tracks[-1], ORANGE, size=6, opacity=1))
    count, steps = tracks.shape[1], len(tracks) - 1
    alt = f"{count} walks of {steps} steps from noise, spread over the plane, to the three bumps of the data"
    key = {"walk": (BLUE, ""), "end": (ORANGE, ""), "data": (PAGE, "")}
    return plot.svg(content, alt=alt, title=f"{count} walks", key=key)


def render_times(run: SamplerRun) -> str:
    """SVG: the second coordinate of the same walks against time; every step is a corner."""
    plot = Plot((0.0, 1.0, -3.0, 3.0), 260, 300)
    tracks = run.tracks[:, :DRAWN, 1]
    content = [line(plot, run.times, track, BLUE, width=1.2, opacity=0.8) for track in tracks.T]
    marks = np.stack([run.times, np.full_like(run.times, -2.95)], axis=1)
    content.append(dots(plot, marks, PAGE, size=5, opacity=0.9))
    rough = np.abs(np.diff(tracks, axis=0)).sum(0).mean()
    alt = (
        "Second coordinate of the walks against time, from noise at t = 1 to data at t = 0; "
        f"up and down, a walk covers {rough:.1f} in all"
    )
    title, xlabel = "x₂ against time (dots: the steps)", "t: walks run from right to left"
    return plot.svg(content, alt=alt, title=title, xlabel=xlabel)


def render_ends(run: SamplerRun) -> str:
    """SVG: all samples over data points, and two standard deviations of each bump."""
    plot = _plane(1.6)
    law = toys.mixture_2d()
    content = [dots(plot, _data(), PAGE, size=3, opacity=0.35), dots(plot, run.ends, ORANGE, opacity=0.7)]
    for mean, std in zip(law.means.numpy(), law.stds.tolist(), strict=True):
        content.append(ellipse(plot, mean, std * np.eye(2), 2.0, GREEN))
    shares = ", ".join(f"{share:.0%}" for share in bump_moments(run.ends)[0])
    alt = f"{len(run.ends)} samples over data points; the three bumps get {shares}"
    key = {"samples": (ORANGE, ""), "data": (PAGE, ""), "2 std": (GREEN, "")}
    return plot.svg(content, alt=alt, title=f"{len(run.ends)} samples", key=key)


def bump_moments(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of `points` (N, 2) that most likely belong to each bump, and their standard deviation about its mean
    (per coordinate): (3,) and (3,); NaN for a bump without points.
    """
    law = toys.mixture_2d()
    owner = law.log_joint(torch.as_tensor(points)).argmax(1).numpy()
    shares, stds = np.zeros(3), np.full(3, np.nan)
    for k, mean in enumerate(law.means.numpy()):
        mine = points[owner == k] - mean
        shares[k] = len(mine) / len(points)
        if len(mine):
            stds[k] = np.sqrt(np.mean(mine**2))
    return shares, stds


def render_scores(run: SamplerRun) -> str:
    """HTML: shares and widths of the bumps, exact and in the samples; how often the denoiser was asked."""
    law = toys.mixture_2d()
    shares, stds = bump_moments(run.ends)
    rows = [["bump", "share", "samples", "width", "samples"]]
    for k, name in enumerate(("left", "right", "top")):
        exact = f"{law.weights[k]:.2f}", f"{law.stds[k]:.3f}"
        rows.append([name, exact[0], f"{shares[k]:.2f}", exact[1], "–" if np.isnan(stds[k]) else f"{stds[k]:.3f}"])
    error = np.sqrt(0.25 / len(run.ends))
    return table(rows, f"{run.evaluations} evaluations of the denoiser. Shares are known to about ±{error:.2f}")


def sampler_bench() -> Explorer:
    """Sampler, steps and the fresh-noise knob -> walks on three bumps with the exact denoiser, and where they end."""
    controls = {
        "sampler": choice("sampler", list(SAMPLERS)),
        "eta": slider("η (0 DDIM, 1 DDPM)", 0.0, 0, 2),
        "steps": whole("steps", 12, 1, 50),
        "spacing": choice("times", ["even in log SNR", "even in t", "Karras"]),
        "seed": whole("seed of the noise", 0, 0, 20),
    }

    def draw(v: dict[str, Any]) -> dict[str, str]:
        run = run_sampler(v["sampler"], v["steps"], v["eta"], v["spacing"], v["seed"])
        return {
            "tracks": render_tracks(run),
            "times": render_times(run),
            "ends": render_ends(run),
            "scores": render_scores(run),
        }

    def shown(v: dict[str, Any]) -> set[str]:
        return set(controls) - (set() if v["sampler"] == KNOB else {"eta"})

    return Explorer("the sampler bench", controls, draw, shown)


@cache
def _data() -> np.ndarray:
    """Draws from the data law to compare with, (POINTS, 2)."""
    return toys.mixture_2d().sample(POINTS, torch.Generator().manual_seed(1)).numpy()


def _plane(limit: float) -> Plot:
    return Plot((-limit, limit, -limit, limit), 300, 300)
