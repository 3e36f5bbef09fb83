"""Explorer: bend a schedule by its parameters; SNR, two points, a digit, a classifier and the bridge follow."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import digits, to_unit
from ..metrics import classify
from ..plotting.numbers import format_number
from ..schedule import (
    ConstantGamma,
    Continuous,
    Cosine,
    Linear,
    Marginal,
    Sigmoid,
    Straight,
    VarianceExploding,
    bridge_weights,
    jump,
    kernel,
)
from .drawing import BLUE, DASHES, GREEN, ORANGE, PAGE, Plot, embed, levels, line, picture, table, text
from .panel import Explorer, choice, log_slider, slider, whole

GRID = torch.linspace(0, 1, 201, dtype=torch.float64)
LOG_SNR_LIMIT = 15.0
HEIGHTS = np.linspace(-2.8, 2.8, 101)  # x_t, where the two points' density is drawn
STRIP = torch.linspace(0, 1, 9, dtype=torch.float64)
LEVELS = torch.linspace(-LOG_SNR_LIMIT, LOG_SNR_LIMIT, 61, dtype=torch.float64)  # where the classifier was asked
NOISES = 8  # pictures a level

FAMILIES: dict[str, tuple[set[str], Callable[[dict[str, Any]], Continuous]]] = {
    "cosine": ({"offset"}, lambda v: Cosine(v["offset"])),
    "linear": ({"beta_min", "beta_max"}, lambda v: Linear(v["beta_min"], v["beta_max"])),
    "sigmoid": ({"start", "stop", "temperature"}, lambda v: Sigmoid(v["start"], v["stop"], v["temperature"])),
    "constant gamma": ({"rate"}, lambda v: ConstantGamma(v["rate"])),
    "variance exploding": ({"sigma_max"}, lambda v: VarianceExploding(v["sigma_max"])),
    "straight": (set(), lambda v: Straight()),
}


def render_log_snr(schedule: Continuous, t: float) -> str:
    """SVG: log SNR against time, beside that of the cosine schedule; the cursor stands at `t`."""
    plot = Plot((0.0, 1.0, -LOG_SNR_LIMIT, LOG_SNR_LIMIT))
    content = [
        line(plot, GRID, Cosine()(GRID).log_snr, PAGE, dash=DASHES[2], width=1.5, opacity=0.8),
        line(plot, GRID, schedule(GRID).log_snr, BLUE),
        _cursor(plot, t),
    ]
    now, last = (format_number(float(schedule(time).log_snr)) for time in (t, 1.0))
    alt = f"log SNR falls with time, to {last} at t = 1; it is {now} at t = {t:.2f}"
    key = {"this schedule": (BLUE, ""), "cosine": (PAGE, DASHES[2])}
    return plot.svg(content, alt=alt, title="log SNR", xlabel="t", key=key)


def render_scales(schedule: Continuous, t: float) -> str:
    """SVG: alpha and sigma against time."""
    level = schedule(GRID)
    plot = Plot((0.0, 1.0, 0.0, 1.05 * max(1.0, float(level.sigma.max()))))
    content = [
        line(plot, GRID, level.alpha, BLUE),
        line(plot, GRID, level.sigma, ORANGE, dash=DASHES[1]),
        _cursor(plot, t),
    ]
    alpha, sigma = format_number(float(level.alpha[-1])), format_number(float(level.sigma[-1]))
    alt = f"alpha goes from 1 to {alpha}, sigma from 0 to {sigma}"
    key = {"α": (BLUE, ""), "σ": (ORANGE, DASHES[1])}
    return plot.svg(content, alt=alt, title="Signal and noise", xlabel="t", key=key)


def two_point_density(schedule: Continuous, heights: np.ndarray, times: Tensor) -> np.ndarray:
    """Density of x_t / total_std for data -1 and 1, equally likely: (len(heights), len(times)), each column's peak 1.

    Where it is narrower than a pixel it is drawn a pixel wide.
    """
    level = schedule(times)
    centre, width = (part / level.norm for part in (level.alpha, level.sigma))
    spread = width.clamp(min=float(heights[1] - heights[0]) / 2).numpy()
    at = heights[:, None]
    values = sum(np.exp(-0.5 * ((at - side * centre.numpy()) / spread) ** 2) for side in (-1, 1))
    return np.asarray(values / np.max(values, axis=0, keepdims=True))


def render_two_points(schedule: Continuous, t: float) -> str:
    """SVG: how the densities of x_t spread from two points to one bump, time from left to right."""
    plot = Plot((0.0, 1.0, HEIGHTS[0], HEIGHTS[-1]))
    level = schedule(t)
    apart = float(level.ratio) < 1
    alt = (
        f"Density of x_t for data at -1 and 1, over time: two narrow bands that widen and merge; at t = {t:.2f} "
        f"{'two bumps are still apart' if apart else 'they have merged into one bump'}"
    )
    content = [levels(two_point_density(schedule, HEIGHTS, GRID[::2]), plot), _cursor(plot, t, "#ffffff")]
    return plot.svg(content, alt=alt, title="Density of x_t, data at −1 and 1", xlabel="t")


def bridge_curves(schedule: Continuous, steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Times t, the bridge's weight of x_t and of x_0 from t to s = t - 1 / `steps`, and its std divided by sigma_s.

    Each (151,). Dividing by sigma_s says how much of the noise in x_s is fresh: sqrt(1 - (r sigma_s / sigma_t)**2).
    """
    times = torch.linspace(1 / steps, 1, 151, dtype=torch.float64)
    earlier, later = schedule((times - 1 / steps).clamp(min=0)), schedule(times)
    weight_t, weight_0, _ = bridge_weights(earlier, later)
    return times, weight_t, weight_0, kernel(earlier, later).std / later.sigma


