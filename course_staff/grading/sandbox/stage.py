"""What of the course enters the box: the library, and of the exercises only what runs a function on inputs."""

from __future__ import annotations

import compileall
import importlib.util
import re
import shutil
from pathlib import Path

from ...course import ROOT, Course

RUNS_FUNCTIONS = ("answers", "contract", "equations", "forbidden", "kernel", "running", "wire")
PRUNED = '''"""The exercises inside the grading box: no references, no wrong answers, no verdicts."""

from typing import Any

from .contract import Call, Case
from .equations import equation

__all__ = ["Call", "Case", "check", "equation"]


def check(id: str, function: Any, **_: Any) -> None:
    """Nothing is judged in here."""
'''
SERVER = "kernel_server.py"


def stage(course: Course, folder: Path) -> Path:
    """Copy into `folder`, readable by every user, what kernels see of the course; returns it."""
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc", "staff", "exercises")
    shutil.copytree(ROOT / "course_lib", folder / "course_lib", ignore=skipped)
    exercises = folder / "course_lib" / "exercises"
    exercises.mkdir()
    (exercises / "__init__.py").write_text(PRUNED, encoding="utf-8")
    source = ROOT / "course_lib" / "exercises"
    for name in RUNS_FUNCTIONS:
        shutil.copy(source / f"{name}.py", exercises)
    _copy_inputs(source, exercises)
    if not course.package.startswith("course_lib."):
        spec = importlib.util.find_spec(course.package)
        if spec is None or spec.origin is None:
            raise ValueError(f"there is no package {course.package}")
        own = folder / course.package
        own.mkdir()
        shutil.copy(spec.origin, own)
        _copy_inputs(Path(spec.origin).parent, own)
    for name in (SERVER, "orphans.py"):
        shutil.copy(Path(__file__).parent / name, folder)
    compileall.compile_dir(str(folder), quiet=2)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def _copy_inputs(source: Path, target: Path) -> None:
    """Modules that make inputs, such as `nb05_inputs.py`: recipes are rebuilt from them by name."""
    for path in source.iterdir():
        if re.fullmatch(r"nb\d\d_inputs\w*\.py", path.name):
            shutil.copy(path, target)


def packages(course: Course) -> tuple[str, ...]:
    """Top-level packages that a kernel may see only as staged."""
    return tuple({"course_lib", course.package.partition(".")[0]})
