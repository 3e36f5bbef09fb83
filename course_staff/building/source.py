"""A notebook's source: its cells and what their tags make of them, read from a jupytext py:percent file."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]  # a notebook, or a part of one
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True)
class Cell:
    """One cell. `role` is "setup", "exercise", "check" or "" and `exercise` the id its tag names."""

    type: str
    source: str
    tags: tuple[str, ...]
    id: str
    role: str = ""
    exercise: str = ""

    @property
    def python(self) -> str:
        """The code with IPython's magic lines blanked, so that it parses."""
        return re.sub(r"^(\s*)[%!].*$", r"\1pass", self.source, flags=re.MULTILINE)

    def label(self) -> str:
        """How a message names this cell."""
        first = next((line for line in self.source.splitlines() if line.strip()), "(empty)")
        return f"{self.role} cell {self.exercise}".rstrip() if self.role else f"cell starting {first[:40]!r}"


@dataclass(frozen=True)
class Source:
    """A parsed source file. `metadata` is what its header adds to the notebook's."""

    name: str
    sha256: str
    cells: tuple[Cell, ...]
    metadata: dict[str, object]

    @property
    def number(self) -> str:
        return self.name[:2]

    @property
    def setup(self) -> Cell:
        """The setup cell. ValueError where there is none."""
        for cell in self.cells:
            if cell.role == "setup":
                return cell
        raise ValueError(f"{self.name}: no cell is tagged setup")

    def exercises(self) -> dict[str, Cell]:
        """Exercise cells by id, in order."""
        return {cell.exercise: cell for cell in self.cells if cell.role == "exercise"}


def read_source(path: Path) -> Source:
    """Parse `path`. ValueError where it is not a py:percent file."""
    import jupytext

    text = path.read_text(encoding="utf-8")
    try:
        notebook = jupytext.reads(text, fmt="py:percent")
    except Exception as error:
        raise ValueError(f"{path}: not a py:percent notebook ({error})") from error
    seen: dict[str, int] = {}
    cells = []
    for raw in notebook.cells:
        tags = tuple(raw.metadata.get("tags", ()))
        role, exercise = _role(tags)
        id = f"{role}-{exercise}".replace(".", "-").strip("-") or _digest(raw.cell_type, raw.source)
        seen[id] = seen.get(id, 0) + 1
        unique = id if seen[id] == 1 else f"{id}-{seen[id]}"
        cells.append(Cell(raw.cell_type, raw.source, tags, unique, role, exercise))
    metadata = {key: value for key, value in notebook.metadata.items() if key not in ("jupytext", "kernelspec")}
    return Source(path.stem, hashlib.sha256(text.encode()).hexdigest(), tuple(cells), metadata)


def _role(tags: tuple[str, ...]) -> tuple[str, str]:
    for tag in tags:
        match = re.fullmatch(r"(exercise|check)-(.+)", tag)
        if match:
            return match[1], match[2]
    return ("setup", "") if "setup" in tags else ("", "")


def _digest(kind: str, source: str) -> str:
    return hashlib.sha256(f"{kind}\n{source}".encode()).hexdigest()[:12]


def stub(source: str) -> str:
    """The student's version of an exercise cell: `raise NotImplementedError` for what stands between the markers."""
    lines = source.splitlines()
    marked = [line.strip() for line in lines]
    begin, end = marked.index(BEGIN), marked.index(END)
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    return "\n".join([*lines[:begin], f"{indent}raise NotImplementedError", *lines[end + 1 :]])


def function_of(cell: Cell) -> ast.FunctionDef | None:
    """The one function that an exercise cell defines; None where it holds anything else."""
    try:
        body = ast.parse(cell.python).body
    except SyntaxError:
        return None
    return body[0] if len(body) == 1 and isinstance(body[0], ast.FunctionDef) else None
