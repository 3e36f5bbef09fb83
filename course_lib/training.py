"""The training loop, as a generator: the caller owns the progress bar, the plots, the snapshots and the stopping.

for state in train(network, parametrization, images, TrainConfig(seconds=90)):
    ...                                   # state.step, state.loss, state.average
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from .checkpoint import restore_training
from .engine.gpu import PLAIN, Engine, compiled, hand_over, resident, take
from .engine.parallel import ALONE, Processes
from .muon import Muon, split
from .objective import simple
from .parametrization import Parametrization
from .schedule import Marginal, Schedule
from .unet import UNet, channels_last

NoiseLaw = Callable[[int, torch.Generator], Marginal]
"""(batch, generator) -> one marginal per image, on the generator's device: how often each noise level is visited."""


OPTIMIZERS = ("muon", "adamw")


@dataclass(frozen=True)
class TrainConfig:
    """How long and how to train. Exactly one of `steps` and `seconds`; only `steps` can be repeated (on a CPU, to the
    bit)."""

    steps: int | None = None
    seconds: float | None = None
    batch: int = 64
    optimizer: str = "muon"  # "muon": Muon for the hidden convolutions, AdamW for the rest; "adamw": AdamW for all
    learning_rate: float = 4e-3  # AdamW's at its highest: rises over `warmup` steps, then falls to zero along a cosine
    muon_rate: float = 0.02  # Muon's, likewise
    warmup: int = 20
    weight_decay: float = 0.01
    gradient_clip: float = 1.0  # the norm to which larger gradients are shortened
    ema_decay: float = 0.9999  # where the average's warm-up ends
    noise_mean: float = -0.2  # of ln(sigma / alpha) over the training images; unused where a noise law is given
    noise_std: float = 1.1
    label_dropout: float = 0.1  # how often a label is withheld, so that the network also learns to do without
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError("say how long to train: either steps or seconds")
        length = self.steps if self.steps is not None else self.seconds
        if length is None or not 0 < length < math.inf:
            raise ValueError(f"expected a positive number of steps or seconds, got {length}")
        if self.batch < 1:
            raise ValueError(f"expected a batch of at least 1 image, got {self.batch}")
        for name in ("learning_rate", "muon_rate", "noise_std"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise ValueError(f"expected {name} above 0 and finite, got {value}")
        if not math.isfinite(self.noise_mean):
            raise ValueError(f"expected a finite noise_mean, got {self.noise_mean}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {self.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}")


@dataclass(frozen=True)
class TrainState:
    """Where training stands after `step` steps. `loss` () is this step's; `average` is the network to sample from."""

    step: int
    loss: Tensor
    seconds: float
    progress: float  # the share of the planned steps or seconds that is done, 0 to 1
    network: UNet
    average: UNet
    optimizers: list[torch.optim.Optimizer]


def log_normal(mean: float = -0.2, std: float = 1.1) -> NoiseLaw:
    """ln(sigma / alpha) ~ N(mean, std**2), variance preserving (Karras et al. 2022, section 5).

    Stratified: the batch's levels are spread evenly over the law's quantiles, which takes noise out of the loss.
    """

    def draw(batch: int, generator: torch.Generator) -> Marginal:
        quantiles = _spread(batch, generator).clamp(1e-6, 1 - 1e-6)
        return Marginal.from_ratio(torch.exp(mean + std * torch.special.ndtri(quantiles)).float())

    return draw


def uniform_in_time(schedule: Schedule) -> NoiseLaw:
    """t uniform on (0, end) of a continuous schedule (Ho et al. 2020 for its table), stratified as `log_normal`."""

    def draw(batch: int, generator: torch.Generator) -> Marginal:
        marginal = schedule(schedule.end * (1 - _spread(batch, generator)))
        return Marginal(marginal.alpha.float(), marginal.sigma.float())

    return draw


def _spread(batch: int, generator: torch.Generator) -> Tensor:
    """`batch` numbers in [0, 1), float64: one in each of as many equal parts, in random order."""
    device = generator.device
    parts = torch.randperm(batch, generator=generator, device=device)
    return (parts + torch.rand(batch, generator=generator, device=device, dtype=torch.float64)) / batch


class Ema:
    """A running average of a network's parameters, the network to sample from.

    The decay warms up as (1 + n) / (10 + n), so that a short run forgets its random start: a fixed 0.9999 would keep
    82% of it after 2,000 steps. Parameters are averaged; buffers are copied.
    """

    def __init__(self, network: UNet, decay: float = 0.9999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"expected a decay in [0, 1), got {decay}")
        self.decay = decay
        self.average = deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: UNet, step: int) -> None:
        """Move the average towards `network` after its `step`-th update (counted from 1)."""
        share = 1 - warmed_decay(step, self.decay)
        torch._foreach_lerp_(list(self.average.parameters()), [p.detach() for p in network.parameters()], share)
        if buffers := list(self.average.buffers()):
            torch._foreach_copy_(buffers, list(network.buffers()))


