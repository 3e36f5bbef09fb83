"""What `train` does: read the arguments, train, show a bar, save now and then, and survive Ctrl-C."""

from __future__ import annotations

import argparse
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..checkpoint import SHIPPED, Model, load_training, remove_unfinished, save_model, save_training
from ..data.datasets import dataset
from ..engine.devices import choose_device
from ..engine.gpu import Engine, wants_compiling
from ..engine.parallel import Processes, join_processes
from ..files import only_run
from ..parametrization import Parametrization
from ..training import TrainConfig, TrainState, train, training_tensors
from ..unet import PRESETS, UNet
from .words import count, make_writable

OPTIONAL = (  # or TrainConfig's
    *("optimizer", "batch", "learning_rate", "muon_rate", "noise_mean", "noise_std", "label_dropout", "seed"),
)


def train_run(arguments: argparse.Namespace) -> int:
    """Train as the command line says; returns the exit code. Raises ValueError for a bad argument before any work."""
    with join_processes(arguments.device) as processes:
        with ExitStack() as held:
            return _train_run(arguments, processes, held)


def _train_run(arguments: argparse.Namespace, processes: Processes, held: ExitStack) -> int:
    if not arguments.out:
        raise ValueError("--out '': expected the name of a folder")
    if str(Path(arguments.out)) in SHIPPED:
        name = str(Path(arguments.out))
        raise ValueError(f"--out {name!r}: expected another name, for --model {name} means the shipped network")
    if arguments.preset not in PRESETS:
        raise ValueError(f"unknown preset {arguments.preset!r}: expected one of {', '.join(PRESETS)}")
    config = replace(
        TrainConfig(arguments.steps, arguments.seconds, device=processes.device(arguments.device)),
        **{name: value for name in OPTIONAL if (value := getattr(arguments, name)) is not None},
    )
    device = choose_device(config.device)
    engine = Engine(compile=wants_compiling(arguments.compile, device, config.seconds, config.steps))
    processes.share(config.batch)
    parametrization = Parametrization(arguments.target)
    with processes.one_downloads():
        data = dataset(arguments.data)
    images, labels = data.images, data.labels if arguments.labels else None
    classes = 0 if labels is None else int(labels.max()) + 1
    layout = replace(PRESETS[arguments.preset], channels=images.shape[1], classes=classes)
    if images.shape[2] % layout.divisor:
        shape = f"{images.shape[2]} x {images.shape[3]}"
        raise ValueError(
            f"preset {arguments.preset!r} needs sizes that {layout.divisor} divides, but {arguments.data} are {shape}"
        )
    folder, size = Path(arguments.out), (images.shape[2], images.shape[3])
    settings = {"data": arguments.data, "preset": arguments.preset, "target": arguments.target, **asdict(config)}
    settings["labels"] = arguments.labels
    del settings["device"]
    if processes.first:
        make_writable(folder, str(folder))
        held.enter_context(only_run(folder, repr(str(folder))))
    resume = processes.tensors_of_first(
        saved_run(folder, settings, arguments.resume) if processes.first else None  # the others need not see the files
    )

    torch.manual_seed(config.seed)
    network = UNet(layout)
    state: TrainState[UNet] | None = None
    stop = False
    saved_at = time.monotonic()
    unit, total = ("step", config.steps) if config.steps is not None else ("s", config.seconds)
    try:
        reached = 0.0 if resume is None else float(resume["step" if config.steps is not None else "seconds"])
        done = int(reached) if config.steps is not None else round(reached, 1)
        title, silent = f"training {arguments.preset}", not processes.first or done >= float(total or 0)
        bar = tqdm(total=total, initial=done, unit=unit, desc=title, mininterval=0.5, disable=silent)
        with interruptions() as asked, bar:
            states = train(
                network, parametrization, images, config, None, labels, resume, engine=engine, processes=processes
            )
            for state in states:
                stop = bool(processes.mean(torch.tensor(float(asked()))) > 0)  # where one is asked, all stop here
                if processes.first:
                    bar.n = state.step if config.steps is not None else round(min(state.seconds, float(total or 0)), 1)
                    if stop or time.monotonic() - saved_at >= arguments.save_seconds:
                        bar.set_postfix(step=state.step, loss=f"{float(state.loss):.4f}")
                        save_run(folder, state, parametrization, settings, size)
                        saved_at = time.monotonic()
                    bar.update(0)
                if stop:
                    break
    except KeyboardInterrupt:  # perhaps within a step, when the weights are no step's: nothing to save
        when = "at once" if state else "before the first step"
        raise KeyboardInterrupt(f" {when}; {describe_saved(folder)}") from None
    if state is not None and stop:
        processes.wait()  # torchrun ends all when one leaves: no one does before the first has saved
        where = f" at step {state.step}, saved in {folder}; the same command with --resume goes on"
        raise KeyboardInterrupt(where)
    if not processes.first:
        return 0
    if state is None:
        length = f"{total:g} {'steps' if config.steps else 'seconds'}"
        print(f"nothing left to do: the run in {folder} has had all its {length}")
        return 0
    save_run(folder, state, parametrization, settings, size)
    seen = state.step * config.batch
    print(f"{count(state.step, 'step')}, {seen:,} images, {state.seconds:.0f} s, saved in {folder}")
    return 0


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed; once it was asked, only a second Ctrl-C interrupts.

    Only in place of Python's own handler, and in the main thread: elsewhere a program has its own ideas of Ctrl-C.
    """
    asked, pressed = False, False

    def press(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed or not asked:
            raise KeyboardInterrupt
        pressed = True

    def ask() -> bool:
        nonlocal asked
        asked = True
        return pressed

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield ask
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def describe_saved(folder: Path) -> str:
    """What an interruption that saves nothing leaves of the run in `folder`, in words."""
    kept = (folder / "training.safetensors").is_file()
    return f"the last save in {folder} stands: the same command with --resume goes on" if kept else "nothing was saved"


def saved_run(folder: Path, settings: dict[str, Any], resume: bool) -> dict[str, Tensor] | None:
    """The tensors to go on from, or None for a fresh start. Raises ValueError where two different runs would mix.

    Clears away what a process that was killed while saving left behind.
    """
    exists = (folder / "training.safetensors").is_file()
    if exists and not resume:
        raise ValueError(f"{str(folder)!r} already holds a run: add --resume to go on with it, or choose another --out")
    if not exists:
        if resume:
            print(f"{folder} holds no run yet: starting from the beginning")
        remove_unfinished(folder)
        return None
    tensors, stored = load_training(folder)
    was, now = with_length({"labels": False} | stored), with_length(settings)
    different = [name for name in now if now[name] != was.get(name)]
    if different:
        said = ", ".join(f"{name} {was.get(name)} (now {now[name]})" for name in different)
        if "length" in different:
            said += " (the learning rate's curve depends on the length: start a new --out)"
        raise ValueError(f"cannot resume {str(folder)!r} with other settings: it was started with {said}")
    remove_unfinished(folder)
    return tensors


def with_length(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with a length, in words, in place of steps and seconds, of which only one is set."""
    kept = {name: value for name, value in settings.items() if name not in ("steps", "seconds")}
    steps, seconds = settings.get("steps"), settings.get("seconds")
    return kept | {"length": f"{seconds} seconds" if steps is None else count(steps, "step")}


def save_run(
    folder: Path,
    state: TrainState[UNet],
    parametrization: Parametrization,
    settings: dict[str, Any],
    size: tuple[int, int],
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
