"""Labelled equations of the notebooks, made 1% wrong: they have to fail. A file of its own, since it takes minutes."""

from __future__ import annotations

import ast

import pytest
from whole_notebooks import FIXTURES, NOTEBOOKS, run

from course_staff.building import assemble, rules
from course_staff.building.source import read_source
from course_staff.course import Course


@pytest.fixture(autouse=True)
def fixtures_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))


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
