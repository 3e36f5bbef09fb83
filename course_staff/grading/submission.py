"""Read a submitted notebook, which may be anything, and find the solution cells in it."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..building.source import Source, function_of, stub

LARGEST = 50 * 10**6  # bytes
LARGEST_CELL = 200_000  # characters


class Unreadable(ValueError):
    """A submission that cannot be graded; the message is the reason."""


@dataclass(frozen=True)
class Submission:
    """Code cells of a submitted notebook, as (grade_id or "", source), and the name of the notebook it says it is."""

    notebook: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Found:
    """A student's solution cell: its source, None where there is none, and what was odd about finding it.

    `untouched`: it is the cell as handed out, so there is nothing to run.
    """

    source: str | None
    flag: str = ""
    untouched: bool = False


def read_submission(path: Path) -> Submission:
    """Read `path`. `Unreadable` where it is no notebook of format 4, whatever else it is."""
    try:
        if path.is_symlink():
            raise Unreadable("a symbolic link, not a file")
        if path.exists() and not path.is_file() and not path.is_dir():
            raise Unreadable("not a regular file")
        size = path.stat().st_size
        if size > LARGEST:
            raise Unreadable(f"the file has {size / 1e6:.0f} MB; at most {LARGEST / 1e6:.0f} MB are read")
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("the file is not JSON, so not a notebook") from error
    if not isinstance(data, dict) or "nbformat" not in data:
        raise Unreadable("the file is JSON but not a notebook")
    if data["nbformat"] != 4:
        raise Unreadable(
            f"notebook format {str(data['nbformat'])[:10]}; open it in a current Jupyter and save it again"
        )
    cells = data.get("cells")
    if not isinstance(cells, list):
        raise Unreadable("the notebook has no list of cells")
    code = [cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    name = _get(data, "metadata", "course", "notebook")
    return Submission(name if isinstance(name, str) else "", tuple((_grade_id(cell), _text(cell)) for cell in code))


def _get(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _grade_id(cell: dict[str, Any]) -> str:
    id = _get(cell, "metadata", "nbgrader", "grade_id")
    return id if isinstance(id, str) else ""


def _text(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else ""


def notebook_of(submission: Submission, names: list[str]) -> str:
    """Which notebook of the course this is: by metadata, else by grade ids. `Unreadable` where neither tells."""
    if submission.notebook in names:
        return submission.notebook
    matches = (re.fullmatch(r"exercise-(\d\d)-\d+", id) for id, _ in submission.cells)
    numbers = Counter(match[1] for match in matches if match)
    for number, _ in numbers.most_common():
        for name in names:
            if name.startswith(f"{number}_"):
                return name
    raise Unreadable("not a notebook of this course, or its metadata are lost")


def notebook_by_functions(submission: Submission, sources: list[Source]) -> str:
    """Last resort, for a notebook without any metadata: the one most of whose exercise functions it defines."""
    text = "\n".join(source for _, source in submission.cells)
    scores = {}
    for source in sources:
        functions = [function for cell in source.exercises().values() if (function := function_of(cell))]
        scores[source.name] = sum(_defines(text, function.name) for function in functions)
    best = max(scores, key=lambda name: scores[name], default="")
    if not best or not scores[best]:
        raise Unreadable("not a notebook of this course: it defines none of the exercises' functions")
    return best


def find_solutions(submission: Submission, source: Source) -> dict[str, Found]:
    """The submission's solution cell for each exercise: by grade_id, the last of several; else by its `def`."""
    found = {}
    for id, cell in source.exercises().items():
        function = function_of(cell)
        assert function is not None
        sources = [text for grade_id, text in submission.cells if grade_id == cell.id]
        flag = f"{len(sources)} cells with this id; the last one was graded" if len(sources) > 1 else ""
        if not sources:
            sources = [text for _, text in submission.cells if _defines(text, function.name)]
            flag = "the cell's metadata were lost; it was found by its function's name" if sources else ""
        if sources and len(sources[-1]) > LARGEST_CELL:
            found[id] = Found(None, f"the cell has more than {LARGEST_CELL:,} characters")
        elif sources:
            found[id] = Found(sources[-1], flag, sources[-1].strip() == stub(cell.source).strip())
        else:
            found[id] = Found(None)
    return found


def _defines(text: str, name: str) -> bool:
    return name in _defined_functions(text)


@cache
def _defined_functions(text: str) -> frozenset[str]:
    """Functions that a cell defines; a cell may be large, and is asked about for each exercise."""
    try:
        return frozenset(node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset(re.findall(r"^def (\w+)\s*\(", text, re.MULTILINE))
