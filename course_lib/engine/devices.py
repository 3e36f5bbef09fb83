"""Which device a run computes on, in which precision, and what dropout draws from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes a GPU where there is one. Raises ValueError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} is not available here: expected auto, cpu, or a GPU that exists") from error


@contextmanager
def plain_defaults() -> Iterator[None]:
    """Inside the block new tensors are float32 on the CPU, whatever PyTorch's defaults have been set to."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    try:
        with nullcontext() if device.type == "cpu" else torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)


def reduced_precision(device: torch.device) -> torch.dtype | None:
    """The type to compute in: bfloat16 on GPUs that have it in hardware, float16 on older ones, None (float32) on CPUs.

    Asks for compute capability 8.0: `is_bf16_supported()` also says yes where bfloat16 is emulated, slowly.
    """
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def autocast(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager:
    """Computes in `precision` inside the block; None leaves float32 alone."""
    return nullcontext() if precision is None else torch.autocast(device.type, precision)


@contextmanager
def dropout_seed(network: nn.Module, device: torch.device, seed: int) -> Iterator[None]:
    """Inside the block dropout, which knows only PyTorch's global generator, draws from `seed`."""
    if not any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in network.modules()):
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
