"""docs/api.md names functions and arguments that exist."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import course_lib

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text()


def objects() -> dict[str, list[Any]]:
    """The library's functions, classes and methods by name: of every module outside exercises and staff, and bench."""
    found: dict[str, list[Any]] = defaultdict(list)
    names = [module.name for module in pkgutil.walk_packages(course_lib.__path__, "course_lib.")]
    outside = [name for name in names if not re.match(r"course_lib\.(exercises|staff|__main__)", name)]
    for module in [*outside, "course_staff.studies.bench"]:
        for name, value in vars(importlib.import_module(module)).items():
            found[name].append(value)
            if inspect.isclass(value) and value.__module__.startswith("course_lib"):
                for key, method in vars(value).items():
                    found[key].append(getattr(method, "__func__", method))
    return found


def calls(line: str) -> Iterator[tuple[str, list[str]]]:
    """The calls in a line, and the arguments of each: "f(a, b=(1, 2)) -> c" gives ("f", ["a", "b=(1, 2)"])."""
    for match in re.finditer(r"(?<![\w|])([A-Za-z_]\w*)\(", line):
        depth, arguments = 1, [""]
        for letter in line[match.end() :]:
            depth += (letter in "([{") - (letter in ")]}")
            if not depth:
                yield match[1], arguments
                break
            if letter == "," and depth == 1:
                arguments.append("")
            else:
                arguments[-1] += letter


def signatures(values: list[Any]) -> Iterator[dict[str, inspect.Parameter]]:
    for value in values:
        with contextlib.suppress(TypeError, ValueError):  # not callable, or in C
            yield dict(inspect.signature(value).parameters)


def disagreement(argument: str, found: list[dict[str, inspect.Parameter]]) -> str:
    """What is wrong with an argument as the page has it, beside signatures of which one should fit; "" where nothing.

    Wants a parameter of that name and, where the page gives a literal, that default (a mapping shows what to pass).
    Prose is left alone.
    """
    match = re.fullmatch(r"\s*([a-z_]\w*)\s*(?:=(.*)|[^=]*)", argument)
    if match is None:
        return ""
    defaults = [signature[match[1]].default for signature in found if match[1] in signature]
    if not defaults:
        return f"has no {match[1]!r}"
    with contextlib.suppress(SyntaxError, ValueError):
        written = ast.literal_eval((match[2] or "").strip())
        if not isinstance(written, dict) and written not in defaults:
            return f"{match[1]} is {defaults[0]!r}, not {written!r}"
    return ""


def test_every_call_on_the_page_names_what_there_is() -> None:
    known, wrong = objects(), []
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            for name, arguments in calls(line.partition("#")[0]):
                if name not in known:
                    wrong.append(f"{name}: is not there")
                found = list(signatures(known[name]))
                wrong += [f"{name}: {said}" for argument in arguments if (said := disagreement(argument, found))]
    assert not wrong, "\n".join(wrong)
