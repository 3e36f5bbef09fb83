"""Processes that outlive their parents: adopted by the process that grades, and ended by it.

In the box nothing of this is needed: its processes die with it. Without a box a kernel may end its server, leave its
session or start programs. On Linux these become children of the nearest process above that has called `adopt`: the
kernel server, the child that grades, the grading process. Elsewhere only what still has its parents is found, and at
the end of a run whatever names the run's folder in its environment. A copy of this file lies beside the kernel server.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_adopters: set[int] = set()


def adopt() -> None:
    """From now on this process, and not process 1, is the parent of all below it that lose theirs."""
    _adopters.add(os.getpid())
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """On Linux: this process is killed when the one that forked it ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_all(seconds: float = 10.0) -> bool:
    """Kill everything below this process; whether nothing is left. Only in one that adopts."""
    if os.getpid() not in _adopters:
        return True
    deadline = time.monotonic() + seconds
    while found := _running_below():
        _kill(found)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def end_marked(text: str, seconds: float = 10.0) -> bool:
    """Kill processes that have `text` in a value of their environment, and all below them; whether nothing is left."""
    deadline = time.monotonic() + seconds
    while found := list(_running_marked(text)):
        _kill(found)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _running_below() -> list[Any]:
    """Running processes below this one. Those that have ended are waited for: of the adopted ones nobody else does."""
    import psutil  # type: ignore[import-untyped]  # comes with ipykernel

    running = []
    for member in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if member.status() != psutil.STATUS_ZOMBIE:
                running.append(member)
            elif member.ppid() == os.getpid():
                os.waitpid(member.pid, os.WNOHANG)
    return running


def _running_marked(text: str) -> Any:
    import psutil

    for member in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if member.pid != os.getpid() and any(text in value for value in member.environ().values()):
                if member.status() != psutil.STATUS_ZOMBIE:
                    yield from (*member.children(recursive=True), member)


def _kill(members: list[Any]) -> None:
    for member in members:
        with contextlib.suppress(Exception):
            member.kill()
