"""What the tests of whole notebooks share: which notebooks there are, and running one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

from course_staff.building import assemble
from course_staff.building.execute import kernel_environment
from course_staff.course import Course

FIXTURES = Path(__file__).parents[1] / "fixtures"
sys.path.insert(0, str(FIXTURES))
REAL, FIXTURE = Course(), Course(FIXTURES, "fixture_exercises")
NOTEBOOKS = [(REAL, name) for name in REAL.names()] + [(FIXTURE, "90_fixture")]


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
