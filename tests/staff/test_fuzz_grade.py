"""Real submissions, mutated at random: reading and finding never crash, and a class of them gets a row each.

`COURSE_FUZZ` and `COURSE_FUZZ_GRADED` say how many are read and how many graded; `COURSE_FUZZ_SEED` which.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from grading import COURSE, FIXTURES, FULL, blank, cell, solved

from course_lib.__main__ import main
from course_staff.building.source import read_source
from course_staff.course import Course
from course_staff.grading.grader import identify
from course_staff.grading.submission import Unreadable, find_solutions, read_submission

READ, GRADED = int(os.environ.get("COURSE_FUZZ", "150")), int(os.environ.get("COURSE_FUZZ_GRADED", "6"))
REAL = Course()
START = int(os.environ.get("COURSE_FUZZ_SEED", "0"))
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "def",
    "\ud800",
    "\x00",
    [],
    {},
    [[]],
    [None],
    {"": {}},
    "x" * 300_000,
]
KEYS = ["cell_type", "source", "metadata", "id", "outputs", "execution_count"]
TEXTS = [
    "\r\n",
    "\t",
    "%%time\n",
    "!ls\n",
    "def ",
    "\ufeff",
    "\x00",
    "é",
    "'''",
    "(" * 3000,
    "raise SystemExit\n",
    "\\\n",
]
Change = Callable[[random.Random, dict[str, Any]], None]


def some(rng: random.Random, notebook: dict[str, Any]) -> dict[str, Any]:
    return rng.choice([item for item in notebook["cells"] if isinstance(item, dict)] or [{}])


def text(item: dict[str, Any]) -> str:
    source = item.get("source", "")
    return source if isinstance(source, str) else "".join(map(str, source)) if isinstance(source, list) else ""


def moved(rng: random.Random, notebook: dict[str, Any]) -> None:
    rng.shuffle(notebook["cells"])


def split(rng: random.Random, notebook: dict[str, Any]) -> None:
    item = some(rng, notebook)
    code, at = text(item), rng.randrange(len(text(item)) + 1)
    item["source"] = code[:at]
    notebook["cells"].insert(rng.randrange(len(notebook["cells"]) + 1), item | {"source": code[at:]})


def merged(rng: random.Random, notebook: dict[str, Any]) -> None:
    one, other = some(rng, notebook), some(rng, notebook)
    one["source"] = text(one) + rng.choice(["", "\n", "\n\n"]) + text(other)


def duplicated(rng: random.Random, notebook: dict[str, Any]) -> None:
    notebook["cells"].insert(rng.randrange(len(notebook["cells"]) + 1), json.loads(json.dumps(some(rng, notebook))))


def dropped(rng: random.Random, notebook: dict[str, Any]) -> None:
    item = rng.choice([notebook, some(rng, notebook), some(rng, notebook).get("metadata")])
    if isinstance(item, dict) and item:
        kept = notebook["cells"]
        item.pop(rng.choice(list(item)))
        notebook.setdefault("cells", kept if rng.random() < 0.9 else [])


def retyped(rng: random.Random, notebook: dict[str, Any]) -> None:
    where = rng.randrange(5)
    if where == 0:
        notebook[rng.choice(["metadata", "nbformat", "nbformat_minor"])] = rng.choice(VALUES)
    elif where == 1:
        notebook["cells"].append(rng.choice(VALUES))
    elif where == 2:
        notebook["metadata"] = {"course": rng.choice([*VALUES, {"notebook": rng.choice(VALUES)}])}
    elif where == 3:
        some(rng, notebook)["metadata"] = {"nbgrader": rng.choice([*VALUES, {"grade_id": rng.choice(VALUES)}])}
    else:
        some(rng, notebook)[rng.choice(KEYS)] = rng.choice(VALUES)


def rewritten(rng: random.Random, notebook: dict[str, Any]) -> None:
    item = some(rng, notebook)
    code, at = text(item), rng.randrange(len(text(item)) + 1)
    item["source"] = code[:at] + rng.choice(TEXTS) + code[at + rng.randrange(3) :]


CHANGES: list[Change] = [moved, split, merged, duplicated, dropped, retyped, rewritten]


@cache
def whole(solve: bool) -> str:
    return json.dumps(solved() if solve else blank())


@cache
def of_the_course(name: str, solve: bool) -> str:
    """A notebook of the course as handed out, or handed in with all answers right."""
    notebook = json.loads(REAL.student(name).read_text(encoding="utf-8"))
    right = json.loads(REAL.solution(name).read_text(encoding="utf-8"))["cells"] if solve else []
    answers = {cell["id"]: cell["source"] for cell in right if str(cell.get("id")).startswith("exercise-")}
    for item in notebook["cells"]:
        item["source"] = answers.get(item["id"], item["source"])
    return json.dumps(notebook)


def mutated(number: int, real: bool = False) -> tuple[bytes, str]:
    """A submission, the same for the same number, and what was done to it; `real`: to a notebook of the course."""
    rng = random.Random(START + number)
    solve = rng.random() < 0.5
    notebook = json.loads(of_the_course(rng.choice(REAL.names()), solve) if real else whole(solve))
    if rng.random() < 0.3 and not real:
        for id in FULL:
            cell(notebook, id)["source"] = "def answer(): pass"
    done = rng.choices(CHANGES, k=rng.randrange(1, 5))
    for change in done:
        change(rng, notebook)
    data = bytearray(json.dumps(notebook, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass"))
    names = [change.__name__ for change in done]
    for kind in rng.choices(["flipped", "truncated", "doubled", ""], weights=[1, 1, 1, 7]):
        at = rng.randrange(len(data))
        if kind == "flipped":
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == "truncated":
            del data[at:]
        elif kind == "doubled":
            data[at:at] = data[at : at + 200]
        names += [kind] * bool(kind)
    return bytes(data), "+".join(names)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_reading_and_finding_never_crash(tmp_path: Path) -> None:
    path, results = tmp_path / "a.ipynb", Counter[str]()
    for number in range(READ):
        course = REAL if number % 2 else COURSE
        data, done = mutated(number, course is REAL)
        path.write_bytes(data)
        try:
            submission = read_submission(path)
            source = identify(submission, course)
            found = find_solutions(submission, source)
            json.dumps([item.source for item in found.values()]).encode()
            results["found" if any(item.source for item in found.values()) else "nothing found"] += 1
            assert set(found) == set(read_source(course.source(source.name)).exercises())
        except Unreadable as error:
            results["unreadable"] += 1
            assert str(error).strip() and "\n" not in str(error), (number, done)
        except Exception as error:
            raise AssertionError(f"submission {number} ({done}) of seed {START}: {error!r}") from error
    print(f"\n{READ} read: {dict(results)}")


@pytest.mark.slow
@pytest.mark.timeout(6000)
def test_a_class_of_them_gets_a_row_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))
    monkeypatch.setattr("course_staff.course.Course", partial(Course, FIXTURES, "fixture_exercises"))
    paths = [tmp_path / "collected" / f"{number:05}.ipynb" for number in range(GRADED)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        path.write_bytes(mutated(number)[0])
    out = tmp_path / "out"
    command = ["grade", *map(str, paths), "--out", str(out), "--no-sandbox", "--timeout", "20", "--format", "json"]
    assert main(command) == 0, capsys.readouterr().err
    grades = json.loads((out / "grades.json").read_text(encoding="utf-8"))
    assert [Path(grade["submission"]).name for grade in grades] == [path.name for path in paths]
    assert all(grade["points"] is not None and 0 <= grade["points"] <= sum(FULL.values()) for grade in grades)
    kinds = Counter("graded" if grade["exercises"] else grade["reason"] for grade in grades)
    slow = [grade["submission"] for grade in grades if "too much memory or time" in grade["reason"]]
    assert not slow, "the child that reads has crashed"
    with capsys.disabled():
        print(f"\n{GRADED} graded: {dict(kinds)}, points {dict(Counter(grade['points'] for grade in grades))}")
