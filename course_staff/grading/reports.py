"""Grades as a table, CSV, JSON or Gradescope's results.json, and one page of feedback a submission."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically

from ..printable import csv_file, printable
from .grade import Grade


def save(grades: Sequence[Grade], out: Path, format: str) -> list[Path]:
    """Write the grades in `format`, and feedback for each, under `out`, every file atomically; the grades' paths."""
    names = file_names([grade.submission for grade in grades])
    for grade in grades:
        write_atomically(out / feedback_path(names[grade.submission]), feedback_page(grade))
    if format == "gradescope":
        paths = [out / "gradescope" / names[grade.submission] / "results.json" for grade in grades]
        for path, grade in zip(paths, grades, strict=True):
            if grade.failed:  # a score of 0 would be taken for the submission's
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, json.dumps(gradescope(grade), indent=1) + "\n")
        return [path for path, grade in zip(paths, grades, strict=True) if not grade.failed]
    if format == "autograder":
        path = out / "results.json"
        path.unlink(missing_ok=True)
        if any(grade.failed for grade in grades):
            return []
        write_atomically(path, json.dumps(autograder(grades), indent=1) + "\n")
        return [path]
    maker, ending = {"table": (text_table, "txt"), "json": (as_json, "json"), "csv": (as_csv, "csv")}[format]
    path = out / f"grades.{ending}"
    write_atomically(path, maker(grades))
    return [path]


def text_table(grades: Sequence[Grade]) -> str:
    """A line for each submission: points of each exercise, the total, where its feedback is, and remarks."""
    columns, names = _columns(grades), file_names([grade.submission for grade in grades])
    rows = [["submission", *columns, "total", "feedback", "remarks"]]
    for grade in grades:
        points = {row.exercise: str(row.points) for row in grade.rows}
        total = f"{grade.points}/{grade.out_of}" if grade.rows else "-" if grade.failed else "0"
        last = [total, feedback_path(names[grade.submission]), _remarks(grade)]
        rows.append([printable(grade.submission), *(points.get(id, "-") for id in columns), *last])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def as_csv(grades: Sequence[Grade]) -> str:
    """The same as CSV: submission, notebook, one column of points an exercise, total, out_of, feedback, remarks."""
    columns, names = _columns(grades), file_names([grade.submission for grade in grades])
    rows: list[list[str | float]] = [["submission", "notebook", *columns, "total", "out_of", "feedback", "remarks"]]
    for grade in grades:
        points = {row.exercise: row.points for row in grade.rows}
        cells = [points.get(id, "") for id in columns]
        total = ["", ""] if grade.failed else [grade.points, grade.out_of]
        page = feedback_path(names[grade.submission])
        rows.append([grade.submission, grade.notebook, *cells, *total, page, _remarks(grade)])
    return csv_file(rows)


def as_json(grades: Sequence[Grade]) -> str:
    """Everything known about each submission, feedback included."""
    names = file_names([grade.submission for grade in grades])
    records = [_record(grade, feedback_path(names[grade.submission])) for grade in grades]
    return json.dumps(records, indent=1, ensure_ascii=False) + "\n"


def _record(grade: Grade, page: str) -> dict[str, Any]:
    rows = [dict(vars(row)) for row in grade.rows]
    names = {
        "submission": printable(grade.submission),
        "notebook": grade.notebook,
        "feedback": page,
        "reason": grade.reason,
    }
    points = None if grade.failed else grade.points
    return names | {"points": points, "out_of": grade.out_of, "exercises": rows}


def gradescope(grade: Grade) -> dict[str, Any]:
    """Gradescope's autograder results: a score, and one test an exercise."""
    tests = [
        {
            "name": f"{row.exercise} {row.title}",
            "score": row.points,
            "max_score": row.out_of,
            "status": "passed" if row.status == "right" else "failed",
            "output": row.feedback,
        }
        for row in grade.rows
    ]
    return {"score": grade.points, "output": grade.reason or "See each exercise.", "tests": tests}


