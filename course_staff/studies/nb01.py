"""Record the small experiments of notebook 01: `python -m course_staff.studies.nb01 order|skips|inputs|steps`.

Small enough that three seeds of everything take a few minutes on one core: digits averaged down to 12 x 12 and made
black and white, an hourglass of 16 and 32 channels, batches of 32. Results go to `assets/recorded/`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_lib.data import binarise, digits
from course_lib.lessons.corruption import random_values
from course_lib.lessons.hourglass import Hourglass
from course_lib.lessons.naive import (
    Example,
    along_the_chain,
    anywhere_on_the_chain,
    by_number_touched,
    fake_denoising,
    fit,
    repair_digits,
)
from course_lib.metrics import digit_features, frechet_distance

from .recording import SEEDS, Values, summary, verdict, write_recording

SIDE, INK = 12, -0.4  # pixels; a small pixel is white where its mean is above this
K, CHAIN, WALKS = 18, 35, 12  # pixels a step (an eighth), steps to alpha = 0.01, walks along the whole chain
BATCH, SAMPLES = 32, 400
TRAINING = 200  # batches of Algorithm 2
SETTINGS = (
    f"digits averaged to {SIDE} x {SIDE}, black and white; hourglass of 16 and 32 channels, waist 8; batches of"
    f" {BATCH}; {SAMPLES} samples against the 1,000 held-back digits; seeds {', '.join(map(str, SEEDS))}; spread:"
    " standard deviation over the seeds; "
)
Curves = dict[str, list[float]]


def small(split: str) -> Tensor:
    """Small black-and-white digits, (N, 1, SIDE, SIDE)."""
    return binarise(F.adaptive_avg_pool2d(digits(split).images, SIDE) - INK)


def features(images: Tensor) -> Tensor:
    """Features of small images, enlarged to what the feature network knows."""
    return digit_features(F.interpolate(images, 28, mode="bilinear", align_corners=False))


def quality(images: Tensor) -> float:
    """Fréchet distance of `images`, made black and white, to the held-back digits."""
    return frechet_distance(real_features(), features(binarise(images)))


@cache
def real_features() -> Tensor:
    return features(small("held_back"))


def hourglass(seed: int, **switches: bool) -> Hourglass:
    torch.manual_seed(seed)
    return Hourglass(16, **switches)


def train_on(network: nn.Module, examples: Iterator[Example], steps: int) -> nn.Module:
    for _ in fit(network, examples, steps):
        pass
    return network


def pure_noise(generator: torch.Generator) -> Tensor:
    return random_values((SAMPLES, 1, SIDE, SIDE), generator)


@torch.no_grad()
def mean_loss(network: nn.Module, examples: list[Example]) -> float:
    losses = [float((network(e.seen, e.t) - e.wanted).square().mean()) for e in examples]
    return statistics.mean(losses)


def add(values: Values, name: str, value: float) -> None:
    values.setdefault(name, []).append(value)


def shuffled_chain(images: Tensor, k: int, steps: int, batch: int, generator: torch.Generator) -> Iterator[Example]:
    """The very examples of `along_the_chain`, those of WALKS walks, once each and in random order."""
    walked = list(islice(along_the_chain(images, k, steps, batch, generator), WALKS * steps))
    seen, t, wanted = (torch.cat([getattr(e, part) for e in walked]) for part in ("seen", "t", "wanted"))
    for chosen in torch.randperm(len(seen), generator=generator).split(batch):
        yield Example(seen[chosen], t[chosen], wanted[chosen])


def order(bar: tqdm) -> tuple[Values, Curves]:
    """Algorithm 1 with its examples in three orders: probe losses while training, and samples.

    Along the chain; the same examples shuffled; and each from a fresh digit at its own random t.

    The probes are held-back digits at the first and at the last quarter of the chain; the curves are seed 0's.
    """
    images, unseen = small("train"), small("held_back")
    values: Values = {}
    curves: Curves = {}
    probe = next(anywhere_on_the_chain(unseen, K, CHAIN, 600, torch.Generator().manual_seed(99)))
    picked = {"first quarter": probe.t <= 0.25, "last quarter": probe.t > 0.75, "all t": probe.t > 0}
    probes = {name: Example(probe.seen[of], probe.t[of], probe.wanted[of]) for name, of in picked.items()}
    streams = {"in sequence": along_the_chain, "shuffled": shuffled_chain, "random t": anywhere_on_the_chain}
    for name, stream in streams.items():
        for seed in SEEDS:
            generator = torch.Generator().manual_seed(seed)
            network = hourglass(seed)
            for state in fit(network, stream(images, K, CHAIN, BATCH, generator), WALKS * CHAIN):
                if seed == 0:
                    curves.setdefault(f"training loss, {name}", []).append(float(state.loss))
                    if state.step % 5 == 0:
                        for part in ("first quarter", "last quarter"):
                            curves.setdefault(f"{part}, {name}", []).append(mean_loss(network, [probes[part]]))
            add(values, f"loss, {name}", mean_loss(network, [probes["all t"]]))
            for feedback, draws in (("means fed back", None), ("pixels drawn", generator)):
                *_, end = fake_denoising(network, pure_noise(generator), CHAIN, draws)
                add(values, f"{name}, {feedback}", quality(end))
            bar.update()
    copied = float((probe.seen - probe.wanted).square().mean())
    curves["copying"] = [copied]
    return values, curves


def skips(bar: tqdm) -> tuple[Values, Curves]:
    """With and without concatenated skips: the error of a learned identity, and Algorithm 2's samples."""
    images, unseen = small("train"), small("held_back")
    values: Values = {}

    def identity_examples(source: Tensor, generator: torch.Generator) -> Iterator[Example]:
        for example in by_number_touched(source, BATCH, generator):
            yield Example(example.seen, example.t, example.seen)

    for name, has in (("with skips", True), ("without skips", False)):
        for seed in SEEDS:
            generator = torch.Generator().manual_seed(seed)
            network = train_on(hourglass(seed, skips=has), identity_examples(images, generator), TRAINING)
            probe = identity_examples(unseen, torch.Generator().manual_seed(99))
            add(values, f"identity, {name}", mean_loss(network, [next(probe) for _ in range(8)]))
            network = train_on(hourglass(seed, skips=has), by_number_touched(images, BATCH, generator), TRAINING)
            add(values, f"samples, {name}", sample_quality(network, generator))
            bar.update()
    return values, {}


