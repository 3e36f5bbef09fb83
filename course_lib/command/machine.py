"""What the course found on this machine: versions, processor threads, memory, a GPU or none.

`python -m course_lib.command.machine` prints, for `env`, the variable that keeps PyTorch to this process's share of the
cores; nothing where the share is everything, or the variable is set already. `make lab` and binder/start use it.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THREADS = "OMP_NUM_THREADS"  # read once, when PyTorch is imported


@dataclass(frozen=True)
class Machine:
    """`memory` in bytes, None where it cannot be told; `gpu` an NVIDIA GPU's name or None. Printing it reports."""

    python: str
    torch: str
    cores: int
    threads: int
    memory: int | None
    gpu: str | None

    def __str__(self) -> str:
        memory = "unknown" if self.memory is None else f"{self.memory / 2**30:.1f} GiB"
        gpu = self.gpu or "no NVIDIA GPU found; every notebook is made to run without one"
        return (
            f"Python {self.python}, PyTorch {self.torch}\n"
            f"processor: {self.cores} cores for us, PyTorch uses {self.threads} thread{'s' * (self.threads != 1)}\n"
            f"memory:    {memory}\n"
            f"GPU:       {gpu}"
        )


def machine() -> Machine:
    """This machine, as far as this process may use it: its share of the cores and of the memory in a container too."""
    import torch

    return Machine(
        python=platform.python_version(),
        torch=torch.__version__,
        cores=cores(),
        threads=torch.get_num_threads(),
        memory=_memory(),
        gpu=_gpu(),
    )


def cores(control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores for this process: those it may run on, or fewer where a container has a smaller share of their time."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for read in (_quota_v2, _quota_v1):
        try:
            count = min(count, max(1, math.ceil(read(control_groups))))
        except (OSError, ValueError):  # no such file, or no limit
            continue
    return count


def threads_setting(control_groups: Path = Path("/sys/fs/cgroup")) -> str:
    """ "OMP_NUM_THREADS=2" where this process has fewer cores than the machine shows; else PyTorch knows best: ""."""
    count = cores(control_groups)
    if THREADS in os.environ or count >= (os.cpu_count() or 1):
        return ""
    return f"{THREADS}={count}"


def _quota_v2(control_groups: Path) -> float:
    quota, period = (control_groups / "cpu.max").read_text().split()
    return int(quota) / int(period)  # ValueError for "max"


def _quota_v1(control_groups: Path) -> float:
    quota = int((control_groups / "cpu" / "cpu.cfs_quota_us").read_text())
    if quota < 0:
        raise ValueError("no limit")
    return quota / int((control_groups / "cpu" / "cpu.cfs_period_us").read_text())


def _memory(control_groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes of memory: what is built in, or less where a container is given less."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        found = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # versions 2 and 1 of Linux' control groups
        try:
            found.append(int((control_groups / name).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(found, default=None)


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
