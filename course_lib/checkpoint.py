"""Networks and training runs on disk: safetensors and a JSON record, never a pickle.

A run's folder holds `model.safetensors` (the averaged weights, with the layout in the file's header), `record.json`
(how they were made, for people) and `training.safetensors` (what `--resume` needs). Each file is written under another
name and then renamed, so a run killed in the middle of saving leaves the previous save intact.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from .engine.devices import plain_defaults
from .files import write_atomically
from .parametrization import Denoiser, Network, Parametrization, network_denoiser
from .schedule import STANDARD, Continuous
from .unet import UNet, UNetConfig, channels_last

SHIPPED = ("digits",)


@dataclass(frozen=True)
class Model:
    """A trained network, how to read its output, and the record of how it was made."""

    network: UNet
    parametrization: Parametrization
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def schedule(self) -> Continuous:
        """A schedule to sample with. The network is told the log-SNR, so any variance-preserving one will do."""
        return STANDARD

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images it was trained on."""
        height, width = self.record.get("image_size", (28, 28))
        return self.network.config.channels, height, width

    def denoiser(
        self,
        clip_x0: bool = True,
        label: Tensor | int | None = None,
        around: Callable[[Network], Network] | None = None,
    ) -> Denoiser:
        """The network as a denoiser, without gradients; with `label`, (B,) or one for all, for a network with classes.

        `around` may put something between the two, such as `gpu.Graphed`: it gets the network, (x, log_snr) -> output.
        """
        network = self.network.eval()

        @torch.no_grad()
        def answer(x: Tensor, log_snr: Tensor) -> Tensor:
            told = torch.full((len(x),), label, device=x.device) if isinstance(label, int) else label
            return network(x, log_snr, told)

        return network_denoiser(around(answer) if around else answer, self.parametrization, clip_x0)


def save_model(folder: Path, model: Model) -> None:
    """Write `model.safetensors` and `record.json` into `folder`, which is made if need be."""
    layout = {"unet": asdict(model.network.config), "parametrization": asdict(model.parametrization)}
    header = {"layout": json.dumps(layout), "record": json.dumps(model.record)}
    weights = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    write_atomically(folder / "model.safetensors", save(weights, header))
    write_atomically(folder / "record.json", (json.dumps(layout | model.record, indent=2) + "\n").encode())


def load_model(name: str | Path) -> Model:
    """The shipped model of this name ("digits"), or the one in a run's folder. Raises ValueError where there is none.

    Weights kept in float16 to save space come back as float32, on the CPU, whatever the caller's defaults are.
    """
    if str(name) in SHIPPED:
        content = files("course_lib").joinpath(f"assets/{name}.safetensors").read_bytes()
    else:
        path = Path(name) / "model.safetensors"
        if not path.is_file():
            raise ValueError(f"no model called {str(name)!r}: expected {', '.join(SHIPPED)}, or a folder made by train")
        content = path.read_bytes()
    try:
        header = _header(content)
        layout, record = json.loads(header["layout"]), json.loads(header["record"])
        with plain_defaults():
            network = UNet(_config(layout["unet"]))
        network.load_state_dict({key: value.float() for key, value in load(content).items()})
    except (KeyError, TypeError, RuntimeError, json.JSONDecodeError, safetensors.SafetensorError) as error:
        raise ValueError(f"the model {str(name)!r} cannot be read: {error}") from error
    return Model(channels_last(network).eval(), Parametrization(**layout["parametrization"]), record)


def _config(stored: dict[str, Any]) -> UNetConfig:
    known = {f.name for f in fields(UNetConfig)}
    if unknown := set(stored) - known:
        raise KeyError(f"unknown settings {sorted(unknown)}")
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return UNetConfig(**settings)


def _header(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file: 8 bytes of length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {})


def save_training(folder: Path, tensors: dict[str, Tensor], settings: dict[str, Any]) -> None:
    """Write `training.safetensors`, with the run's settings in its header."""
    write_atomically(folder / "training.safetensors", save(tensors, {"settings": json.dumps(settings)}))


def load_training(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and settings that `save_training` wrote. Raises ValueError where the folder has none."""
    path = folder / "training.safetensors"
    if not path.is_file():
        raise ValueError(f"nothing to resume in {str(folder)!r}: no training.safetensors there")
    content = path.read_bytes()
    try:
        return load(content), json.loads(_header(content)["settings"])
    except (KeyError, json.JSONDecodeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}") from error


def remove_unfinished(folder: Path) -> None:
    """Remove from a run's folder what processes killed while saving left there. Nobody may be saving in it."""
    for name in ("training.safetensors", "model.safetensors", "record.json"):
        for left in folder.glob(f".{name}.*.part"):
            left.unlink(missing_ok=True)
