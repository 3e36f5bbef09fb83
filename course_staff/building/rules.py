"""What a notebook's source has to keep to, checked without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import CodeType

from course_checks.cells import definitions
from course_checks.names import bound_names, global_names, outside
from course_checks.registry import of_notebook

from .source import BEGIN, END, Cell, Source, function_of

LONG = 15
TAG = re.compile(r"\\tag\{([^}]+)\}")


def problems(source: Source, package: str) -> list[str]:
    """One line for each rule that `source` breaks; empty where the notebook can be built."""
    found = [*_setup(source), *_exercises(source), *_registry(source, package), *_headings(source, package)]
    if not found:
        found = [*_names(source), *_leaks(source), *_equations(source)]
    return [f"{source.name}: {line}" for line in [*found, *_images(source)]]


def warnings(source: Source) -> list[str]:
    """One line for each thing that can be better: long cells, sections in which no output is compared."""
    found = []
    for cell in source.cells:
        code = [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]
        if cell.type == "code" and not cell.role and len(code) > LONG:
            found.append(f"{cell.label()} has {len(code)} lines; about {LONG} fit a screen")
    found += [f"no compared cell in section {title!r}" for title in uncompared_sections(source)]
    return [f"{source.name}: {line}" for line in found]


def uncompared_sections(source: Source) -> list[str]:
    """Titles of `## ` sections that run code but have no output compared (a check cell's is compared)."""
    title, code, compared, found = "", False, False, []
    for cell in (*source.cells, Cell("markdown", "## ", (), "")):
        heading = re.search(r"^## (.*)$", cell.source, re.MULTILINE) if cell.type == "markdown" else None
        if heading:
            found += [title] if title and code and not compared else []
            title, code, compared = heading[1].strip(), False, False
        code |= cell.type == "code" and cell.role in ("", "check")
        compared |= cell.role == "check" or "nbval-check-output" in cell.tags
    return found


def setup_names(source: Source) -> tuple[str, ...]:
    """Names that the setup cell binds, sorted."""
    return tuple(sorted(bound_names(compile(source.setup.python, "setup", "exec"))))


def _setup(source: Source) -> Iterator[str]:
    code = [cell for cell in source.cells if cell.type == "code"]
    tagged = [cell for cell in code if cell.role == "setup"]
    if len(tagged) != 1:
        yield f"{len(tagged)} code cells are tagged setup; expected one"
        return
    if code[0].role != "setup":
        yield "the setup cell is not the first code cell"
    if re.search(r"^\s*from .* import \*", tagged[0].source, re.MULTILINE):
        yield "the setup cell has a star import; name what is imported"
    for cell in code:
        try:
            ast.parse(cell.python)
        except SyntaxError as error:
            yield f"{cell.label()} is not Python: {error.msg} (line {error.lineno})"


def _exercises(source: Source) -> Iterator[str]:
    ids = [cell.exercise for cell in source.cells if cell.role == "exercise"]
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        yield f"exercise {id} appears {ids.count(id)} times"
    for cell, following in zip(source.cells, (*source.cells[1:], None), strict=True):
        if cell.role == "exercise":
            yield from _exercise(cell, following)
            if cell.exercise[:2] != source.number:
                yield f"exercise {cell.exercise} does not carry the notebook's number {source.number}"
        elif cell.role == "check" and cell.exercise not in ids:
            yield f"check {cell.exercise} has no exercise"


def _exercise(cell: Cell, following: Cell | None) -> Iterator[str]:
    function = function_of(cell)
    lines = [line.strip() for line in cell.source.splitlines()]
    if function is None:
        yield f"{cell.label()} holds something other than one function"
        return
    if not ast.get_docstring(function):
        yield f"{cell.label()}: `{function.name}` has no docstring"
    if lines.count(BEGIN) != 1 or lines.count(END) != 1 or lines.index(BEGIN) > lines.index(END):
        yield f"{cell.label()}: expected one `{BEGIN}` and, after it, one `{END}`"
    if following is None or following.role != "check" or following.exercise != cell.exercise:
        yield f"{cell.label()} is not followed by its check cell, tagged check-{cell.exercise}"
    elif following.source.strip() != (call := f'check("{cell.exercise}", {function.name})'):
        yield f"{following.label()} is {following.source.strip()[:60]!r}; expected {call!r}"


def _registry(source: Source, package: str) -> Iterator[str]:
    here = set(source.exercises())
    there = {exercise.id for exercise in of_notebook(source.number, package)}
    for id in sorted(here - there):
        yield f"exercise {id} is not in {package}.nb{source.number}"
    for id in sorted(there - here):
        yield f"exercise {id} of {package}.nb{source.number} is not in the notebook"


def _headings(source: Source, package: str) -> Iterator[str]:
    """What a student reads above an exercise is what feedback and reports call it: title and points."""
    lines = [line for cell in source.cells if cell.type == "markdown" for line in cell.source.splitlines()]
    for exercise in of_notebook(source.number, package):
        worth = f"({exercise.points} point{'' if exercise.points == 1 else 's'})"
        titles = (exercise.title, exercise.title[:1].lower() + exercise.title[1:])
        found = [line for line in lines if re.match(rf"#+ Exercise {re.escape(exercise.id)}\b", line)]
        expected = [f"### Exercise {exercise.id}: {title} {worth}" for title in titles]
        if exercise.id in source.exercises() and (len(found) != 1 or found[0].strip() not in expected):
            has = repr(found[0]) if len(found) == 1 else f"on {len(found)} lines"
            yield f"the heading of exercise {exercise.id} is {has}; its title and points say {expected[-1]!r}"


def _names(source: Source) -> Iterator[str]:
    allowed = set(setup_names(source))
    if "check" not in allowed and source.exercises():
        yield "the setup cell does not import check"
    for cell in source.exercises().values():
        function = function_of(cell)
        if function is None:
            continue
        if function.name in allowed:
            yield f"{cell.label()}: `{function.name}` is also a name of the setup cell; choose another"
        for name in outside(_loaded_names(cell), {*allowed, function.name}):
            yield f"{cell.label()} uses `{name}`, which the setup cell does not define"


def _leaks(source: Source) -> Iterator[str]:
    """Students' functions used, or defined, outside their own exercise and check cells."""
    students = {function.name for cell in source.exercises().values() if (function := function_of(cell))}
    for cell in source.cells:
        if cell.type == "code" and not cell.role:
            for name in sorted(_loaded_names(cell) & students):
                yield f"{cell.label()} uses the student's `{name}`; use the library's function"
            for name in sorted(students & definitions(cell.source).keys()):  # once edited it would be graded
                yield f"{cell.label()} defines the student's `{name}`; choose another name"


def _loaded_names(cell: Cell) -> set[str]:
    """Names a cell looks up outside itself, nested functions included."""
    code: CodeType = compile(cell.python, "cell", "exec")
    return global_names(code)


def _equations(source: Source) -> Iterator[str]:
    labels = [label for cell in source.cells if cell.type == "markdown" for label in TAG.findall(cell.source)]
    checked = []
    for cell in source.cells:
        if cell.type == "code":
            here = equation_labels(cell.python)
            checked += here
            if len(here) > 1:
                yield f"{cell.label()} checks {len(here)} equations; one cell each"
    for label in sorted(set(labels + checked)):
        if labels.count(label) != 1 or checked.count(label) != 1:
            written = rf"\tag{{{label}}}"
            times = f"{written} appears {labels.count(label)} times, its check {checked.count(label)} times"
            yield f"equation {label}: {times}"


def equation_labels(code: str) -> list[str]:
    """Labels of the `equation("03.4", left, right)` calls in a code cell."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return [
        str(call.args[0].value)
        for call in calls
        if getattr(call.func, "id", "") == "equation" and call.args and isinstance(call.args[0], ast.Constant)
    ]


def _images(source: Source) -> Iterator[str]:
    for cell in source.cells:
        if cell.type == "markdown" and re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")[^>]*>", cell.source):
            yield f"{cell.label()} has an image without alt text"
