"""`make fork`: the course becomes somebody else's, everywhere at once, and nothing of the old owner is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from course_staff.building import assemble
from course_staff.building.launch import with_launch_cells, without_launch_cells
from course_staff.course import ROOT, Course, Launch, read_launch
from course_staff.release import fork as forking
from course_staff.release.fork import fork, restamp, text_files

COURSE = Course()
SETTING = read_launch(ROOT / "pyproject.toml")
assert SETTING is not None
LAUNCH: Launch = SETTING
NOTEBOOKS = [(name, solved) for name in COURSE.names() for solved in (False, True)]
NEW = Launch("somebody-else/their.course", "v9.8.7")


def load(name: str, solved: bool) -> Any:
    path = COURSE.solution(name) if solved else COURSE.student(name)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course, made somebody else's by the command."""
    copy = tmp_path_factory.mktemp("fork")
    for path in text_files(ROOT):
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    command = [sys.executable, "-m", "course_staff", "fork", NEW.repository, "--release", NEW.release]
    done = subprocess.run([*command, "--folder", str(copy)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "changed README.md" in done.stdout and f"git tag {NEW.release}" in done.stdout
    return copy


def test_a_fork_leaves_nothing_of_the_old_repository_behind(forked: Path) -> None:
    """Not even the bare name, but in code, where it may be the example of a message; a link to it not even there."""
    name = re.escape(LAUNCH.repository)
    bare = re.compile(rf"(?<![\w.-])({name}|{name.replace('/', '%2F')})(?![\w-])")
    link = re.compile(rf"\.(com|io|org/v2/gh)/(github/)?{name}(?![\w-])")
    tag = re.compile(rf"{re.escape(NEW.repository)}[^\s\"')]*{re.escape(LAUNCH.release)}(?![\w-])")
    left = []
    for path in text_files(forked):
        text = path.read_text(encoding="utf-8", errors="replace")
        wanted = (link, tag) if path.suffix == ".py" else (bare, tag)
        left += [f"{path.relative_to(forked)}: {hit[0]}" for pattern in wanted if (hit := pattern.search(text))]
    assert not left


def test_a_fork_is_what_the_build_would_make_of_the_new_setting(forked: Path) -> None:
    assert read_launch(forked / "pyproject.toml") == NEW
    for name, solved in NOTEBOOKS:
        path = forked / "notebooks" / ("solutions" if solved else "") / f"{name}.ipynb"
        text = path.read_text(encoding="utf-8")
        assert text == assemble.dump(with_launch_cells(without_launch_cells(load(name, solved)), NEW, name, solved))
    for name in ("README.md", "CITATION.cff", "pyproject.toml"):
        assert NEW.url in (forked / name).read_text(encoding="utf-8") or NEW.colab("") in (forked / name).read_text()


def test_a_second_fork_changes_nothing_and_one_back_restores_every_byte(forked: Path) -> None:
    assert fork(forked, NEW) == []
    assert fork(forked, LAUNCH)
    differ = [
        path for path in text_files(forked) if path.read_bytes() != (ROOT / path.relative_to(forked)).read_bytes()
    ]
    try:
        assert not differ
    finally:
        fork(forked, NEW)


def test_an_interrupted_fork_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyproject.toml", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path / name)
    real, done = forking.write_as_it_was, []

    def interrupted(path: Path, text: str) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(path)
        real(path, text)

    monkeypatch.setattr(forking, "write_as_it_was", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fork(tmp_path, NEW)
    monkeypatch.setattr(forking, "write_as_it_was", real)
    fork(tmp_path, NEW)
    assert all(LAUNCH.repository not in (tmp_path / name).read_text() for name in ("README.md", "CITATION.cff"))
    assert read_launch(tmp_path / "pyproject.toml") == NEW


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("see https://github.com/a/b.", "see https://github.com/c/d."),
        ("git clone https://github.com/a/b.git", "git clone https://github.com/c/d.git"),
        ("https://github.com/a/b/issues/3", "https://github.com/c/d/issues/3"),
        ("https://github.com/a/b-more and /a/b.js", "https://github.com/a/b-more and /a/b.js"),
        ("https://github.com/a/b.js", "https://github.com/a/b.js"),
        ("https://mybinder.org/v2/gh/a/b/v1?urlpath=x", "https://mybinder.org/v2/gh/c/d/v2?urlpath=x"),
        (
            "https://github.com/a/b/archive/refs/tags/v1.tar.gz\\n",
            "https://github.com/c/d/archive/refs/tags/v2.tar.gz\\n",
        ),
        ("https://github.com/a/b/blob/v1.5/x", "https://github.com/c/d/blob/v1.5/x"),
        ("the folder a/b, version v1", "the folder a/b, version v1"),
        ("[site](https://a.github.io/b/x.html)", "[site](https://c.github.io/d/x.html)"),
    ],
)
def test_only_links_to_the_repository_are_changed(before: str, after: str) -> None:
    assert restamp(before, Launch("a/b", "v1"), Launch("c/d", "v2")) == after


def test_make_fork_refuses_what_is_no_repository_in_one_line(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    before = (tmp_path / "pyproject.toml").read_bytes()
    command = ["make", "--silent", "fork", f"PY={sys.executable}", "REDO="]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for repository in ("mine", ""):
        done = subprocess.run(
            [*command, f"REPO={repository}"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.stderr.splitlines()[0] == f"error: expected a repository as owner/name, got {repository!r}"
        assert done.returncode == 2 and (tmp_path / "pyproject.toml").read_bytes() == before
    done = subprocess.run([*command, "REPO=me/mine"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and read_launch(tmp_path / "pyproject.toml") == Launch("me/mine", LAUNCH.release)


def test_a_fresh_clone_can_be_forked_before_anything_is_installed() -> None:
    """Standard library only: no torch, none of the tests' libraries."""
    heavy = {"torch", "numpy", "jupytext", "nbformat"}
    code = f"import sys, course_staff.release.fork; print(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