def sample_quality(network: nn.Module, generator: torch.Generator, steps: int = 20, between: str = "drawn") -> float:
    """Quality of Algorithm 2's samples."""
    *_, end = repair_digits(network, steps, between, pure_noise(generator), generator)
    return quality(end.x)


def inputs(bar: tqdm) -> tuple[Values, Curves]:
    """Algorithm 2 with the time and the coordinates given or withheld; the same with wrapped edges."""
    images = small("train")
    values: Values = {}
    variants: dict[str, dict[str, bool]] = {
        "time and coordinates": {},
        "no time": {"time": False},
        "no coordinates": {"coordinates": False},
        "wrapped, no coordinates": {"wrap": True, "coordinates": False},
    }
    for name, switches in variants.items():
        for seed in SEEDS:
            generator = torch.Generator().manual_seed(seed)
            network = train_on(hourglass(seed, **switches), by_number_touched(images, BATCH, generator), TRAINING)
            add(values, name, sample_quality(network, generator))
            bar.update()
    return values, {}


def steps(bar: tqdm) -> tuple[Values, Curves]:
    """Algorithm 2's samples by the number of steps and by what is renoised."""
    images = small("train")
    values: Values = {}
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        network = train_on(hourglass(seed), by_number_touched(images, BATCH, generator), 3 * TRAINING)
        for between in ("as it is", "rounded", "drawn"):
            for count in (1, 2, 5, 10, 20, 50):
                add(values, f"{between}, K = {count}", sample_quality(network, generator, count, between))
        add(values, "real digits", quality(images[400 * seed : 400 * (seed + 1)]))
        add(values, "pure noise", quality(pure_noise(generator)))
        bar.update()
    return values, {}


Experiment = Callable[[tqdm], tuple[Values, Curves]]
DISTANCE, ERROR = "Fréchet distance", "mean squared error"
EXPERIMENTS: dict[str, tuple[Experiment, int, list[tuple[str, str, str]], str]] = {
    "order": (
        order,
        9,
        [
            ("loss, in sequence", "loss, shuffled", ERROR),
            ("loss, in sequence", "loss, random t", ERROR),
            ("loss, shuffled", "loss, random t", ERROR),
            *(
                (f"in sequence, {how}", f"{order}, {how}", DISTANCE)
                for how in ("means fed back", "pixels drawn")
                for order in ("shuffled", "random t")
            ),
            *((f"{what}, means fed back", f"{what}, pixels drawn", DISTANCE) for what in ("in sequence", "random t")),
        ],
        f"{K} pixels a step, {CHAIN} steps (alpha = 0.01), {WALKS * CHAIN} batches; loss: of 600 held-back digits, t at"
        " random",
    ),
    "skips": (
        skips,
        6,
        [
            ("identity, with skips", "identity, without skips", ERROR),
            ("samples, with skips", "samples, without skips", DISTANCE),
        ],
        f"identity: {TRAINING} batches of noised digits; samples: {TRAINING} batches, K = 20, pixels drawn",
    ),
    "inputs": (
        inputs,
        12,
        [
            ("time and coordinates", "no time", DISTANCE),
            ("time and coordinates", "no coordinates", DISTANCE),
            ("time and coordinates", "wrapped, no coordinates", DISTANCE),
            ("no coordinates", "wrapped, no coordinates", DISTANCE),
        ],
        f"{TRAINING} batches, K = 20, pixels drawn",
    ),
    "steps": (
        steps,
        3,
        [
            *((f"{a}, K = 20", f"{b}, K = 20", DISTANCE) for a, b in combinations(("as it is", "rounded", "drawn"), 2)),
            *((f"{a}, K = 1", f"{a}, K = 5", DISTANCE) for a in ("as it is", "drawn")),
            *((f"{a}, K = 5", f"{a}, K = 50", DISTANCE) for a in ("as it is", "drawn")),
            ("drawn, K = 10", "drawn, K = 50", DISTANCE),
        ],
        f"{3 * TRAINING} batches; real digits: three sets of {SAMPLES} training digits",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course_staff.studies.nb01", description="Record the small experiments of notebook 01."
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    name = parser.parse_args(arguments).experiment
    experiment, runs, pairs, settings = EXPERIMENTS[name]
    with tqdm(total=runs, desc=name) as bar:
        values, curves = experiment(bar)
    verdicts = [verdict(a, b, values, unit) for a, b, unit in pairs]
    rounded = {key: [round(x, 5) for x in v] for key, v in curves.items()}
    write_recording(f"01_{name}", f"nb01 {name}", SETTINGS + settings, summary(values), verdicts, rounded)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
