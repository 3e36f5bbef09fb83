"""Check and measure what a GPU gets (course_lib/engine/gpu.py) in one command; prints a table, writes gpu_check.json.

    python -m course_staff gpu-check --out runs/gpu_check           # with a GPU: some minutes; needs diffusers

Throughput of the preset `large` beside diffusers' UNet2DModel of equal size, both in the same training loop; its share
of the matrix product's measured speed; samplers with and without CUDA graphs; loss curves in float32 and reduced
precision. Written where there was no GPU: only `--size tiny` on a CPU has been run, which shows that this program works
and nothing else. Exit code 1 where a check fails.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.checkpoint import Model
from course_lib.command.machine import machine
from course_lib.command.parser import typed_path
from course_lib.engine.devices import autocast, choose_device, reduced_precision
from course_lib.engine.gpu import Engine, Graphed, compile_network
from course_lib.files import write_atomically
from course_lib.parametrization import Network, Parametrization
from course_lib.sampling import heun, last, sample
from course_lib.schedule import karras_times
from course_lib.training import TrainConfig, train
from course_lib.unet import PRESETS, UNet, UNetConfig, channels_last, parameter_count

from .bench import operations
from .diffusers_unet import DiffusersUNet

TARGET_RATIO = 1.5  # our images/s over diffusers'
CURVE_TOLERANCE = 0.05  # of the loss, averaged over the run
GRAPH_TOLERANCE = 1e-3  # of a pixel in [-1, 1]: other kernels may be chosen, and a sampler passes rounding on


@dataclass(frozen=True)
class Size:
    """What is run: the layout of both networks, an image's side, and how often."""

    layout: UNetConfig
    side: int
    batch: int
    steps: int  # timed, after as many to warm up
    matmul: int  # rows and columns
    samples: int
    sampling_steps: int
    curve: int  # steps of the loss curves


SIZES = {
    "large": Size(PRESETS["large"], 32, 128, 30, 8192, 64, 18, 300),
    "tiny": Size(replace(PRESETS["large"], width=16, multipliers=(1, 2), head_dim=16), 8, 4, 2, 128, 2, 2, 4),
}


def wait(device: torch.device) -> None:
    """Until the device has done all that it was sent."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """How long `work` takes, by the wall clock, a GPU's queue included."""
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def matmul_speed(device: torch.device, dtype: torch.dtype, n: int, repeats: int = 20) -> float:
    """Floating-point operations a second in an n x n matrix product."""
    a = torch.randn(n, n, device=device).to(dtype)
    a @ a
    return repeats * 2 * n**3 / seconds(device, lambda: [a @ a for _ in range(repeats)])


def compiles(network: nn.Module, size: Size, device: torch.device, backend: str) -> bool:
    """Whether `network` can be compiled as training does it, or is trained without after one line about it."""
    network = channels_last(network.to(device)).train()
    x = torch.zeros(size.batch, size.layout.channels, size.side, size.side, device=device)
    context = partial(autocast, device, reduced_precision(device))
    return (
        compile_network(network, x.contiguous(memory_format=torch.channels_last), None, backend, context) is not network
    )


def training_speed(network: nn.Module, size: Size, device: torch.device, engine: Engine) -> float:
    """Images a second of `training.train`, after a warm-up of as many steps."""
    shape = (4 * size.batch, size.layout.channels, size.side, size.side)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    config = TrainConfig(steps=2 * size.steps, batch=size.batch, device=str(device))
    states = train(network, Parametrization(), images, config, engine=engine)
    for _ in range(size.steps):
        next(states)
    return size.steps * size.batch / seconds(device, lambda: list(states))


def sampling(network: UNet, size: Size, device: torch.device, graphed: bool) -> tuple[float, Tensor]:
    """Images a second by Heun's method, and the images, (N, C, H, W); one run before the timed one."""

    def around(plain: Network) -> Network:
        return Graphed(plain)

    model = Model(network.to(device), Parametrization(), {"image_size": (size.side, size.side)})
    denoiser = model.denoiser(around=around if graphed else None)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size.samples, *model.image_shape, generator=generator).to(device)
    times = karras_times(model.schedule, size.sampling_steps)
    drawn: list[Tensor] = []

    def run() -> None:
        drawn.append(last(sample(denoiser, model.schedule, times, x, heun, torch.Generator().manual_seed(0))))

    run()
    return size.samples / seconds(device, run), drawn[-1]


def loss_curve(size: Size, device: torch.device, precision: str) -> Tensor:
    """The losses of a run on the embedded digits, (steps,), the same but for the precision."""
    from course_lib.data import digits

    torch.manual_seed(0)
    config = TrainConfig(steps=size.curve, batch=size.batch, device=str(device))
    states = train(
        UNet(PRESETS["tiny"]), Parametrization(), digits().images, config, engine=Engine(precision=precision)
    )
    return torch.stack([state.loss for state in states]).float().cpu()


def waits_for_the_gpu(size: Size, device: torch.device) -> str:
    """What in three steps of training made the CPU wait for the GPU, in PyTorch's words; "" where nothing did."""
    images = torch.zeros(4 * size.batch, 1, 28, 28)
    config = TrainConfig(steps=6, batch=size.batch, device=str(device))
    states = train(UNet(PRESETS["tiny"]), Parametrization(), images, config)
    for _ in range(3):
        next(states)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in states:
            pass
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""


