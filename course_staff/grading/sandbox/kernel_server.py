"""Runs inside the box: imports the heavy libraries once, then forks a fresh kernel for each exercise it is asked for.

A grading run copies this file beside the pruned course package; it imports nothing of the course's staff and knows no
answers. The grader writes lines of JSON to its input, first {"preload": [modules], "boxed": true}, then one for each
kernel: {"number": 3, "connection": {...}, "memory": bytes, "cpu": seconds, "file": bytes}. It answers "ready", and
"ended 3" when a kernel has ended. Everything is killed before the next kernel starts, and when its input closes: in the
box all other processes, without one all that the kernel has started.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from typing import Any

from orphans import adopt, end_all  # type: ignore[import-not-found]  # copied to its side


def main() -> None:
    """Serve until the input closes."""
    wake, wakened = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakened)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    buffer, kernel, number, boxed = b"", 0, 0, False
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            if _reap(kernel):
                kernel = _sweep(kernel, boxed)
                _say(f"ended {number}")
        if 0 not in readable:
            continue
        received = os.read(0, 1 << 16)
        if not received:
            _sweep(kernel, boxed)
            return
        *lines, buffer = (buffer + received).split(b"\n")
        for line in lines:
            order: dict[str, Any] = json.loads(line)
            if "preload" in order:
                boxed = order["boxed"] and _in_a_box()
                adopt()
                _preload(order["preload"])
                _say("ready")
            else:
                _sweep(kernel, boxed)
                number = order["number"]
                kernel = _fork(order)


def _preload(modules: list[str]) -> None:
    """Import what kernels need, so that each fork has it already. What cannot be imported shows up in a cell."""
    gc.disable()  # there is little garbage, and looking for it costs a sixth of the start
    for name in ("ipykernel.kernelapp", "ipykernel.ipkernel", "IPython.utils.capture", *modules):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _become_kernel(order)
    finally:
        os._exit(1)


def _become_kernel(order: dict[str, Any]) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, 1024)
    home = tempfile.mkdtemp(prefix="home-")
    os.environ |= {"HOME": home, "IPYTHONDIR": f"{home}/.ipython", "MPLCONFIGDIR": f"{home}/mpl", "TMPDIR": home}
    tempfile.tempdir = None
    os.chdir(home)
    with open("connection.json", "w", encoding="utf-8") as file:
        json.dump(order["connection"], file)
    limits = {resource.RLIMIT_FSIZE: order["file"], resource.RLIMIT_CPU: order["cpu"], resource.RLIMIT_CORE: 0}
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as file:
        taken = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")  # by the libraries, already
        limits[resource.RLIMIT_AS] = taken + order["memory"]
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    sys.argv = ["kernel"]
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(["-f", "connection.json", "--HistoryManager.enabled=False"])


def _in_a_box() -> bool:
    """Whether process 1 is bubblewrap's, so that killing everything kills nothing of others."""
    try:
        with open("/proc/1/comm", encoding="ascii") as file:
            return file.read().strip() == "bwrap"
    except OSError:
        return False


def _sweep(kernel: int, boxed: bool) -> int:
    """Kill the kernel and whatever it started, and empty its home. 0: there is no kernel now."""
    if kernel:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(kernel, signal.SIGKILL)
    for _ in range(100 if boxed else 0):
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:  # nobody left
            break
    if not boxed:
        end_all()
    while True:
        try:
            if os.waitpid(-1, 0 if kernel else os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break
    for entry in os.scandir(tempfile.gettempdir()) if boxed else ():
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    return 0


def _reap(kernel: int) -> bool:
    """Whether the kernel has ended."""
    ended = False
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended |= pid == kernel


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main()
