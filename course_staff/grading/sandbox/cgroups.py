"""Control groups, version 2 or 1: a limit on the memory and the number of all processes of one submission together."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")  # the groups that this process is in
PREFIX = "course-grade-"
FILES = {
    "memory": (("memory.max", "memory.limit_in_bytes"), ("memory.swap.max", "memory.memsw.limit_in_bytes")),
    "pids": (("pids.max", "pids.max"),),
}


@dataclass(frozen=True)
class Groups:
    """Control groups made for one submission. `doors` are the files into which a process that joins writes its id."""

    folders: tuple[Path, ...]

    @property
    def doors(self) -> tuple[str, ...]:
        return tuple(str(folder / "cgroup.procs") for folder in self.folders)

    def remove(self) -> None:
        """Remove the groups. Their processes have been killed; it may take a moment until they are gone."""
        for folder in self.folders:
            for _ in range(50):
                with contextlib.suppress(FileNotFoundError):
                    try:
                        folder.rmdir()
                    except OSError:
                        time.sleep(0.02)
                        continue
                break


def make_groups(memory: int, processes: int) -> Groups | None:
    """Groups with these limits, memory in bytes; None where this machine, or this user, has none to give."""
    made: list[Path] = []
    for parent, controllers, version in _parents():
        folder = parent / f"{PREFIX}{os.getpid()}"
        try:
            folder.mkdir(exist_ok=True)
            for controller in controllers:
                first, *more = FILES[controller]
                limit = str(memory if controller == "memory" else processes)
                (folder / first[version]).write_text(limit)
                for names in more:
                    with contextlib.suppress(OSError):  # swap is counted apart, or not at all
                        (folder / names[version]).write_text("0" if version == 0 else limit)
        except OSError:
            Groups((folder,)).remove() if folder.is_dir() else None
            continue
        made.append(folder)
    return Groups(tuple(made)) if made else None


def _parents() -> Iterator[tuple[Path, tuple[str, ...], int]]:
    """(folder in which to make a group, controllers, 0 for version 2 or 1 for version 1)."""
    try:
        lines = OWN.read_text().splitlines()
    except OSError:
        return
    own = {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}
    if (MOUNT / "cgroup.controllers").exists():
        folder = MOUNT / own.get("", "/").lstrip("/")
        for parent in (folder, *folder.parents):
            if not parent.is_relative_to(MOUNT):
                return
            with contextlib.suppress(OSError):
                here = (parent / "cgroup.subtree_control").read_text().split()
                if "memory" in here and os.access(parent, os.W_OK):
                    yield parent, tuple(name for name in FILES if name in here), 0
                    return
        return
    for name in FILES:
        for parent in (MOUNT / name / own.get(name, "/").lstrip("/"), MOUNT / name):
            if parent.is_dir() and os.access(parent, os.W_OK):
                yield parent, (name,), 1
                break


def sweep() -> None:
    """Remove groups that grading processes left behind when they were killed."""
    for parent, _, _ in _parents():
        for folder in parent.glob(f"{PREFIX}*"):
            if not Path("/proc", folder.name.removeprefix(PREFIX)).exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
