"""What of the course enters the box: the library, and of the exercises only what runs a function on inputs."""

from __future__ import annotations

import compileall
import importlib.util
import re
import shutil
from pathlib import Path

from ...course import ROOT, Course
from .box import HIDDEN

RUNS_FUNCTIONS = ("answers", "contract", "equations", "forbidden", "in_kernel", "running", "wire")
PRUNED = '''"""The exercises inside the grading box: no references, no wrong answers, no verdicts."""

from typing import Any

from .contract import Call, Case
from .equations import equation

__all__ = ["Call", "Case", "check", "equation"]


def check(id: str, function: Any, **_: Any) -> None:
    """Nothing is judged in here."""
'''
INPUTS_ONLY = '"""Of this notebook\'s exercises only what makes their inputs."""\n'
SERVER = "kernel_server.py"


def stage(course: Course, folder: Path) -> Path:
    """Copy into `folder`, readable by every user, what kernels see of the course; returns it."""
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "course_lib", folder / "course_lib", ignore=skipped)
    source, checks = ROOT / "course_checks", folder / "course_checks"
    checks.mkdir()
    (checks / "__init__.py").write_text(PRUNED, encoding="utf-8")
    for name in RUNS_FUNCTIONS:
        shutil.copy(source / f"{name}.py", checks)
    copy_inputs(source, checks)
    if course.package not in HIDDEN:
        spec = importlib.util.find_spec(course.package)
        if spec is None or spec.origin is None:
            raise ValueError(f"there is no package {course.package}")
        own = folder / course.package
        own.mkdir()
        shutil.copy(spec.origin, own)
        copy_inputs(Path(spec.origin).parent, own)
    for name in (SERVER, "orphans.py"):
        shutil.copy(Path(__file__).parent / name, folder)
    compileall.compile_dir(str(folder), quiet=2)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def copy_inputs(source: Path, target: Path) -> None:
    """Of each notebook's folder `nbNN` the module that makes inputs: recipes are rebuilt from it by name."""
    for inputs in source.glob("nb*/inputs.py"):
        if re.fullmatch(r"nb\d\d", inputs.parent.name):
            folder = target / inputs.parent.name
            folder.mkdir()
            (folder / "__init__.py").write_text(INPUTS_ONLY, encoding="utf-8")
            shutil.copy(inputs, folder)


def packages(course: Course) -> tuple[str, ...]:
    """Top-level packages that a kernel may see only as staged."""
    return tuple(dict.fromkeys((*HIDDEN, course.package.partition(".")[0])))
