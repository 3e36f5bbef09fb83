"""Many samples at once: in chunks that fit a small machine, with a progress bar, shared out among processes."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from .checkpoint import Model
from .engine.devices import plain_defaults
from .engine.gpu import Graphed, in_pieces
from .engine.parallel import ALONE, Processes
from .parametrization import Network
from .sampling import STEPS, sample
from .schedule import karras_times

SAMPLER_STEPS = {"heun": 18, "ddim": 50, "ddpm": 120, "renoise": 120}  # unless told otherwise
CHUNK = 250  # images that are drawn together
PIECES = {"cpu": 25, "cuda": 125}  # images that the network is shown at once: what several processes share out


def generate(
    model: Model,
    n: int,
    sampler: str = "ddpm",
    steps: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    processes: Processes = ALONE,
    label: int | None = None,
) -> Tensor:
    """`n` samples, (n, C, H, W) in [-1, 1], from a model whose network is on `device`; all of one `label` if asked.

    Times are spaced as Karras et al. 2022 do, which suits every sampler here when steps are few; `steps` defaults to
    `SAMPLER_STEPS`. Several `processes` share every chunk by rows and draw the whole chunk's noise, so that a seed
    means the same images however many there are; the first one gets all of them, on the CPU, the others get their own.
    On a GPU the network is a CUDA graph. Raises ValueError for a sampler or a label that does not exist.
    """
    if sampler not in STEPS:
        raise ValueError(f"unknown sampler {sampler!r}: expected one of {', '.join(STEPS)}")
    if label is not None:
        check_label(model, label)
    device, steps = torch.device(device), SAMPLER_STEPS[sampler] if steps is None else steps
    piece = PIECES.get(device.type, CHUNK)

    def around(network: Network) -> Network:
        return in_pieces(Graphed(network), piece)

    generator, denoiser = torch.Generator("cpu").manual_seed(seed), model.denoiser(label=label, around=around)
    sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
    with plain_defaults():
        times = karras_times(model.schedule, steps)
        owners = [processes.owners(size, piece) for size in sizes]
        mine = int((torch.cat(owners) == processes.rank).sum())
    done = []
    title, silent = f"sampling by {sampler}", not processes.first
    bar = tqdm(total=mine * steps, unit="image step", desc=title, mininterval=0.5, leave=False, disable=silent)
    with plain_defaults(), bar:
        for size, owner in zip(sizes, owners, strict=True):
            noise = partial(noise_rows, (size, *model.image_shape), owner == processes.rank, generator, device)
            x = noise()
            if not len(x):  # another's chunk: its noise comes first all the same
                for _ in range(steps):
                    noise()
                continue
            for state in sample(denoiser, model.schedule, times, x, STEPS[sampler], noise=noise):
                bar.update(len(x) if state.t > 0 else 0)
            done.append(state.x)
    own = torch.cat(done) if done else torch.empty(0, *model.image_shape)
    return own if processes.count == 1 else processes.gather_rows(own, torch.cat(owners))


def check_label(model: Model, label: int) -> None:
    """Raises ValueError, in one sentence, for a label that the model's network was not told in training."""
    classes = model.network.config.classes
    if not classes:
        raise ValueError(f"label {label}: this network was trained without labels, so it cannot be asked for one")
    if label not in range(classes):
        raise ValueError(f"label {label}: expected one from 0 to {classes - 1}")


def noise_rows(shape: tuple[int, ...], rows: Tensor, generator: torch.Generator, device: torch.device) -> Tensor:
    """Those `rows`, (B,) of bools, of standard noise of `shape`, (B, C, H, W), all of which is drawn on the CPU."""
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")[rows].to(device)