def warmed_decay(step: int, decay: float) -> float:
    """min(decay, (1 + step) / (10 + step)): how much of the average is kept at the `step`-th update (from 1)."""
    return min(decay, (1 + step) / (10 + step))


def learning_rate_factor(step: int, progress: float, warmup: int) -> float:
    """The share of the highest learning rate at this step (from 0): up over `warmup` steps, down along a cosine."""
    return min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes a GPU where there is one. Raises ValueError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} is not available here: expected auto, cpu, or a GPU that exists") from error


def reduced_precision(device: torch.device) -> torch.dtype | None:
    """The type to compute in: bfloat16 on GPUs that have it in hardware, float16 on older ones, None (float32) on CPUs.

    Asks for compute capability 8.0: `is_bf16_supported()` also says yes where bfloat16 is emulated, slowly.
    """
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def batch_indices(step: int, batch: int, count: int, seed: int) -> Tensor:
    """The images of the `step`-th batch (from 0), (batch,): an endless walk through a new shuffle every epoch.

    Depends on nothing but its arguments, so that a resumed run sees what the interrupted one would have seen.
    """
    position, wanted, found = step * batch, batch, []
    while wanted:
        epoch, offset = divmod(position, count)
        found.append(_shuffle(count, (seed * 1_000_003 + epoch) % 2**63)[offset : offset + wanted])
        wanted -= len(found[-1])
        position += len(found[-1])
    return torch.cat(found)


