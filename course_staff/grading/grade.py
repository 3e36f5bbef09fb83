"""Grade submissions: hand each to a grading process, collect its results, count the points."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..course import ROOT, Course
from ..printable import printable
from .sandbox import cgroups
from .sandbox.box import Box, Limits
from .sandbox.orphans import end_marked
from .sandbox.stage import stage

SHORT = 59  # bytes of a folder in which the path of a socket has its place


@dataclass(frozen=True)
class Row:
    """One exercise of one submission. `hint` is that of the wrong answer, where it is one that is known."""

    exercise: str
    title: str
    points: int
    out_of: int
    status: str
    feedback: str
    flag: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Grade:
    """A graded submission, known by its path; `reason` says why it could not be graded, where it could not.

    `failed`: that was the grader's own doing, so it is worth grading again.
    """

    submission: str
    notebook: str = ""
    rows: tuple[Row, ...] = ()
    reason: str = ""
    failed: bool = False
    seconds: float = field(default=0.0, compare=False)

    @property
    def points(self) -> int:
        return sum(row.points for row in self.rows)

    @property
    def out_of(self) -> int:
        return sum(row.out_of for row in self.rows)


@dataclass(frozen=True)
class GradingSettings:
    """What is the same for all submissions of a run. Without a `box`, submitted code runs with the teacher's rights."""

    course: Course
    seed: str
    box: Box | None = None
    timeout: float = 60.0  # seconds a cell
    wall: float | None = None  # seconds a submission; None: what its exercises may take at most
    limits: Limits = field(default_factory=Limits)


def grade(path: Path, settings: GradingSettings) -> Grade:
    """The grade of one submission. Never raises for what is in the file."""
    return next(grade_all([path], settings))


def grade_all(paths: Sequence[Path], settings: GradingSettings, jobs: int = 1) -> Iterator[Grade]:
    """Grades, each as soon as it is there, of which `jobs` are worked on at a time."""
    with run_folder(settings) as folder, ThreadPoolExecutor(jobs) as pool:
        graders = [Grader(settings, folder) for _ in range(min(jobs, len(paths)))]
        idle: SimpleQueue[Grader] = SimpleQueue()
        for grader in graders:
            idle.put(grader)
        waiting, running = list(reversed(paths)), set[Future[Grade]]()
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.add(pool.submit(_grade_by_one_of, idle, waiting.pop()))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for grader in graders:  # where this is an interruption, it ends what they are doing
                grader.close()


def _grade_by_one_of(idle: SimpleQueue[Grader], path: Path) -> Grade:
    grader = idle.get()
    try:
        return grader.grade(path)
    finally:
        idle.put(grader)


