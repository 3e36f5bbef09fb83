"""What `train` and `sample` do behind the command line: check everything first, show progress, save as they go."""

from __future__ import annotations

import argparse
import io
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .checkpoint import Model, load_model, load_training, save_model, save_training, training_tensors, write_atomically
from .data import to_unit
from .datasets import dataset
from .parametrization import Parametrization
from .sampling import STEPS, sample
from .schedule import karras_times
from .training import TrainConfig, TrainState, choose_device, train
from .unet import PRESETS, UNet

SAMPLER_STEPS = {"heun": 18, "ddim": 50, "ddpm": 120, "renoise": 120}
CHUNK = 250


def train_run(arguments: argparse.Namespace) -> int:
    """Train as the command line says; returns the exit code. Raises ValueError for a bad argument before any work."""
    if arguments.preset not in PRESETS:
        raise ValueError(f"unknown preset {arguments.preset!r}: expected one of {', '.join(PRESETS)}")
    optional = ("optimizer", "batch", "learning_rate", "muon_rate", "noise_mean", "noise_std")
    config = replace(
        TrainConfig(arguments.steps, arguments.seconds, seed=arguments.seed, device=arguments.device),
        **{name: value for name in optional if (value := getattr(arguments, name)) is not None},
    )
    choose_device(config.device)
    parametrization = Parametrization(arguments.target)
    images = dataset(arguments.data).images
    layout = replace(PRESETS[arguments.preset], channels=images.shape[1])
    if images.shape[2] % layout.divisor:
        shape = f"{images.shape[2]} x {images.shape[3]}"
        raise ValueError(
            f"preset {arguments.preset!r} needs sizes that {layout.divisor} divides, but {arguments.data} are {shape}"
        )
    folder, size = Path(arguments.out), (images.shape[2], images.shape[3])
    settings = {"data": arguments.data, "preset": arguments.preset, "target": arguments.target, **asdict(config)}
    del settings["device"]
    resume = saved_run(folder, settings, arguments.resume)

    torch.manual_seed(config.seed)
    network = UNet(layout)
    state: TrainState | None = None
    saved_at = time.monotonic()
    unit, total = ("step", config.steps) if config.steps is not None else ("s", config.seconds)
    try:
        with tqdm(total=total, unit=unit, desc=f"training {arguments.preset}", mininterval=0.5) as bar:
            for state in train(network, parametrization, images, config, resume=resume):
                bar.n = state.step if config.steps is not None else round(min(state.seconds, float(total or 0)), 1)
                if time.monotonic() - saved_at >= arguments.save_seconds:
                    bar.set_postfix(step=state.step, loss=f"{float(state.loss):.4f}")
                    save_run(folder, state, parametrization, settings, size)
                    saved_at = time.monotonic()
                bar.update(0)
    except KeyboardInterrupt:
        if state is None:
            raise KeyboardInterrupt(" before the first step; nothing was saved") from None
        save_run(folder, state, parametrization, settings, size)
        where = f" at step {state.step}, saved in {folder}; the same command with --resume goes on"
        raise KeyboardInterrupt(where) from None
    if state is None:
        length = f"{total:g} {'steps' if config.steps else 'seconds'}"
        print(f"nothing left to do: the run in {folder} has had all its {length}")
        return 0
    save_run(folder, state, parametrization, settings, size)
    seen = state.step * config.batch
    print(f"{state.step} step{'s' * (state.step > 1)}, {seen:,} images, {state.seconds:.0f} s, saved in {folder}")
    return 0


def saved_run(folder: Path, settings: dict[str, Any], resume: bool) -> dict[str, Tensor] | None:
    """The tensors to go on from, or None for a fresh start. Raises ValueError where two different runs would mix."""
    exists = (folder / "training.safetensors").is_file()
    if exists and not resume:
        raise ValueError(f"{str(folder)!r} already holds a run: add --resume to go on with it, or choose another --out")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {str(folder)!r} is a file: expected a folder")
    if not exists:
        if resume:
            print(f"{folder} holds no run yet: starting from the beginning")
        return None
    tensors, stored = load_training(folder)
    different = [name for name in settings if settings[name] != stored.get(name)]
    if different:
        said = ", ".join(f"{name} {stored.get(name)} (now {settings[name]})" for name in different)
        raise ValueError(f"cannot resume {str(folder)!r} with other settings: it was started with {said}")
    return tensors


def save_run(
    folder: Path, state: TrainState, parametrization: Parametrization, settings: dict[str, Any], size: tuple[int, int]
) -> None:
    """Save a run where it stands. Raises RuntimeError instead of overwriting good weights with a diverged run's.

    `size` is the height and width of its images.
    """
    if not math.isfinite(float(state.loss)):
        raise RuntimeError(f"training diverged at step {state.step}: the loss is {float(state.loss)}")
    save_training(folder, training_tensors(state), settings)
    record = {
        "settings": settings,
        "steps": state.step,
        "images_seen": state.step * settings["batch"],
        "seconds": round(state.seconds, 1),
        "image_size": list(size),
        "torch": torch.__version__.split("+")[0],
    }
    save_model(folder, Model(state.average, parametrization, record))


def sample_run(arguments: argparse.Namespace) -> int:
    """Sample as the command line says; returns the exit code. Raises ValueError for a bad argument before any work."""
    out = Path(arguments.out)
    if out.suffix not in (".npz", ".png"):
        raise ValueError(f"--out {arguments.out!r}: expected a name that ends in .npz (an array) or .png (a sheet)")
    if arguments.sampler not in STEPS:
        raise ValueError(f"unknown sampler {arguments.sampler!r}: expected one of {', '.join(STEPS)}")
    if arguments.n < 1:
        raise ValueError(f"--n {arguments.n}: expected at least 1 image")
    steps = SAMPLER_STEPS[arguments.sampler] if arguments.steps is None else arguments.steps
    if steps < 1:
        raise ValueError(f"--steps {steps}: expected at least 1 step")
    device = choose_device(arguments.device)
    model = load_model(arguments.model)
    model.network.to(device)
    images = to_unit(draw(model, arguments.n, arguments.sampler, steps, arguments.seed, device)).cpu()
    if out.suffix == ".png":
        from .plotting import save_sheet

        out.parent.mkdir(parents=True, exist_ok=True)
        save_sheet(images, out)
    else:
        array = images.permute(0, 2, 3, 1).numpy().astype(np.float32)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=array[..., 0] if array.shape[-1] == 1 else array)
        write_atomically(out, buffer.getvalue())
    print(f"{len(images)} images by {arguments.sampler} in {steps} steps, saved as {out}")
    return 0


def draw(model: Model, n: int, sampler: str, steps: int, seed: int, device: torch.device | str = "cpu") -> Tensor:
    """`n` samples, (n, C, H, W) in [-1, 1], in chunks that fit a small machine, with a progress bar.

    Times are spaced as Karras et al. 2022 do, which suits every sampler here when steps are few.
    """
    generator = torch.Generator().manual_seed(seed)
    denoiser, schedule = model.denoiser(), model.schedule
    times = karras_times(schedule, steps)
    done = []
    with tqdm(total=n * steps, unit="image step", desc=f"sampling by {sampler}", mininterval=0.5, leave=False) as bar:
        for start in range(0, n, CHUNK):
            x = torch.randn(min(CHUNK, n - start), *model.image_shape, generator=generator).to(device)
            for state in sample(denoiser, schedule, times, x, STEPS[sampler], generator):
                bar.update(len(x) if state.t > 0 else 0)
            done.append(state.x)
    return torch.cat(done)
