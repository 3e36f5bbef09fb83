"""What `sample` does: draw images from a trained network and write them to a file."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from torch import Tensor

from ..checkpoint import load_model
from ..data import to_unit
from ..engine.devices import choose_device
from ..engine.parallel import Processes, join_processes
from ..files import write_atomically
from ..generate import SAMPLER_STEPS, check_label, generate
from ..sampling import STEPS
from .words import count, make_writable


def sample_run(arguments: argparse.Namespace) -> int:
    """Sample as the command line says; returns the exit code. Raises ValueError for a bad argument before any work."""
    with join_processes(arguments.device) as processes:
        return _sample_run(arguments, processes)


def _sample_run(arguments: argparse.Namespace, processes: Processes) -> int:
    out = Path(arguments.out)
    if out.suffix.lower() not in (".npz", ".png"):
        raise ValueError(f"--out {arguments.out!r}: expected a name that ends in .npz (an array) or .png (a sheet)")
    if arguments.sampler not in STEPS:
        raise ValueError(f"unknown sampler {arguments.sampler!r}: expected one of {', '.join(STEPS)}")
    if arguments.n < 1:
        raise ValueError(f"--n {arguments.n}: expected at least 1 image")
    steps = SAMPLER_STEPS[arguments.sampler] if arguments.steps is None else arguments.steps
    if steps < 1:
        raise ValueError(f"--steps {steps}: expected at least 1 step")
    device = choose_device(processes.device(arguments.device))
    model = load_model(arguments.model)
    if processes.first:
        if out.is_dir():
            raise ValueError(f"--out {arguments.out!r} cannot be written: it is a folder")
        make_writable(out.parent, arguments.out)
    if arguments.label is not None:
        check_label(model, arguments.label)
    processes.wait()  # for the first one's word, before any work
    model.network.to(device)
    drawn = generate(model, arguments.n, arguments.sampler, steps, arguments.seed, device, processes, arguments.label)
    if processes.first:
        write_images(to_unit(drawn).cpu(), out)
        print(f"{count(len(drawn), 'image')} by {arguments.sampler} in {count(steps, 'step')}, saved as {out}")
    return 0


def write_images(images: Tensor, out: Path) -> None:
    """Write `images` (N, C, H, W) in [0, 1] as an array, .npz, or a contact sheet, .png."""
    if out.suffix.lower() == ".png":
        from ..plotting import save_sheet

        save_sheet(images, out)
    else:
        array = images.permute(0, 2, 3, 1).numpy().astype(np.float32)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=array[..., 0] if array.shape[-1] == 1 else array)
        write_atomically(out, buffer.getvalue())
