"""nbval runs the grading notebook and compares the verdict line; this plugin makes that line, outside the kernel.

It is made from the values that came out of the kernel. What a cell shows itself is never compared. One line of JSON an
exercise goes to a file descriptor.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import nbval.plugin
import pytest
from nbformat import NotebookNode
from nbval.kernel import RunningKernel

from course_checks.registry import load

from ..notebook import verdict_line
from ..verdicts import Judged, judge_outputs
from .connection import Garbled, KernelConnection
from .kernels import KernelServer, NoKernel

SETUP = 120.0  # seconds for a kernel to start, and for the trusted setup cell, whatever students get
LATE = 15.0  # seconds after the end of a cell in which what it showed may still arrive
JOB: dict[str, Any] = {}  # set once, before pytest starts: pytest builds the classes below itself


class KernelEnded(RuntimeError):
    """The kernel ended while a cell ran."""


class KernelPool:
    """Starts kernels, one at a time; where their server is broken, by a new one."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.server: KernelServer | None = None
        self.begun = False  # whether any code of the submission has run
        self.failure = ""  # why no kernel started before that: not the submission's doing

    def kernel(self) -> tuple[KernelServer, KernelConnection]:
        """A fresh kernel and the connection to it. NoKernel where a new server cannot start one either."""
        for attempt in (1, 2):
            try:
                self.server = self.server or KernelServer(**self.settings)
                return self.server, KernelConnection(self.server.start_kernel(SETUP))
            except (NoKernel, OSError):
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def warm_up(self) -> None:
        """Have a server start while other things are prepared. What goes wrong shows when a kernel is asked for."""
        with contextlib.suppress(NoKernel, OSError):
            self.server = KernelServer(**self.settings)

    def close(self) -> None:
        if self.server:
            self.server.close()
        self.server = None


class WatchedKernel(RunningKernel):
    """One kernel for one exercise. Its death is noticed at once; time-outs are for the whole cell, however chatty."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.hung, pool = False, JOB["pool"]
        self.server, self.connection = pool.kernel()
        try:
            self.greet()
        except (NoKernel, KernelEnded, Garbled):
            self.connection.close()
            if pool.begun:
                raise
            pool.close()  # nobody has touched it: once more, by another server
            self.server, self.connection = pool.kernel()
            self.greet()

    def greet(self) -> None:
        """Wait until the kernel answers; NoKernel where it does not."""
        deadline = time.monotonic() + SETUP
        while time.monotonic() < deadline:
            try:
                request = self.connection.send("kernel_info_request", {})
                self.await_reply(request, timeout=2)
                self.await_idle(request, 1)
                return
            except Empty:
                continue
        raise NoKernel("a kernel does not answer")

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        content = {"code": cell_input, "silent": False, "store_history": False, "user_expressions": {}}
        return self.connection.send("execute_request", content | {"allow_stdin": False, "stop_on_error": False})

    def get_message(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        if self.hung:
            raise Empty
        return self.connection.receive(stream, SETUP if timeout is None else timeout)

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        deadline = time.monotonic() + (SETUP if timeout is None else timeout)
        while time.monotonic() < deadline:
            self.connection.drain()
            try:
                reply = self.connection.receive("shell", min(0.2, max(0.0, deadline - time.monotonic())))
            except Empty:
                if not self.is_alive():
                    raise KernelEnded from None
                continue
            if reply["parent_header"]["msg_id"] == msg_id:
                return
        raise Empty

    def is_alive(self) -> bool:
        return not self.hung and bool(self.server.is_alive())

    def interrupt(self) -> None:
        """Nobody waits for a cell that takes too long: its kernel is killed before the next one starts."""
        self.hung = True

    def stop(self) -> None:
        self.hung = True
        self.connection.close()


def collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector:
    """In the place of nbval's own hook: the grading notebook is the only file there is."""
    return GradingFile.from_parent(parent, path=file_path)


class GradingFile(nbval.plugin.IPyNbFile):
    """The grading notebook. Each exercise gets a new kernel."""

    def collect(self) -> Iterator[pytest.Item]:
        self.nb = nbformat.read(str(self.path), as_version=4)
        for number, cell in enumerate(self.nb.cells):
            role = cell.metadata.course.role
            options = {"check": role == "grading", "skip": False, "check_exception": False}
            name = f"{role} {cell.metadata.course.exercise}"
            yield GradingCell.from_parent(self, name=name, cell_num=number, cell=cell, options=options)

    def setup(self) -> None:
        """Kernels are started by the cells."""

    def renew(self) -> None:
        self.teardown()
        self.kernel = None
        self.kernel = WatchedKernel()
        self.timed_out = False

    def teardown(self) -> None:
        if self.kernel is not None:
            self.kernel.stop()


