"""Record notebook 06's grid, quality against evaluations of the network: `python -m course_staff.studies.nb06`.

The shipped digits model under DDPM, DDIM, Heun and Euler-Maruyama, with budgets of 1 to 250 evaluations: about half an
hour on one core. The result goes to `assets/recorded/06_samplers.json`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from course_lib.checkpoint import Model, load_model
from course_lib.continuous import reverse_sde
from course_lib.data import digits
from course_lib.metrics import digit_features, frechet_distance
from course_lib.sampling import STEPS, State, last, sample
from course_lib.schedule import log_snr_times

from .recording import SEEDS, Values, verdict, write_recording

BUDGETS = (1, 2, 4, 8, 16, 32, 64, 250)
SAMPLES = 256
SETTINGS = (
    f"the shipped digits model, x_0 clipped; {SAMPLES} samples a cell, against all 9,000 training digits; times evenly"
    f" spaced in log SNR; starting noise of seeds {', '.join(map(str, SEEDS))}; spread: standard deviation over the"
    f" seeds; real: three disjoint sets of {SAMPLES} held-back digits against the same 9,000; Heun spends two"
    " evaluations a step and one on the last, so 2n - 1 in n steps, at most the budget"
)
REAL = f"{SAMPLES} real digits"


def steps_for(sampler: str, budget: int) -> tuple[int, int]:
    """The number of steps that `budget` evaluations pay for, and the evaluations that these take."""
    steps = (budget + 1) // 2 if sampler == "Heun" else budget
    return steps, 2 * steps - 1 if sampler == "Heun" else steps


def sample_states(model: Model, sampler: str, steps: int, x: Tensor, generator: torch.Generator) -> Iterator[State]:
    """All states of `sampler` from the noise `x` (N, 1, 28, 28)."""
    denoiser, times = model.denoiser(clip_x0=True), log_snr_times(model.schedule, steps)
    if sampler == "Euler-Maruyama":
        return reverse_sde(denoiser, model.schedule, times, x, generator)
    return sample(denoiser, model.schedule, times, x, STEPS[sampler.lower()], generator)


def distance(model: Model, sampler: str, budget: int, seed: int, reference: Tensor, count: int) -> float:
    """Fréchet distance of `count` samples to the features `reference`; the same starting noise for every sampler."""
    generator = torch.Generator().manual_seed(2000 + seed)
    noise = torch.randn(count, 1, *model.image_shape[1:], generator=generator)
    samples = last(sample_states(model, sampler, steps_for(sampler, budget)[0], noise, generator)).clamp(-1, 1)
    return frechet_distance(reference, digit_features(samples))


def pairs() -> list[tuple[str, str]]:
    """The comparisons that get a verdict."""
    chosen = [(f"DDIM, {n}", f"DDPM, {n}") for n in (4, 8, 16, 32, 64, 250)]
    chosen += [(f"Heun, {n}", f"DDIM, {n}") for n in (4, 8, 16, 32, 64, 250)]
    chosen += [(f"DDPM, {n}", f"Euler-Maruyama, {n}") for n in (16, 32, 64, 250)]
    chosen += [(f"{sampler}, 250", REAL) for sampler in ("DDPM", "DDIM", "Heun", "Euler-Maruyama")]
    return chosen


def grid(budgets: tuple[int, ...], count: int, note: Callable[[str], None]) -> Values:
    """Fréchet distances by "sampler, budget", one a seed; `note` hears of every finished cell."""
    model, reference = load_model("digits"), digit_features(digits().images)
    unseen = digit_features(digits("held_back").images)
    found = {REAL: [frechet_distance(reference, unseen[i * count : (i + 1) * count]) for i in range(len(SEEDS))]}
    for budget in budgets:
        for sampler in ("DDPM", "DDIM", "Heun", "Euler-Maruyama"):
            key = f"{sampler}, {budget}"
            found[key] = [distance(model, sampler, budget, seed, reference, count) for seed in SEEDS]
            note(f"{key}: {', '.join(f'{v:.2f}' for v in found[key])}")
    return found


def grid_summary(values: Values) -> dict[str, dict[str, Any]]:
    """Every cell's mean, spread, values rounded, and true number of evaluations."""
    results: dict[str, dict[str, Any]] = {}
    for key, exact in values.items():
        v = [round(x, 2) for x in exact]
        results[key] = {"mean": round(statistics.mean(v), 4), "spread": round(statistics.stdev(v), 4), "values": v}
        if key != REAL:
            sampler, budget = key.split(", ")
            results[key]["evaluations"] = steps_for(sampler, int(budget))[1]
    return results


def main(arguments: list[str] | None = None) -> int:
    description = "Record the grid of samplers of notebook 06."
    argparse.ArgumentParser(prog="python -m course_staff.studies.nb06", description=description).parse_args(arguments)
    with tqdm(total=4 * len(BUDGETS), desc="samplers") as bar:

        def note(line: str) -> None:
            tqdm.write(line)
            bar.update()

        results = grid_summary(grid(BUDGETS, SAMPLES, note))
    values = {key: row["values"] for key, row in results.items()}
    verdicts = [verdict(a, b, values, "Fréchet distance") for a, b in pairs() if a in values and b in values]
    write_recording("06_samplers", "nb06", SETTINGS, results, verdicts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
