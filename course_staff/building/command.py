"""The command `build`. Everything heavy is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from course_lib.command.parser import Parser, refuse


def main(argv: Sequence[str] | None = None, program: str = "course_staff") -> int:
    """`build [--check] [--execute] [NAMES...]`, a command of `program`; returns the exit code."""
    parser = Parser(prog=f"{program} build")
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks, such as 05 or 05_ddpm (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is out of step")
    parser.add_argument("--execute", action="store_true", help="run the solutions and keep their outputs")
    arguments = parser.parse_args(argv)

    from ..course import Course
    from .build import build, check

    course = Course()
    if arguments.check and arguments.execute:
        return refuse(program, "--check writes nothing, so it cannot go with --execute")
    try:
        names = course.select(arguments.names)
    except ValueError as error:
        return refuse(program, str(error))
    found = check(course, names) if arguments.check else build(course, names, arguments.execute)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(names)} notebooks {'are in step with their sources' if arguments.check else 'built'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