def autograder(grades: Sequence[Grade]) -> dict[str, Any]:
    """One results.json for all that a student handed in: of each notebook the submission with the most points."""
    best: dict[str, Grade] = {}
    for grade in grades:
        if grade.rows and (grade.notebook not in best or grade.points > best[grade.notebook].points):
            best[grade.notebook] = grade
    said = []
    for grade in grades:
        counted = "not graded: " + grade.reason if not grade.rows else f"{grade.points} of {grade.out_of} points"
        if grade.rows and grade is not best[grade.notebook]:
            counted += f"; another copy of {grade.notebook} counts"
        said.append(f"{printable(grade.submission)}: {counted}")
    tests = [test for name in sorted(best) for test in gradescope(best[name])["tests"]]
    return {"score": sum(grade.points for grade in best.values()), "output": "\n".join(said), "tests": tests}


def feedback_page(grade: Grade) -> str:
    """What a student gets to read: points, and a sentence for each exercise."""
    if grade.reason:
        return f"{printable(grade.submission)}\n\nNot graded: {grade.reason}.\n"
    lines = [f"{printable(grade.submission)}: {grade.points} of {grade.out_of} points", ""]
    for row in grade.rows:
        lines.append(f"{row.exercise} {row.title}: {row.points} of {row.out_of}. {row.feedback}")
        lines += [f"     ({row.flag})"] * bool(row.flag)
    return "\n".join(lines) + "\n"


def _columns(grades: Sequence[Grade]) -> list[str]:
    ids = {row.exercise for grade in grades for row in grade.rows}
    return sorted(ids, key=lambda id: (id[:2], int(id[3:])))


def _remarks(grade: Grade) -> str:
    return printable(grade.reason or "; ".join(f"{row.exercise}: {row.flag}" for row in grade.rows if row.flag))


def feedback_path(name: str) -> str:
    """Where in the output folder the feedback of a submission with this file name is."""
    return f"feedback/{name}.txt"


def file_names(submissions: Sequence[str]) -> dict[str, str]:
    """For each submission a relative path to be used below the output folder, without the folders that all share.

    `collected/anna/05.ipynb` becomes `anna/05`. They are different for different submissions, on a disk too that tells
    neither case nor Unicode forms apart, and never too long; where a name is odd, a digest of the submission comes
    before it.
    """
    parts = {name: [part for part in Path(name).parts if part not in ("/", "\\", "..", ".")] for name in submissions}
    folders = [found[:-1] for found in parts.values()]
    shared = len(os.path.commonprefix(folders)) if folders else 0  # of lists: the folders that all have first
    if len(set(map(tuple, folders))) == 1:
        shared = max(0, shared - 1)  # the last one may tell whose they are
    shown = {name: [printable(part) for part in found[shared:]] or ["submission"] for name, found in parts.items()}
    taken = Counter(_on_disk("/".join(found)) for found in shown.values())
    names = {}
    for name, found in shown.items():
        joined = "/".join(found)
        stems = _on_disk(joined.removesuffix(".ipynb")).split("/")
        plain = found == parts[name][shared:] and ".." not in Path(name).parts[1:] and name.endswith(".ipynb")
        plain &= not any(stem.endswith((".txt", "results.json")) for stem in stems)  # a folder where a file is to be
        plain &= bool(stems[-1]) and len(joined) < 500
        if plain and max(map(len, found)) < 60 and taken[_on_disk(joined)] == 1:
            names[name] = joined.removesuffix(".ipynb")
        else:  # 55 characters fit the 255 bytes of a file name, with what is put around them while it is written
            digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
            names[name] = "/".join([digest, *(part[:55] for part in found[-3:])]).removesuffix(".ipynb")
    return names


def _on_disk(name: str) -> str:
    """The same for names that some disk takes for one: `E` and `e`, an accented letter and a letter with an accent."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
