"""A class of sixty, graded with exactly the expected points: killed in the middle and resumed, and again in one go."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from grading import EXERCISES, FIXTURES, FULL, RIGHT, SEED, blank, box_or_skip, nobody_left, save_to, solved

from course_staff.course import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
JOBS = "2"

MUTANTS = {  # as the fixture's exercises have them, in their order
    "90.1": (
        "def mix(signal, noise, alpha):\n    return alpha * signal + (1 - alpha) * noise",
        "def mix(signal, noise, alpha):\n    return alpha * signal + (1 - alpha**2) * noise",
    ),
    "90.2": ("def moments(x):\n    return x.mean(), x.var(), len(x)",),
    "90.3": ("def root(cov):\n    return cov.sqrt().nan_to_num()",),
    "90.4": ("def repeat(step, x, times):\n    for _ in range(times - 1):\n        x = step(x)\n    return x",),
}
LIBRARY = (
    "def mix(signal, noise, alpha):\n    from course_lib.schedule import Marginal, jump\n"
    "    alpha = torch.tensor(alpha, dtype=signal.dtype)\n"
    "    return jump(signal, Marginal(alpha, (1 - alpha**2).sqrt()), noise)"
)


@dataclass(frozen=True)
class Student:
    """A submission, the points that it has to get, and the known mistake in it, if any: (exercise, number)."""

    name: str
    answers: dict[str, str]
    points: dict[str, int]
    mutant: tuple[str, int] | None = None


def students() -> Iterator[Student]:
    """Full, partial, blank, each known wrong answer, library calls; sixty of them."""
    for k in range(10):
        yield Student(f"full{k}", {}, FULL)
    for k in range(10):
        yield Student(f"blank{k}", dict.fromkeys(RIGHT, ""), dict.fromkeys(FULL, 0))
    for k in range(15):
        left_out = {id: "" for bit, id in enumerate(RIGHT) if (k + 1) >> bit & 1}
        yield Student(f"partial{k}", left_out, {id: 0 if id in left_out else worth for id, worth in FULL.items()})
    for again in range(4):
        for id, codes in MUTANTS.items():
            for k, code in enumerate(codes):
                yield Student(f"mutant{id}-{k}-{again}", {id: code}, FULL | {id: 0}, (id, k))
    for k in range(5):
        yield Student(f"library{k}", {"90.1": LIBRARY}, FULL | {"90.1": 0})


CLASS = list(students())


def notebook_of(student: Student) -> dict[str, object]:
    """The student's notebook: an empty answer leaves the stub."""
    untouched = {cell["id"]: cell["source"] for cell in blank()["cells"]}
    answers = {id: code or untouched[f"exercise-{id.replace('.', '-')}"] for id, code in student.answers.items()}
    return solved(**{f"e{id[3:]}": code for id, code in answers.items()})


