"""What was found on this machine, what of it will be slow, and how to mend it: `python -m course_lib doctor`.

Each check returns a `Finding`. Only one that is "broken" keeps the course from running; a "slow" one makes it wait, and
a "note" costs only what it says. Nothing is changed and nothing is downloaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from .staff import staff_module

OLDEST_PYTHON = (3, 11)
MODULES = {"pillow": "PIL", "jupyterlab": "jupyterlab", "ipykernel": "ipykernel"}  # where the module is named otherwise
GRADING = ("nbval", "jupytext", "pytest")
NO_BOX = "only teachers need it: a box for submitted code, made by bubblewrap on Linux; see docs/teaching.md"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NOTEBOOK = 1.2 * 2**30  # bytes: the most a notebook may take
TRIAL_STEPS, TRIAL_BATCH = 8, 128
ENOUGH = 80_000  # digits that the smallest network sees until most that it draws are recognisable: 05's minute


@dataclass(frozen=True)
class Finding:
    """`state` is "ok", "note", "slow" or "broken"; `mend` says what to do about it, where something can be done."""

    subject: str
    state: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        lines = [f"{self.state:6} {self.subject}: {self.found}"]
        return "\n".join([*lines, *[f"       -> {self.mend}"] * bool(self.mend)])


def examine() -> Iterator[Finding]:
    """Every finding, in the order in which to read them. What needs PyTorch is left out where it cannot be imported."""
    yield python(sys.version_info[:3])
    libraries = list(packages())
    yield from libraries
    if any(finding.state == "broken" for finding in libraries):
        return
    for check in (processor, memory, gpu, assets, speed, browser, grading):
        try:
            yield check()
        except Exception as error:  # a doctor who falls ill is no help
            yield Finding(check.__name__, "broken", f"{type(error).__name__}: {error}", REINSTALL)


REINSTALL = "install again: `make clean`, then `make lab` (without make: the pip lines of README.md)"


def python(found: tuple[int, ...]) -> Finding:
    text = f"{'.'.join(map(str, found))} on {platform.system()} {platform.machine()}, {sys.executable}"
    if found[:2] < OLDEST_PYTHON:
        return Finding(
            "Python", "broken", text, "the course needs 3.11 or newer: `make lab PYTHON=/path/to/python3.12`"
        )
    return Finding("Python", "ok", text)


def packages(declared: list[str] | None = None) -> Iterator[Finding]:
    """One finding a library that the course needs to run or to open its notebooks; `declared` as in its metadata."""
    try:
        from packaging.requirements import Requirement

        lines = requires("course_lib") or [] if declared is None else declared
    except ImportError as error:  # PackageNotFoundError is one
        missing = "course_lib" if isinstance(error, PackageNotFoundError) else "packaging"
        yield Finding(missing, "broken", "not installed in this Python", REINSTALL)
        return
    for needed in map(Requirement, lines):
        if needed.marker is not None and not needed.marker.evaluate({"extra": "lab"}):
            continue
        name, ranges = needed.name, needed.specifier
        try:
            installed = version(name)
            importlib.import_module(MODULES.get(name, name))
        except PackageNotFoundError:
            yield Finding(name, "broken", f"not installed, expected {ranges}", REINSTALL)
        except Exception as error:
            yield Finding(name, "broken", f"installed but cannot be imported: {error}", REINSTALL)
        else:
            inside = ranges.contains(installed, prereleases=True)
            wrong = "" if inside else f"tested only with {ranges}; if a notebook fails, {REINSTALL}"
            yield Finding(name, "note" if wrong else "ok", installed, wrong)


def processor() -> Finding:
    from .machine import machine

    here = machine()
    text = f"{round(here.cores, 2):g} core{'s' * (here.cores != 1)} for us, PyTorch uses {here.threads}"
    if here.threads > math.ceil(here.cores):
        mend = f"more threads than cores wait: start by `make lab`, or export OMP_NUM_THREADS={math.ceil(here.cores)}"
        return Finding("processor", "slow", text, mend)
    if here.cores <= 1:
        longer = "twice" if here.cores == 1 else f"{2 / here.cores:.0f} times"
        return Finding("processor", "slow", text, f"notebooks take up to {longer} the time that they state (two cores)")
    return Finding("processor", "ok", text)


def memory() -> Finding:
    from .machine import machine

    bytes_ = machine().memory
    if bytes_ is None:
        return Finding("memory", "note", "cannot be told here", "a notebook takes up to 1.2 GB")
    text = f"{bytes_ / 2**30:.1f} GiB"
    if bytes_ < NOTEBOOK:
        return Finding("memory", "broken", text, "a notebook takes up to 1.2 GB; free or add memory")
    if bytes_ < 2 * NOTEBOOK:
        return Finding("memory", "note", text, "room for one notebook: shut a kernel down before you open the next")
    return Finding("memory", "ok", text)


def gpu() -> Finding:
    import torch

    from ..engine.devices import reduced_precision
    from .machine import machine

    name = machine().gpu
    if name:
        precision = reduced_precision(torch.device("cuda"))
        return Finding("GPU", "ok", f"{name}, trains in {str(precision or torch.float32).removeprefix('torch.')}")
    if shutil.which("nvidia-smi"):
        mend = "this PyTorch cannot use it: install a build for your CUDA version (pytorch.org/get-started)"
        return Finding("GPU", "slow", f"an NVIDIA driver, but PyTorch {torch.__version__} finds no GPU", mend)
    return Finding("GPU", "ok", "none, and none is needed")


def assets() -> Finding:
    from ..checkpoint import load_model
    from ..data import digits

    images, model = digits("train").images, load_model("digits")
    weights = sum(parameter.numel() for parameter in model.network.parameters())
    return Finding("assets", "ok", f"{len(images):,} digits, a trained network of {weights:,} parameters")


def speed(clock: Callable[[], float] = time.perf_counter) -> Finding:
    """Digits a second that the smallest preset trains at, over a few steps after one to warm up; what that means."""
    import torch

    from ..data import digits
    from ..parametrization import Parametrization
    from ..training import TrainConfig, train
    from ..unet import PRESETS, UNet

    config = TrainConfig(steps=TRIAL_STEPS + 1, batch=TRIAL_BATCH)
    with torch.random.fork_rng(devices=[]):
        network = UNet(PRESETS["tiny"])
    states = train(network, Parametrization("edm"), digits("train").images, config)
    float(next(states).loss)  # waits for a GPU, which is handed work long before it is done
    start = clock()
    losses = [state.loss for state in states]
    float(losses[-1])
    rate = TRIAL_STEPS * TRIAL_BATCH / (clock() - start)
    minutes = f"about {ENOUGH / rate / 60:.1f} minutes until what it draws is recognisable"
    text = f"the smallest network trains at {rate:,.0f} digits a second: {minutes}"
    if rate < 500:
        mend = "give the training cell more SECONDS, end other programs, or use the shipped weights"
        return Finding("speed", "slow", text, mend)
    return Finding("speed", "ok", text)


def browser() -> Finding:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        mend = "only the browser tests need it (Debian, Ubuntu: apt-get install chromium)"
        return Finding("Chromium", "note", "not found", mend)
    return Finding("Chromium", "ok", found)


def grading() -> Finding:
    """Whether submissions can be graded here, in the box."""
    install = f"`{sys.executable} -m pip install -r requirements-test.txt` in the course's folder"
    missing = [name for name in GRADING if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("grading", "note", f"without {', '.join(missing)}", f"only teachers need it: {install}")
    try:
        boxes = staff_module("box")
    except Exception as error:
        return Finding("grading", "note", f"cannot be imported: {error}", f"only teachers need it: {install}")
    try:
        box = boxes.find_box(boxes.HIDDEN)
    except boxes.NoBox as error:
        return Finding("grading", "note", str(error), NO_BOX)  # which says what to install
    except Exception as error:
        return Finding("grading", "note", f"no box: {type(error).__name__}: {error}", NO_BOX)
    return Finding("grading", "ok", f"in a box, by {box.bwrap}")


def report() -> int:
    """Print every finding as it comes; 1 where something is broken, else 0."""
    states = []
    for finding in examine():
        states.append(finding.state)
        print(finding, flush=True)
    broken, slow = states.count("broken"), states.count("slow")
    if broken:
        print(f"{broken} broken: mend the first, then run this again.")
    else:
        print("The course runs here." + (f" {slow} slow: see above." if slow else ""))
    if os.environ.get("COLAB_RELEASE_TAG"):
        print("This looks like Colab: download your notebook before you leave.")
    return 1 if broken else 0
