"""What tests/library/test_parallel.py starts as several processes: `torchrun ... parallel_worker.py COMMAND ...`.

learn FOLDER            the same small trainings in every process; each writes what it found to FOLDER/RANK.safetensors
die STEP RANKS ARG...   `course_lib ARG...`, in which the processes RANKS ("1", "0,1") are killed (-9) after step STEP
fail STEP RANK ARG...   the same, but process RANK meets an error in place of its death
interrupt STEP RANKS ARG...   the same, but with Ctrl-C in place of death, within the step that follows
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import safetensors.torch
import torch
from networks import awake
from torch import Tensor

import course_lib.training as training
from course_lib.engine.gpu import PLAIN, Engine
from course_lib.engine.parallel import ALONE, Processes, join_processes
from course_lib.parametrization import Parametrization
from course_lib.training import TrainConfig, train
from course_lib.unet import UNet, UNetConfig

LAYOUT = UNetConfig(width=16, head_dim=8, multipliers=(1, 2), attn_levels=(0,), classes=3)
CLIP = 0.05  # below the first gradient's norm: clipping must see the averaged gradient


def labelled(n: int = 50) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(n, 1, 8, 8, generator=generator).clamp(-1, 1), torch.randint(0, 3, (n,), generator=generator)


def learn(processes: Processes = ALONE, steps: int = 20, engine: Engine = PLAIN) -> dict[str, Tensor]:
    """Losses (steps,), the first step's gradient before it is clipped, and the weights at the end, both flat."""
    gradient: list[Tensor] = []
    clip = training.nn.utils.clip_grad_norm_

    def watched(parameters, limit):
        parameters = list(parameters)
        if not gradient:
            gradient.append(torch.cat([p.grad.flatten() for p in parameters]))
        return clip(parameters, limit)

    images, labels = labelled()
    config = TrainConfig(steps=steps, batch=12, learning_rate=2e-3, gradient_clip=CLIP, warmup=5, label_dropout=0.3)
    training.nn.utils.clip_grad_norm_ = watched
    try:
        states = list(
            train(awake(LAYOUT), Parametrization(), images, config, labels=labels, engine=engine, processes=processes)
        )
    finally:
        training.nn.utils.clip_grad_norm_ = clip
    weights = torch.cat([p.detach().flatten() for p in states[-1].network.parameters()])
    return {"loss": torch.stack([s.loss for s in states]), "gradient": gradient[0], "weights": weights}


def steps_by_the_clock(processes: Processes) -> Tensor:
    """How many steps a run of half a second makes where the others' clocks are an hour late."""
    clock, late = training.time.monotonic, 0.0 if processes.first else 3600.0
    calls = [0]

    def skewed() -> float:
        calls[0] += 1
        return clock() - (late if calls[0] > 1 else 0.0)

    training.time.monotonic = skewed
    try:
        config = TrainConfig(seconds=0.5, batch=4)
        layout = UNetConfig(width=8, head_dim=8, multipliers=(1,))
        steps = [s.step for s in train(UNet(layout), Parametrization(), labelled()[0], config, processes=processes)]
    finally:
        training.time.monotonic = clock
    return torch.tensor(len(steps))


def dropped(processes: Processes) -> Tensor:
    """Which features a first step withholds."""
    seen: list[Tensor] = []
    dropout = torch.nn.functional.dropout

    def watched(x: Tensor, *args, **kwargs) -> Tensor:
        seen.append(dropout(x, *args, **kwargs))
        return seen[-1]

    torch.nn.functional.dropout = watched
    try:
        layout = UNetConfig(width=8, head_dim=8, multipliers=(1,), dropout=0.5)
        config = TrainConfig(steps=1, batch=8)
        list(train(awake(layout), Parametrization(), labelled()[0], config, processes=processes))
    finally:
        torch.nn.functional.dropout = dropout
    return (seen[0].detach() == 0).float().contiguous()


def sent(processes: Processes) -> dict[str, Tensor]:
    """What the first process alone holds, as all receive it."""
    mine = {"numbers": torch.arange(5.0), "step": torch.tensor(7)} if processes.first else None
    received = processes.tensors_of_first(mine)
    assert received is not None and processes.tensors_of_first(None) is None
    return {f"sent {name}": value for name, value in received.items()}


def main(order: str, *arguments: str) -> int:
    if order == "learn":
        with join_processes("cpu") as processes:
            found = learn(processes) | {"steps": steps_by_the_clock(processes), "dropped": dropped(processes)}
            found["compiled loss"] = learn(processes, 4, Engine(compile=True, backend="aot_eager"))["loss"]
            found |= sent(processes)
            safetensors.torch.save_file(found, Path(arguments[0]) / f"{processes.rank}.safetensors")
        return 0

    import course_lib.command.train as command
    from course_lib.__main__ import main as command_line

    real, step, ranks = command.train, int(arguments[0]), arguments[1].split(",")

    def doomed(*args, **kwargs):
        for state in real(*args, **kwargs):
            yield state
            if state.step == step and os.environ["RANK"] in ranks:
                if order == "fail":
                    raise RuntimeError("no luck at all")
                os.kill(os.getpid(), signal.SIGKILL if order == "die" else signal.SIGINT)

    command.train = doomed
    return command_line(list(arguments[2:]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