def wake(network: UNet) -> UNet:
    """`network` with no layer at zero, as after training: a new one answers 0 whatever it is shown."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network


def examine(size: Size, device: torch.device) -> dict[str, Any]:
    """Everything measured, and the checks: {"passed": true, false or null where it does not apply, "why": ...}."""
    ours, theirs = UNet(size.layout), DiffusersUNet(size.layout, size.side)
    best = reduced_precision(device)
    gpu = device.type == "cuda"
    peak = matmul_speed(device, best or torch.float32, size.matmul)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if gpu else "CPU",
        "machine": asdict(machine()),
        "precision": str(best or torch.float32).removeprefix("torch."),
        "matmul_tflops": peak / 1e12,
        "parameters": {"ours": parameter_count(ours), "diffusers": parameter_count(theirs)},
        "compiled": {},
        "training_images_per_second": {},
        "share_of_matmul_peak": {},
    }
    backend = "inductor" if gpu else "eager"
    for name, network in (("ours", ours), ("diffusers", theirs)):
        cost = operations(network, (size.layout.channels, size.side, size.side))
        found["compiled"][name] = compiles(network, size, device, backend)
        for compiling in (False, True):
            label = f"{name}{', compiled' * compiling}"
            speed = training_speed(network, size, device, Engine(compile=compiling, backend=backend))
            found["training_images_per_second"][label] = speed
            found["share_of_matmul_peak"][label] = speed * cost / peak
    speeds = found["training_images_per_second"]
    ratio = speeds["ours, compiled"] / speeds["diffusers, compiled"]
    found["ratio_as_usual"] = speeds["ours, compiled"] / speeds["diffusers"]

    plain_speed, plain = sampling(wake(ours), size, device, graphed=False)
    graph_speed, graphed = sampling(ours, size, device, graphed=True)
    found["sampling_images_per_second"] = {"plain": plain_speed, "graphed": graph_speed}
    difference = float((plain - graphed).abs().max())

    exact = loss_curve(size, device, "float32")
    reduced = loss_curve(size, device, found["precision"] if gpu else "bfloat16")
    gap = float((exact - reduced).abs().mean() / exact.mean())
    no_gpu = "" if gpu else "without a GPU"
    fell_back = ", ".join(name for name, worked in found["compiled"].items() if not worked)
    unfit = no_gpu or ("not compiled" if fell_back else "")
    reads = no_gpu or ("float16 has to read whether a gradient overflowed" if best is torch.float16 else "")
    waiting = None if reads else waits_for_the_gpu(size, device)
    found["checks"] = {
        "both networks are compiled": {
            "passed": not fell_back, "found": f"not {fell_back}" if fell_back else "both", "wanted": "both",
        },
        "ours over diffusers, both compiled, images/s": {
            "passed": None if unfit else ratio >= TARGET_RATIO, "why": unfit,
            "found": ratio, "wanted": f"at least {TARGET_RATIO}",
        },
        "graphed samples are the plain ones": {
            "passed": difference <= GRAPH_TOLERANCE, "found": difference, "wanted": f"at most {GRAPH_TOLERANCE}",
        },
        "loss in reduced precision is that in float32": {
            "passed": gap <= CURVE_TOLERANCE, "found": gap, "wanted": f"at most {CURVE_TOLERANCE}",
        },
        "no step of training waits for the GPU": {
            "passed": None if reads else waiting == "", "why": reads, "found": waiting, "wanted": "nothing",
        },
    }  # fmt: skip
    return found


def text_table(found: dict[str, Any]) -> str:
    """The figures as lines of text."""
    lines = [f"{found['device']}, {found['precision']}, matrix product {found['matmul_tflops']:.2f} TFLOP/s"]
    for label, speed in found["training_images_per_second"].items():
        share = found["share_of_matmul_peak"][label]
        lines.append(f"  training, {label:22} {speed:10,.1f} images/s   {share:6.1%} of the matrix product's speed")
    lines.append(f"  ours compiled, as training does it, over diffusers as it comes: {found['ratio_as_usual']:.2f}")
    for label, speed in found["sampling_images_per_second"].items():
        lines.append(f"  sampling, {label:22} {speed:10,.1f} images/s")
    for name, check in found["checks"].items():
        state = {True: "passed", False: "FAILED", None: f"not checked, {check.get('why')}"}[check["passed"]]
        value = f"{check['found']:.3g}" if isinstance(check["found"], float) else check["found"] or "nothing"
        lines.append(f"  {state}: {name}: {value} (wanted: {check['wanted']})")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course_staff gpu-check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=typed_path, required=True, metavar="FOLDER")
    parser.add_argument("--size", choices=list(SIZES), default="large", help="tiny is for trying it out on a CPU")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args(argv)
    device = choose_device(arguments.device)
    if device.type != "cuda" and arguments.size != "tiny":
        parser.error("no GPU here: nothing to measure (--size tiny only tries this program out)")
    found = examine(SIZES[arguments.size], device)
    write_atomically(arguments.out / "gpu_check.json", json.dumps(found, indent=2) + "\n")
    print(text_table(found))
    return 1 if any(check["passed"] is False for check in found["checks"].values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
