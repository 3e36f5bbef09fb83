"""Runs on a small machine: what a cell takes is found, and who takes more than there is fails."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from course_staff.building.assemble import KERNEL
from course_staff.course import ROOT
from course_staff.studies.small_machine import GB, first_line, measure

if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/status").exists():
    pytest.skip("cores and memory are limited on Linux only", allow_module_level=True)

TAKE = "# a comment\nheld = bytearray(400_000_000)\nfor k in range(0, len(held), 4096): held[k] = 1"


def notebook(*sources: str) -> dict[str, Any]:
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        for n, text in enumerate(sources)
    ]
    return {"cells": cells, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}


def test_the_peak_is_found_with_its_cell_and_the_kernel_has_one_core() -> None:
    one_core = "import os\nassert len(os.sched_getaffinity(0)) == 1 and os.environ['OMP_NUM_THREADS'] == '1'"
    before = os.sched_getaffinity(0)
    run = measure(notebook(one_core, TAKE, "del held", "x = 1"), "small", cores=1, limit=2 * GB)
    assert run.failure == "" and run.cell == "held = bytearray(400_000_000)"
    assert 0.4 * GB < run.peak < 0.6 * GB, "400 MB and a kernel"
    assert os.sched_getaffinity(0) == before


def test_a_notebook_that_takes_more_than_there_is_fails() -> None:
    run = measure(notebook("x = 1", TAKE, "import time; time.sleep(60)"), "large", cores=1, limit=GB // 4)
    assert run.failure.startswith("FAILED") and run.seconds < 50
    assert "FAILED" in run.row()


def test_a_cell_that_fails_is_told() -> None:
    run = measure(notebook("1 / 0"), "wrong", cores=1, limit=2 * GB)
    assert run.failure == "FAILED: ZeroDivisionError: division by zero"


def test_cells_are_named_by_their_first_line_of_code() -> None:
    assert first_line("# words\n\na = b | c") == "a = b / c" and first_line("") == "(empty)"


def test_bad_arguments_get_one_line() -> None:
    command = [sys.executable, "-m", "course_staff", "small-machine"]
    for more, words in ((["--cores", "4096"], "expected --cores from 1"), (["77"], "no notebook '77'")):
        done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
