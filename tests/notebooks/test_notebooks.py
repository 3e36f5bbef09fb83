"""The course's notebooks as learners and teachers meet them: unsolved, solved, and with an equation made wrong.

That the solutions' compared outputs repeat is nbval's to check, run on `notebooks/solutions` by `make test`.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from course_lib.exercises import of_notebook
from course_lib.staff import assemble, rules
from course_lib.staff.course import Course
from course_lib.staff.execute import kernel_environment
from course_lib.staff.grade import Settings, grade
from course_lib.staff.source import read_source

FIXTURES = Path(__file__).parents[1] / "fixtures"
sys.path.insert(0, str(FIXTURES))
REAL, FIXTURE = Course(), Course(FIXTURES, "fixture_exercises")
NOTEBOOKS = [(REAL, name) for name in REAL.names()] + [(FIXTURE, "90_fixture")]

each_notebook = pytest.mark.parametrize(("course", "name"), NOTEBOOKS, ids=[name for _, name in NOTEBOOKS])


@pytest.fixture(autouse=True)
def fixtures_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))


def run(notebook: dict[str, Any], allow_errors: bool = False) -> Any:
    """The notebook, executed in an empty folder."""
    node = nbformat.reads(assemble.dump(notebook), as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = nbclient.NotebookClient(
            node, timeout=600, kernel_name="python3", resources=resources, allow_errors=allow_errors
        )
        client.execute(env=kernel_environment(), stderr=subprocess.DEVNULL)
    return node


def printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@pytest.mark.slow
@each_notebook
def test_an_unsolved_notebook_runs_to_its_end_and_says_what_is_not_attempted(course: Course, name: str) -> None:
    source = read_source(course.source(name))
    executed = run(assemble.student(source, course.package))
    cells = {cell.id: cell for cell in executed.cells}
    for id in source.exercises():
        assert printed(cells[f"check-{id.replace('.', '-')}"]) == f"Exercise {id}: not attempted yet.\n"


@each_notebook
def test_an_unsolved_notebook_scores_0_everywhere(course: Course, name: str, tmp_path: Path) -> None:
    source = read_source(course.source(name))
    path = tmp_path / "blank.ipynb"
    path.write_text(assemble.dump(assemble.student(source, course.package)))
    if not source.exercises():
        pytest.skip("a notebook without exercises")
    result = grade(path, Settings(course, "a seed of the tests", timeout=120))
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
    result = grade(path, Settings(course, "another seed of the tests", timeout=120))
    assert [(row.exercise, row.points, row.status, row.feedback) for row in result.rows] == [
        (exercise.id, exercise.points, "right", "right") for exercise in of_notebook(source.number, course.package)
    ]


@each_notebook
def test_every_section_with_code_has_a_compared_cell(course: Course, name: str) -> None:
    assert rules.uncompared_sections(read_source(course.source(name))) == []


# Labelled equations: made 1% wrong, they have to fail

PERTURB = """
def _one_percent_off(value):
    import torch
    if isinstance(value, (tuple, list)):
        return tuple(_one_percent_off(item) for item in value)
    wrong = torch.as_tensor(value).detach().clone() * 1.01
    return torch.where(wrong == 0, wrong + 0.01, wrong) if wrong.is_floating_point() else wrong
"""


class Perturb(ast.NodeTransformer):
    """`equation(label, left, right)` with its left side 1% off."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if getattr(node.func, "id", "") == "equation":
            wrapped = ast.Call(ast.Name("_one_percent_off", ast.Load()), [node.args[1]], [])
            node.args[1] = ast.copy_location(wrapped, node.args[1])
        return node


def perturbed(code: str) -> str:
    return PERTURB + ast.unparse(ast.fix_missing_locations(Perturb().visit(ast.parse(code))))


def labelled(course: Course, name: str) -> bool:
    return any(
        cell.type == "code" and rules.equation_labels(cell.python) for cell in read_source(course.source(name)).cells
    )


WITH_EQUATIONS = [(course, name) for course, name in NOTEBOOKS if labelled(course, name)]


@pytest.mark.slow
@pytest.mark.parametrize(("course", "name"), WITH_EQUATIONS, ids=[name for _, name in WITH_EQUATIONS])
def test_an_equation_check_fails_when_one_side_is_one_percent_off(course: Course, name: str) -> None:
    notebook = assemble.solution(read_source(course.source(name)), course.package)
    changed = {}
    for cell in assemble.code_cells(notebook):
        code = "".join(cell["source"])
        if labels := rules.equation_labels(code):
            cell["source"] = perturbed(code)
            changed[cell["id"]] = labels[0]
    cells = {cell.id: cell for cell in run(notebook, allow_errors=True).cells}
    for id, label in changed.items():
        errors = [output.evalue for output in cells[id].outputs if output.output_type == "error"]
        assert errors and errors[0].startswith(f"equation ({label}): the sides differ"), (label, errors)


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
    from course_lib.staff.execute import execute

    solution = execute(assemble.solution(read_source(FIXTURE.source("90_fixture")), FIXTURE.package))
    assert nbval(solution, tmp_path) == 0
    text = json.dumps(solution)
    assert "Exercise 90.3: right." in text
    assert nbval(json.loads(text.replace("Exercise 90.3: right.", "Exercise 90.3: wrong.")), tmp_path) == 1
