"""The door to `course_staff`, which only authors and teachers need: imported when asked for, named nowhere else."""

from __future__ import annotations

import importlib
from types import ModuleType

MODULES = {
    "build": "course_staff.building.command",
    "grade": "course_staff.grading.command",
    "bench": "course_staff.studies.command",
    "box": "course_staff.grading.sandbox.box",
}


def staff_module(name: str) -> ModuleType:
    """The module that MODULES gives this name. ImportError where it, or what it needs, is not installed."""
    return importlib.import_module(MODULES[name])
