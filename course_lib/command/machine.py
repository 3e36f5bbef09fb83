"""What the course found on this machine: versions, processor threads, memory, a GPU or none.

`python -m course_lib.command.machine` prints, for `env`, the variable that keeps PyTorch to this process's share of the
cores; nothing where the share is everything, or the variable is set already. `make lab` and binder/start use it.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

THREADS = "OMP_NUM_THREADS"  # read once, when PyTorch is imported
PROCESS = Path("/proc/self")  # Linux tells here which control groups this process is in, and where they are
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Machine:
    """`cores`: as much of their time, such as 0.5, as this process gets; `memory` in bytes, None where it cannot be
    told; `gpu` an NVIDIA GPU's name or None. Printing it reports."""

    python: str
    torch: str
    cores: float
    threads: int
    memory: int | None
    gpu: str | None

    def __str__(self) -> str:
        memory = "unknown" if self.memory is None else f"{self.memory / 2**30:.1f} GiB"
        gpu = self.gpu or "no NVIDIA GPU found; every notebook is made to run without one"
        cores = f"{round(self.cores, 2):g} core{'s' * (self.cores != 1)}"
        return (
            f"Python {self.python}, PyTorch {self.torch}\n"
            f"processor: {cores} for us, PyTorch uses {self.threads} thread{'s' * (self.threads != 1)}\n"
            f"memory:    {memory}\n"
            f"GPU:       {gpu}"
        )


def machine() -> Machine:
    """This machine, as far as this process may use it: its share of the cores and of the memory in a container too."""
    import torch

    return Machine(
        python=platform.python_version(),
        torch=torch.__version__,
        cores=share(),
        threads=torch.get_num_threads(),
        memory=_memory(),
        gpu=_gpu(),
    )


def share(process: Path = PROCESS) -> float:
    """Cores' worth of time for this process: those it may run on, or less where a control group has a smaller share."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([count, *filter(lambda cores: cores > 0, _limits(_cores_of_group, "cpu", process))])


def cores(process: Path = PROCESS) -> int:
    """Threads that can work at once: `share`, rounded up."""
    return math.ceil(share(process))


def threads_setting(process: Path = PROCESS) -> str:
    """ "OMP_NUM_THREADS=2" where this process has fewer cores than the machine shows; else PyTorch knows best: ""."""
    count = cores(process)
    if THREADS in os.environ or count >= (os.cpu_count() or 1):
        return ""
    return f"{THREADS}={count}"


def _memory(process: Path = PROCESS) -> int | None:
    """Bytes of memory: what is built in, or less where a control group is given less."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        found = []
    return min([*found, *_limits(_memory_of_group, "memory", process)], default=None)


def _limits(read: Callable[[Path], Number], controller: str, process: Path) -> Iterator[Number]:
    """What `read` finds in every control group from this process's own up to the topmost that is visible."""
    for group in _groups(controller, process):
        try:
            yield read(group)
        except (OSError, ValueError, ZeroDivisionError):  # no such file, or no limit
            continue


def _cores_of_group(group: Path) -> float:
    """ValueError or OSError where the group has no limit."""
    if (group / "cpu.max").exists():  # version 2
        quota, period = (group / "cpu.max").read_text().split()
    else:
        quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return int(quota) / int(period)  # "max", or -1 in version 1, is none


def _memory_of_group(group: Path) -> int:
    """ValueError or OSError where the group has no limit."""
    name = "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"
    return int((group / name).read_text())


def _groups(controller: str, process: Path) -> Iterator[Path]:
    """The folders of the control groups that this process is in, in versions 1 and 2, each before the one around it."""
    try:
        own = [line.split(":", 2)[1:] for line in (process / "cgroup").read_text(errors="replace").splitlines()]
        mounts = (process / "mountinfo").read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return
    for line in mounts:
        place, _, kind = line.partition(" - ")
        fields, (system, *_, options) = place.split(" "), kind.split(" ")
        if system not in ("cgroup", "cgroup2") or (system == "cgroup" and controller not in options.split(",")):
            continue
        root, top = (_unescaped(fields[number]) for number in (3, 4))
        wanted = "" if system == "cgroup2" else controller
        path = next((path for names, path in own if wanted in names.split(",")), root)
        within = os.path.relpath(path, root)  # a container may see only its own group, by a name from outside
        inside = Path(top) if within.startswith("..") else Path(top, within)
        yield from (group for group in (inside, *inside.parents) if group.is_relative_to(top))


def _unescaped(field: str) -> str:
    """A path of mountinfo, where a space is \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def matmul_peak(size: int = 1024, rounds: int = 20) -> float:
    """The most floating-point operations a second that a product of two float32 matrices reached here."""
    import torch

    a, b = torch.randn(size, size), torch.randn(size, size)
    return max(2 * size**3 / elapsed(lambda: a @ b) for _ in range(rounds))


def elapsed(work: Callable[[], Any]) -> float:
    """Seconds that `work` took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_memory(work: Callable[[], Any]) -> int | None:
    """Bytes by which the process grew at most during `work`; None where the system does not tell (Linux does)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def read(name: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024

    gc.collect()  # or what is let go of meanwhile hides what is taken
    try:
        reset.write_text("5")  # forget the highest mark so far
        before = read("VmRSS")
    except (OSError, StopIteration):
        work()
        return None
    work()
    return read("VmHWM") - before


if __name__ == "__main__":
    print(threads_setting())
