"""Runs the solved notebooks as on a small machine and lists the memory and the time that each takes: `make small`.

One core (the kernel may run on no other, and PyTorch uses one thread) and 2 GB: a control group refuses the kernel more
where this user may make one, and its resident memory is watched besides; beyond the limit the kernel is killed and the
notebook fails. The peak is the kernel's resident memory, libraries included, as Linux reports it (VmHWM). Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..building import assemble
from ..building.execute import SECONDS, kernel_environment
from ..building.source import read_source
from ..course import Course
from ..grading.sandbox.cgroups import Groups, make_groups

GB = 10**9
PROCESSES = 512


@dataclass
class Run:
    """What a notebook took: the kernel's highest resident memory in bytes, the cell that last raised it, seconds."""

    name: str
    peak: int = 0
    cell: str = ""
    seconds: float = 0.0
    failure: str = ""
    slowest: tuple[float, str] = field(default=(0.0, ""))

    def row(self) -> str:
        slow = f"{self.slowest[0]:.0f} s: `{self.slowest[1]}`"
        end = f"| {self.failure} |" if self.failure else f"| `{self.cell}` | {slow} |"
        return f"| {self.name} | {self.peak / GB:.2f} | {self.seconds:.0f} {end}"


def status(pid: int, key: str) -> int:
    """A line of /proc/PID/status in bytes: VmHWM, the highest resident memory so far, or VmRSS, the present one."""
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


class Watch(threading.Thread):
    """Kills a process whose resident memory goes beyond `limit` bytes."""

    def __init__(self, pid: int, limit: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.limit, self.ended, self.killed, self.peak = pid, limit, threading.Event(), False, 0

    def run(self) -> None:
        with contextlib.suppress(OSError, StopIteration):
            while not self.ended.wait(0.05):
                self.peak = max(self.peak, status(self.pid, "VmRSS"))
                if self.peak > self.limit:
                    self.killed = True
                    os.kill(self.pid, signal.SIGKILL)
                    return


def measure(notebook: assemble.Json, name: str, cores: int, limit: int) -> Run:
    """Run the notebook's cells under these limits, `limit` in bytes."""
    import nbclient
    import nbformat

    run, watches, groups = Run(name), list[Watch](), list[Groups]()
    began = [0.0]

    def start(**_: Any) -> None:
        manager: Any = client.km
        pid = manager.provisioner.pid
        if made := make_groups(limit, PROCESSES):
            groups.append(made)
            for door in made.doors:
                Path(door).write_text(str(pid))
        watches.append(Watch(pid, limit))
        watches[0].start()

    def before(**_: Any) -> None:
        began[0] = time.monotonic()

    def after(cell: Any, cell_index: int, **_: Any) -> None:
        label = first_line(cell["source"])
        with contextlib.suppress(OSError, StopIteration):
            peak = max(status(watches[0].pid, "VmHWM"), watches[0].peak)
            if peak > 1.01 * run.peak:
                run.cell = label
            run.peak = max(run.peak, peak)
        run.slowest = max(run.slowest, (time.monotonic() - began[0], label))

    node = nbformat.reads(assemble.dump(notebook), as_version=4)
    allowed = os.sched_getaffinity(0)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            node, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}},
            on_notebook_start=start, on_cell_execute=before, on_cell_executed=after,
        )  # fmt: skip
        environment = kernel_environment() | {"OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)}
        try:
            os.sched_setaffinity(0, sorted(allowed)[:cores])  # the kernel inherits it
            client.execute(env=environment, stderr=subprocess.DEVNULL)
        except nbclient.exceptions.DeadKernelError:
            by = "more memory than the limit" if watches and watches[0].killed else "the kernel died (memory?)"
            run.failure = f"FAILED: {by}"
        except nbclient.exceptions.CellExecutionError as error:
            run.failure = f"FAILED: {error.ename}: {(error.evalue.strip().splitlines() or [''])[0]}"
        except nbclient.exceptions.CellTimeoutError:
            run.failure = f"FAILED: a cell took more than {SECONDS} s"
        finally:
            os.sched_setaffinity(0, allowed)
            for watch in watches:
                watch.ended.set()
                watch.join()
                run.peak = max(run.peak, watch.peak)
            for made in groups:
                made.remove()
    run.seconds = time.monotonic() - started
    return run


def first_line(code: str) -> str:
    """How a table names a cell: its first line of code, shortened, `|` left out."""
    lines = [line.strip() for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return (lines or ["(empty)"])[0][:50].replace("|", "/").replace("`", "'")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course_staff small-machine", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks, such as 05 or 05_ddpm (default: all)")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="10^9 bytes for the kernel (default: 2)")
    options = parser.parse_args(arguments)
    course = Course()
    try:
        if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/status").exists():
            raise ValueError("cores and memory can be limited and measured on Linux only")
        if not 1 <= options.cores <= len(os.sched_getaffinity(0)) or options.gigabytes <= 0:
            raise ValueError(f"there are {len(os.sched_getaffinity(0))} cores; expected --cores from 1 to that many")
        names = course.select(options.names)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("| notebook | peak, GB | seconds | the cell of the peak | the slowest cell |\n|---|---|---|---|---|")
    failed = False
    for name in names:
        notebook = assemble.solution(read_source(course.source(name)), course.package)
        run = measure(notebook, name, options.cores, round(options.gigabytes * GB))
        print(run.row(), flush=True)
        failed |= bool(run.failure)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
