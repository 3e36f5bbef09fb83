"""Our networks beside a usual one, in one process on this machine: `python -m course_lib bench`.

The usual one is `diffusers.UNet2DModel` for 28 x 28 pixels, 32, 64 and 64 channels, attention at the two lower levels,
two residual blocks a level. As in the usual tutorial it predicts the noise, its noise levels are uniform in the time of
the linear schedule (here continuous), and it learns with AdamW at 1e-3 in batches of 128. All else it shares with ours,
by `training.train`: stratified levels, betas (0.9, 0.99), warm-up and cosine decay of the rate, clipped gradients, the
averaged network, `channels_last`; and `sampling.sample`. All on the processor, also where there is a GPU. Only ratios
within one run mean anything: absolute figures are this machine's, today.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from course_lib.command.machine import elapsed, machine, matmul_peak, peak_memory
from course_lib.data import digits, to_unit
from course_lib.files import only_run, write_atomically
from course_lib.metrics import digit_features, frechet_distance
from course_lib.parametrization import Network, Parametrization, network_denoiser
from course_lib.sampling import ddim, heun, last, sample
from course_lib.schedule import STANDARD, Linear, NoiseLaw, karras_times, uniform_in_time
from course_lib.training import TrainConfig, train
from course_lib.unet import PRESETS, UNet, channels_last, parameter_count

from .diffusers_unet import USUAL, DiffusersUNet

REFERENCE = "diffusers"


@dataclass(frozen=True)
class Contender:
    """A network and its recipe. `marks`: the shares of the training time after which it is judged."""

    name: str
    build: Callable[[], Any]
    recipe: TrainConfig
    parametrization: Parametrization = Parametrization()
    noise_law: NoiseLaw | None = None  # None: the recipe's
    marks: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class BenchSettings:
    """What is measured. `seconds` of training each; `samples` for each Fréchet distance, by Heun in `heun_steps`."""

    seconds: float = 180.0
    batch: int = 128  # at which speed and memory are measured
    rounds: int = 5  # of every timing, taken in turns; the median counts
    samples: int = 500
    heun_steps: int = 10
    ddim_steps: int = 50
    drawn: int = 64  # images drawn for the speed of sampling


@dataclass
class Figures:
    """What was measured of one contender. Rates per second; `operations` of one image's training step, in FLOP."""

    parameters: int
    operations: int
    train_rate: float = 0.0
    sample_rate: float = 0.0
    memory: int | None = None  # bytes above what the process had before
    steps: int = 0
    images: int = 0
    distances: dict[float, float] = field(default_factory=dict)  # seconds of training -> Fréchet distance


def contenders(presets: tuple[str, ...], reference: bool) -> list[Contender]:
    """Our presets with the library's recipe, and the usual network with the usual one (at a rate of 1e-3)."""
    marks = (1 / 36, 1 / 18, 1 / 12, 1 / 6, 1 / 3, 1 / 2, 1.0)
    found = []
    for name in presets:
        if name not in PRESETS or PRESETS[name].channels != 1 or 28 % PRESETS[name].divisor:
            fitting = [key for key, layout in PRESETS.items() if layout.channels == 1 and 28 % layout.divisor == 0]
            raise ValueError(f"preset {name!r}: expected one for digits, {', '.join(fitting)}")
        found.append(Contender(name, partial(UNet, PRESETS[name]), TrainConfig(steps=1), marks=marks))
    if reference:
        usual = TrainConfig(steps=1, optimizer="adamw", learning_rate=1e-3, warmup=5, batch=128)
        found.append(
            Contender(
                REFERENCE, partial(DiffusersUNet, USUAL, 28), usual, Parametrization("eps"), uniform_in_time(Linear())
            )
        )
    return found


