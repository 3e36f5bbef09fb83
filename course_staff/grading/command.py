"""The command `grade`. Everything heavy is imported when it runs."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.command.parser import Parser, expanded, one_line, refuse
from course_lib.files import Busy, only_run

if TYPE_CHECKING:
    from ..course import Course
    from .grade import Grade, GradingSettings
    from .records import GradeRecords
    from .sandbox.box import Box

FORMATS = ("table", "json", "csv", "gradescope", "autograder")  # those that `reports.save` writes
UNBOXED = (
    "warning: --no-sandbox: submitted code runs with your rights, reads your files and reaches the network; "
    "use an account and a machine where that is acceptable"
)


def main(argv: Sequence[str] | None = None, program: str = "course_staff") -> int:
    """`grade SUBMISSION... --out DIR [options]`, a command of `program`; returns the exit code."""
    parser = Parser(prog=f"{program} grade")
    parser.add_argument("submissions", type=expanded, nargs="+", metavar="SUBMISSION.ipynb")
    parser.add_argument(
        "--out", type=expanded, required=True, metavar="DIR", help="where grades and feedback are written"
    )
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="submissions graded at a time (default: 1)")
    parser.add_argument("--resume", action="store_true", help="grade only what has no grade in DIR yet")
    parser.add_argument(
        "--seed-file",
        type=expanded,
        metavar="F",
        help="a secret text that fixes the hidden inputs (default: DIR/seed.txt, made anew)",
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for one cell (default: 60)")
    parser.add_argument("--no-sandbox", action="store_true", help="run submitted code with your own rights")
    parser.set_defaults(program=program)
    return grade_submissions(parser.parse_args(argv))


def grade_submissions(arguments: argparse.Namespace) -> int:
    """Grade as the command line says; returns the exit code."""
    for needed in ("jupytext", "nbval", "psutil", "pytest"):  # said at once, not after the first submission
        import_module(needed)

    out, paths = Path(arguments.out), list(dict.fromkeys(Path(text) for text in arguments.submissions))
    wrong = _wrong(arguments, out, paths)
    if wrong:
        return refuse(arguments.program, wrong)

    from ..course import Course
    from .grade import GradingSettings, read_seed
    from .records import GradeRecords, keep_seed

    own = out / "seed.txt"
    seed_file = arguments.seed_file or (own if arguments.resume and own.exists() else None)
    course = Course()
    try:
        seed = read_seed(Path(seed_file) if seed_file else None)
        box = None if arguments.no_sandbox else _box(course)
    except ValueError as error:
        return refuse(arguments.program, str(error))
    if arguments.no_sandbox:
        print(UNBOXED, file=sys.stderr)
    settings = GradingSettings(course, seed, box, arguments.timeout)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)  # grades are nobody else's business
        with only_run(out, f"--out {out}"):
            if not seed_file:
                keep_seed(out, seed)
            return _run(paths, out, settings, GradeRecords(out, settings), arguments)
    except Busy as error:
        return refuse(arguments.program, str(error))
    except KeyboardInterrupt:
        print(f"\n{arguments.program}: interrupted; the same command with --resume goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        print(f"{arguments.program}: grading failed: {one_line(str(error))}", file=sys.stderr)
        return 1


def _wrong(arguments: argparse.Namespace, out: Path, paths: Sequence[Path]) -> str:
    """What is wrong with the arguments, if anything."""
    missing = [str(path) for path in paths if not _is_there(path)]
    if missing:
        return f"there is no file {missing[0]}"
    if not arguments.timeout > 0:
        return f"--timeout is {arguments.timeout:g}; expected seconds above 0"
    if arguments.jobs < 1:
        return f"--jobs is {arguments.jobs}; expected 1 or more"
    if out.exists() and not out.is_dir():
        return f"--out {out} is a file; expected a folder"
    if all(map(os.path.isdir, paths)):
        return _notebooks_in(paths)
    from .records import holds_grades

    if not arguments.resume and holds_grades(out):
        return f"--out {out} already holds grades: add --resume to go on, or choose another folder"
    return "" if hasattr(os, "fork") else "grading needs Linux or macOS (on Windows: in WSL)"


def _is_there(path: Path) -> bool:
    """Whether there is something at `path`. Where a folder on the way is closed to us, its row will say so."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM)
    return True


def _notebooks_in(paths: Sequence[Path]) -> str:
    """What to say where folders are given and nothing is graded; empty where there is none among `paths`."""
    folder = next(filter(os.path.isdir, paths), None)
    return f"expected notebooks, such as {folder}/*/*.ipynb" if folder else ""


def _box(course: Course) -> Box:
    from .sandbox.box import NoBox, find_box
    from .sandbox.stage import packages

    try:
        return find_box(packages(course))
    except NoBox as error:
        raise ValueError(f"{error}; --no-sandbox grades without, with your own rights") from error


def _run(
    paths: Sequence[Path], out: Path, settings: GradingSettings, records: GradeRecords, arguments: argparse.Namespace
) -> int:
    from ..printable import printable
    from .class_report import class_report, save_class_report
    from .reports import save, text_table

    grades = list(_grade_and_record(paths, settings, records, arguments))
    written = save(grades, out, arguments.format)
    also = save_class_report(grades, out)
    print(text_table(grades), end="")
    print(f"\n{class_report(grades)}")
    seconds = sorted(grade.seconds for grade in grades)
    print(f"seconds a submission: {sum(seconds) / len(seconds):.1f} in the mean, {seconds[-1]:.1f} at most")
    first = [out / "gradescope"] if arguments.format == "gradescope" and len(written) != 1 else written
    print(f"written: {', '.join(printable(str(path)) for path in (*first, *also))}")
    print(_where(grades, out))
    failed = sum(grade.failed for grade in grades)
    if failed:
        again = "mend that, then the same command with --resume grades what is missing"
        print(
            f"{arguments.program}: {failed} of {len(grades)} not graded because the grader failed: {again}",
            file=sys.stderr,
        )
        return 1
    wrong = "" if any(grade.rows for grade in grades) else _notebooks_in(paths)
    return refuse(arguments.program, wrong) if wrong else 0


def _where(grades: Sequence[Grade], out: Path) -> str:
    """Where the pages for students are: the first, the rest after its pattern."""
    from ..printable import printable
    from .reports import feedback_path, file_names

    names = file_names([grade.submission for grade in grades])
    first = out / feedback_path(names[grades[0].submission])
    more = f" (and {len(grades) - 1} more; see the column feedback)" if len(grades) > 1 else ""
    return f"feedback: {printable(str(first))}{more}"


def _grade_and_record(
    paths: Sequence[Path], settings: GradingSettings, records: GradeRecords, arguments: argparse.Namespace
) -> Iterator[Grade]:
    """All grades, in the order of `paths`; each is recorded as soon as it is there."""
    from tqdm import tqdm

    from .grade import grade_all, identity
    from .records import content

    known = {identity(path): records.find(path) if arguments.resume else None for path in paths}
    todo = {identity(path): path for path in paths if known[identity(path)] is None}
    before = {name: content(path) for name, path in todo.items()}
    with tqdm(total=len(known), initial=len(known) - len(todo), unit="submission", disable=None) as bar:
        for grade in grade_all(list(todo.values()), settings, arguments.jobs):
            records.keep(todo[grade.submission], grade, before[grade.submission])
            known[grade.submission] = grade
            bar.update()
    yield from (grade for grade in known.values() if grade is not None)


if __name__ == "__main__":
    sys.exit(main())
