"""The trusted notebook that grading runs: for each exercise a setup, a solution and a grading cell."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from course_checks import wire
from course_checks.contract import Exercise

from ..building.assemble import COMPARED, KERNEL, Json
from ..building.source import Source, function_of
from .submission import Found


def verdict_line(exercise: str, status: str) -> str:
    """The one line that nbval compares: stored as "right", produced by the grader from the values."""
    return f"exercise {exercise}: {status}\n"


def grading_notebook(
    source: Source,
    exercises: Mapping[str, Exercise],
    found: Mapping[str, Found],
    seed: str,
    nonces: Mapping[str, str],
) -> Json:
    """Setup, the student's cell, and a grading cell with the inputs, for each exercise whose solution was `found`.

    The setup cell runs again before each exercise, so that no student's cell changes the names of the next. Expected
    values, wrong answers and the seed are not in it.
    """
    cells: list[Json] = []
    for id, cell in source.exercises().items():
        code, function = found[id].source if id in found else None, function_of(cell)
        if code is None or function is None:
            continue
        inputs = wire.encode_cases(exercises[id].draw_cases(seed))
        cells += [
            _cell("setup", id, source.setup.source),
            _cell("solution", id, code),
            _cell("grading", id, _grading_code(function.name, inputs, id, nonces[id], exercises[id].answers)),
        ]
    return {"cells": cells, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}


def imported_modules(source: Source) -> list[str]:
    """Modules that the setup cell imports, or may: of `from a import b` it is not known whether b is one."""
    names = ["course_checks.in_kernel"]
    for node in ast.walk(ast.parse(source.setup.python)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names if alias.name.islower())]
    return list(dict.fromkeys(names))


def _grading_code(function: str, inputs: str, exercise: str, nonce: str, answers: Sequence[str]) -> str:
    call = f"answer({function}, {inputs!r}, {exercise!r}, {nonce!r}, {tuple(answers)!r})"
    return f"from course_checks.in_kernel import answer\n\n{call}"


def _cell(role: str, exercise: str, code: str) -> Json:
    metadata: dict[str, Any] = {"course": {"role": role, "exercise": exercise}, "tags": []}
    outputs: list[Json] = []
    if role == "grading":
        metadata["tags"] = [COMPARED]
        outputs = [{"output_type": "stream", "name": "stdout", "text": verdict_line(exercise, "right")}]
    return {
        "cell_type": "code",
        "id": f"{role}-{exercise.replace('.', '-')}",
        "metadata": metadata,
        "source": code,
        "outputs": outputs,
        "execution_count": 1 if outputs else None,
    }
