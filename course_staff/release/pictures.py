"""Makes the pictures of the README and of notebook 00.

python -m course_staff pictures map                      # course_lib/assets/course_map.png, for notebook 00
python -m course_staff pictures strip [--model digits]   # docs/images/noise_to_digit.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from course_lib import plotting
from course_lib.checkpoint import load_model
from course_lib.command.parser import expanded, typed_path
from course_lib.data import binarise, digits, toys
from course_lib.files import write_atomically
from course_lib.gaussian import per_sample
from course_lib.oracle import mixture_denoiser
from course_lib.plotting.picture import STYLE
from course_lib.sampling import ddim, sample
from course_lib.schedule import STANDARD, Cosine

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
ASSETS = ROOT / "course_lib" / "assets"
BLUE, ORANGE = plotting.PALETTE[:2]
SIZE = (9.6, 4.95)  # of the map, inches
BOX = (2.5, 1.5)

# (number, name, its question) in walking order; REASONS: why to walk on to the next
STATIONS = (
    ("01", "Naive diffusion", "Flip some pixels.\nCan a network flip\nthem back?"),
    ("02", "Gaussians", "Which noise can\nwe calculate with?"),
    ("03", "The forward process", "How much noise,\nand when?"),
    ("04", "The loss we deserve", "What should\na network learn?"),
    ("05", "DDPM", "Predict the noise:\ndigits appear"),
    ("06", "The continuous view", "What if the steps\nbecome tiny?"),
)
REASONS = (
    "no formulas\nfor the noise",
    "one noise,\nmany levels",
    "the way back needs the clean image, which nobody has",
    "right, but\na noisy loss",
    "too many\nsteps",
)
LATER = "later:  guidance  ·  few-step samplers  ·  energies  ·  flow matching  ·  latent and discrete diffusion"
MAP_ALT = (
    "Map of the course. From notebook 00, Start here, a path leads through six notebooks: 01 Naive diffusion, "
    "02 Gaussians, 03 The forward process, 04 The loss we deserve, 05 DDPM, 06 The continuous view; "
    "later topics are listed below."
)


def course_map() -> plotting.Picture:
    """The map: six stations in two rows, each with a drawing of its own subject, joined by the reason to go on."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=SIZE, dpi=100)
        canvas = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        canvas.set(xlim=(0, SIZE[0]), ylim=(0, SIZE[1]))
        canvas.set_axis_off()
        corners = [(0.15 + 3.4 * (i % 3), 2.6 if i < 3 else 0.55) for i in range(6)]
        for station, (x, y), draw in zip(STATIONS, corners, DRAWINGS, strict=True):
            _station(canvas, x, y, *station)
            inset = figure.add_axes(((x + 1.5) / SIZE[0], (y + 0.1) / SIZE[1], 0.95 / SIZE[0], 0.95 / SIZE[1]))
            inset.set_axis_off()
            draw(inset)
        _paths(canvas, corners)
        canvas.text(SIZE[0] / 2, 0.22, LATER, ha="center", va="center", fontsize=9, color="0.35", style="italic")
    return plotting.Picture(figure, MAP_ALT)


def _station(canvas: Axes, x: float, y: float, number: str, name: str, question: str) -> None:
    shape = "round,pad=0.02,rounding_size=0.12"
    canvas.add_patch(FancyBboxPatch((x, y), *BOX, boxstyle=shape, fc="white", ec=BLUE, lw=1.8))
    canvas.text(x + 0.12, y + 1.27, number, fontsize=14, weight="bold", color=BLUE, va="center")
    canvas.text(x + 0.47, y + 1.27, name, fontsize=11, weight="bold", va="center")
    canvas.text(x + 0.12, y + 0.57, question, fontsize=8.5, va="center", linespacing=1.35)


def _paths(canvas: Axes, corners: list[tuple[float, float]]) -> None:
    canvas.text(0.27, 4.7, "00", fontsize=14, weight="bold", color=ORANGE, va="center")
    canvas.text(0.62, 4.7, "Start here: run it, scrub it, check an answer", fontsize=11, weight="bold", va="center")
    _arrow(canvas, (0.4, 4.52), (0.4, 4.15))
    for i, reason in enumerate(REASONS):
        (x, y), (next_x, next_y) = corners[i], corners[i + 1]
        if y == next_y:
            _arrow(canvas, (x + BOX[0] + 0.06, y + 0.55), (next_x - 0.06, y + 0.55))
            middle = (x + BOX[0] + next_x) / 2
            canvas.text(middle, y + 0.66, reason, ha="center", va="bottom", fontsize=7.5, color="0.25")
        else:  # down, back to the left, down
            bend, drop = (y + next_y + BOX[1]) / 2, x + BOX[0] / 2
            landing = next_x + BOX[0] / 2
            canvas.plot([drop, drop, landing], [y - 0.06, bend, bend], color="0.35", lw=1.3, solid_capstyle="butt")
            _arrow(canvas, (landing, bend), (landing, next_y + BOX[1] + 0.04))
            plate = {"fc": "white", "ec": "none", "pad": 2}
            canvas.text(SIZE[0] / 2, bend, reason, ha="center", va="center", fontsize=7.5, color="0.25", bbox=plate)


