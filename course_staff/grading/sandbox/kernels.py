"""The grader's end of `kernel_server`: start it, in the box or not, have it fork kernels, and end everything."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .box import INSIDE, Box, Limits, environment
from .cgroups import Groups, make_groups
from .orphans import end_all
from .stage import SERVER

CHANNELS = ("shell", "stdin", "control", "iopub", "hb")  # in the order in which a kernel opens them
SAID_AT_MOST = 10_000  # bytes of a server: "ready" and "ended 1" are all that it says
CPU = 4  # seconds of computing for each second on the clock that a cell may take


class NoKernel(RuntimeError):
    """A kernel could not be started; the server is of no use any more."""


class KernelServer:
    """One running `kernel_server`, and what it says. Nothing that it says is trusted with points."""

    def __init__(self, stage: Path, box: Box | None, modules: Sequence[str], limits: Limits, cell: float) -> None:
        self.limits, self.cpu = limits, int(CPU * cell) + 120
        self.folder = Path(tempfile.mkdtemp(prefix="k"))
        self.sockets = self.folder / "s"
        self.sockets.mkdir()
        self.groups: Groups | None = None
        self.number, self.ended, self.said, self.closed = 0, 0, b"", False
        self.boxed = box is not None
        if box:
            self.groups = make_groups(limits.total_memory, limits.processes)
            server = [sys.executable, f"{INSIDE}/course/{SERVER}"]
            self.folder.chmod(0o711)
            self.sockets.chmod(0o711)
            command = box.command(stage, self.sockets, limits, server)
            self.process = box.start(command, self.groups, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL)
        else:
            self.process = subprocess.Popen(
                [sys.executable, str(stage / SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(str(stage)) | {"TMPDIR": str(self.folder)},
                start_new_session=True,
            )
        assert self.process.stdin and self.process.stdout
        self.order, self.answers = self.process.stdin, self.process.stdout
        self._tell({"preload": list(modules), "boxed": self.boxed})

    def start_kernel(self, seconds: float) -> dict[str, Any]:
        """End the kernel before, have a new one, and return how to connect to it. NoKernel where none comes up."""
        deadline = time.monotonic() + seconds
        while b"ready" not in self.said:
            self._listen(0.2)
            if self.closed or time.monotonic() > deadline:
                raise NoKernel("the kernel server does not get ready")
        self._wake()
        self.number += 1
        folder = self.sockets / str(self.number)
        folder.mkdir()
        folder.chmod(0o777 if self.boxed else 0o700)
        inside = Path(INSIDE, "sockets", str(self.number)) if self.boxed else folder
        ports = {f"{name}_port": number for number, name in enumerate(CHANNELS, start=1)}
        key = secrets.token_hex(16)
        connection = {"transport": "ipc", "key": key, "signature_scheme": "hmac-sha256", **ports}
        limits = {"memory": self.limits.memory, "cpu": self.cpu, "file": self.limits.file}
        self._tell({"number": self.number, "connection": connection | {"ip": f"{inside}/c"}, **limits})
        while not _is_socket(folder / f"c-{len(CHANNELS)}"):
            self._listen(0.02)
            if not self.is_alive() or time.monotonic() > deadline:
                raise NoKernel("a kernel does not start")
        if not all(_is_socket(folder / f"c-{number}") for number in ports.values()):
            raise NoKernel("a kernel's sockets are not what they should be")
        folder.chmod(0o711)  # no more files in here; where the user is not another one, the box's end empties it
        return connection | {"ip": f"{folder}/c"}

    def is_alive(self) -> bool:
        """Whether the kernel asked for last has not ended, as far as its server says."""
        self._listen(0)
        return not self.closed and self.ended < self.number

    def close(self) -> None:
        """End the server, its kernel and its box, and remove the folder."""
        for pipe in (self.order, self.answers):
            with contextlib.suppress(OSError):
                pipe.close()
        if not self.boxed:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it kills its kernel first
                self.process.wait(10)
        for member in self._family():
            with contextlib.suppress(Exception):
                member.kill()
        self.process.kill()
        self.process.wait()
        end_all()  # what the server was the parent of, and what had left it
        if self.groups:
            self.groups.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tell(self, order: dict[str, Any]) -> None:
        """Write an order. A server that does not read it is dead or stopped: NoKernel."""
        line = (json.dumps(order) + "\n").encode()
        os.set_blocking(self.order.fileno(), False)
        try:
            if os.write(self.order.fileno(), line) != len(line):
                raise NoKernel("the kernel server does not read")
        except OSError as error:
            raise NoKernel("the kernel server has ended") from error

    def _listen(self, seconds: float) -> None:
        if self.closed or not select.select([self.answers], [], [], seconds)[0]:
            return
        received = os.read(self.answers.fileno(), 4096)
        self.said += received
        self.closed = not received or len(self.said) > SAID_AT_MOST
        if f"\nended {self.number}\n".encode() in self.said:
            self.ended = self.number

    def _wake(self) -> None:
        """A student's code may have stopped its server; a stopped one cannot kill what it has to kill."""
        import signal

        for member in self._family():
            with contextlib.suppress(Exception):
                member.send_signal(signal.SIGCONT)

    def _family(self) -> list[Any]:
        import psutil  # type: ignore[import-untyped]  # comes with ipykernel

        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.Error:
            return []


def _is_socket(path: Path) -> bool:
    """A socket itself: a link to one could lead out of the box."""
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False
