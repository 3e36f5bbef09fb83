"""What buys quality per second on a processor: the default recipe, and one thing changed at a time.

`python -m course_staff recipe --seconds 100 --out runs/recipe`: every variant gets the same seconds of one core.
Its steps are timed first and their number follows, so that other work on the machine changes nothing. Judged by the
Fréchet distance of 1,000 samples (Heun, 12 steps) and by the loss on the held-back digits. `--only NAME ...` runs some;
variants that --out has with the same seconds are kept: an interrupted run goes on, two processes can share the work.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from course_lib.command.parser import typed_path
from course_lib.data import digits
from course_lib.engine.devices import autocast
from course_lib.files import write_atomically
from course_lib.metrics import digit_features, frechet_distance
from course_lib.objective import simple
from course_lib.parametrization import Parametrization
from course_lib.schedule import log_normal_law
from course_lib.training import TrainConfig, train
from course_lib.unet import PRESETS, UNet, UNetConfig, parameter_count

from .bench import draw_images

TIMED = 12  # steps, after 4 that warm up
SAMPLES, HEUN_STEPS = 1000, 12


@dataclass(frozen=True)
class Variant:
    """Changes to the default layout (`tiny`), the default recipe and the default target."""

    layout: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    target: str = "edm"


VARIANTS: dict[str, Variant] = {
    "the default": Variant(),
    "the default, seed 1": Variant(recipe={"seed": 1}),
    "the default, seed 2": Variant(recipe={"seed": 2}),
    "AdamW alone": Variant(recipe={"optimizer": "adamw"}),
    "AdamW alone, rate 8e-3": Variant(recipe={"optimizer": "adamw", "learning_rate": 8e-3}),
    "Muon's rate 0.01": Variant(recipe={"muon_rate": 0.01}),
    "Muon's rate 0.04": Variant(recipe={"muon_rate": 0.04}),
    "AdamW's rate 2e-3": Variant(recipe={"learning_rate": 2e-3}),
    "AdamW's rate 8e-3": Variant(recipe={"learning_rate": 8e-3}),
    "batch 32": Variant(recipe={"batch": 32}),
    "batch 128": Variant(recipe={"batch": 128}),
    "warm-up over 100 steps": Variant(recipe={"warmup": 100}),
    "average with decay 0.99": Variant(recipe={"ema_decay": 0.99}),
    "noise law N(-1.2, 1.2)": Variant(recipe={"noise_mean": -1.2, "noise_std": 1.2}),
    "noise law N(0.2, 1.1)": Variant(recipe={"noise_mean": 0.2}),
    "noise law N(-0.2, 1.6)": Variant(recipe={"noise_std": 1.6}),
    "predicts v": Variant(target="v"),
    "predicts eps": Variant(target="eps"),
    "widths 24 and 48": Variant(layout={"width": 24, "multipliers": (1, 2)}),
    "widths 16 and 64": Variant(layout={"width": 16, "multipliers": (1, 4), "head_dim": 32}),
    "widths 32 and 64": Variant(layout={"width": 32, "multipliers": (1, 2), "head_dim": 32}),
    "one level of 48, 4 x 4 packed": Variant(layout={"patch": 4, "multipliers": (1,), "width": 48}),
    "one level of 64, 4 x 4 packed": Variant(layout={"patch": 4, "multipliers": (1,), "width": 64, "head_dim": 32}),
    "normalised in groups of 4 channels": Variant(layout={"groups": 32}),
    "two blocks a level": Variant(layout={"blocks": 2}),
    "attention at every 7 x 7 block": Variant(layout={"attn_levels": (1,)}),
    "told where each pixel is": Variant(layout={"coordinates": True}),
    "nothing packed": Variant(layout={"patch": 1, "multipliers": (1, 2, 3)}),
}


def layout(variant: Variant) -> UNetConfig:
    """The network's layout, for digits."""
    return replace(PRESETS["tiny"], **variant.layout)


def step_seconds(variant: Variant) -> float:
    """The median processor seconds of a training step, with one thread."""
    states = train(UNet(layout(variant)), Parametrization(variant.target), digits().images, recipe(variant, 10**9))
    spent = []
    for _ in range(TIMED + 4):
        started = time.process_time()
        next(states)
        spent.append(time.process_time() - started)
    return statistics.median(spent[4:])


def recipe(variant: Variant, steps: int) -> TrainConfig:
    """The default recipe with the variant's changes, for so many steps."""
    return replace(TrainConfig(steps=steps, device="cpu"), **variant.recipe)


def measure(variant: Variant, seconds: float, samples: int = SAMPLES) -> dict[str, float]:
    """Train for `seconds` of one core and judge. Sets PyTorch's threads to one."""
    torch.set_num_threads(1)
    each = step_seconds(variant)
    config, parametrization = recipe(variant, max(1, round(seconds / each))), Parametrization(variant.target)
    torch.manual_seed(config.seed)
    network = UNet(layout(variant))
    for state in train(network, parametrization, digits().images, config):
        average = state.average
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        drawn = draw_images(average, samples, HEUN_STEPS, "heun", 5, parametrization)
        unseen = digits("held_back").images
        levels = log_normal_law()(len(unseen), generator)
        error = simple(average, parametrization, unseen, levels, torch.randn(unseen.shape, generator=generator))
    return {
        "parameters": parameter_count(network),
        "images a second": round(config.batch / each, 1),
        "steps": config.steps or 0,
        "distance": round(frechet_distance(digit_features(drawn), digit_features(digits().images)), 3),
        "held-back loss": round(float(error), 4),
    }