@lru_cache(maxsize=2)  # drawing it for every batch would cost more than a small step on a GPU; never changed in place
def _shuffle(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def train(
    network: UNet,
    parametrization: Parametrization,
    images: Tensor,
    config: TrainConfig,
    noise_law: NoiseLaw | None = None,
    labels: Tensor | None = None,
    resume: dict[str, Tensor] | None = None,
    engine: Engine = PLAIN,
    processes: Processes = ALONE,
) -> Iterator[TrainState]:
    """Train `network` on `images`, (N, C, H, W) in [-1, 1], and yield after every step.

    Muon and AdamW, warm-up and cosine decay of the learning rates, clipped gradients, an average with warm-up, reduced
    precision where the device has it. `noise_law` defaults to the `log_normal` of the config. `labels` (N,) go to a
    network with classes. `resume` is what `checkpoint.training_tensors` saved: the run continues as if it had never
    stopped.

    With several `processes` each computes its share of the same batches; gradients, losses and, under `seconds`, the
    first one's clock are common to all. `batch` counts the images of all; ValueError where they cannot be shared
    equally. Layers with dropout draw for each process on its own. `engine`: how a step is computed.
    """
    device, share = choose_device(config.device), processes.share(config.batch)
    network = channels_last(network.to(device)).train()
    images = resident(images, device)
    labels = None if labels is None else labels.to(device)
    draw_levels = noise_law or log_normal(config.noise_mean, config.noise_std)
    ema = Ema(network, config.ema_decay)
    optimizers = make_optimizers(network, config)
    highest = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    step, before = (0, 0.0) if resume is None else restore_training(resume, network, ema.average, optimizers)
    generator = torch.Generator(device)
    precision = engine.dtype(reduced_precision(device))
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)

    @contextmanager
    def surroundings(step: int) -> Iterator[None]:
        own = step_seed(config.seed, step + 1_000_000_007 * processes.rank)  # CPUs use the lower 32 bits of a seed
        with dropout_seed(network, device, own), autocast(device, precision):
            yield

    forward: nn.Module = network
    if engine.compile:
        rows = slice(0, share.stop - share.start)
        x = take(images, batch_indices(0, config.batch, len(images), config.seed)[rows], device)
        label = None if labels is None else labels[rows]
        forward = compiled(
            network, x.contiguous(memory_format=torch.channels_last), label, engine.backend, partial(surroundings, 0)
        )
    forward = processes.wrap(forward, device)
    started = time.monotonic() - before

    def progress(step: int) -> float:
        if config.steps is not None:
            return step / config.steps
        return processes.agree((time.monotonic() - started) / float(config.seconds or 1))

    while (done := progress(step)) < 1:
        generator.manual_seed(step_seed(config.seed, step))
        chosen = batch_indices(step, config.batch, len(images), config.seed)
        x_0 = take(images, chosen[share], device).contiguous(memory_format=torch.channels_last)
        told = None
        if labels is not None:
            of_all = labels[hand_over(chosen, device)]
            told = with_dropout(of_all, config.label_dropout, network.config.classes, generator)[share]
        # Everything random is drawn for the whole batch, then shared out: the number of processes changes nothing.
        levels = draw_levels(config.batch, generator)
        marginal = Marginal(levels.alpha[share], levels.sigma[share])
        noise = torch.randn((config.batch, *images.shape[1:]), generator=generator, device=device)[share]
        factor = learning_rate_factor(step, done, config.warmup)
        for optimizer, rate in zip(optimizers, highest, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
        with surroundings(step):
            loss = simple(partial(forward, label=told), parametrization, x_0, marginal, noise)
        scaler.scale(loss).backward()
        for optimizer in optimizers:
            scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
        # Clipping spreads an overflow in float16 to all gradients; the scaler has looked at each optimiser's alone.
        sound = not scaler.is_enabled() or bool(norm.isfinite())
        for optimizer in optimizers:
            if sound:
                scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        scaler.update()
        step += 1
        ema.update(network, step)
        loss = processes.mean(loss.detach())
        yield TrainState(step, loss, time.monotonic() - started, progress(step), network, ema.average, optimizers)


def make_optimizers(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """What moves `network`'s parameters, at their highest learning rates; each parameter belongs to one of them."""

    def adamw(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        decay, rate = config.weight_decay, config.learning_rate
        return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)

    if config.optimizer == "adamw":
        return [adamw(network.parameters())]
    hidden, others = split(network)
    return [Muon(hidden, lr=config.muon_rate, weight_decay=config.weight_decay), adamw(others)]


def step_seed(seed: int, step: int) -> int:
    """The seed of everything random in one step: a resumed run needs no saved random state."""
    return (seed * 1_000_003 + step) % 2**32


def with_dropout(labels: Tensor, share: float, unknown: int, generator: torch.Generator) -> Tensor:
    """`labels` (B,) with a random `share` of them replaced by `unknown` (Ho and Salimans 2022)."""
    hidden = torch.rand(labels.shape, generator=generator, device=labels.device) < share
    return torch.where(hidden, unknown, labels)


@contextmanager
def dropout_seed(network: UNet, device: torch.device, seed: int) -> Iterator[None]:
    """Inside the block dropout, which knows only PyTorch's global generator, draws from `seed`."""
    if not network.config.dropout:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def autocast(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager:
    """Computes in `precision` inside the block; None leaves float32 alone."""
    return nullcontext() if precision is None else torch.autocast(device.type, precision)
