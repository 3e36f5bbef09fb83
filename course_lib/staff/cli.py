"""The commands `build` and `grade`. Everything heavy is imported when a command runs."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_build(subparsers: Any) -> None:
    """Add `build [--check] [--execute] [NAMES...]`; sets `func`, which returns an exit code."""
    parser = subparsers.add_parser("build", help="build the notebooks from notebooks/source")
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks, such as 05 or 05_ddpm (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is out of step")
    parser.add_argument("--execute", action="store_true", help="run the solutions and keep their outputs")
    parser.set_defaults(func=_build)


def _build(arguments: argparse.Namespace) -> int:
    from .build import build, check
    from .course import Course

    course = Course()
    if arguments.check and arguments.execute:
        return _refuse("--check writes nothing, so it cannot go with --execute")
    try:
        names = course.select(arguments.names)
    except ValueError as error:
        return _refuse(str(error))
    found = check(course, names) if arguments.check else build(course, names, arguments.execute)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(names)} notebooks {'are in step with their sources' if arguments.check else 'built'}")
    return 1 if found else 0


def _refuse(message: str) -> int:
    print(f"course_lib: {message}", file=sys.stderr)
    return 2


def add_grade(subparsers: Any) -> None:
    """Add `grade SUBMISSION... --out DIR [--format F] [--seed-file F] [--timeout S]`; sets `func`, as above."""
    parser = subparsers.add_parser("grade", help="grade submitted notebooks")
    parser.add_argument("submissions", nargs="+", metavar="SUBMISSION.ipynb")
    parser.add_argument("--out", required=True, metavar="DIR", help="where grades and feedback are written")
    parser.add_argument("--format", choices=("table", "json", "csv", "gradescope"), default="table")
    parser.add_argument(
        "--seed-file", metavar="F", help="a secret text that fixes the hidden inputs (default: a fresh one)"
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for one cell (default: 60)")
    parser.set_defaults(func=_grade)


def _grade(arguments: argparse.Namespace) -> int:
    from importlib import import_module
    from pathlib import Path

    for needed in ("jupytext", "nbval", "pytest"):  # said at once, not after the first submission
        import_module(needed)

    from tqdm import tqdm

    from .course import Course
    from .grade import grade, read_seed
    from .reports import save, table

    paths = [Path(text) for text in arguments.submissions]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        return _refuse(f"there is no file {missing[0]}")
    if not arguments.timeout > 0:
        return _refuse(f"--timeout is {arguments.timeout:g}; expected seconds above 0")
    out = Path(arguments.out)
    if out.exists() and not out.is_dir():
        return _refuse(f"--out {out} is a file; expected a folder")
    try:
        seed = read_seed(Path(arguments.seed_file) if arguments.seed_file else None)
    except ValueError as error:
        return _refuse(str(error))
    course = Course()
    try:
        grades = [grade(path, course, seed, arguments.timeout) for path in tqdm(paths, unit="submission", disable=None)]
        written = save(grades, out, arguments.format)
    except (OSError, ValueError) as error:
        print(f"course_lib: grading failed: {error}", file=sys.stderr)
        return 1
    print(table(grades), end="")
    print(f"written: {written[0] if len(written) == 1 else out / 'gradescope'}, {out / 'feedback'}")
    return 0
