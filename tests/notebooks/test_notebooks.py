"""The course's notebooks as learners and teachers meet them, unsolved and solved. Whole runs are in test_unsolved.

That the solutions' compared outputs repeat is nbval's to check, run on `notebooks/solutions` by `make test`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from whole_notebooks import FIXTURE, FIXTURES, NOTEBOOKS

from course_checks import of_notebook
from course_staff.building import assemble, rules
from course_staff.building.execute import kernel_environment
from course_staff.building.source import read_source
from course_staff.course import Course
from course_staff.grading.grade import GradingSettings, grade

each_notebook = pytest.mark.parametrize(("course", "name"), NOTEBOOKS, ids=[name for _, name in NOTEBOOKS])


@pytest.fixture(autouse=True)
def fixtures_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))


@each_notebook
def test_an_unsolved_notebook_scores_0_everywhere(course: Course, name: str, tmp_path: Path) -> None:
    source = read_source(course.source(name))
    path = tmp_path / "blank.ipynb"
    path.write_text(assemble.dump(assemble.student(source, course.package)))
    if not source.exercises():
        pytest.skip("a notebook without exercises")
    result = grade(path, GradingSettings(course, "a seed of the tests", timeout=120))
    assert [(row.exercise, row.points, row.status) for row in result.rows] == [
        (id, 0, "unattempted") for id in source.exercises()
    ]


@each_notebook
def test_the_solution_scores_full_points(course: Course, name: str, tmp_path: Path) -> None:
    source = read_source(course.source(name))
    path = tmp_path / "solved.ipynb"
    path.write_text(assemble.dump(assemble.solution(source, course.package)))
    if not source.exercises():
        pytest.skip("a notebook without exercises")
    result = grade(path, GradingSettings(course, "another seed of the tests", timeout=120))
    points = {exercise.id: exercise.points for exercise in of_notebook(source.number, course.package)}
    assert [(row.exercise, row.points, row.status, row.feedback) for row in result.rows] == [
        (id, points[id], "right", "right") for id in source.exercises()
    ]


@each_notebook
def test_every_section_with_code_has_a_compared_cell(course: Course, name: str) -> None:
    assert rules.uncompared_sections(read_source(course.source(name))) == []


# nbval is a judge that can say no


def nbval(notebook: Any, folder: Path) -> int:
    path = folder / "solution.ipynb"
    path.write_text(json.dumps(notebook))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "nbval.plugin", "-p", "no:cacheprovider", "--nbval-lax"]
    environment = kernel_environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(
        [*command, "--nbval-current-env", "-c", os.devnull, str(path)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return ended.returncode


@pytest.mark.slow
def test_nbval_passes_the_fixtures_solution_and_fails_it_when_an_output_is_changed(tmp_path: Path) -> None:
    from course_staff.building.execute import execute

    solution = execute(assemble.solution(read_source(FIXTURE.source("90_fixture")), FIXTURE.package))
    assert nbval(solution, tmp_path) == 0
    text = json.dumps(solution)
    assert "Exercise 90.3: right." in text
    assert nbval(json.loads(text.replace("Exercise 90.3: right.", "Exercise 90.3: wrong.")), tmp_path) == 1
