"""Unsolved notebooks, run from top to bottom, and their equations, made 1% wrong. A file of its own: minutes long."""

from __future__ import annotations

from typing import Any

import pytest
from whole_notebooks import FIXTURES, NOTEBOOKS, run

from course_staff.building import assemble, rules
from course_staff.building.source import read_source
from course_staff.course import Course


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
@pytest.mark.parametrize(("course", "name"), NOTEBOOKS, ids=[name for _, name in NOTEBOOKS])
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