def render_bridge(schedule: Continuous, t: float, steps: int) -> str:
    """SVG: what the mean of q(x_s | x_t, x_0) is made of, s = t - 1 / `steps`, and how much of the noise is fresh."""
    plot = Plot((0.0, 1.0, 0.0, 1.05))
    times, weight_t, weight_0, fresh = bridge_curves(schedule, steps)
    content = [
        line(plot, times, weight_t, BLUE),
        line(plot, times, weight_0, ORANGE, dash=DASHES[1]),
        line(plot, times, fresh, GREEN, dash=DASHES[2]),
        _cursor(plot, t),
    ]
    alt = (
        f"Bridge, one of {steps} steps: the weight of x_0 is {float(weight_0[0]):.2f} in the step to clean data and "
        f"{float(weight_0[-1]):.2f} at t = 1; the weight of x_t is {float(weight_t[-1]):.2f} at t = 1"
    )
    key = {"x_t": (BLUE, ""), "x₀": (ORANGE, DASHES[1]), "fresh noise / σ_s": (GREEN, DASHES[2])}
    return plot.svg(content, alt=alt, title=f"Bridge weights, one of {steps} steps", xlabel="t", key=key)


@cache
def _digit(label: int) -> tuple[Tensor, Tensor]:
    """A held-back digit and the one noise that is added to it, each (1, 1, 28, 28)."""
    image = digits("held_back").of(label)[:1].double()
    return image, torch.randn(image.shape, generator=torch.Generator().manual_seed(label), dtype=image.dtype)


def noised_digit(schedule: Continuous, times: Tensor, label: int) -> np.ndarray:
    """x_t / total_std of one digit with one noise at all `times` (F,): uint8 (F, 28, 28)."""
    image, noise = (part.expand(len(times), -1, -1, -1) for part in _digit(label))
    level = schedule(times)
    x_t = jump(image, level, noise) / level.norm[:, None, None, None]
    return (255 * to_unit(x_t)[:, 0]).round().byte().numpy()


def render_digit(schedule: Continuous, t: float, label: int) -> str:
    """SVG: the digit at `t`, then at nine even times; everywhere the same noise."""
    frames = noised_digit(schedule, torch.cat([torch.tensor([t], dtype=torch.float64), STRIP]), label)
    large, small, gap = 112, 84, 4
    parts = [embed(frames[0], 0, 22, large, large), text(large / 2, 14, f"t = {t:.2f}", weight=600)]
    for i, (frame, time) in enumerate(zip(frames[1:], STRIP.tolist(), strict=True)):
        x = large + 20 + i * (small + gap)
        parts += [embed(frame, x, 50, small, small), text(x + small / 2, 44, f"{time:.3g}")]
    parts.append(text(large + 20, 14, "The same digit, the same noise, at nine even times", anchor="start", weight=600))
    log_snr = format_number(float(schedule(t).log_snr))
    alt = f"The digit {label} with noise at t = {t:.2f} (log SNR {log_snr}), and at nine times from clean to noise"
    return picture((large + 20 + 9 * (small + gap), 22 + large), parts, alt)


@cache
def digit_posterior(label: int) -> Tensor:
    """The classifier's probability of the right digit at each of `LEVELS`, mean of `NOISES` noises, (61,) float64.

    Divided by sqrt(alpha**2 + sigma**2), what the classifier sees depends on the log-SNR alone. So it is asked once a
    digit (a quarter of a second), and every schedule reads the same line at its own log-SNR.
    """
    image = _digit(label)[0].expand(len(LEVELS), -1, -1, -1)
    generator = torch.Generator().manual_seed(100 + label)
    level, total = Marginal.from_log_snr(LEVELS), torch.zeros(len(LEVELS), dtype=torch.float64)
    for _ in range(NOISES):
        noise = torch.randn(image[:1].shape, generator=generator, dtype=image.dtype).expand_as(image)
        total += classify(jump(image, level, noise))[:, label].double()
    return total / NOISES


