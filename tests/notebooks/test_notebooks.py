"""The course's notebooks as learners and teachers meet them: unsolved and solved; and their equations, made 1% wrong.

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
from whole_notebooks import FIXTURE, FIXTURES, NOTEBOOKS, run

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


def printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


# Every labelled equation is asked twice: with its left side 1% wrong, when it has to fail, and as it is.
ASK_TWICE = """
import torch as _torch

_equation, _failed = equation, []


def _one_percent_off(value):
    if isinstance(value, (tuple, list)):
        return tuple(_one_percent_off(item) for item in value)
    wrong = _torch.as_tensor(value).detach().clone() * 1.01
    return _torch.where(wrong == 0, wrong + 0.01, wrong) if wrong.is_floating_point() else wrong


def equation(label, left, right, **tolerance):
    try:
        _equation(label, _one_percent_off(left), right, **tolerance)
    except AssertionError as error:
        assert str(error).startswith(f"equation ({label}): the sides differ"), error
        _failed.append(label)
    _equation(label, left, right, **tolerance)
"""


@pytest.mark.slow
@each_notebook
def test_an_unsolved_notebook_runs_to_its_end_and_its_equations_fail_where_they_are_wrong(
    course: Course, name: str
) -> None:
    """One run for both, since running a notebook is what takes long."""
    source = read_source(course.source(name))
    notebook = assemble.student(source, course.package)
    codes = ["".join(cell["source"]) for cell in assemble.code_cells(notebook)]
    labels = [label for code in codes for label in rules.equation_labels(code)]
    if labels:
        setup = next(k for k, cell in enumerate(notebook["cells"]) if cell["id"] == source.setup.id)
        notebook["cells"].insert(setup + 1, code_cell("ask-twice", ASK_TWICE))
        notebook["cells"].append(code_cell("failed", "print(*_failed)"))
    cells = {cell.id: cell for cell in run(notebook).cells}
    for id in source.exercises():
        assert printed(cells[f"check-{id.replace('.', '-')}"]) == f"Exercise {id}: not attempted yet.\n"
    if labels:
        assert printed(cells["failed"]).split() == labels, "passes with its left side 1% wrong"


def code_cell(id: str, code: str) -> dict[str, Any]:
    return {"cell_type": "code", "id": id, "metadata": {}, "source": code, "outputs": [], "execution_count": None}


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
    assert [(row.exercise, row.points, row.status, row.feedback) for row in result.rows] == [
        (exercise.id, exercise.points, "right", "right") for exercise in of_notebook(source.number, course.package)
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
