"""Find exercises by id: "05.3" lives in `nb05.py`, which is imported when asked for."""

from __future__ import annotations

import importlib
import pkgutil
import re

from .contract import ID, Exercise

PACKAGE = "course_lib.exercises"


def notebooks(package: str = PACKAGE) -> list[str]:
    """Numbers of the notebooks that have exercises: ["00", "05"]."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(module.name[2:] for module in modules if re.fullmatch(r"nb\d\d", module.name))


def of_notebook(number: str, package: str = PACKAGE) -> tuple[Exercise, ...]:
    """The exercises of one notebook, in order; none where it has none."""
    if number not in notebooks(package):
        return ()
    return tuple(importlib.import_module(f"{package}.nb{number}").EXERCISES)


def load(id: str, package: str = PACKAGE) -> Exercise:
    """The exercise with this id. ValueError where there is none, naming those there are."""
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise ValueError(f"an exercise id is a text such as '02.3', not {id!r}")
    found = {exercise.id: exercise for exercise in of_notebook(id[:2], package)}
    if id not in found:
        raise ValueError(f"there is no exercise {id}; notebook {id[:2]} has {', '.join(found) or 'none'}")
    return found[id]
