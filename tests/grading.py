"""What the tests of grading share: the fixture course, submissions made from it, and a grading process."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from course_checks import of_notebook
from course_staff.building import assemble
from course_staff.building.source import read_source
from course_staff.course import Course
from course_staff.grading.grade import Grade, Grader, GradingSettings, Row, run_folder
from course_staff.grading.sandbox.box import Box, NoBox, find_box
from course_staff.grading.sandbox.stage import packages

FIXTURES = Path(__file__).parent / "fixtures"
if str(FIXTURES) not in sys.path:
    sys.path.insert(0, str(FIXTURES))
COURSE = Course(FIXTURES, "fixture_exercises")
NAME = "90_fixture"
EXERCISES = {exercise.id: exercise for exercise in of_notebook("90", "fixture_exercises")}
SEED = "a secret nobody guesses"

RIGHT = {
    "90.1": "def mix(signal, noise, alpha):\n    return alpha * signal + (1 - alpha**2) ** 0.5 * noise",
    "90.2": "def moments(x):\n    return x.mean(), x.var(correction=0), len(x)",
    "90.3": "def root(cov):\n    return torch.linalg.cholesky(cov)",
    "90.4": "def repeat(step, x, times):\n    for _ in range(times):\n        x = step(x)\n    return x",
}
FULL = {"90.1": 2, "90.2": 1, "90.3": 3, "90.4": 4}


def box_or_skip(course: Course = COURSE) -> Box:
    """This machine's box. Without one: a failure under CI, a skip that says so elsewhere."""
    try:
        return find_box(packages(course))
    except NoBox as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextmanager
def grader(box: Box | None, course: Course = COURSE, seed: str = SEED, **settings: Any) -> Iterator[Grader]:
    """A grading process, which serves several submissions."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(FIXTURES)
    made = GradingSettings(course, seed, box, **settings)
    try:
        with run_folder(made) as folder:
            process = Grader(made, folder)
            try:
                yield process
            finally:
                process.close()
                assert nobody_left(folder), f"processes that outlived their grader: {left_over(folder)}"
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def left_over(folder: Path) -> list[list[str]]:
    """Command lines of running processes that name this folder: kernels, boxes and their servers."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def nobody_left(folder: Path, seconds: float = 30.0) -> bool:
    """Whether all processes that name this folder end in time: boxes die with their parents, but not at once."""
    deadline = time.monotonic() + seconds
    while left_over(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def blank() -> dict[str, Any]:
    """The student notebook, as handed out."""
    return assemble.student(read_source(COURSE.source(NAME)), COURSE.package)


def solved(**answers: str) -> dict[str, Any]:
    """The student notebook with right answers, except for those given as `e1="code"` for exercise 90.1 and so on."""
    notebook = blank()
    for id, code in RIGHT.items():
        cell(notebook, id)["source"] = answers.get(f"e{id[3:]}", code)
    return notebook


def cell(notebook: dict[str, Any], id: str) -> dict[str, Any]:
    (found,) = (cell for cell in notebook["cells"] if cell["id"] == f"exercise-{id.replace('.', '-')}")
    return found  # type: ignore[no-any-return]


def needed(code: str) -> str:
    """`code`, a whole cell, so that all of it is run: as one statement, which defines the function that is graded.

    Of a cell's other statements only those are run that the function needs.
    """
    return f"if True:\n{textwrap.indent(code, '    ')}"


def save_to(path: Path, notebook: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))
    return path


def points(result: Grade) -> dict[str, int]:
    return {row.exercise: row.points for row in result.rows}


def row(result: Grade, id: str) -> Row:
    return next(row for row in result.rows if row.exercise == id)