def confidence(schedule: Continuous, times: Tensor, label: int) -> np.ndarray:
    """The classifier's mean probability of the right digit at `times`, (F,): `digit_posterior`, between its levels too.

    Beyond the ends of `LEVELS` (noise too weak to matter, or nothing else left) the end's value.
    """
    log_snr = schedule(times).log_snr.clamp(-LOG_SNR_LIMIT, LOG_SNR_LIMIT)
    return np.interp(log_snr.numpy(), LEVELS.numpy(), digit_posterior(label).numpy())


def render_confidence(schedule: Continuous, t: float, label: int) -> str:
    """SVG: how sure a classifier of clean digits is of the right one, over time; chance is 0.1."""
    plot = Plot((0.0, 1.0, 0.0, 1.05))
    seen = confidence(schedule, GRID, label)
    now = float(confidence(schedule, torch.tensor([t], dtype=torch.float64), label)[0])
    content = [
        line(plot, (0.0, 1.0), (0.1, 0.1), PAGE, dash=DASHES[2], width=1.5, opacity=0.8),
        line(plot, GRID, seen, GREEN),
        _cursor(plot, t),
    ]
    alt = f"A classifier's probability of the digit {label} over time: {seen[0]:.2f} at t = 0, {now:.2f} at t = {t:.2f}"
    key = {f"digit {label}": (GREEN, ""), "chance": (PAGE, DASHES[2])}
    return plot.svg(content, alt=alt, title="A classifier's confidence", xlabel="t", key=key)


def render_numbers(schedule: Continuous, t: float, steps: int) -> str:
    """HTML: alpha, sigma, log SNR at `t`, and the bridge's weights from there to t - 1 / `steps`."""
    level = schedule(t)
    values = {"α": level.alpha, "σ": level.sigma, "log SNR": level.log_snr, "α² + σ²": level.norm**2}
    rows = [["", f"at t = {t:.2f}"], *([name, format_number(float(value))] for name, value in values.items())]
    if t == 0:
        return table(rows, "Clean data: no step leads further back")
    s = max(t - 1 / steps, 0.0)
    names = ("weight of x_t", "weight of x₀", "std of the bridge")
    back = bridge_weights(schedule(s), level)
    rows += [[name, format_number(float(value))] for name, value in zip(names, back, strict=True)]
    return table(rows, f"One step back is to s = {format_number(s)}")


def schedule_designer() -> Explorer:
    """A family and its parameters -> log SNR, alpha, sigma, two points, bridge, classifier, a digit; a cursor at t.

    Pictures of schedules that change the total variance are divided by sqrt(alpha**2 + sigma**2).
    """
    controls = {
        "family": choice("family", list(FAMILIES)),
        "offset": slider("offset", 0.008, 0.0, 0.5, 0.004, ".3f"),
        "beta_min": slider("beta at t = 0", 0.1, 0.0, 10, 0.1, ".1f"),
        "beta_max": slider("beta at t = 1", 20.0, 1, 40, 0.5, ".1f"),
        "start": slider("start", -3.0, -6, -0.5, 0.1, ".1f"),
        "stop": slider("stop", 3.0, 0.5, 6, 0.1, ".1f"),
        "temperature": slider("temperature", 1.0, 0.3, 3, 0.05),
        "rate": slider("rate", 5.0, 0.5, 12, 0.1, ".1f"),
        "sigma_max": log_slider("largest σ", 80.0, 0, 2.3),
        "t": slider("t", 0.5, 0, 1, 0.01),
        "steps": whole("steps of the bridge", 20, 2, 200),
        "digit": whole("digit", 3, 0, 9),
    }

    def draw(v: dict[str, Any]) -> dict[str, str]:
        schedule, t = FAMILIES[v["family"]][1](v), v["t"]
        return {
            "log_snr": render_log_snr(schedule, t),
            "scales": render_scales(schedule, t),
            "two_points": render_two_points(schedule, t),
            "confidence": render_confidence(schedule, t, v["digit"]),
            "bridge": render_bridge(schedule, t, v["steps"]),
            "numbers": render_numbers(schedule, t, v["steps"]),
            "digit": render_digit(schedule, t, v["digit"]),
        }

    def shown(v: dict[str, Any]) -> set[str]:
        return {"family", "t", "steps", "digit"} | FAMILIES[v["family"]][0]

    return Explorer("the schedule designer", controls, draw, shown)


def _cursor(plot: Plot, t: float, colour: str = PAGE) -> str:
    return line(plot, (t, t), plot.limits[2:], colour, dash="4 3", width=1.5)
