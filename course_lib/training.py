"""The training loop, as a generator: the caller owns the progress bar, the plots, the snapshots and the stopping.

for state in train(network, parametrization, images, TrainConfig(seconds=90)):
    ...                                   # state.step, state.loss, state.average
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from .engine.devices import choose_device
from .engine.gpu import PLAIN, Engine, hand_over, resident, take
from .engine.parallel import ALONE, Processes
from .engine.stepper import Stepper, step_seed
from .muon import Muon, split
from .objective import simple
from .parametrization import Parametrization
from .schedule import Marginal, NoiseLaw, log_normal_law
from .unet import channels_last

N = TypeVar("N", bound=nn.Module)
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
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"expected a label_dropout from 0 to 1, got {self.label_dropout}")
        if not math.isfinite(self.noise_mean):
            raise ValueError(f"expected a finite noise_mean, got {self.noise_mean}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {self.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}")


@dataclass(frozen=True)
class TrainState(Generic[N]):
    """Where training stands after `step` steps. `loss` () is this step's; `average` is the network to sample from."""

    step: int
    loss: Tensor
    seconds: float
    progress: float  # the share of the planned steps or seconds that is done, 0 to 1
    network: N
    average: N
    optimizers: list[torch.optim.Optimizer]


class Ema(Generic[N]):
    """A running average of a network's parameters, the network to sample from.

    The decay warms up as (1 + n) / (10 + n), so that a short run forgets its random start: a fixed 0.9999 would keep
    82% of it after 2,000 steps. Parameters are averaged; buffers are copied.
    """

    def __init__(self, network: N, decay: float = 0.9999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"expected a decay in [0, 1), got {decay}")
        self.decay = decay
        self.average: N = deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
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
    network: N,
    parametrization: Parametrization,
    images: Tensor,
    config: TrainConfig,
    noise_law: NoiseLaw | None = None,
    labels: Tensor | None = None,
    resume: dict[str, Tensor] | None = None,
    engine: Engine = PLAIN,
    processes: Processes = ALONE,
) -> Iterator[TrainState[N]]:
    """Train `network` on `images`, (N, C, H, W) in [-1, 1], and yield after every step.

    Muon and AdamW, warm-up and cosine decay of the learning rates, clipped gradients, an average with warm-up, reduced
    precision where the device has it. `noise_law` defaults to the `log_normal_law` of the config. `labels` (N,) go to a
    network with classes. `resume` is what `training_tensors` gave: the run continues as if it had never stopped.

    With several `processes` each computes its share of the same batches; gradients, losses and, under `seconds`, the
    first one's clock are common to all. `batch` counts the images of all; ValueError where they cannot be shared
    equally. `engine`: how a step is computed.
    """
    network = channels_last(network.to(choose_device(config.device))).train()
    ema, optimizers = Ema(network, config.ema_decay), make_optimizers(network, config)
    step, before = (0, 0.0) if resume is None else restore_training(resume, network, ema.average, optimizers)
    batches = Batches(images, labels, config, noise_law, class_count(network, labels), processes)
    example = batches(0)
    stepper = Stepper(
        network, optimizers, (example.x_0, example.label), config.seed, config.gradient_clip, engine, processes
    )
    progress = Progress(config, before, processes)

    def loss_of(batch: Batch, forward: nn.Module) -> Tensor:
        return simple(partial(forward, label=batch.label), parametrization, batch.x_0, batch.marginal, batch.noise)

    while (done := progress(step)) < 1:
        set_learning_rates(optimizers, config, learning_rate_factor(step, done, config.warmup))
        loss = stepper(step, partial(loss_of, batches(step)))
        ema.update(network, step := step + 1)
        yield TrainState(step, loss, progress.seconds, progress(step), network, ema.average, optimizers)


class Batch(NamedTuple):
    """What one step of training learns from: images, their labels if any, noise levels, and the noise."""

    x_0: Tensor
    label: Tensor | None
    marginal: Marginal
    noise: Tensor


