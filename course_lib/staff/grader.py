"""A grading process: `python -m course_lib.staff.grader`, settings and then paths of submissions on stdin.

It imports everything once and forks an expendable child for each submission: the child reads the file, runs it, and
writes lines of results; its wall clock, memory and files are limited, and when it dies nothing else does. "done" on
stdout says that a child has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import secrets
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from course_lib.exercises.contract import Exercise
from course_lib.exercises.registry import notebooks, of_notebook

from .assemble import dump
from .box import Box, Limits
from .course import Course
from .grading_notebook import grading_notebook, imported
from .nbval_child import House, run_notebook
from .source import Source, read_source
from .submission import (
    Found,
    Submission,
    Unreadable,
    find_solutions,
    notebook_by_functions,
    notebook_of,
    read_submission,
)

STARTUP = 300.0  # seconds for a child to read its file and start its first kernel
AROUND = 60.0  # seconds for an exercise besides its two cells
MEMORY = 6_000 * 10**6  # bytes of address space that a child may take on top of the libraries'
FILES = 200 * 10**6


def main() -> int:
    """Grade one submission after another until the input closes."""
    settings = json.loads(sys.stdin.readline())
    course = Course(Path(settings["folder"]), settings["package"])
    for name in course.names():
        read_source(course.source(name))  # warms up what children need
    most = max((len(of_notebook(number, course.package)) for number in notebooks(course.package)), default=0)
    wall = settings["wall"] or STARTUP + most * (2 * settings["timeout"] + AROUND)
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        child = os.fork()
        if not child:
            _as_child(Path(order["path"]), Path(order["results"]), course, settings)
        if not _wait(child, wall):
            return 1
        print("done", flush=True)
    return 0


def _wait(child: int, wall: float) -> bool:
    """Wait until the child has ended; end it after `wall` seconds. False: nobody waits for us any more."""
    deadline, ours = time.monotonic() + wall, True
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        ours = not select.select([sys.stdin], [], [], 0.05)[0]  # no more orders come meanwhile: only the end of them
        if time.monotonic() > deadline or not ours:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
    return ours


def _as_child(path: Path, results: Path, course: Course, settings: dict[str, Any]) -> None:
    """What the forked child does; it never returns."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    except (OSError, ValueError):
        pass
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILES, FILES))
        channel = os.open(results, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        grade_in_child(path, channel, course, settings)
        _tell(channel, {"complete": True})
    finally:
        os._exit(0)


def grade_in_child(path: Path, channel: int, course: Course, settings: dict[str, Any]) -> None:
    """Read the submission, say what was found, run it."""
    try:
        submission = read_submission(path)
        source = identify(submission, course)
    except Unreadable as error:
        _tell(channel, {"reason": str(error)})
        return
    found = find_solutions(submission, source)
    exercises = {exercise.id: exercise for exercise in of_notebook(source.number, course.package)}
    _tell(channel, {"notebook": source.name, "rows": _rows(source, exercises, found)})
    nonces = {id: secrets.token_hex(16) for id in exercises}
    notebook = grading_notebook(source, exercises, found, settings["seed"], nonces)
    if not notebook["cells"]:
        return
    box = Box(**settings["box"]) if settings["box"] else None
    limits = Limits(**settings["limits"])
    house = House(
        stage=Path(settings["stage"]), box=box, modules=imported(source), limits=limits, cell=settings["timeout"]
    )
    job = {"package": course.package, "seed": settings["seed"], "nonces": nonces, "timeout": settings["timeout"]}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        grading = Path(folder) / "grading.ipynb"
        grading.write_text(dump(notebook), encoding="utf-8")
        try:
            run_notebook(grading, channel, job | {"house": house})
            if house.failure:
                _tell(channel, {"failed": house.failure})
        finally:
            house.close()
            with contextlib.suppress(OSError):
                os.chdir("/")


def identify(submission: Submission, course: Course) -> Source:
    """Which notebook this is; `Unreadable` where nothing tells, or it has no exercises."""
    try:
        name = notebook_of(submission, course.names())
    except Unreadable:
        name = notebook_by_functions(submission, [read_source(course.source(name)) for name in course.names()])
    source = read_source(course.source(name))
    if not source.exercises():
        raise Unreadable(f"notebook {name} has no exercises")
    return source


def _rows(source: Source, exercises: dict[str, Exercise], found: dict[str, Found]) -> list[dict[str, Any]]:
    return [
        {
            "exercise": id,
            "title": exercises[id].title,
            "out_of": exercises[id].points,
            "missing": found[id].source is None,
            "flag": found[id].flag,
        }
        for id in source.exercises()
    ]


def _tell(channel: int, line: dict[str, Any]) -> None:
    os.write(channel, (json.dumps(line) + "\n").encode())


if __name__ == "__main__":
    os._exit(main())  # nothing is left to tidy up
