"""Read a submitted notebook, which may be anything, and find the solution cells in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_checks.cells import Part, definitions, part_of, python_of

from ..building.rules import setup_names
from ..building.source import Cell, Source, function_of, stub

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
    """What is run of a submission for one exercise: of the cell with the student's function, what the function needs.

    `source` is None where there is nothing; `flag` says where it was found, where that is not the cell handed out, and
    what it lacks. `untouched`: it is the cell as handed out, so there is nothing to run.
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
    texts = {text for _, text in submission.cells if len(text) <= LARGEST_CELL}
    scores = {}
    for source in sources:
        names = [function.name for cell in source.exercises().values() if (function := function_of(cell))]
        scores[source.name] = sum(any(_defines(text, name) for text in texts) for name in names)
    best = max(scores, key=lambda name: scores[name], default="")
    if not best or not scores[best]:
        raise Unreadable("not a notebook of this course: it defines none of the exercises' functions")
    return best


def find_solutions(submission: Submission, source: Source) -> dict[str, Found]:
    """For each exercise the last definition of its function in the submission that is not the stub handed out.

    Other cells of the notebook as handed out do not count. Where nothing defines it, the exercise's own cell is taken,
    by its grade_id, as it is: what running it says is what its author needs to read.
    """
    handed_out = {_bare(cell.source) for cell in source.cells if cell.role != "exercise"}
    cells = [(id, "" if _bare(text) in handed_out else text) for id, text in submission.cells]
    names = setup_names(source)
    return {id: _find(cells, cell, names) for id, cell in source.exercises().items()}


def _find(cells: Sequence[tuple[str, str]], exercise: Cell, names: Sequence[str]) -> Found:
    function, handed_out = function_of(exercise), stub(exercise.source)
    assert function is not None
    name, own = function.name, [k for k, (id, _) in enumerate(cells) if id == exercise.id]
    not_done = definitions(handed_out)[name]

    def answers(text: str) -> bool:
        return _defines(text, name) and definitions(text)[name] != not_done

    small = [k for k, (_, text) in enumerate(cells) if len(text) <= LARGEST_CELL]
    found = [k for k in small if answers(cells[k][1])]
    broken = [k for k in small if not found and _looks_like(cells[k][1], name)]
    tried = [k for k in own if cells[k][1].strip() and _bare(cells[k][1]) != _bare(handed_out)]
    stubs = [k for k in small if _defines(cells[k][1], name)]
    if not (chosen := found or broken or tried or own or stubs):
        return Found(None)
    text = cells[chosen[-1]][1]
    if len(text) > LARGEST_CELL:
        return Found(None, f"the cell has more than {LARGEST_CELL:,} characters")
    untouched, part = _bare(text) == _bare(handed_out), part_of(text, name, names)
    remarks = [_place(chosen[-1], own), *_several(len(found)), *_lacks(part)]
    flag = "; ".join(remark for remark in remarks if remark)
    return Found(part.source if part and not untouched else text, "" if untouched and own else flag, untouched)


def _place(chosen: int, own: Sequence[int]) -> str:
    if chosen in own:
        return ""
    if not own:
        return "the cell's metadata were lost; it was found by its function's name"
    return f"found in a cell {'below' if chosen > own[-1] else 'above'} the one handed out"


def _several(number: int) -> Iterator[str]:
    if number > 1:
        yield f"{number} definitions; the last one was graded"


def _lacks(part: Part | None) -> Iterator[str]:
    missing = part.outside if part and not part.stars else ()
    if missing:
        listed = ", ".join(f"`{name}`" for name in missing[:5]) + ", ..." * (len(missing) > 5)
        yield f"it uses {listed}, which neither its cell nor the setup cell defines"


def _bare(text: str) -> str:
    """A cell's text, however its lines end."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _defines(text: str, name: str) -> bool:
    return name in text and name in definitions(text)


def _looks_like(text: str, name: str) -> bool:
    """Whether a cell that is no Python was meant to define the function."""
    return bool(re.search(rf"^(async )?def {name}\s*\(", text, re.MULTILINE)) and python_of(text) is None
