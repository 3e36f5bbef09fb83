"""Build the notebooks from their sources, and tell what is out of step."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from course_lib.files import write_atomically

from ..course import Course
from . import assemble, rules
from .execute import execute, output_problems
from .launch import INSTALL, with_launch_cells, without_launch_cells
from .source import Source, read_source

LARGEST = 3 * 10**6  # bytes of a solution notebook


def build(course: Course, names: list[str], run: bool) -> list[str]:
    """Write the student notebooks; the solutions too, executed if `run`, else with their known outputs if these hold.

    Returns one line for each thing that is not as it should be at the end: a broken rule (that notebook is left as it
    was), a solution whose code has changed and was not executed, a failed execution. Warnings go to stderr.
    """
    found: list[str] = []
    sources = []
    for name in names:
        source, broken = _read(course, name)
        found += broken
        sources += [source] if source else []
    write_setup_names(course, sources)
    for source in sources:
        for line in rules.warnings(source):
            print(f"warning: {line}", file=sys.stderr)
        write_atomically(course.student(source.name), _student(course, source))
        found += _build_solution(course, source, run)
    return found


def check(course: Course, names: list[str]) -> list[str]:
    """One line for each notebook that is out of step with its source. Writes and runs nothing; compares no outputs."""
    found: list[str] = []
    known = read_setup_names(course)
    for name in names:
        source, broken = _read(course, name)
        found += broken
        if source is None:
            continue
        if known.get(source.number) != list(rules.setup_names(source)):
            found.append(f"{name}: {course.setup_names().name} does not have the setup cell's names; run build {name}")
        expected = _student(course, source)
        if not course.student(name).exists() or course.student(name).read_text(encoding="utf-8") != expected:
            found.append(f"{name}: the student notebook differs from the source; run build {name}")
        found += _check_solution(course, source)
    leftover = {path.stem for folder in (".", "solutions") for path in (course.folder / folder).glob("*.ipynb")}
    found += [f"{name}: a notebook without a source" for name in sorted(leftover - set(course.names()))]
    return found


def _read(course: Course, name: str) -> tuple[Source | None, list[str]]:
    try:
        source = read_source(course.source(name))
    except ValueError as error:
        return None, [str(error)]
    broken = rules.problems(source, course.package)
    return (None, broken) if broken else (source, [])


def _student(course: Course, source: Source) -> str:
    notebook = assemble.student(source, course.package)
    return assemble.dump(with_launch_cells(notebook, course.launch(), source.name, solved=False))


def _build_solution(course: Course, source: Source, run: bool) -> list[str]:
    fresh, path = assemble.solution(source, course.package), course.solution(source.name)
    if run:
        try:
            fresh = execute(fresh)
        except RuntimeError as error:
            return [f"{source.name}: the solution does not run: {error}"]
    else:
        kept = assemble.with_outputs_of(fresh, _read_notebook(path))
        if kept is None:
            return [f"{source.name}: the solution's code is new; run build --execute {source.name}"]
        fresh = kept
    text = assemble.dump(with_launch_cells(fresh, course.launch(), source.name, solved=True))
    wrong = [f"{source.name}: {line}" for line in output_problems(fresh)]
    write_atomically(path, text)
    return wrong + _too_large(source.name, len(text.encode()))


def _read_notebook(path: Path) -> assemble.Json | None:
    """A notebook without its launch cells; None where there is none that can be read."""
    try:
        return without_launch_cells(dict(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError):
        return None


def _check_solution(course: Course, source: Source) -> list[str]:
    path = course.solution(source.name)
    remedy = f"run build --execute {source.name}"
    if not path.exists():
        return [f"{source.name}: no solution notebook; {remedy}"]
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        recorded = notebook["metadata"].get("course", {}).get("source_sha256")
    except (ValueError, KeyError) as error:
        return [f"{source.name}: the solution notebook cannot be read ({error}); {remedy}"]
    expected, found_here = assemble.solution(source, course.package), assemble.without_outputs(notebook)
    if recorded != source.sha256 or assemble.dump(without_launch_cells(found_here)) != assemble.dump(expected):
        return [f"{source.name}: the solution notebook was built from another source; {remedy}"]
    if assemble.dump(found_here) != assemble.dump(
        with_launch_cells(expected, course.launch(), source.name, solved=True)
    ):
        return [f"{source.name}: the solution's first cells are not those of pyproject.toml; run build {source.name}"]
    found = [f"{source.name}: {line}" for line in output_problems(notebook)]
    if any(
        cell["execution_count"] is None
        for cell in assemble.code_cells(notebook)
        if cell["id"] != INSTALL and "".join(cell["source"]).strip()
    ):
        found.append(f"{source.name}: the solution notebook has cells that were not executed; {remedy}")
    return found + _too_large(source.name, path.stat().st_size)


def _too_large(name: str, size: int) -> list[str]:
    limit = f"at most {LARGEST / 1e6:.0f} MB are allowed"
    return [f"{name}: the solution has {size / 1e6:.1f} MB; {limit}"] if size > LARGEST else []


def read_setup_names(course: Course) -> dict[str, list[str]]:
    """The names of each notebook's setup cell, as they were last written down."""
    path = course.setup_names()
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_setup_names(course: Course, sources: list[Source]) -> None:
    """Record the names of these notebooks' setup cells, a notebook a line; notebooks that are gone are dropped."""
    numbers = {name[:2] for name in course.names()}
    names = {number: value for number, value in read_setup_names(course).items() if number in numbers}
    names |= {source.number: list(rules.setup_names(source)) for source in sources}
    lines = ",\n".join(f" {json.dumps(number)}: {json.dumps(names[number])}" for number in sorted(names))
    text, path = f"{{\n{lines}\n}}\n", course.setup_names()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)