class GradingCell(nbval.plugin.IPyNbCell):
    """A cell of the grading notebook. Only trusted metadata decide how it is treated, never its source."""

    @property
    def role(self) -> str:
        return str(self.cell.metadata.course.role)

    @property
    def exercise(self) -> str:
        return str(self.cell.metadata.course.exercise)

    def setup(self) -> None:
        self.output_timeout = LATE
        self.user_properties += [("role", self.role), ("exercise", self.exercise)]
        try:
            if self.role == "setup":
                self.parent.renew()
            elif self.parent.timed_out or self.parent.kernel is None or not self.parent.kernel.is_alive():
                raise NoKernel("the cell before it hung or ended the kernel")
        except Exception as error:
            reason = str(error) or "no kernel started"
            if isinstance(error, NoKernel | KernelEnded | Garbled):
                self.note("stopped", reason)
            self.blame_grader(reason)
            raise

    def blame_grader(self, reason: str) -> None:
        """A setup cell that fails before any code of the submission has run is no fault of the submission."""
        if self.role == "setup" and not JOB["pool"].begun:
            JOB["pool"].failure = reason
            self.session.shouldstop = reason

    def runtest(self) -> None:
        if self.role == "solution" and not JOB["pool"].begun:
            JOB["pool"].begun = True
            tell(JOB["channel"], {"begun": True})
        self.config.option.nbval_cell_timeout = seconds = SETUP if self.role == "setup" else JOB["timeout"]
        try:
            super().runtest()
        except Exception as error:
            hung, self.parent.timed_out = self.parent.timed_out and self.parent.kernel.hung, True
            if isinstance(error, KernelEnded):
                self.note("stopped", "the kernel ended while the cell ran")
            elif isinstance(error, Garbled):
                self.note("malformed", f"no valid answer came out of the cell: {error}")
            elif any(output.output_type == "error" for output in self.test_outputs or []):
                self.note("error", self.explained_error())
            elif hung:
                self.note("timeout", f"took longer than {seconds:g} seconds, or sent no end")
            elif not any(key == "status" for key, _ in self.user_properties):
                self.note("error", f"the {self.role} cell stopped with an error")
            self.blame_grader(f"the setup cell: {self.error_text() or dict(self.user_properties)['feedback']}")
            raise

    def explained_error(self) -> str:
        """The exception that ended the cell, by its type; of a function that is not there, its name."""
        name = [str(output.ename) for output in self.test_outputs if output.output_type == "error"][-1]
        asked_for = re.search(r"^answer\((\w+),", self.cell.source, re.MULTILINE) if self.role == "grading" else None
        if name == "NameError" and asked_for:
            return f"your cell defines no function `{asked_for[1]}`: its name was changed, or the cell is not whole"
        if name == "ModuleNotFoundError" and self.role == "solution":
            return "your cell imports a module that is not there when it is graded (ModuleNotFoundError)"
        return f"the {self.role} cell stopped with {name}"

    def error_text(self) -> str:
        """The same with what it said; for teachers only. Empty where the cell ended otherwise."""
        errors = [output for output in self.test_outputs or [] if output.output_type == "error"]
        return f"{errors[-1].ename}: {errors[-1].evalue}".rstrip(": ") if errors else ""

    def compare_outputs(self, test: list[NotebookNode], ref: list[NotebookNode], skip_compare: Any = None) -> bool:
        exercise = load(self.exercise, JOB["package"])
        judged = judge_outputs(exercise, exercise.draw_cases(JOB["seed"]), test, JOB["nonces"][self.exercise])
        self.note(judged.status, judged.feedback, judged.hint)
        line = NotebookNode(output_type="stream", name="stdout", text=verdict_line(self.exercise, judged.status))
        return bool(super().compare_outputs([line], ref, skip_compare))

    def note(self, status: str, feedback: str, hint: str = "") -> None:
        self.user_properties += [("status", status), ("feedback", feedback), ("hint", hint)]


class Recorder:
    """Sends one line for each grading cell. Full points need nbval's plain "passed": no xfail, no xpass, no skip."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.trouble: dict[str, Judged] = {}  # exercise -> the first thing that went wrong before its grading cell
        self.no_setup: set[str] = set()  # exercises whose own code did not come to run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        noted = dict(report.user_properties)
        id = str(noted.get("exercise"))
        if report.failed and noted.get("role") != "grading":
            self.trouble.setdefault(id, Judged(str(noted.get("status")), str(noted.get("feedback"))))
            self.no_setup |= {id} if noted.get("role") == "setup" else set()
        if noted.get("role") != "grading" or not (report.when == "call" or (report.when == "setup" and report.failed)):
            return
        passed = report.when == "call" and report.outcome == "passed" and not hasattr(report, "wasxfail")
        said = (str(noted.get("status", "malformed")), str(noted.get("feedback", "no answer")))
        judged = Judged(*said, str(noted.get("hint", "")))
        if not passed and judged.status in ("error", "stopped", "right"):
            judged = self.trouble.get(id, judged)
        tell(self.channel, {"exercise": id, "passed": passed, "again": id in self.no_setup, **vars(judged)})


def tell(channel: int, line: dict[str, Any]) -> None:
    """Write one line of results."""
    os.write(channel, (json.dumps(line) + "\n").encode())


def run_notebook(path: Path, channel: int, job: dict[str, Any]) -> None:
    """Run the grading notebook at `path` through nbval; `job` has package, seed, nonces, timeout and pool."""
    JOB.update(job, channel=channel)
    nbval.plugin.pytest_collect_file = collect_file
    # One file in one process: what `--dist loadfile` is for, without xdist.
    options = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={job['timeout']}", "--color=no", "-q"]
    quick = ["-p", "no:unraisableexception", "-p", "no:threadexception"]  # which collect garbage, a third of a second
    alone = [*quick, "-p", "nbval.plugin", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull, "--rootdir"]
    pytest.main([*options, *alone, str(path.parent), str(path)], plugins=[Recorder(channel)])
