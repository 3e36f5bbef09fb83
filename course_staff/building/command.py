"""The command `build`. Everything heavy is imported when a command runs."""

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
    from ..course import Course
    from .build import build, check

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
