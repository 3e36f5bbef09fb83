"""Record the small experiments of notebook 05: `python -m course_staff.studies.nb05 targets|noise_level|memorise`.

Small enough that three seeds of everything take a quarter of an hour on one core: digits averaged down to 12 x 12, a
UNet of 24 and 48 channels, 1,000 steps of 64 images. Results go to `assets/recorded/`.

The training is older than the library's present recipe and is kept as it was recorded: AdamW alone instead of Muon, a
longer warm-up, channels normalised in groups.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_lib.data import digits
from course_lib.metrics import digit_features, frechet_distance, nearest_neighbours
from course_lib.objective import simple, weighted
from course_lib.parametrization import Parametrization, network_denoiser
from course_lib.sampling import STEPS, last, sample
from course_lib.schedule import Linear, log_normal_law, log_snr_times
from course_lib.training import Ema, learning_rate_factor
from course_lib.unet import UNet, UNetConfig

from .recording import SEEDS, Values, summary, verdict, write_recording

SIDE, STEPS_OF_TRAINING, BATCH, SAMPLES = 12, 1000, 64, 400
LAYOUT = UNetConfig(width=24, multipliers=(1, 2), head_dim=24, patch=2)
SETTINGS = (
    f"digits at {SIDE} x {SIDE}; UNet of 24 and 48 channels, normalised in groups of 4; {STEPS_OF_TRAINING} steps of"
    f" {BATCH} with AdamW alone, rate 0.004 after a warm-up of 100 steps, falling along a cosine; {SAMPLES} samples of"
    f" the average; seeds {', '.join(map(str, SEEDS))}; spread: standard deviation over the seeds; "
)
SAMPLED = {"targets": "DDIM, 25 steps", "noise_level": "DDIM or DDPM, 50 steps", "memorise": "DDIM, 25 steps"}
SCHEDULE = Linear()

Loss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
"""(network, x_0, t, noise) -> loss, ()."""


class Untold(nn.Module):
    """A network that is told the same noise level always."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        return self.network(x, torch.zeros_like(log_snr))


def shrink(images: Tensor) -> Tensor:
    """(N, 1, 28, 28) -> (N, 1, SIDE, SIDE), by averaging."""
    return F.adaptive_avg_pool2d(images, SIDE)


def features(images: Tensor) -> Tensor:
    """Features of small images, enlarged to what the feature network knows."""
    return digit_features(F.interpolate(images, 28, mode="bilinear", align_corners=False))


