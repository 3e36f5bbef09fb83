"""A grading process: `python -m course_staff.grading.grader`, settings and then paths of submissions on stdin.

It imports everything once and forks two expendable children for each submission. The first reads the file and keeps
what it found; the second runs that. Both write lines of results; their wall clocks, memory and files are limited, and
when one dies nothing else does. "done" on stdout says that they have ended.

They are two so that a file which takes all the time or memory there is to read cannot spoil what comes after: until the
second one says "begun", no code of a submission has run in it, and what goes wrong is the grader's own failure.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import secrets
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from course_checks.contract import Exercise
from course_checks.registry import notebooks, of_notebook

from ..building.assemble import Json, dump
from ..building.source import Source, read_source
from ..course import Course
from .notebook import grading_notebook, imported_modules
from .sandbox.box import Box, Limits
from .sandbox.nbval_plugin import KernelPool, run_notebook, tell
from .sandbox.orphans import adopt, die_with_parent, end_all
from .submission import (
    Found,
    Submission,
    Unreadable,
    find_solutions,
    notebook_by_functions,
    notebook_of,
    read_submission,
)

READING = 300.0  # seconds for a child to read its file and find the solutions
STARTUP = 300.0  # seconds for a child to start its first kernel
AROUND = 60.0  # seconds for an exercise besides its two cells
MEMORY = 6_000 * 10**6  # bytes of address space that a child may take on top of the libraries'
FILES = 200 * 10**6
Work = Callable[[int], None]


def main() -> int:
    """Grade one submission after another until the input closes."""
    settings = json.loads(sys.stdin.readline())
    course = Course(Path(settings["folder"]), settings["package"])
    for name in course.names():
        read_source(course.source(name))  # warms up what children need
    most = max((len(of_notebook(number, course.package)) for number in notebooks(course.package)), default=0)
    wall = settings["wall"] or STARTUP + most * (2 * settings["timeout"] + AROUND)
    gc.freeze()  # so that children need not look through all that there is already
    adopt()
    try:
        for line in iter(sys.stdin.readline, ""):
            order = json.loads(line)
            results, kept = Path(order["results"]), Path(order["results"] + ".found")
            read = partial(read_in_child, Path(order["path"]), kept, course)
            run = partial(grade_in_child, kept, course, settings, order["only"])
            for work, seconds in ((read, READING), (run, wall)):
                if not _wait(_fork(work, results), seconds):
                    return 1
                if not kept.exists():
                    break
            kept.unlink(missing_ok=True)
            print("done", flush=True)
    finally:
        end_all()
    return 0


def _wait(child: int, wall: float) -> bool:
    """Wait until the child has ended; end it after `wall` seconds. False: nobody waits for us any more."""
    deadline, ours = time.monotonic() + wall, True
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        ours = not select.select([sys.stdin], [], [], 0.01)[0]  # no more orders come meanwhile: only the end of them
        if time.monotonic() > deadline or not ours:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
    end_all()  # of the child's
    return ours


def _fork(work: Work, results: Path) -> int:
    """Do `work` in a child with limits, which gets a file descriptor for lines of results; the child's id."""
    child = os.fork()
    if child:
        return child
    die_with_parent()
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
        work(channel)
    finally:
        os._exit(0)


def read_in_child(path: Path, kept: Path, course: Course, channel: int) -> None:
    """Read the submission, say what was found, and leave the solutions' sources in `kept`."""
    try:
        submission = read_submission(path)
        source = identify(submission, course)
    except Unreadable as error:
        tell(channel, {"reason": str(error)})
        return
    found = find_solutions(submission, source)
    exercises = {exercise.id: exercise for exercise in of_notebook(source.number, course.package)}
    unfinished = kept.with_suffix(".part")
    unfinished.write_text(json.dumps([source.name, {id: asdict(item) for id, item in found.items()}]), encoding="utf-8")
    unfinished.rename(kept)
    tell(channel, {"notebook": source.name, "rows": _rows(source, exercises, found)})


def grade_in_child(kept: Path, course: Course, settings: dict[str, Any], only: str | None, channel: int) -> None:
    """Run what the child before left in `kept`: all exercises, or `only` one."""
    name, sources = json.loads(kept.read_text(encoding="utf-8"))
    source, found = read_source(course.source(name)), {id: Found(**item) for id, item in sources.items()}
    exercises = {exercise.id: exercise for exercise in of_notebook(source.number, course.package)}
    nonces = {id: secrets.token_hex(16) for id in exercises}
    to_run = {id: item for id, item in found.items() if only in (None, id) and not item.untouched}
    notebook = grading_notebook(source, exercises, to_run, settings["seed"], nonces)
    if notebook["cells"]:
        _run(notebook, source, channel, course, settings, nonces)
    tell(channel, {"complete": True})


def _run(
    notebook: Json, source: Source, channel: int, course: Course, settings: dict[str, Any], nonces: dict[str, str]
) -> None:
    adopt()
    box = Box(**settings["box"]) if settings["box"] else None
    limits = Limits(**settings["limits"])
    stage, modules = Path(settings["stage"]), imported_modules(source)
    pool = KernelPool(stage=stage, box=box, modules=modules, limits=limits, cell=settings["timeout"])
    job = {"package": course.package, "seed": settings["seed"], "nonces": nonces, "timeout": settings["timeout"]}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        grading = Path(folder) / "grading.ipynb"
        grading.write_text(dump(notebook), encoding="utf-8")
        try:
            pool.warm_up()
            run_notebook(grading, channel, job | {"pool": pool})
            if pool.failure:
                tell(channel, {"failed": pool.failure})
        finally:
            pool.close()
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
            "untouched": found[id].untouched,
            "flag": found[id].flag,
        }
        for id in source.exercises()
    ]


if __name__ == "__main__":
    os._exit(main())  # nothing is left to tidy up
