"""The notebook that runs: which of its cells gave a function its name, and what of it the grade will not have."""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

from .cells import Part, part_of
from .names import global_names, outside, setup_names
from .running import code_of

OURS = ("course_lib", "course_checks")


@dataclass(frozen=True)
class Needs:
    """What a function needs that may not be there when it is graded.

    `missing`: names that are not; `libraries`: that it imports and that do not come with the course.
    """

    missing: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def needs_of(function: Callable[..., Any], notebook: str, package: str, name: str = "") -> Needs:
    """What a function of this notebook needs besides its own cell and the setup cell; nothing where that is not known.

    `name` is that of the exercise's function, which may be another one than the function has itself.
    """
    known = setup_names(package).get(notebook)
    if known is None:
        return Needs()
    code, own = code_of(function), str(getattr(function, "__name__", ""))
    for cell in _cells_that_may_define(code.co_filename if code else ""):
        part = part_of(cell, name or own, known)
        if part is not None:
            return _needs_of_part(part)
    return Needs(tuple(outside(global_names(code), {*known, name, own})) if code else ())


def name_in_call(frame: FrameType | None, id: str) -> str:
    """What the function is called in the `check("05.4", step)` that runs in this frame; empty where it has no name."""
    if frame is None:
        return ""
    text = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    found = re.findall(rf"""\bcheck\(\s*["']{re.escape(id)}["']\s*,\s*(\w+)\s*[,)]""", text)
    return str(found[-1]) if found else ""


def _cells_that_may_define(filename: str) -> Iterator[str]:
    """The cell whose code this is, if it is one; then those that have been run, the last one first."""
    entry = linecache.cache.get(filename)
    if entry is not None and len(entry) == 4 and entry[1] is None:  # it was read from no file
        yield "".join(entry[2])
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    for cell in reversed(getattr(getattr(shell, "history_manager", None), "input_hist_raw", ())):
        yield str(cell)


def _needs_of_part(part: Part) -> Needs:
    stars = [vars(sys.modules[star]) for star in part.stars if star in sys.modules]
    missing = {name for name in part.outside if not any(name in star for star in stars)}
    missing |= {name for name, module in part.imports.items() if _is_own_file(module)}
    modules = {module.partition(".")[0] for name, module in part.imports.items() if name not in missing}
    return Needs(tuple(sorted(missing)), tuple(sorted(filter(_is_extra, modules))))


def _is_own_file(module: str) -> bool:
    """Whether a module is a file of the learner's, beside the notebook."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if top in OURS or not file:
        return False
    path = Path(file).resolve()
    return path.is_relative_to(Path.cwd().resolve()) and not {"site-packages", "dist-packages"} & set(path.parts)


def _is_extra(module: str) -> bool:
    """Whether a module was installed, but neither with Python nor with the course."""
    if module in sys.stdlib_module_names or module in OURS:
        return False
    installed = metadata.packages_distributions().get(module, [])
    return bool(installed) and _of_the_course().isdisjoint(map(_plain, installed))


@cache
def _of_the_course() -> frozenset[str]:
    """Distributions that come with the course: what it requires, what they require, and so on."""
    found, todo = set[str](), ["course_lib", "ipykernel", "ipython"]
    while todo:
        name = _plain(todo.pop())
        try:
            required = metadata.requires(name) or [] if name not in found else []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        todo += [match[0] for line in required if "extra ==" not in line and (match := re.match(r"[\w.-]+", line))]
    return frozenset(found)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