def simple_loss(target: str) -> Loss:
    """Squared error of the network's own target, at weight 1."""
    parametrization = Parametrization(target, sigma_data=0.5)

    def loss(network: nn.Module, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return simple(network, parametrization, x_0, SCHEDULE(t), noise)

    return loss


def bound_weight(t: Tensor) -> Tensor:
    """The continuous bound's weight on |x_0 - x0_hat|**2 for t uniform, snr |d log_snr / dt| = snr beta / sigma**2.

    Scaled so that the squared error of the noise has a mean weight of 1, as in the simple loss.
    """

    def of_noise(t: Tensor) -> Tensor:
        return SCHEDULE.rates(t).diffusion ** 2 / SCHEDULE(t).sigma ** 2

    grid = torch.arange(1, 1001, dtype=torch.float64) / 1000
    return of_noise(t) / of_noise(grid).mean() * SCHEDULE(t).snr


def bound_loss(target: str) -> Loss:
    """The bound's integrand, for a network with this target."""
    parametrization = Parametrization(target, sigma_data=0.5)

    def loss(network: nn.Module, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        denoiser = network_denoiser(network, parametrization)
        return weighted(denoiser, x_0, SCHEDULE(t), noise, lambda marginal: bound_weight(t))

    return loss


def uniform_law(batch: int, generator: torch.Generator) -> Tensor:
    """Ho et al.'s: one of 1,000 steps, all equally likely. (batch,), float64."""
    return torch.randint(1, 1001, (batch,), generator=generator).double() / 1000


def course_law(batch: int, generator: torch.Generator) -> Tensor:
    """The times whose noise levels follow the law that the course trains with. (batch,), float64."""
    return SCHEDULE.time_at(log_normal_law()(batch, generator).log_snr)


def fit(
    network: nn.Module, images: Tensor, loss: Loss, seed: int, times: Callable[..., Tensor] = course_law
) -> nn.Module:
    """Train on `images` (N, 1, SIDE, SIDE) at `times`, with AdamW alone; returns the average."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = Ema(network)
    for step in range(STEPS_OF_TRAINING):
        optimizer.param_groups[0]["lr"] = 4e-3 * learning_rate_factor(step, step / STEPS_OF_TRAINING, 100)
        x_0 = images[torch.randint(len(images), (BATCH,), generator=generator)]
        t = times(BATCH, generator)
        loss(network, x_0, t, torch.randn(x_0.shape, generator=generator)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.update(network, step + 1)
    return ema.average


@torch.no_grad()
def samples(network: nn.Module, target: str, seed: int, sampler: str = "ddim", steps: int = 25) -> Tensor:
    """SAMPLES images of `network`, (SAMPLES, 1, SIDE, SIDE)."""
    denoiser = network_denoiser(network, Parametrization(target, sigma_data=0.5), clip_x0=True)
    generator = torch.Generator().manual_seed(1000 + seed)
    x = torch.randn(SAMPLES, 1, SIDE, SIDE, generator=generator)
    return last(sample(denoiser, SCHEDULE, log_snr_times(SCHEDULE, steps), x, STEPS[sampler], generator))


def fresh_network(seed: int) -> UNet:
    torch.manual_seed(seed)
    return UNet(LAYOUT)


def targets(bar: tqdm) -> Values:
    """Fréchet distance of four targets crossed with two weights."""
    images = shrink(digits().images)
    real = features(images[:SAMPLES])
    found: Values = {}
    for weight, make in (("simple", simple_loss), ("bound", bound_loss)):
        for target in ("x0", "eps", "v", "edm"):
            for seed in SEEDS:
                network = fit(fresh_network(seed), images, make(target), seed, uniform_law)
                distance = frechet_distance(real, features(samples(network, target, seed)))
                found.setdefault(f"{target}, {weight}", []).append(distance)
                bar.update()
    return found


def noise_level(bar: tqdm) -> Values:
    """Fréchet distance of a network that is told the noise level and of one that is not, under DDIM and DDPM."""
    images = shrink(digits().images)
    real = features(images[:SAMPLES])
    found: Values = {}
    for name in ("told", "not told"):
        for seed in SEEDS:
            network = fresh_network(seed)
            trained = fit(network if name == "told" else Untold(network), images, simple_loss("edm"), seed)
            for sampler in ("ddim", "ddpm"):
                distance = frechet_distance(real, features(samples(trained, "edm", seed, sampler, steps=50)))
                found.setdefault(f"{name}, {sampler.upper()}", []).append(distance)
            bar.update()
    return found


def memorise(bar: tqdm) -> Values:
    """Share of samples that copy a training digit, by the number of digits trained on.

    A copy: less than half as far from its nearest training digit as the held-back digits are, at the median.
    """
    images, unseen = shrink(digits().images), shrink(digits("held_back").images)
    found: Values = {}
    for count in (10, 9000):
        yardstick = nearest_neighbours(unseen, images[:count])[0].median()
        for seed in SEEDS:
            network = fit(fresh_network(seed), images[:count], simple_loss("edm"), seed)
            distance = nearest_neighbours(samples(network, "edm", seed), images[:count])[0]
            found.setdefault(str(count), []).append(float((distance < yardstick / 2).float().mean()))
            bar.update()
    return found


EXPERIMENTS: dict[str, tuple[Callable[[tqdm], Values], int, list[tuple[str, str]], str]] = {
    "targets": (
        targets,
        24,
        [
            *((f"{target}, simple", f"{target}, bound") for target in ("x0", "eps", "v", "edm")),
            *((f"{a}, simple", f"{b}, simple") for a, b in combinations(("x0", "eps", "v", "edm"), 2)),
        ],
        "Fréchet distance",
    ),
    "noise_level": (
        noise_level,
        6,
        [("told, DDIM", "not told, DDIM"), ("told, DDPM", "not told, DDPM"), ("not told, DDIM", "not told, DDPM")],
        "Fréchet distance",
    ),
    "memorise": (memorise, 6, [("9000", "10")], "share of copies"),
}


def settings(name: str) -> str:
    """What is kept of how experiment `name` was made."""
    levels = "Ho et al. (t uniform)" if name == "targets" else "the course's training (log-normal)"
    return f"{SETTINGS}sampled with {SAMPLED[name]}; noise levels as in {levels}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course_staff.studies.nb05", description="Record the small experiments of notebook 05."
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    name = parser.parse_args(arguments).experiment
    experiment, runs, pairs, unit = EXPERIMENTS[name]
    with tqdm(total=runs, desc=name) as bar:
        values = experiment(bar)
    verdicts = [verdict(a, b, values, unit) for a, b in pairs]
    write_recording(f"05_{name}", f"nb05 {name}", settings(name), summary(values), verdicts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
