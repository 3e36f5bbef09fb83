"""What classes really hand in: one submission's trouble is that submission's row, and the run goes on."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from grading import COURSE, FIXTURES, NAME, RIGHT, SEED, blank, box_or_skip, cell, grader, save_to, solved

from course_lib.__main__ import main
from course_staff.building.source import read_source
from course_staff.course import ROOT, Course
from course_staff.grading.class_report import save_class_report
from course_staff.grading.grade import Grade, Grader, GradingSettings, Row, read_seed, run_folder
from course_staff.grading.records import GradeRecords
from course_staff.grading.reports import autograder, feedback_path, file_names, save
from course_staff.grading.submission import find_solutions, read_submission

LATIN = os.fsdecode(b"collected/Zo\xeb M\xfcller/90.ipynb")  # from an old system's zip
ODD = [LATIN, 'a, "b".ipynb', "two\nlines.ipynb", "=1+1.ipynb", "Zoë.ipynb"]
ROWS = (Row("90.1", "Mix", 2, 2, "right", "right"), Row("90.2", "Moments", 0, 1, "wrong", "case 'x': a wrong value."))


def rows_of(path: Path) -> list[dict[str, str]]:
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "spreadsheets know UTF-8 by it"
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


# Names


def test_any_name_is_reported_in_every_format_and_every_csv_has_a_row_for_it(tmp_path: Path) -> None:
    grades = [Grade(name, NAME, ROWS) for name in ODD]
    for format in ("table", "json", "csv", "gradescope", "autograder"):
        save(grades, tmp_path, format)
    save_class_report(grades, tmp_path)
    shown = ["collected/Zo<U+DCEB> M<U+DCFC>ller/90.ipynb", 'a, "b".ipynb', "two<U+000A>lines.ipynb", "'=1+1.ipynb"]
    for name in ("grades.csv", "seconds.csv"):
        assert [row["submission"] for row in rows_of(tmp_path / name)] == [*shown, "Zoë.ipynb"]
    found = json.loads((tmp_path / "grades.json").read_text(encoding="utf-8"))
    assert [item["submission"] for item in found] == [*shown[:3], "=1+1.ipynb", "Zoë.ipynb"]
    assert len({item["feedback"] for item in found}) == 5
    assert all((tmp_path / item["feedback"]).is_file() for item in found)


def test_a_name_that_is_not_utf8_is_recorded_and_found_again(tmp_path: Path) -> None:
    records = GradeRecords(tmp_path, GradingSettings(COURSE, SEED))
    path, known = tmp_path / LATIN, Grade(LATIN, NAME, ROWS)
    save_to(path, solved())
    records.keep(path, known, "content")
    assert json.loads(next((tmp_path / "records").iterdir()).read_text())["submission"] == LATIN


@pytest.mark.parametrize("kept", ["3", "[]", "null", "[" * 100_000, '{"run": 1}'])
def test_a_record_that_is_none_is_graded_again(tmp_path: Path, kept: str) -> None:
    records = GradeRecords(tmp_path, GradingSettings(COURSE, SEED))
    records.keep(tmp_path / "a.ipynb", Grade("a.ipynb", NAME, ROWS), "content")
    next((tmp_path / "records").iterdir()).write_text(kept)
    assert records.find(tmp_path / "a.ipynb") is None


def test_two_unicode_forms_of_a_name_do_not_share_a_page() -> None:
    forms = [unicodedata.normalize(form, "Zoë Å.ipynb") for form in ("NFC", "NFD")]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in file_names(forms).values()}) == 2


def test_names_below_a_deep_tree_or_without_a_stem_have_pages_of_their_own(tmp_path: Path) -> None:
    deep = "/".join(["n" * 50] * 70) + "/90.ipynb"
    names = ["x/.ipynb", "x.ipynb", "y.ipynb", deep]
    pages = [Path(feedback_path(name)) for name in file_names(names).values()]
    results = [Path("gradescope", name, "results.json") for name in file_names(names).values()]
    assert len(set(pages)) == len(set(results)) == 4 and max(len(str(page)) for page in pages) < 1000
    save([Grade(name, NAME, ROWS) for name in names], tmp_path, "gradescope")
    assert len(list(tmp_path.rglob("results.json"))) == 4


@pytest.fixture
def fixture_course(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))
    monkeypatch.setattr("course_staff.course.Course", partial(Course, FIXTURES, "fixture_exercises"))


@pytest.mark.usefixtures("fixture_course")
def test_odd_names_do_not_stop_a_class_nor_its_resumption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ODD:
        save_to(Path(name), blank())
    out = os.fsdecode(b"out\xff")
    command = ["grade", *(f"./{name}" for name in ODD), "--out", out, "--no-sandbox", "--format", "csv"]
    assert main(command) == 0, capsys.readouterr().err
    first = (Path(out) / "grades.csv").read_bytes()
    kept = {path.name: path.stat().st_mtime_ns for path in (Path(out) / "records").iterdir()}
    assert main([*command, "--resume"]) == 0, capsys.readouterr().err
    assert (Path(out) / "grades.csv").read_bytes() == first and len(kept) == len(rows_of(Path(out) / "grades.csv")) == 5
    assert kept == {path.name: path.stat().st_mtime_ns for path in (Path(out) / "records").iterdir()}


def test_a_name_too_long_for_the_disk_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "n" * 300 + ".ipynb"
    assert main(["grade", name, "--out", str(tmp_path / "out"), "--no-sandbox"]) == 2
    assert capsys.readouterr().err == f"course_lib: there is no file {name}\n"


# One submission's trouble


def test_trouble_around_one_submission_is_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Grader, order: dict[str, str]) -> bool:
        if "bert" in order["path"]:
            raise OSError(28, "No space left on device")
        Path(order["results"]).write_text("no JSON\n")
        return True

    monkeypatch.setattr(Grader, "_order", full)
    with run_folder(GradingSettings(COURSE, SEED)) as folder:
        process = Grader(GradingSettings(COURSE, SEED), folder)
        for name, said in (("bert", "No space left"), ("anna", "JSONDecodeError")):
            result = process.grade(tmp_path / f"{name}.ipynb")
            assert result.failed and result.reason.startswith("the grader failed: ") and said in result.reason


def test_one_name_in_several_folders_is_several_submissions(tmp_path: Path) -> None:
    names = [f"collected/{student}/90.ipynb" for student in ("anna", "bert", "anna/again")]
    save([Grade(name, NAME, ROWS) for name in names], tmp_path, "csv")
    assert [row["submission"] for row in rows_of(tmp_path / "grades.csv")] == names
    assert len({row["feedback"] for row in rows_of(tmp_path / "grades.csv")}) == 3


# A temporary folder with a long path


@pytest.mark.slow
@pytest.mark.parametrize("boxed", [False, True], ids=["without a box", "in the box"])
def test_a_long_temporary_folder_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boxed: bool) -> None:
    long = tmp_path / ("t" * 90)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", None)
    notebook, start = solved(), time.monotonic()
    with grader(box_or_skip() if boxed else None, wall=30.0) as process:
        result = process.grade(save_to(tmp_path / "a.ipynb", notebook))
    assert result.points == 10 and time.monotonic() - start < 60, result


@pytest.mark.parametrize("name", ["t" * 90, os.fsdecode(b"t\xff")])
def test_where_no_folder_is_short_enough_that_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    save_to(tmp_path / "a.ipynb", blank())
    assert main(["grade", str(tmp_path / "a.ipynb"), "--out", str(tmp_path / "out"), "--no-sandbox"]) != 0
    said = capsys.readouterr().err.splitlines()[-1]
    assert "TMPDIR is" in said and "expected UTF-8 of at most 59 bytes" in said


# How files come: line ends, marks, ids, metadata, minor formats


def forms() -> dict[str, bytes]:
    notebook = solved()

    def changed(change: Any) -> bytes:
        copy = json.loads(json.dumps(notebook))
        for item in copy["cells"]:
            change(item)
        return json.dumps(copy).encode()

    plain = json.dumps(notebook, indent=1).encode()
    made = {
        "CRLF in the file": plain.replace(b"\n", b"\r\n"),
        "CRLF in the cells": changed(lambda item: item.update(source=[f"{line}\r\n" for line in text(item)])),
        "a byte order mark": b"\xef\xbb\xbf" + plain,
        "other cell ids": changed(lambda item: item.update(id="0" * 8)),
        "no metadata": changed(lambda item: item.update(metadata={})),
        "no metadata key": changed(lambda item: item.pop("metadata")),
        "sources as one string": changed(lambda item: item.update(source="\n".join(text(item)))),
        "sources as lines": changed(lambda item: item.update(source=[f"{line}\n" for line in text(item)])),
    }
    for minor in range(6):
        copy = json.loads(json.dumps(notebook)) | {"nbformat_minor": minor}
        for item in copy["cells"]:
            if minor < 5:
                item.pop("id")
        made[f"nbformat 4.{minor}"] = json.dumps(copy).encode()
    return made


def text(item: dict[str, Any]) -> list[str]:
    return ("".join(item["source"])).splitlines()


@pytest.mark.parametrize("name", list(forms()))
def test_however_a_notebook_was_saved_its_answers_are_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(forms()[name])
    found = find_solutions(read_submission(path), read_source(COURSE.source(NAME)))
    for id, code in RIGHT.items():
        source = found[id].source
        assert source is not None and not found[id].untouched
        assert source.replace("\r\n", "\n").strip() == code


def test_a_blank_notebook_with_other_line_ends_is_not_attempted(tmp_path: Path) -> None:
    notebook = blank()
    for id in RIGHT:
        lines = text(cell(notebook, id))
        cell(notebook, id)["source"] = "\r\n".join(lines)
    with grader(None) as process:
        result = process.grade(save_to(tmp_path / "a.ipynb", notebook))
    assert {row.status for row in result.rows} == {"unattempted"}


# Seeds


def test_a_seed_file_with_a_byte_order_mark_is_the_same_seed(tmp_path: Path) -> None:
    (tmp_path / "seed").write_bytes("\ufeffgeheim\r\n".encode())
    assert read_seed(tmp_path / "seed") == "geheim"
    (tmp_path / "seed").write_text("geheim", encoding="utf-16")
    with pytest.raises(ValueError, match=r"^cannot read the seed file \S+: it is not UTF-8; save it as such"):
        read_seed(tmp_path / "seed")


# Gradescope


def recipe() -> str:
    """`run_autograder` as docs/teaching.md has it."""
    page = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8").split("## Gradescope")[1]
    (found,) = re.findall(r"^  ```\n(.*?)^  ```", page, re.MULTILINE | re.DOTALL)
    return str(found).replace("\n  ", "\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "score"),
    [
        (["90.ipynb"], 10),
        (["hand in/deep/90.ipynb"], 10),
        (["-x.ipynb", "90 (copy).ipynb"], 10),
        (["empty/90.ipynb", "90.ipynb", ".ipynb_checkpoints/90-checkpoint.ipynb", "__MACOSX/._90.ipynb"], 10),
        (["90\u202e.ipynb"], 10),
        (["broken.ipynb"], 0),
        ([], 0),
    ],
    ids=lambda value: "+".join(value).encode("ascii", "replace").decode() or "none" if isinstance(value, list) else "",
)
def test_the_gradescope_recipe_writes_one_result(tmp_path: Path, files: list[str], score: int) -> None:
    folders = {name: tmp_path / name for name in ("submission", "results", "source")}
    for folder in folders.values():
        folder.mkdir()
    (folders["source"] / "seed.txt").write_text(SEED)
    for file in files:
        save_to(folders["submission"] / file, blank() if "empty" in file else {} if "broken" in file else solved())
    script = recipe().replace("/autograder/source/course/.venv/bin/python -m course_lib grade", "grade_here")
    script = script.replace("/autograder", str(tmp_path))
    here = f'grade_here() {{ "{sys.executable}" "{FIXTURES}/grade_fixture.py" "$@"; }}\n'
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(FIXTURES)])}
    done = subprocess.run(["bash", "-c", here + script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (written,) = folders["results"].iterdir()
    assert written.name == "results.json" and json.loads(written.read_text())["score"] == score


def test_of_two_copies_the_better_counts_and_of_two_notebooks_both() -> None:
    worse = Grade("05-Copy1.ipynb", "05_ddpm", (Row("05.1", "Mean", 0, 3, "wrong", "no"),))
    better = Grade("05.ipynb", "05_ddpm", (Row("05.1", "Mean", 3, 3, "right", "right"),))
    other, broken = Grade("90.ipynb", NAME, ROWS), Grade("x.ipynb", reason="the file is not JSON, so not a notebook")
    for grades in ([worse, better, other, broken], [better, other, worse, broken]):
        result = autograder(grades)
        assert result["score"] == 5 and [test["name"] for test in result["tests"]] == ["05.1 Mean", *ROW_NAMES]
        assert "05-Copy1.ipynb: 0 of 3 points; another copy of 05_ddpm counts" in result["output"]
        assert "x.ipynb: not graded: the file is not JSON" in result["output"]
    assert autograder([broken])["score"] == 0


ROW_NAMES = [f"{row.exercise} {row.title}" for row in ROWS]


def test_where_the_grader_failed_there_is_no_result_to_upload(tmp_path: Path) -> None:
    save([Grade("90.ipynb", NAME, ROWS)], tmp_path, "autograder")
    assert (tmp_path / "results.json").exists()
    assert save([Grade("90.ipynb", reason="the grader failed: x", failed=True)], tmp_path, "autograder") == []
    assert not (tmp_path / "results.json").exists()
