"""Grades as a table, CSV, JSON or Gradescope's results.json, and one page of feedback a submission."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .build import write
from .grade import Grade
from .printable import for_spreadsheet, printable

FORMATS = ("table", "json", "csv", "gradescope")


def save(grades: Sequence[Grade], out: Path, format: str) -> list[Path]:
    """Write the grades in `format`, and feedback for each, under `out`, every file atomically; the grades' paths."""
    for grade in grades:
        write(out / "feedback" / f"{_file_name(grade)}.txt", feedback(grade))
    if format == "gradescope":
        paths = [out / "gradescope" / _file_name(grade) / "results.json" for grade in grades]
        for path, grade in zip(paths, grades, strict=True):
            if grade.failed:  # a score of 0 would be taken for the submission's
                path.unlink(missing_ok=True)
            else:
                write(path, json.dumps(gradescope(grade), indent=1) + "\n")
        return [path for path, grade in zip(paths, grades, strict=True) if not grade.failed]
    maker, ending = {"table": (table, "txt"), "json": (as_json, "json"), "csv": (as_csv, "csv")}[format]
    path = out / f"grades.{ending}"
    write(path, maker(grades))
    return [path]


def table(grades: Sequence[Grade]) -> str:
    """A line for each submission, a column for each exercise, the total, and a remark where there is one."""
    columns = _columns(grades)
    rows = [["submission", *columns, "total", "remarks"]]
    for grade in grades:
        points = {row.exercise: str(row.points) for row in grade.rows}
        total = f"{grade.points}/{grade.out_of}" if grade.rows else "-" if grade.failed else "0"
        rows.append([printable(grade.submission), *(points.get(id, "-") for id in columns), total, _remarks(grade)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def as_csv(grades: Sequence[Grade]) -> str:
    """The same as CSV: submission, notebook, one column of points an exercise, total, out_of, remarks."""
    columns, text = _columns(grades), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["submission", "notebook", *columns, "total", "out_of", "remarks"])
    for grade in grades:
        points = {row.exercise: row.points for row in grade.rows}
        cells = [points.get(id, "") for id in columns]
        name = for_spreadsheet(grade.submission)
        total = ["", ""] if grade.failed else [grade.points, grade.out_of]
        writer.writerow([name, grade.notebook, *cells, *total, _remarks(grade)])
    return text.getvalue()


def as_json(grades: Sequence[Grade]) -> str:
    """Everything known about each submission, feedback included."""
    return json.dumps([_record(grade) for grade in grades], indent=1, ensure_ascii=False) + "\n"


def _record(grade: Grade) -> dict[str, Any]:
    rows = [dict(vars(row)) for row in grade.rows]
    names = {"submission": grade.submission, "notebook": grade.notebook, "reason": grade.reason}
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


def feedback(grade: Grade) -> str:
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
    return grade.reason or "; ".join(f"{row.exercise}: {row.flag}" for row in grade.rows if row.flag)


def _file_name(grade: Grade) -> str:
    """A path below the output folder for this submission, different for different submissions, and never too long."""
    path = Path(grade.submission)
    parts = [printable(part) for part in path.parts if part not in ("/", "\\", "..", ".")] or ["submission"]
    plain = "/".join(parts) == grade.submission and path.suffix == ".ipynb" and all(len(part) < 60 for part in parts)
    if plain:
        return grade.submission.removesuffix(".ipynb")
    digest = hashlib.sha256(os.fsencode(grade.submission)).hexdigest()[:8]
    return "/".join([digest, *(part[:60] for part in parts)]).removesuffix(".ipynb")