@dataclass(frozen=True)
class Computation:
    """How one and the same step is computed."""

    memory_format: torch.memory_format = torch.channels_last
    fused: bool = True  # AdamW as one loop over all parameters
    precision: torch.dtype | None = None
    compile: bool = False


COMPUTATIONS: dict[str, Computation] = {
    "as the library does it": Computation(),
    "pixels of a channel side by side": Computation(memory_format=torch.contiguous_format),
    "AdamW not fused": Computation(fused=False),
    "bfloat16": Computation(precision=torch.bfloat16),
    "torch.compile": Computation(compile=True),
}


def stepper(computation: Computation, batch: int = 64) -> Callable[[], None]:
    """A function that takes one training step of `tiny`, with AdamW for everything, computed this way."""
    torch.manual_seed(0)
    network = UNet(PRESETS["tiny"]).to(memory_format=computation.memory_format)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=computation.fused)
    forward = torch.compile(network) if computation.compile else network
    x_0 = digits().images[:batch].contiguous(memory_format=computation.memory_format)
    marginal, noise = log_normal_law()(batch, torch.Generator().manual_seed(0)), torch.randn(x_0.shape)

    def step() -> None:
        with autocast(torch.device("cpu"), computation.precision):
            loss = simple(forward, Parametrization(), x_0, marginal, noise)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def computing(rounds: int = 30) -> str:
    """The speed of each of COMPUTATIONS relative to the first, in turns, with all of PyTorch's threads; Markdown."""
    lines = ["| computed | speed | seconds before the first step |", "|---|--:|--:|"]
    steps: dict[str, Callable[[], None]] = {}
    first: dict[str, float] = {}
    spent: dict[str, list[float]] = {name: [] for name in COMPUTATIONS}
    for name, computation in COMPUTATIONS.items():
        steps[name], started = stepper(computation), time.perf_counter()
        steps[name]()
        first[name] = time.perf_counter() - started
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            spent[name].append(time.perf_counter() - started)
    median = {name: statistics.median(times[2:]) for name, times in spent.items()}
    usual = median["as the library does it"]
    return "\n".join([*lines, *(f"| {name} | {usual / median[name]:.2f} | {first[name]:.1f} |" for name in median)])


def markdown_table(found: dict[str, dict[str, float]]) -> str:
    """The variants as Markdown, in the order of VARIANTS. Losses compare within a target only."""
    lines = ["| changed | parameters | images/s, one core | steps | Fréchet distance | held-back loss |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for name in VARIANTS:
        if name in found:
            row = found[name]
            cells = [name, f"{row['parameters']:,}", f"{row['images a second']:.0f}", f"{row['steps']:,}"]
            lines.append("| " + " | ".join([*cells, f"{row['distance']:.2f}", f"{row['held-back loss']:.4f}"]) + " |")
    return "\n".join(lines)


def row_path(folder: Path, name: str) -> Path:
    """Where `folder` keeps the row of the variant `name`."""
    return folder / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}.json"


def read_row(folder: Path, name: str, seconds: float) -> dict[str, float] | None:
    """The row of the variant `name` in `folder`, measured with so many seconds; None where there is no such row."""
    path = row_path(folder, name)
    row = json.loads(path.read_text()) if path.exists() else {}
    return row if (row.get("name"), row.get("seconds")) == (name, seconds) else None


def read_rows(folder: Path, seconds: float) -> dict[str, dict[str, float]]:
    """What `folder` holds so far of the variants, each with so many seconds."""
    return {name: row for name in VARIANTS if (row := read_row(folder, name, seconds))}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="course_staff recipe", description="Measure what each part of the default recipe is worth."
    )
    parser.add_argument("--seconds", type=float, default=100.0, help="of one core for each variant (default: 100)")
    parser.add_argument("--out", type=typed_path, default=Path("runs/recipe"), metavar="FOLDER")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--part", default="0/1", help="a share of them, such as 1/2 (default: 0/1, all)")
    parser.add_argument("--computing", action="store_true", help="time ways to compute one step instead, in a minute")
    arguments = parser.parse_args(argv)
    if arguments.computing:
        print(computing())
        return 0
    part, parts = (int(word) for word in arguments.part.split("/"))
    for name in tqdm(arguments.only[part::parts], desc="variants"):
        if read_row(arguments.out, name, arguments.seconds):
            continue
        row = {"name": name, "seconds": arguments.seconds, **measure(VARIANTS[name], arguments.seconds)}
        write_atomically(row_path(arguments.out, name), json.dumps(row, indent=2) + "\n")
    print(markdown_table(read_rows(arguments.out, arguments.seconds)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
