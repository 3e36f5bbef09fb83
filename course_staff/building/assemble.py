"""From a source to the JSON of its two notebooks. The same source gives the same bytes."""

from __future__ import annotations

import json

from course_checks.registry import of_notebook

from .source import Cell, Json, Source, stub

COMPARED = "nbval-check-output"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def student(source: Source, package: str) -> Json:
    """The notebook a student opens: stubs, no outputs."""
    return _notebook(source, package, solved=False)


def solution(source: Source, package: str) -> Json:
    """The solution, not yet executed. The output of check cells is compared by tests."""
    return _notebook(source, package, solved=True)


def _notebook(source: Source, package: str, solved: bool) -> Json:
    points = {exercise.id: exercise.points for exercise in of_notebook(source.number, package)}
    course = {"notebook": source.name} | ({"source_sha256": source.sha256} if solved else {})
    return {
        "cells": [_cell(cell, points, solved) for cell in source.cells],
        "metadata": {**source.metadata, "course": course, "kernelspec": KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(cell: Cell, points: dict[str, int], solved: bool) -> Json:
    tags = list(cell.tags)
    if solved and cell.role == "check" and COMPARED not in tags:
        tags.append(COMPARED)
    metadata: Json = {"tags": tags} if tags else {}
    if cell.role in ("exercise", "check"):
        metadata["nbgrader"] = _nbgrader(cell, points)
    text = stub(cell.source) if cell.role == "exercise" and not solved else cell.source
    built: Json = {
        "cell_type": cell.type,
        "id": cell.id,
        "metadata": metadata,
        "source": text.splitlines(keepends=True),
    }
    return built | {"execution_count": None, "outputs": []} if cell.type == "code" else built


def _nbgrader(cell: Cell, points: dict[str, int]) -> Json:
    """nbgrader's cell metadata, schema version 3: exercise cells are solutions, check cells carry the points."""
    graded = cell.role == "check"
    metadata: Json = {
        "cell_type": "code",
        "grade": graded,
        "grade_id": cell.id,
        "locked": graded,
        "schema_version": 3,
        "solution": not graded,
        "task": False,
    }
    return metadata | {"points": points[cell.exercise]} if graded else metadata


def dump(notebook: Json) -> str:
    """The notebook as text, as Jupyter writes it: sorted keys, one space, a final newline."""
    return json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def without_outputs(notebook: Json) -> Json:
    """The notebook as it was before execution: no outputs, counts or widget state."""
    cells = []
    for cell in notebook.get("cells", []):
        cells.append({**cell, "outputs": [], "execution_count": None} if cell.get("cell_type") == "code" else cell)
    metadata = {key: value for key, value in notebook.get("metadata", {}).items() if key != "widgets"}
    return {**notebook, "cells": cells, "metadata": metadata}


def code_cells(notebook: Json) -> list[Json]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def with_outputs_of(fresh: Json, executed: Json | None) -> Json | None:
    """`fresh` with the outputs of `executed` where both run exactly the same code; None where the code differs."""
    if executed is None:
        return None
    new, old = code_cells(fresh), code_cells(executed)
    if [cell["source"] for cell in new] != [_lines(cell["source"]) for cell in old]:
        return None
    for cell, before in zip(new, old, strict=True):
        cell |= {"outputs": before["outputs"], "execution_count": before["execution_count"]}
    if "widgets" in executed["metadata"]:
        fresh["metadata"]["widgets"] = executed["metadata"]["widgets"]
    return fresh


def _lines(source: str | list[str]) -> list[str]:
    return source.splitlines(keepends=True) if isinstance(source, str) else source
