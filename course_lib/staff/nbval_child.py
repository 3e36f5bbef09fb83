"""One submission through nbval, in a process of its own: `python -m course_lib.staff.nbval_child`, a job on stdin.

nbval runs the grading notebook and compares the verdict line; this plugin makes that line from the values that came
out of the kernel. What a cell shows itself is never compared. One line of JSON an exercise goes to the file descriptor
that the job names.
"""

from __future__ import annotations

import json
import os
import sys
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

from course_lib.exercises.registry import load

from .grading_notebook import verdict_line
from .verdicts import Judged, judge_outputs

SETUP = 120.0  # seconds for the trusted setup cell, whatever students get: it imports PyTorch
GRACE = 6.0  # seconds after a cell's time-out in which its kernel may still answer an interruption
JOB: dict[str, Any] = {}  # set once, before pytest starts: pytest builds the classes below itself


class KernelEnded(RuntimeError):
    """The kernel ended while a cell ran."""


class WatchedKernel(RunningKernel):
    """A kernel whose death is noticed within a second, and whose time-outs are for the whole cell, however chatty."""

    listen_until = float("inf")

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> Any:
        self.listen_until = float("inf")
        return super().execute_cell_input(cell_input, allow_stdin)

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        if time.monotonic() > self.listen_until:
            raise Empty
        return super().get_message(stream, timeout)

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        deadline = time.monotonic() + (timeout if timeout is not None else SETUP)
        self.listen_until = deadline + GRACE
        while time.monotonic() < deadline:
            try:
                return super().await_reply(msg_id, timeout=min(1.0, max(0.01, deadline - time.monotonic())))
            except Empty:
                if not self.is_alive():
                    raise KernelEnded from None
        raise Empty


def collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector:
    """In the place of nbval's own hook: the grading notebook is the only file there is."""
    return GradingFile.from_parent(parent, path=file_path)


class GradingFile(nbval.plugin.IPyNbFile):
    """The grading notebook. After a hang or a crash the next exercise gets a new kernel."""

    def collect(self) -> Iterator[pytest.Item]:
        self.nb = nbformat.read(str(self.path), as_version=4)
        for number, cell in enumerate(self.nb.cells):
            role = cell.metadata.course.role
            options = {"check": role == "grading", "skip": False, "check_exception": False}
            name = f"{role} {cell.metadata.course.exercise}"
            yield GradingCell.from_parent(self, name=name, cell_num=number, cell=cell, options=options)

    def renew(self) -> None:
        self.teardown()
        self.setup()
        self.timed_out = False


class GradingCell(nbval.plugin.IPyNbCell):
    """A cell of the grading notebook. Only trusted metadata decide how it is treated, never its source."""

    @property
    def role(self) -> str:
        return str(self.cell.metadata.course.role)

    @property
    def exercise(self) -> str:
        return str(self.cell.metadata.course.exercise)

    def setup(self) -> None:
        self.user_properties += [("role", self.role), ("exercise", self.exercise)]
        if self.parent.timed_out or not self.parent.kernel.is_alive():
            if self.role != "setup":
                self.note("stopped", "the cell before it hung or ended the kernel")
                raise RuntimeError("no kernel for this exercise")
            self.parent.renew()

    def runtest(self) -> None:
        self.config.option.nbval_cell_timeout = SETUP if self.role == "setup" else JOB["timeout"]
        try:
            self.run_twice() if self.role == "setup" else super().runtest()
        except Exception as error:
            if isinstance(error, KernelEnded):
                self.note("stopped", "the kernel ended while the cell ran")
            elif self.parent.timed_out:
                self.note("timeout", f"took longer than {JOB['timeout']:g} seconds")
            elif not any(key == "status" for key, _ in self.user_properties):
                self.note("error", f"the {self.role} cell stopped with {self.error_name()}")
            raise

    def run_twice(self) -> None:
        """The trusted setup cell fails only where an exercise before it left the kernel broken, or about to end."""
        try:
            super().runtest()
        except Exception:
            self.parent.renew()
            super().runtest()

    def error_name(self) -> str:
        """The type of the exception that ended the cell, as far as it looks like one."""
        names = [output.get("ename") for output in self.test_outputs or [] if output.output_type == "error"]
        found = [name for name in names if isinstance(name, str) and name.isidentifier() and len(name) <= 60]
        return found[-1] if found else "an error"

    def compare_outputs(self, test: list[NotebookNode], ref: list[NotebookNode], skip_compare: Any = None) -> bool:
        exercise = load(self.exercise, JOB["package"])
        judged = judge_outputs(exercise, exercise.draw(JOB["seed"]), test, JOB["nonces"][self.exercise])
        self.note(judged.status, judged.feedback)
        line = NotebookNode(output_type="stream", name="stdout", text=verdict_line(self.exercise, judged.status))
        return bool(super().compare_outputs([line], ref, skip_compare))

    def note(self, status: str, feedback: str) -> None:
        self.user_properties += [("status", status), ("feedback", feedback)]


class Recorder:
    """Sends one line for each grading cell. Full points need nbval's plain "passed": no xfail, no xpass, no skip."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.trouble: dict[str, Judged] = {}  # exercise -> the first thing that went wrong before its grading cell

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        noted = dict(report.user_properties)
        id = str(noted.get("exercise"))
        if report.failed and noted.get("role") != "grading":
            self.trouble.setdefault(id, Judged(str(noted.get("status")), str(noted.get("feedback"))))
        if noted.get("role") != "grading" or not (report.when == "call" or (report.when == "setup" and report.failed)):
            return
        passed = report.when == "call" and report.outcome == "passed" and not hasattr(report, "wasxfail")
        judged = Judged(str(noted.get("status", "malformed")), str(noted.get("feedback", "no answer")))
        if not passed and judged.status in ("error", "stopped", "right"):
            judged = self.trouble.get(id, judged)
        line = {"exercise": id, "passed": passed, "status": judged.status, "feedback": judged.feedback}
        os.write(self.channel, (json.dumps(line) + "\n").encode())


def main() -> int:
    JOB.update(json.load(sys.stdin))
    os.set_inheritable(JOB["channel"], False)  # the kernel gets no hold of it
    nbval.plugin.pytest_collect_file = collect_file
    nbval.plugin.RunningKernel = WatchedKernel
    options = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={JOB['timeout']}", "--color=no", "-q"]
    alone = ["-p", "nbval.plugin", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull, "--rootdir", os.getcwd()]
    code = pytest.main([*options, *alone, JOB["notebook"]], plugins=[Recorder(JOB["channel"])])
    return 0 if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else 1


if __name__ == "__main__":
    sys.exit(main())