def _arrow(canvas: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    patch = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color="0.35", lw=1.3, shrinkA=0, shrinkB=0)
    canvas.add_patch(patch)


# ------------------------------------------------------------------------------------ the drawing of each station


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def _grey(axes: Axes, image: Tensor) -> None:
    axes.imshow(plotting.as_pixels(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _flips(axes: Axes) -> None:
    """A binarised digit of which 200 pixels have been set to black or white."""
    image = binarise(digits().of(7)[:1]).flatten()
    hit = torch.randperm(784, generator=_generator())[:200]
    image[hit] = 2 * torch.randint(2, (200,), generator=_generator()).float() - 1
    _grey(axes, image.reshape(28, 28))


def _ellipse(axes: Axes) -> None:
    """Points A e + m, and the ellipses one and two standard deviations away."""
    matrix = torch.tensor([[1.0, 0.3], [0.5, 0.6]])
    circle = torch.linspace(0, 2 * torch.pi, 100)
    points = torch.randn(150, 2, generator=_generator()) @ matrix.T
    axes.scatter(points[:, 0], points[:, 1], s=4, color=BLUE, alpha=0.6, lw=0)
    for deviations in (1, 2):
        axes.plot(*(deviations * matrix @ torch.stack([circle.cos(), circle.sin()])), color=ORANGE, lw=1.3)
    axes.set_aspect("equal")


def _fade(axes: Axes) -> None:
    """The letter T with more and more noise from left to right."""
    clean = toys.letter_t()[0, 0]
    level = Cosine()(torch.linspace(0.0, 0.9, 64))
    noise = torch.randn(64, 64, generator=_generator())
    _grey(axes, (per_sample(level.alpha, clean) * clean.T + per_sample(level.sigma, noise) * noise).T)


def _two_laws(axes: Axes) -> None:
    """One Gaussian trying to cover two bumps: the penalty of notebook 04."""
    x = torch.linspace(-3, 3, 200)
    bumps = 0.6 * torch.exp(-2 * (x + 1) ** 2) + 0.4 * torch.exp(-4 * (x - 1.1) ** 2)
    axes.fill_between(x, bumps, color=ORANGE, alpha=0.35, lw=0)
    axes.plot(x, 0.45 * torch.exp(-0.4 * (x + 0.1) ** 2), color=BLUE, lw=1.8)
    axes.set(ylim=(0, 0.75))


def _emergence(axes: Axes) -> None:
    """A digit with less and less noise from left to right."""
    clean = digits().of(3)[4, 0]
    level = Cosine()(torch.linspace(1.0, 0.0, 28))
    noise = torch.randn(28, 28, generator=_generator())
    _grey(axes, (per_sample(level.alpha, clean) * clean.T + per_sample(level.sigma, noise) * noise).T)


def _flow(axes: Axes) -> None:
    """Paths of the exact probability-flow ODE from noise (left) to two points (right): first coordinate over time."""
    schedule = STANDARD
    times = schedule.times(60)
    start = torch.linspace(-2, 2, 13, dtype=torch.float64)[:, None] * torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    states = sample(mixture_denoiser(toys.two_points()), schedule, times, start, ddim, _generator())
    for track in torch.stack([state.x[:, 0] for state in states], dim=1):
        axes.plot(1 - times, track, color=BLUE, lw=0.9)


DRAWINGS = (_flips, _ellipse, _fade, _two_laws, _emergence, _flow)


# ------------------------------------------------------------------------------------------- from noise to digits


def noise_to_digit(model: str, rows: int = 3, columns: int = 10, steps: int = 45, seed: int = 5) -> plotting.Picture:
    """`rows` samples of a trained model, each shown at `columns` moments on its way from noise (left) to digit."""
    trained = load_model(model)
    times = trained.schedule.times(steps)
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(rows, *trained.image_shape, generator=generator)
    walk = [state.x for state in sample(trained.denoiser(), trained.schedule, times, start, ddim, generator)]
    shown = torch.stack([walk[round(i)] for i in torch.linspace(0, steps, columns).tolist()], dim=1).flatten(0, 1)
    alt = f"{rows} rows of {columns} images: pure noise on the left turns, step by step, into handwritten digits"
    return plotting.image_grid(plotting.as_pixels(shown), alt=alt, ncols=columns, cell=0.9)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course_staff pictures", description=__doc__.split("\n")[0])
    parser.add_argument("picture", choices=("map", "strip"))
    parser.add_argument(
        "--model", type=expanded, default="digits", help="the shipped model's name, or a folder made by train"
    )
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=typed_path, help="where to write the PNG instead")
    options = parser.parse_args(arguments)
    try:
        if options.picture == "map":
            picture, target = course_map(), ASSETS / "course_map.png"
        else:
            picture, target = noise_to_digit(options.model, seed=options.seed), IMAGES / "noise_to_digit.png"
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    target = options.out or target
    write_atomically(target, picture.png())
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
