"""Grade submissions: splice the solutions into the grading notebook, run it through nbval, count the points."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.exercises.contract import Exercise
from course_lib.exercises.registry import of_notebook

from .assemble import dump
from .course import Course
from .execute import kernel_environment
from .grading_notebook import grading_notebook
from .source import Source, read_source
from .submission import (
    Found,
    Submission,
    Unreadable,
    find_solutions,
    notebook_by_functions,
    notebook_of,
    read_submission,
)

STARTUP = 240.0  # seconds for a grader and its kernel to start and run the setup cell


@dataclass(frozen=True)
class Row:
    """One exercise of one submission."""

    exercise: str
    title: str
    points: int
    out_of: int
    status: str
    feedback: str
    flag: str = ""


@dataclass(frozen=True)
class Grade:
    """A graded submission, known by its path; `reason` says why it could not be graded, where it could not."""

    submission: str
    notebook: str = ""
    rows: tuple[Row, ...] = ()
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def points(self) -> int:
        return sum(row.points for row in self.rows)

    @property
    def out_of(self) -> int:
        return sum(row.out_of for row in self.rows)


def grade(path: Path, course: Course, seed: str, timeout: float = 60.0) -> Grade:
    """The grade of one submission, `timeout` seconds a cell. Never raises for what is in the file."""
    start = time.monotonic()
    try:
        submission = read_submission(path)
        source = _identify(submission, course)
    except Unreadable as error:
        return Grade(identity(path), reason=str(error))
    found = find_solutions(submission, source)
    exercises = {exercise.id: exercise for exercise in of_notebook(source.number, course.package)}
    lines = _run(source, exercises, found, course, seed, timeout)
    rows = tuple(_row(exercises[id], found[id], lines.get(id)) for id in source.exercises())
    return Grade(identity(path), source.name, rows, seconds=time.monotonic() - start)


def identity(path: Path) -> str:
    """A submission's path relative to the working directory where it lies below it, else as it is."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def _identify(submission: Submission, course: Course) -> Source:
    try:
        name = notebook_of(submission, course.names())
    except Unreadable:
        name = notebook_by_functions(submission, [read_source(course.source(name)) for name in course.names()])
    source = read_source(course.source(name))
    if not source.exercises():
        raise Unreadable(f"notebook {name} has no exercises")
    return source


def _row(exercise: Exercise, found: Found, line: dict[str, str | bool] | None) -> Row:
    if found.source is None:
        status, feedback, passed = "missing", "no cell with this exercise", False
    elif line is None:
        status, feedback, passed = "stopped", "grading stopped before this exercise", False
    else:
        status, feedback, passed = str(line["status"]), str(line["feedback"]), line["passed"] is True
    points = exercise.points if passed else 0
    return Row(exercise.id, exercise.title, points, exercise.points, status, feedback, found.flag)


def _run(
    source: Source, exercises: dict[str, Exercise], found: dict[str, Found], course: Course, seed: str, timeout: float
) -> dict[str, dict[str, str | bool]]:
    """One result line for each exercise that was reached, from a child process with its own wall clock."""
    nonces = {id: secrets.token_hex(16) for id in exercises}
    notebook = grading_notebook(source, exercises, found, seed, nonces)
    if not notebook["cells"]:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grading.ipynb"
        path.write_text(dump(notebook), encoding="utf-8")
        job = {"notebook": str(path), "package": course.package, "seed": seed, "nonces": nonces, "timeout": timeout}
        text = _child(job, folder, wall=STARTUP + len(notebook["cells"]) * (timeout + 10))
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["exercise"]: line for line in lines}


def _child(job: dict[str, object], folder: str, wall: float) -> str:
    """Run the child on `job`; what it sent before it ended, or before `wall` seconds were over."""
    with tempfile.TemporaryFile() as results:
        environment = {key: value for key, value in kernel_environment().items() if not key.startswith(_NOT_PASSED)}
        process = subprocess.Popen(
            [sys.executable, "-m", "course_lib.staff.nbval_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            pass_fds=(results.fileno(),),
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(job | {"channel": results.fileno()}).encode(), timeout=wall)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process)
        results.seek(0)
        complete = results.read().decode().rpartition("\n")[0]
    return complete


_NOT_PASSED = ("PYTEST_", "NBGRADER_", "COV_", "COVERAGE_")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started: kernels lead sessions of their own."""
    if process.poll() is not None:
        return
    import psutil  # type: ignore[import-untyped]  # comes with ipykernel

    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for member in (process, *family):
        try:
            member.kill()
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    process.wait()


def read_seed(path: Path | None) -> str:
    """The seed in `path`, or a fresh one. ValueError where the file is missing or empty."""
    if path is None:
        return secrets.token_hex(16)
    try:
        seed = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the seed file {path}: {getattr(error, 'strerror', error)}") from error
    if not seed:
        raise ValueError(f"the seed file {path} is empty; expected any text nobody guesses")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        print(f"warning: others may read the seed file {path}; chmod 600 {path}", file=sys.stderr)
    return seed
