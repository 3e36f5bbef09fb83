"""What a teacher wants to know of a class: which exercises were hard, which mistakes were common; and a plot."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from course_lib.files import write_atomically

from ..printable import csv_file, printable
from .grade import Grade, Row

NOT_TRIED = ("unattempted", "missing")
UNKNOWN = "none of the wrong answers that are known"
COLOURS = {"full points": "#0072B2", "wrong": "#E69F00", "not attempted": "#BBBBBB"}


def save_class_report(grades: Sequence[Grade], out: Path) -> list[Path]:
    """Write `class.txt`, `points.png` and `seconds.csv` under `out`; their paths."""
    write_atomically(out / "class.txt", class_report(grades))
    times = [(round(grade.seconds, 2), grade.submission) for grade in grades]
    write_atomically(out / "seconds.csv", csv_file([("seconds", "submission"), *times]))
    write_atomically(out / "points.png", plot(grades))
    return [out / name for name in ("class.txt", "points.png", "seconds.csv")]


def class_report(grades: Sequence[Grade]) -> str:
    """Points of the class, then every exercise, those that most failed first, with its commonest wrong answer."""
    graded = [grade for grade in grades if grade.rows]
    failed = sum(grade.failed for grade in grades)
    why = f" ({failed} because the grader failed)" if failed else ""
    lines = [f"{len(grades)} submissions, {len(grades) - len(graded)} of them not graded{why}."]
    for notebook in sorted({grade.notebook for grade in graded}):
        points = sorted(grade.points for grade in graded if grade.notebook == notebook)
        out_of = max(grade.out_of for grade in graded if grade.notebook == notebook)
        middle = points[len(points) // 2] if len(points) % 2 else sum(points[len(points) // 2 - 1 :][:2]) / 2
        mean = sum(points) / len(points)
        lines.append(f"{notebook}: {len(points)} graded, {out_of} points to be had, mean {mean:.1f}, median {middle:g}")
    lines += ["", "Exercises, those that most failed first:", ""]
    rows = by_exercise(grades)
    for id in sorted(rows, key=lambda id: (sum(map(_right, rows[id])) / len(rows[id]), id)):
        right, tried = sum(map(_right, rows[id])), sum(row.status not in NOT_TRIED for row in rows[id])
        lines.append(f"{id} {rows[id][0].title}: {right} of {len(rows[id])} have it, {tried} tried")
        mistakes = Counter(mistake(row) for row in rows[id] if not _right(row) and row.status not in NOT_TRIED)
        unknown = mistakes.pop(UNKNOWN, 0)  # which are many answers, not one
        if mistakes:
            most, times = min(mistakes.items(), key=lambda item: (-item[1], item[0]))
            lines.append(f"      commonest wrong answer ({times} of {tried - right}): {printable(most)}")
        if unknown:
            lines.append(f"      {unknown} of {tried - right}: {UNKNOWN}")
    return "\n".join(lines) + "\n"


def by_exercise(grades: Sequence[Grade]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for grade in grades:
        for row in grade.rows:
            rows[row.exercise].append(row)
    return rows


def mistake(row: Row) -> str:
    """In one line, the same for all who made it: the hint of a known wrong answer, or what went wrong."""
    if row.hint:
        return row.hint
    if row.status == "wrong":
        return UNKNOWN
    return re.sub(r" \(line \d+ of your function\)", "", re.sub(r"^case '.*?': ", "", row.feedback))


def plot(grades: Sequence[Grade]) -> bytes:
    """A PNG: for each exercise, how many have full points, are wrong, did not try."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = by_exercise(grades)
    ids = sorted(rows, key=lambda id: (id[:2], int(id[3:])))
    figure = Figure(figsize=(8, 1.6 + 0.32 * len(ids)), layout="constrained")
    axes = figure.subplots()
    left = [0] * len(ids)
    for label, colour in COLOURS.items():
        counts = [sum(_kind(row) == label for row in rows[id]) for id in ids]
        axes.barh(range(len(ids)), counts, left=left, color=colour, label=label)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    titles = [f"{id} {rows[id][0].title[:44]} ({rows[id][0].out_of})" for id in ids]
    axes.set(
        yticks=range(len(ids)),
        yticklabels=titles,
        xlabel="submissions",
        title="Exercises (their points) and who has them",
    )
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    if ids:
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _kind(row: Row) -> str:
    if _right(row):
        return "full points"
    return "not attempted" if row.status in NOT_TRIED else "wrong"


def _right(row: Row) -> bool:
    return row.status == "right"
