"""Find exercises by id: "05.4" lives in `nb05/e4_ancestral_step.py`, which is imported when asked for."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

from .contract import ID, Exercise

PACKAGE = "course_checks"


def notebooks(package: str = PACKAGE) -> list[str]:
    """Numbers of the notebooks that have exercises: ["00", "05"]."""
    return sorted(path.name[2:] for path in folder_of(package).iterdir() if re.fullmatch(r"nb\d\d", path.name))


def of_notebook(number: str, package: str = PACKAGE) -> tuple[Exercise, ...]:
    """The exercises of one notebook, in order; none where it has none."""
    return tuple(_exercise(number, module, package) for _, module in sorted(_modules(number, package).items()))


def load(id: str, package: str = PACKAGE) -> Exercise:
    """The exercise with this id. ValueError where there is none, naming those there are."""
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise ValueError(f"an exercise id is a text such as '02.3', not {id!r}")
    modules = _modules(id[:2], package)
    if int(id[3:]) not in modules:
        known = ", ".join(f"{id[:2]}.{k}" for k in sorted(modules))
        raise ValueError(f"there is no exercise {id}; notebook {id[:2]} has {known or 'none'}")
    return _exercise(id[:2], modules[int(id[3:])], package)


def folder_of(package: str) -> Path:
    """Where this package's files are. ValueError where there is no such package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no package {package}")
    return Path(spec.origin).parent


def _modules(number: str, package: str) -> dict[int, str]:
    """The exercises' numbers within a notebook, and the names of their modules: {4: "e4_ancestral_step"}."""
    found: dict[int, str] = {}
    for path in (folder_of(package) / f"nb{number}").glob("e*_*.py"):
        k = int(path.stem.partition("_")[0][1:])
        if k in found:
            raise ValueError(f"exercise {number}.{k} has two files, {found[k]}.py and {path.name}; expected one")
        found[k] = path.stem
    return found


def _exercise(number: str, module: str, package: str) -> Exercise:
    exercise = importlib.import_module(f"{package}.nb{number}.{module}").EXERCISE
    expected = f"{number}.{module.partition('_')[0][1:]}"
    if exercise.id != expected:
        raise ValueError(f"{module}.py holds exercise {exercise.id}, expected {expected}")
    return exercise
