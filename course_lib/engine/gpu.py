"""What a GPU gets beyond the network: data that stay on it, a compiler, a forward pass recorded for replay.

On a CPU all of it falls back to the plain way. docs/performance.md says what has been measured, and where.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

log = logging.getLogger("course_lib")  # without a configuration, warnings are one line on stderr

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
LONG_SECONDS, LONG_STEPS = 600.0, 5000  # from here on compiling is taken to pay: a guess, not a measurement
RESIDENT_SHARE = 0.5  # of the free memory of a GPU that images may take; the rest is the network's


@dataclass(frozen=True)
class Engine:
    """How training steps are computed, not what: no part of a run's settings. The default is right everywhere.

    precision   "auto" (see `devices.reduced_precision`), "float32", "bfloat16" or "float16"
    compile     whether `torch.compile` is asked for; without a working compiler a run goes on without, and says so
    backend     the compiler, by torch's name for it
    """

    compile: bool = False
    precision: str = "auto"
    backend: str = "inductor"

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *PRECISIONS):
            raise ValueError(f"unknown precision {self.precision!r}: expected auto, {', '.join(PRECISIONS)}")

    def dtype(self, best: torch.dtype | None) -> torch.dtype | None:
        """The type to compute in where the device does best with `best`; None is float32, untouched."""
        return best if self.precision == "auto" else PRECISIONS[self.precision]


PLAIN = Engine()


def wants_compiling(choice: str, device: torch.device, seconds: float | None, steps: int | None) -> bool:
    """Whether a run should compile its network. "auto": on a GPU, where Triton is installed, for a long run."""
    if choice != "auto":
        return choice == "on"
    long = (seconds or 0) >= LONG_SECONDS or (steps or 0) >= LONG_STEPS
    return device.type == "cuda" and long and importlib.util.find_spec("triton") is not None


def compile_network(
    network: nn.Module,
    x: Tensor,
    label: Tensor | None = None,
    backend: str = "inductor",
    context: Callable[[], AbstractContextManager] = nullcontext,
) -> nn.Module:
    """`network` compiled for batches like `x` (B, C, H, W); `network` itself, and one line about it, where that fails.

    The parameters stay those of `network`. One forward and one backward pass are made at once, inside `context()`:
    what can fail fails here, and no step of training has to wait for the compiler. Leaves no gradients.
    """
    try:
        call = torch.compile(network, backend=backend, dynamic=False)
        assert isinstance(call, nn.Module)
        with context():
            call(x, x.new_zeros(len(x)), label=label).square().mean().backward()
    except Exception as error:  # a missing compiler, an unsupported GPU, a defect of the compiler: all the same here
        reason = (str(error).strip().splitlines() or [""])[0]
        log.warning("not compiled, going on without: %s: %s", type(error).__name__, reason)
        return network
    finally:
        network.zero_grad(set_to_none=True)
    return call


def resident(images: Tensor, device: torch.device) -> Tensor:
    """`images` (N, ...) on `device`; where they would fill over half of a GPU's free memory, where they are.

    `take` copes with both.
    """
    if device.type == "cuda" and images.device != device:
        free, _ = torch.cuda.mem_get_info(device)
        size = images.numel() * images.element_size()
        if size > RESIDENT_SHARE * free:
            gib = 2**30
            log.warning("images stay in main memory: %.1f GiB, with %.1f GiB free on the GPU", size / gib, free / gib)
            return images
    return images.to(device)


def take(images: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """`images[rows]` on `device`, (len(rows), ...), without waiting for a GPU. `rows` (B,) on the CPU."""
    if images.device.type == device.type:
        return images[hand_over(rows, device)]
    return hand_over(images[rows], device)


def hand_over(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` from the CPU to `device`. To a GPU through page-locked memory, so that the CPU does not wait for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


Forward = Callable[[Tensor, Tensor], Tensor]
"""(x (B, ...), log_snr (B,)) -> (B, ...), without gradients."""

Capture = Callable[[Callable[[], Tensor]], tuple[Tensor, Callable[[], None]]]
"""Records one call of a function that reads fixed tensors; returns its output and what computes it anew, in place."""


def capture_cuda_graph(call: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """`Capture` by a CUDA graph, after three calls to warm up on a stream of their own, as PyTorch's manual asks.

    The stream belongs to the current GPU, so that has to be the one that `call` computes on: kernels on another would
    run, and not be recorded. Afterwards the stream is the one before, also where recording fails.
    """
    before, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    try:
        aside.wait_stream(before)
        with torch.cuda.stream(aside):
            for _ in range(3):
                call()
        before.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=aside):  # its own default belongs to the GPU that recorded first
            output = call()
    finally:
        torch.cuda.set_stream(before)  # a failed recording leaves its own in place
    return output, graph.replay


@dataclass(frozen=True)
class CapturedCall:
    x: Tensor
    log_snr: Tensor
    output: Tensor
    replay: Callable[[], None]


class Graphed:
    """A network, (x (B, ...), log_snr (B,)) -> (B, ...), whose kernels a GPU is sent once per shape, then replays.

    Stands wherever the network stands: a sampler does not notice. Every shape has fixed tensors that inputs are copied
    into; answers are copies, so that they outlive the next call. Weights may change in place, but may not move. Without
    gradients. Calls the network plainly on a CPU, for a fifth shape, and, after one line about it, where recording
    fails. `record` stands in for CUDA in tests.
    """

    def __init__(self, network: Forward, record: Capture | None = None) -> None:
        self.network, self.record = network, record or capture_cuda_graph
        self.only_cuda, self.shapes = record is None, 4
        self.recordings: dict[tuple[torch.Size, torch.dtype, torch.device], CapturedCall] = {}

    @torch.no_grad()
    def __call__(self, x: Tensor, log_snr: Tensor) -> Tensor:
        key = (x.shape, x.dtype, x.device)
        if key not in self.recordings:
            if (self.only_cuda and x.device.type != "cuda") or len(self.recordings) == self.shapes:
                return self.network(x, log_snr)
            try:
                self.recordings[key] = self._record(x, log_snr)
            except RuntimeError as error:
                reason = (str(error).strip().splitlines() or [""])[0]
                log.warning("not recorded as a CUDA graph, going on without: %s", reason)
                self.shapes = len(self.recordings)
                return self.network(x, log_snr)
        recording = self.recordings[key]
        recording.x.copy_(x)
        recording.log_snr.copy_(log_snr)
        recording.replay()
        return recording.output.clone()

    def _record(self, x: Tensor, log_snr: Tensor) -> CapturedCall:
        fixed_x, fixed_log_snr = x.clone(), log_snr.clone()
        with torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext():
            output, replay = self.record(lambda: self.network(fixed_x, fixed_log_snr))
        return CapturedCall(fixed_x, fixed_log_snr, output, replay)


def in_pieces(network: Forward, size: int) -> Forward:
    """`network`, shown at most `size` images at a time: the same answers, however a batch is shared out.

    On a CPU to the bit.
    """

    def answer(x: Tensor, log_snr: Tensor) -> Tensor:
        return torch.cat([network(*part) for part in zip(x.split(size), log_snr.split(size), strict=True)])

    return answer
