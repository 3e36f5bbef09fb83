"""The notebooks that students get are nbgrader assignments: their metadata keep to its published schema.

`tests/nbgrader.sh`, in `make test-all`, has nbgrader itself generate, validate and autograde one.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from course_checks import of_notebook
from course_staff.course import Course

COURSE = Course()
SCHEMA = {  # nbgrader's cell metadata, version 3
    "type": "object",
    "properties": {
        "schema_version": {"type": "integer", "minimum": 3, "maximum": 3},
        "grade": {"type": "boolean"},
        "locked": {"type": "boolean"},
        "solution": {"type": "boolean"},
        "task": {"type": "boolean"},
        "grade_id": {"type": "string", "pattern": r"^[a-zA-Z0-9_\-]*$"},
        "points": {"type": "number", "minimum": 0},
        "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
        "cell_type": {"type": "string", "enum": ["raw", "code", "markdown"]},
    },
    "required": ["schema_version", "grade", "locked", "solution"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("name", COURSE.names())
@pytest.mark.parametrize("solved", [False, True], ids=["student", "solution"])
def test_every_notebook_keeps_to_nbgraders_schema(name: str, solved: bool) -> None:
    path = COURSE.solution(name) if solved else COURSE.student(name)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    found: list[dict[str, Any]] = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    for metadata in found:
        jsonschema.validate(metadata, SCHEMA)
        assert ("points" in metadata) == metadata["grade"] != metadata["solution"]
    ids = [metadata["grade_id"] for metadata in found]
    assert len(set(ids)) == len(ids), "a grade_id names one cell"
    points = {metadata["grade_id"]: metadata["points"] for metadata in found if metadata["grade"]}
    assert points == {f"check-{it.id.replace('.', '-')}": it.points for it in of_notebook(name[:2])}