@contextmanager
def run_folder(settings: GradingSettings) -> Iterator[Path]:
    """A folder for everything temporary, with the staged course; other users see nothing else of it."""
    folder = Path(tempfile.mkdtemp(prefix="course-grade-", dir=short_folder()))
    try:
        folder.chmod(0o711)
        (folder / "course").mkdir()
        stage(settings.course, folder / "course")
        (folder / "t").mkdir(mode=0o711)
        yield folder
    finally:
        if settings.box is None:  # what submitted code started may have outlived its grading process
            end_marked(str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        cgroups.sweep()


def short_folder() -> str:
    """The temporary folder, or another where its path is too long for sockets or is no text. ValueError where all are.

    The path of a socket has at most 103 bytes (on Linux 107): here `/course-grade-12345678/t/k12345678/s/100/c-5`.
    """
    usual = tempfile.gettempdir()
    for folder in (usual, "/tmp", "/var/tmp"):
        with contextlib.suppress(UnicodeEncodeError):
            if len(folder.encode()) <= SHORT and os.access(folder, os.W_OK | os.X_OK):
                return folder
    shown = printable(usual)
    raise ValueError(f"TMPDIR is {shown}; expected UTF-8 of at most {SHORT} bytes: sockets lie there, and take no more")


class Grader:
    """A grading process (`course_staff.grading.grader`), which outlives what submissions do to its children."""

    def __init__(self, settings: GradingSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.process: subprocess.Popen[bytes] | None = None
        self.closing = False

    def grade(self, path: Path) -> Grade:
        """Have one submission graded. Its results are read even where grading it ended early.

        Where an exercise got no proper kernel after others' code had run, it is graded once more, by itself: what fails
        then, before its own code has run, no submitted code can have brought about; if there is a box.
        """
        start = time.monotonic()
        try:
            lines = self._all_attempts(path)
        except (OSError, ValueError, KeyError, AttributeError) as error:  # the disk is full, results are no JSON
            lines = [{"failed": f"{type(error).__name__}: {printable(str(error))}"}]
        return as_grade(identity(path), lines, time.monotonic() - start)

    def _all_attempts(self, path: Path) -> list[dict[str, Any]]:
        lines = self._attempts(path)
        for id in sorted({str(line["exercise"]) for line in lines if line.get("again")}):
            more = self._attempts(path, id) if not self.closing else []
            failure = why_failed(more)
            if failure and self.settings.box:
                lines.append({"failed": failure})
            elif not failure:
                lines += more[1:]
        return lines

    def _attempts(self, path: Path, only: str | None = None) -> list[dict[str, Any]]:
        """Lines of results for all exercises, or `only` one; a second attempt where the grading process ended."""
        done, lines = False, list[dict[str, Any]]()
        for _ in (1, 2):
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".results")
            os.close(handle)
            done = self._order({"path": str(path.absolute()), "results": name, "only": only})
            text = Path(name).read_text(encoding="utf-8")
            Path(name).unlink()
            lines = [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]
            if done or self.closing:
                break
        return lines if lines or done else [{"failed": "the grading process ended"}]

    def close(self) -> None:
        """End the process and everything that it started."""
        self.closing = True
        if self.process and self.process.stdin and self.process.stdout:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()

    def _order(self, order: dict[str, str | None]) -> bool:
        """Give an order and wait until it is done. False where the process itself has ended."""
        if self.process is None or self.process.poll() is not None:
            self.process = self._start()
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write((json.dumps(order) + "\n").encode())
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        if self.process.stdout.readline() == b"done\n":
            return True
        self.process.wait()
        return False

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        passed = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_PASSED)}
        told = {"PYTHONPATH": path, "TMPDIR": str(self.folder / "t"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "course_staff.grading.grader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder / "t",
            env=passed | told | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        settings = self.settings
        told_too: dict[str, Any] = {
            "folder": str(settings.course.folder.absolute()),
            "package": settings.course.package,
            "seed": settings.seed,
            "timeout": settings.timeout,
            "wall": settings.wall,
            "stage": str(self.folder / "course"),
            "box": asdict(settings.box) if settings.box else None,
            "limits": asdict(settings.limits),
        }
        assert process.stdin
        process.stdin.write((json.dumps(told_too) + "\n").encode())
        return process


_NOT_PASSED = ("PYTEST_", "NBGRADER_", "COV_", "COVERAGE_")


def why_failed(lines: Sequence[dict[str, Any]]) -> str:
    """Why the grader, and not the submission, is to blame for these lines of results; empty where it is not."""
    said = next((str(line["failed"]) for line in lines if "failed" in line), "")
    if said or not lines or "rows" not in lines[0]:
        return said
    if any("begun" in line or "complete" in line for line in lines):
        return ""
    return "no kernel was ready before the time or the memory of the grading process ran out"


def as_grade(submission: str, lines: Sequence[dict[str, Any]], seconds: float) -> Grade:
    """The grade that a grading process's lines amount to, the last one of each exercise. What is not in them is worth
    nothing."""
    first: dict[str, Any] = lines[0] if lines else {"reason": "reading the file took too much memory or time"}
    failure = why_failed(lines)
    if failure:
        return Grade(submission, reason=f"the grader failed: {failure}", failed=True, seconds=seconds)
    if "rows" not in first:
        return Grade(submission, reason=str(first.get("reason", "nothing came of it")), seconds=seconds)
    results = {str(line["exercise"]): line for line in lines if "exercise" in line}
    rows = tuple(_row(row, results.get(row["exercise"])) for row in first["rows"])
    return Grade(submission, first["notebook"], rows, seconds=seconds)


def _row(row: dict[str, Any], line: dict[str, Any] | None) -> Row:
    hint, passed = "", False
    if row["missing"]:
        status, feedback = "missing", row["flag"] or "no cell with this exercise"
    elif row["untouched"]:
        status, feedback = "unattempted", "not attempted"
    elif line is None:
        status, feedback = "stopped", "grading stopped before this exercise"
    else:
        status, feedback, hint, passed = line["status"], line["feedback"], line["hint"], line["passed"] is True
    points = row["out_of"] if passed else 0
    return Row(row["exercise"], row["title"], points, row["out_of"], status, feedback, row["flag"], hint)


def identity(path: Path) -> str:
    """A submission's path relative to the working directory where it lies below it, else as it is."""
    try:
        return Path(os.path.abspath(path)).relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def read_seed(path: Path | None) -> str:
    """The seed in `path`, or a fresh one. ValueError where the file is missing or empty."""
    if path is None:
        return secrets.token_hex(16)
    try:
        seed = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read the seed file {path}: it is not UTF-8; save it as such, or as ASCII") from error
    except OSError as error:
        raise ValueError(f"cannot read the seed file {path}: {error.strerror}") from error
    if not seed:
        raise ValueError(f"the seed file {path} is empty; expected any text nobody guesses")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        print(f"warning: others may read the seed file {path}; chmod 600 {path}", file=sys.stderr)
    return seed
