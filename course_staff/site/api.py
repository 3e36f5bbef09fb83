"""The pages of the API, made from docstrings: a page for each public module, in the order of the packages' maps."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import get_args

PACKAGES = ("course_lib", "course_checks")
NOT_SHOWN = {"course_lib.command"}  # what is typed, not called: `--help` describes it
# A line of a map or of a list of arguments, "name   what it is", and a line that continues it.
ROW = re.compile(r"(?P<name>\S+(?: \S+)*) {2,}(?P<text>\S.*)")
# What is passed on as it is: code, and words with an asterisk on either side.
KEPT = re.compile(r"`(?P<code>[^`]+)`|(?<![\w*])\*\w(?:[^*\n]*\w)?\*(?![\w*])")


def write_pages(target: Path) -> str:
    """Write a page for each module into the folder `target`/api; returns the lists of them that lead there."""
    (target / "api").mkdir()
    lists = []
    for package in PACKAGES:
        shown = list(modules(importlib.import_module(package)))
        for name, exported in shown:
            leave_out = f"   :exclude-members: {', '.join(exported)}\n" if exported else ""
            title = name.removeprefix(f"{package}.")
            page = f"{title}\n{'=' * len(title)}\n\n``{name}``\n\n.. automodule:: {name}\n   :members:\n{leave_out}"
            (target / "api" / f"{name}.rst").write_text(page, encoding="utf-8")
        names = "\n".join(f"   {name.removeprefix(f'{package}.')}" for name, _ in shown)
        lists.append(
            f"```{{eval-rst}}\n.. currentmodule:: {package}\n.. autosummary::\n   :toctree: api\n\n{names}\n```"
        )
    return "\n\n".join(lists)


def modules(package: ModuleType) -> Iterator[tuple[str, list[str]]]:
    """The public modules of a package, by name and in the order of its map, with what of each is shown elsewhere.

    A package that names what it exports is a door and shows that; its modules show what is left, where anything is.
    """
    exported = list(getattr(package, "__all__", ()))
    if exported:
        yield package.__name__, []
    for name in in_order(package):
        if name in NOT_SHOWN or (package.__name__ in PACKAGES and exported):
            continue
        module = importlib.import_module(name)
        if hasattr(module, "__path__"):
            yield from modules(module)
        elif left := set(public(module)) - set(exported):
            yield name, [other for other in public(module) if other not in left]


def in_order(package: ModuleType) -> list[str]:
    """Full names of a package's modules: first those of its map, the rows of its docstring, then the others."""
    there = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    rows = map(ROW.fullmatch, (package.__doc__ or "").splitlines())
    mapped = [name.rstrip("/") for row in rows if row for name in row["name"].split(", ")]
    ordered = [name for name in mapped if name in there]
    return [f"{package.__name__}.{name}" for name in dict.fromkeys([*ordered, *there])]


def public(module: ModuleType) -> list[str]:
    """Names of the functions and classes that a module defines."""
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    return [name for name, value in own.items() if callable(value) and value.__doc__ and not name.startswith("_")]


def aliases() -> dict[str, str]:
    """Names of longer types, such as Denoiser, which signatures keep; with their paths where a page explains them."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for path, _ in modules(importlib.import_module(package)):
            module = importlib.import_module(path)
            for name, value in vars(module).items():
                if name[0].isupper() and get_args(value):
                    explained = re.search(rf'^{name} = .*\n"""', inspect.getsource(module), re.MULTILINE)
                    found[name] = f"{path}.{name}" if explained else found.get(name, name)
    return found


# ---------------------------------------------------------------- docstrings


def as_rst(lines: list[str]) -> list[str]:
    """A docstring, prose with code in backticks, as Sphinx reads it: nothing else in it means anything special.

    Indented lines stay as they are; rows of "name   what it is" become a list of definitions.
    """
    out: list[str] = []
    for block in "\n".join(lines).strip("\n").split("\n\n"):
        rows = block.splitlines()
        table = [bool(ROW.fullmatch(row)) for row in rows if not row.startswith(" ")]
        out += [*(_definitions(rows) if table and all(table) else _paragraphs(rows)), ""]
    return [*"\n".join(out).splitlines(), ""]


def _definitions(rows: list[str]) -> Iterator[str]:
    for row in rows:
        if match := ROW.fullmatch(row):
            yield from (_prose(match["name"]), f"   {_prose(match['text'])}")
        else:
            yield f"   {_prose(row.strip())}"


def _paragraphs(rows: list[str]) -> Iterator[str]:
    """Prose, and between it the lines that are indented: formulas and code."""
    for indented, group in groupby(rows, lambda row: row.startswith("  ")):
        lines = list(group)
        yield from ("::", "", *lines, "") if indented else (_prose("\n".join(lines)), "")


def _prose(text: str) -> str:
    """Names in backticks become links where the site has them, other code stays code."""
    parts, end = [], 0
    for match in KEPT.finditer(text):
        parts += [_escaped(text[end : match.start()]), _code(match["code"]) if match["code"] else match[0]]
        end = match.end()
    text = "\\ ".join([*parts, _escaped(text[end:])])  # which is nothing, and lets a letter follow: `Picture`s
    return text if re.match(r"[A-Za-z:`*]", text) else f"\\{text}"  # what begins otherwise might be a list


def _code(text: str) -> str:
    return f":py:obj:`{text}`" if re.fullmatch(r"[A-Za-z_][\w.]*", text) else f"``{text}``"


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_|`])", r"\\\1", text)