@dataclass(frozen=True)
class Runs:
    folder: Path
    before: dict[str, int]  # records when the run was killed -> their time of writing
    nobody_left: bool
    said: str


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Grade the class twice: killed (-9) on the way and resumed, then in one go."""
    box_or_skip()
    folder = tmp_path_factory.mktemp("class")
    for student in CLASS:
        save_to(folder / "collected" / student.name / "90_fixture.ipynb", notebook_of(student))
    (folder / "seed").write_text(SEED)
    (folder / "seed").chmod(0o600)
    temporary = Path(tempfile.mkdtemp(prefix="class-", dir="/tmp"))  # which all of the runs' processes name
    first = _start(folder, temporary, "killed")
    records = folder / "killed" / "records"
    while first.poll() is None and len(list(records.glob("*.json")) if records.exists() else ()) < len(CLASS) // 3:
        time.sleep(0.05)
    assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    ended = nobody_left(temporary)
    before = {path.name: path.stat().st_mtime_ns for path in records.glob("*.json")}
    for out, extra in (("killed", ["--resume"]), ("at_once", [])):
        process = _start(folder, temporary, out, *extra)
        try:
            said, errors = process.communicate()
        finally:
            process.kill()
        assert process.returncode == 0, errors
    shutil.rmtree(temporary, ignore_errors=True)
    return Runs(folder, before, ended, said)


def _start(folder: Path, temporary: Path, out: str, *extra: str) -> subprocess.Popen[str]:
    """The command line, from the folder in which the submissions lie."""
    paths = [f"collected/{student.name}/90_fixture.ipynb" for student in CLASS]
    options = ["--out", out, "--seed-file", "seed", "--jobs", JOBS, "--format", "csv", *extra]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(FIXTURES)]), "TMPDIR": str(temporary)}
    command = [sys.executable, str(FIXTURES / "grade_fixture.py"), *paths, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "grades.csv").open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_the_class_is_sixty_and_has_every_known_wrong_answer() -> None:
    assert len(CLASS) == 60 and len({student.name for student in CLASS}) == 60
    assert {(id, k) for id, exercise in EXERCISES.items() for k in range(len(exercise.wrong_answers))} == {
        student.mutant for student in CLASS if student.mutant
    }


@pytest.mark.parametrize("out", ["killed", "at_once"])
def test_everybody_gets_exactly_the_expected_points(runs: Runs, out: str) -> None:
    rows = rows_of(runs.folder / out)
    assert [row["submission"] for row in rows] == [f"collected/{student.name}/90_fixture.ipynb" for student in CLASS]
    for row, student in zip(rows, CLASS, strict=True):
        assert {id: int(row[id]) for id in FULL} == student.points, student.name
        assert int(row["total"]) == sum(student.points.values()) and row["out_of"] == "10" and row["remarks"] == ""


def test_both_runs_wrote_identical_reports(runs: Runs) -> None:
    killed, at_once = runs.folder / "killed", runs.folder / "at_once"
    names = [
        path.relative_to(at_once) for path in at_once.rglob("*") if path.is_file() and path.parent.name != "records"
    ]
    assert len(names) >= 63
    for name in names:
        if name.name != "seconds.csv":
            assert (killed / name).read_bytes() == (at_once / name).read_bytes(), name


def test_killing_the_run_lost_nothing_doubled_nothing_and_left_nobody_behind(runs: Runs) -> None:
    assert runs.nobody_left
    assert len(CLASS) // 3 <= len(runs.before) < len(CLASS), "it was killed in the middle"
    after = {path.name: path.stat().st_mtime_ns for path in (runs.folder / "killed" / "records").glob("*.json")}
    assert len(after) == len(CLASS)
    assert {name: after[name] for name in runs.before} == runs.before, "what had been graded was not graded again"
    assert not [path for path in runs.folder.rglob("*") if path.suffix == ".part" or path.name.startswith(".")]


def test_known_mistakes_get_their_hint_and_nobody_gets_a_value(runs: Runs) -> None:
    feedback = runs.folder / "at_once" / "feedback"
    for student in CLASS:
        text = (feedback / student.name / "90_fixture.txt").read_text()
        if student.mutant:
            id, k = student.mutant
            assert EXERCISES[id].wrong_answers[k].hint in text
        if student.name.startswith("library"):
            assert "write it yourself" in text
        values = [
            f"{n:.3f}" for case in EXERCISES["90.3"].draw_cases(SEED) for n in case.args[0].flatten().tolist() if n
        ]
        assert not any(value in text for value in values)


def test_the_class_report_names_the_hardest_exercise_first_and_its_commonest_mistake(runs: Runs) -> None:
    lines = (runs.folder / "at_once" / "class.txt").read_text().splitlines()
    assert lines[0] == "60 submissions, 0 of them not graded."
    share = {id: sum(student.points[id] > 0 for student in CLASS) for id in FULL}
    order = [line[:4] for line in lines if line[:3] == "90."]
    assert order == sorted(share, key=lambda id: (share[id], id))
    assert f"90.1 Mix a signal with noise: {share['90.1']} of 60 have it, {60 - 10 - 8} tried" in lines
    assert "commonest wrong answer (5 of 13): your function calls the library's own" in "\n".join(lines)
    png = (runs.folder / "at_once" / "points.png").read_bytes()
    assert png.startswith(b"\x89PNG") and len(png) > 5_000


def test_the_time_of_each_submission_is_reported(runs: Runs) -> None:
    lines = (runs.folder / "at_once" / "seconds.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 61 and all(0 < float(line.split(",")[0]) < 600 for line in lines[1:])
    assert "seconds a submission: " in runs.said
    print("\n".join(line for line in runs.said.splitlines() if "seconds a submission" in line))


def test_a_record_counts_only_for_the_same_file_and_the_same_seed(runs: Runs, tmp_path: Path) -> None:
    from course_staff.course import Course
    from course_staff.grading.grade import GradingSettings
    from course_staff.grading.records import GradeRecords

    course = Course(FIXTURES, "fixture_exercises")
    path = runs.folder / "collected" / "full0" / "90_fixture.ipynb"
    here = os.getcwd()
    os.chdir(runs.folder)
    try:
        name, timeout = path.relative_to(runs.folder), 60.0
        kept = GradeRecords(runs.folder / "at_once", GradingSettings(course, SEED, None, timeout))
        found = kept.find(name)
        assert found is not None and found.points == 10
        assert GradeRecords(runs.folder / "at_once", GradingSettings(course, "other", None, timeout)).find(name) is None
        path.write_text(json.dumps(json.loads(path.read_text()) | {"changed": True}))
        assert kept.find(name) is None
    finally:
        os.chdir(here)


def test_check_and_grade_agree() -> None:
    """What a student sees under an exercise, and what the exercise is worth, for everything in this class."""
    import torch

    from course_checks.checking import verdict_text

    seen = set()
    for student in CLASS:
        for cell in notebook_of(student)["cells"]:  # type: ignore[attr-defined]
            if not cell["id"].startswith("exercise-"):
                continue
            id, source = cell["id"].removeprefix("exercise-").replace("-", "."), "".join(cell["source"])
            if (id, source) in seen:
                continue
            seen.add((id, source))
            names = {"__name__": "__main__", "torch": torch, "Tensor": torch.Tensor}
            exec(source, names)
            (function,) = (value for value in names.values() if getattr(value, "__module__", "") == "__main__")
            right, text = verdict_text(id, function, "fixture_exercises")
            assert right == (student.points[id] > 0), (student.name, text)
    assert len(seen) == len(RIGHT) * 2 + sum(map(len, MUTANTS.values())) + 1
