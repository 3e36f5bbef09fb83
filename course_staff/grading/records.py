"""What has been graded already, one file a submission, so that a run that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from course_checks.registry import folder_of
from course_lib.files import write_atomically

from ..course import ROOT
from .grade import Grade, GradingSettings, Row, identity
from .submission import LARGEST


class GradeRecords:
    """The folder `out/records`. A record counts for the same file, the same seed and the same exercises only."""

    def __init__(self, out: Path, settings: GradingSettings) -> None:
        self.folder = out / "records"
        self.run = _digest(settings.seed, f"{settings.timeout:g}", _digest_of_exercises(settings))

    def find(self, path: Path) -> Grade | None:
        """The grade of this very file, if it has been recorded."""
        try:
            kept = json.loads(self._file(path).read_text(encoding="utf-8"))
            if kept.pop("run") != self.run or kept.pop("content") != content(path):
                return None
            return Grade(**kept | {"rows": tuple(Row(**row) for row in kept["rows"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def keep(self, path: Path, grade: Grade, content: str) -> None:
        """Record a grade, for what the file held when it was read; none where the grader failed."""
        if grade.failed:
            return
        record = asdict(grade) | {"run": self.run, "content": content}
        write_atomically(self._file(path), json.dumps(record, indent=1) + "\n")  # ASCII: names need not be UTF-8

    def _file(self, path: Path) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(identity(path))).hexdigest()[:32]}.json"


def holds_grades(out: Path) -> bool:
    """Whether a run has left records or reports in `out`."""
    reports = (*(f"grades.{ending}" for ending in ("txt", "csv", "json")), "gradescope/*", "results.json")
    patterns = ("records/*.json", *reports)
    return any(next(out.glob(pattern), None) for pattern in patterns)


def content(path: Path) -> str:
    """A digest of a file, or of what can be known about one that is not read anyway."""
    try:
        if path.is_file() and path.stat().st_size <= LARGEST:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        return f"not read, {path.stat().st_size} bytes, {path.stat().st_mtime_ns}"
    except OSError as error:
        return f"not read: {error.strerror}"


def keep_seed(out: Path, seed: str) -> Path:
    """Write a fresh seed where only its owner reads it, so that a run can be resumed and a grade explained."""
    path = out / "seed.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{seed}\n")
    return path


def _digest_of_exercises(settings: GradingSettings) -> str:
    """A digest of what grades depend on: the notebooks' sources, `course_checks`, and the course's own exercises."""
    course = settings.course
    folders = {course.folder / "source", ROOT / "course_checks", folder_of(course.package)}
    files = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py")]
    return _digest(*(name + hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files)))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