class Batches:
    """The batches of a run, by step: each depends on nothing but the seed and the step.

    Everything random is drawn for the whole batch, then shared out among the processes: their number changes nothing.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None,
        config: TrainConfig,
        noise_law: NoiseLaw | None = None,
        classes: int = 0,
        processes: Processes = ALONE,
    ) -> None:
        check_images(images)
        if labels is not None:
            check_labels(labels, len(images), classes)
        self.device, self.share = choose_device(config.device), processes.share(config.batch)
        self.images = resident(images, self.device)
        self.labels = None if labels is None else labels.to(self.device)
        self.config, self.classes = config, classes
        self.noise_law = noise_law or log_normal_law(config.noise_mean, config.noise_std)
        self.generator = torch.Generator(self.device)

    def __call__(self, step: int) -> Batch:
        config, device, share = self.config, self.device, self.share
        generator = self.generator.manual_seed(step_seed(config.seed, step))
        chosen = batch_indices(step, config.batch, len(self.images), config.seed)
        x_0 = take(self.images, chosen[share], device).contiguous(memory_format=torch.channels_last)
        label = None
        if self.labels is not None:
            of_all = self.labels[hand_over(chosen, device)]
            label = drop_labels(of_all, config.label_dropout, self.classes, generator)[share]
        levels = self.noise_law(config.batch, generator)
        noise = torch.randn((config.batch, *self.images.shape[1:]), generator=generator, device=device)[share]
        return Batch(x_0, label, Marginal(levels.alpha[share], levels.sigma[share]), noise)


def check_images(images: Any) -> None:
    """Raises ValueError, in one sentence, for what cannot be trained on."""
    expected = "expected images (N, C, H, W), float32 in [-1, 1]"
    if not isinstance(images, Tensor):
        known = "a numpy array: torch.from_numpy(...).float() makes a tensor of it"
        raise ValueError(f"{expected}, got {known if type(images) is np.ndarray else f'a {type(images).__name__}'}")
    if images.ndim != 4 or not images.numel():
        raise ValueError(f"{expected}, got shape {tuple(images.shape)}")
    if images.dtype is not torch.float32:
        raise ValueError(f"{expected}, got {images.dtype}")
    if not bool(images.isfinite().all()):
        raise ValueError(f"{expected}, got some numbers that are not finite")


def check_labels(labels: Tensor, images: int, classes: int) -> None:
    """Raises ValueError unless there is a label from 0 to `classes` - 1 for each image."""
    if labels.shape != (images,):
        raise ValueError(f"expected one label for each of {images} images, got shape {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.dtype is torch.bool:
        raise ValueError(f"expected labels that are whole numbers, got {labels.dtype}")
    if outside := sorted({int(label) for label in labels.unique()} - set(range(classes))):
        raise ValueError(f"expected labels from 0 to {classes - 1}, got {', '.join(map(str, outside[:5]))}")


class Progress:
    """The share of the planned steps or seconds that is done, 0 to 1; the clock goes on from `before` seconds."""

    def __init__(self, config: TrainConfig, before: float = 0.0, processes: Processes = ALONE) -> None:
        self.config, self.processes = config, processes
        self.started = time.monotonic() - before

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def __call__(self, step: int) -> float:
        if self.config.steps is not None:
            return step / self.config.steps
        return self.processes.agree(self.seconds / float(self.config.seconds or 1))


def make_optimizers(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """What moves `network`'s parameters, at their highest learning rates; each parameter belongs to one of them."""

    def adamw(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        decay, rate = config.weight_decay, config.learning_rate
        return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)

    if config.optimizer == "adamw":
        return [adamw(network.parameters())]
    hidden, others = split(network)
    return [Muon(hidden, lr=config.muon_rate, weight_decay=config.weight_decay), adamw(others)]


def set_learning_rates(optimizers: Sequence[torch.optim.Optimizer], config: TrainConfig, factor: float) -> None:
    """Set each optimiser to this share of its highest learning rate."""
    for optimizer in optimizers:
        highest = config.muon_rate if isinstance(optimizer, Muon) else config.learning_rate
        optimizer.param_groups[0]["lr"] = highest * factor


def class_count(network: nn.Module, labels: Tensor | None) -> int:
    """The number of labels that `network` knows. Raises ValueError where it knows none and `labels` are given."""
    classes = int(getattr(getattr(network, "config", None), "classes", 0))
    if labels is not None and not classes:
        raise ValueError("labels are for a network with classes; this one has none")
    return classes


def drop_labels(labels: Tensor, share: float, unknown: int, generator: torch.Generator) -> Tensor:
    """`labels` (B,) with a random `share` of them replaced by `unknown` (Ho and Salimans 2022)."""
    hidden = torch.rand(labels.shape, generator=generator, device=labels.device) < share
    return torch.where(hidden, unknown, labels)


def training_tensors(state: TrainState[Any]) -> dict[str, Tensor]:
    """Everything a run needs to go on as if it had never stopped, as named tensors on the CPU."""
    tensors = {"step": torch.tensor(state.step), "seconds": torch.tensor(state.seconds, dtype=torch.float64)}
    tensors |= {f"network.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    for part, optimizer in enumerate(state.optimizers):
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{part}.{index}.{name}": torch.as_tensor(v) for name, v in moments.items()}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def restore_training(
    tensors: dict[str, Tensor], network: nn.Module, average: nn.Module, optimizers: list[torch.optim.Optimizer]
) -> tuple[int, float]:
    """Put `training_tensors` back where they came from; returns the steps and the seconds already done."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

    network.load_state_dict(part("network."))
    average.load_state_dict(part("average."))
    for number, optimizer in enumerate(optimizers):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in part(f"optimizer.{number}.").items():
            index, key = name.split(".", 1)
            if value.ndim:  # stored in the parameter's own memory order, which the fused optimiser takes for granted
                value = torch.empty_like(parameters[int(index)]).copy_(value)
            moments.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(tensors["step"]), float(tensors["seconds"])