def operations(network: nn.Module, image: tuple[int, int, int] = (1, 28, 28)) -> int:
    """Floating-point operations of training on one `image` (C, H, W), forward and backward; leaves no gradients.

    A multiplication and an addition are two. Attention is computed as plain products of matrices, which the counter
    knows: it counts nothing for the fused kernel of CPUs.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *image), torch.zeros(1)).square().mean().backward()
    network.zero_grad(set_to_none=True)
    return counter.get_total_flops()


def speeds(entries: list[Contender], settings: BenchSettings, note: Callable[[str], None]) -> dict[str, Figures]:
    """Rates and memory of every contender, measured in turns so that a slow minute hits all of them."""
    images = digits().images
    figures, steppers, drawers = {}, {}, {}
    for entry in entries:
        torch.manual_seed(0)
        network = entry.build()
        figures[entry.name] = Figures(parameter_count(network), operations(network))
        recipe = replace(entry.recipe, steps=10**9, seconds=None, batch=settings.batch, device="cpu")
        states = train(network, entry.parametrization, images, recipe, entry.noise_law)
        steppers[entry.name] = states
        figures[entry.name].memory = peak_memory(partial(list, islice(states, 2)))  # warms up, too
        drawers[entry.name] = channels_last(deepcopy(network)).eval()
        note(f"{entry.name}: warmed up")
    times: dict[str, dict[str, list[float]]] = {e.name: {"train": [], "sample": []} for e in entries}
    for _ in range(settings.rounds):
        for name, states in steppers.items():
            times[name]["train"].append(elapsed(partial(next, states)))
        note("one round of training steps")
    for turn in range(max(1, settings.rounds // 2)):
        for name, network in drawers.items():
            spent = elapsed(partial(draw_images, network, settings.drawn, settings.ddim_steps, "ddim", seed=turn))
            times[name]["sample"].append(spent)
        note("one round of sampling")
    for name, found in figures.items():
        found.train_rate = settings.batch / statistics.median(times[name]["train"])
        found.sample_rate = settings.drawn / statistics.median(times[name]["sample"])
    return figures


@torch.no_grad()
def draw_images(
    network: Network,
    count: int,
    steps: int,
    sampler: str,
    seed: int = 0,
    parametrization: Parametrization = Parametrization(),  # noqa: B008  (a frozen value)
) -> Tensor:
    """`count` images (count, 1, 28, 28) in [-1, 1], in parts of at most 250."""
    generator = torch.Generator().manual_seed(seed)
    denoiser, times = network_denoiser(network, parametrization, clip_x0=True), karras_times(STANDARD, steps)
    step, done = {"ddim": ddim, "heun": heun}[sampler], []
    for start in range(0, count, 250):
        noise = torch.randn(min(250, count - start), 1, 28, 28, generator=generator)
        done.append(last(sample(denoiser, STANDARD, times, noise, step, generator)))
    return torch.cat(done)


def learn(
    entry: Contender, figures: Figures, settings: BenchSettings, reference: Tensor, note: Callable[[str], None]
) -> Tensor:
    """Train for `settings.seconds` by the clock, fill in the distances at the marks; returns the last samples."""
    torch.manual_seed(0)
    recipe = replace(entry.recipe, steps=None, seconds=settings.seconds, device="cpu")
    marks, kept, state = list(entry.marks), {}, None
    for state in train(entry.build(), entry.parametrization, digits().images, recipe, entry.noise_law):
        while marks and state.progress >= marks[0]:
            kept[round(marks.pop(0) * settings.seconds, 1)] = deepcopy(state.average).eval()
        note("")
    if state is None:
        raise RuntimeError(f"{entry.name}: not one step fitted into {settings.seconds:g} s")
    if marks:  # the clock ran out between two steps
        kept[round(marks[-1] * settings.seconds, 1)] = deepcopy(state.average).eval()
    figures.steps, figures.images = state.step, state.step * recipe.batch
    for seconds, network in kept.items():
        samples = draw_images(network, settings.samples, settings.heun_steps, "heun", 1, entry.parametrization)
        figures.distances[seconds] = frechet_distance(digit_features(samples), reference)
        note(f"{entry.name} after {seconds:g} s: Fréchet distance {figures.distances[seconds]:.2f}")
    return samples


def ratios(figures: dict[str, Figures]) -> dict[str, dict[str, float | None]]:
    """Each of ours against the usual network: faster by, nearer by, the seconds until it was as near (None: never)."""
    if REFERENCE not in figures:
        return {}
    usual = figures[REFERENCE]
    found: dict[str, dict[str, float | None]] = {}
    for name, mine in figures.items():
        if name == REFERENCE:
            continue
        found[name] = {
            "training": mine.train_rate / usual.train_rate,
            "sampling": mine.sample_rate / usual.sample_rate,
        }
        if mine.distances and usual.distances:
            goal = list(usual.distances.values())[-1]
            found[name]["distance"] = list(mine.distances.values())[-1] / goal
            reached = [seconds for seconds, distance in mine.distances.items() if distance <= goal]
            found[name]["seconds to its distance"] = min(reached, default=None)
    return found


def run(entries: list[Contender], settings: BenchSettings, out: Path) -> dict[str, Any]:
    """Measure everything, write `bench.json`, `bench.png` and a sheet of samples of each into `out`, print a table."""
    out.mkdir(parents=True, exist_ok=True)
    with progress(entries, settings) as note:
        peak = matmul_peak()
        figures = speeds(entries, settings, note)
        reference = digit_features(digits().images)
        unseen = digit_features(digits("held_back").images[: settings.samples])
        sheets = {entry.name: learn(entry, figures[entry.name], settings, reference, note) for entry in entries}
    result = {
        "settings": asdict(settings),
        "machine": asdict(machine()),
        "matmul peak, GFLOP/s": round(peak / 1e9, 1),
        "real digits": frechet_distance(unseen, reference),
        "figures": {name: asdict(found) for name, found in figures.items()},
        "ratios": ratios(figures),
    }
    write_atomically(out / "bench.json", json.dumps(result, indent=2) + "\n")
    print(markdown_table(result))
    from course_lib.plotting import save_sheet

    for name, samples in sheets.items():
        save_sheet(to_unit(samples[:64]), out / f"{name}.png")
    plot(result).save(out / "bench.png")
    print(f"figures, plot and samples are in {out}")
    return result


@contextlib.contextmanager
def progress(entries: list[Contender], settings: BenchSettings) -> Iterator[Callable[[str], None]]:
    """A bar of the seconds expected in all, which a note moves on to the time spent so far."""
    started, total = time.monotonic(), len(entries) * (settings.seconds * 1.2 + 15)
    with tqdm(total=round(total), unit="s", desc="bench", mininterval=1) as bar:

        def note(line: str) -> None:
            if line:
                bar.set_postfix_str(line)
            bar.n = min(round(time.monotonic() - started), bar.total)
            bar.update(0)

        yield note


def markdown_table(result: dict[str, Any]) -> str:
    """The figures as Markdown, then the ratios in words."""
    peak, seconds = result["matmul peak, GFLOP/s"] * 1e9, result["settings"]["seconds"]
    lines = [
        f"matrix product, float32, at its best: {peak / 1e9:.0f} GFLOP/s; {result['settings']['samples']} held-back"
        f" digits are at a Fréchet distance of {result['real digits']:.2f} from the 9,000",
        "",
        "| network | parameters | MFLOP an image | trained images/s | share of peak | drawn images/s |"
        f" memory, MB | distance after {seconds:g} s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in result["figures"].items():
        memory = "?" if row["memory"] is None else f"{row['memory'] / 2**20:.0f}"
        distance = list(row["distances"].values())[-1] if row["distances"] else float("nan")
        cells = [name, f"{row['parameters']:,}", f"{row['operations'] / 1e6:.0f}", f"{row['train_rate']:.0f}"]
        cells += [f"{row['train_rate'] * row['operations'] / peak:.0%}", f"{row['sample_rate']:.1f}", memory]
        lines.append(f"| {' | '.join([*cells, f'{distance:.2f}'])} |")
    lines.append("")
    for name, row in result["ratios"].items():
        said = f"{name} against {REFERENCE}: trains {row['training']:.1f} x, draws {row['sampling']:.1f} x as fast"
        if "distance" in row:
            nearer, within = row["distance"], row["seconds to its distance"]
            share = f"1/{1 / nearer:.1f} of" if nearer <= 1 else f"{nearer:.1f} x"
            said += f"; after {seconds:g} s each, {share} its Fréchet distance"
            said += "; never as near as that" if within is None else f"; as near as that within {within:g} s"
        lines.append(said)
    return "\n".join(lines)


def plot(result: dict[str, Any]) -> Any:
    """Fréchet distance over seconds of training, on logarithmic axes; the held-back digits' as a line."""
    from course_lib.plotting import curves

    lines = {name: (list(r["distances"]), list(r["distances"].values())) for name, r in result["figures"].items()}
    seconds = [s for x, _ in lines.values() for s in x]
    lines["real digits"] = ([min(seconds), max(seconds)], [result["real digits"]] * 2)
    said = ", ".join(f"{name} ends at {y[-1]:.1f}" for name, (_, y) in lines.items())
    return curves(
        lines, xlabel="seconds of training", ylabel="Fréchet distance", xscale="log", yscale="log", markers=True,
        alt=f"Fréchet distance over seconds of training, both axes logarithmic: {said}",
    )  # fmt: skip


def bench(arguments: Any) -> int:
    """What the command line does; returns the exit code. Raises ValueError for a bad argument before any work."""
    if not arguments.seconds > 0:
        raise ValueError(f"--seconds {arguments.seconds:g}: expected a time above 0")
    if arguments.samples < 65:
        raise ValueError(f"--samples {arguments.samples}: expected at least 65, for 64 features")
    if arguments.reference:
        DiffusersUNet(USUAL, 28)  # where diffusers is missing, that is said now, not after minutes of work
    entries = contenders(tuple(arguments.presets), arguments.reference)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with only_run(out, f"--out {out}"):
        run(entries, BenchSettings(seconds=arguments.seconds, samples=arguments.samples), out)
    return 0
