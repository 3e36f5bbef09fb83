"""What the repository promises beside its code: README's minutes, citation, workflows, what Binder builds from."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import course_lib
from course_staff.course import ROOT, Course, read_launch

COURSE = Course()

# The README's table of minutes, against what the notebooks say at their openings

WORDS = {
    "20 minutes": 20, "about two hours": 120, "about two and a half hours": 150,
    "under 10 seconds": "under 10", "under a minute": "under 60", "about a minute": 60,
    "about a minute and a quarter": 75, "about a minute and a half": 90, "under three minutes": "under 180",
}  # fmt: skip


@pytest.mark.parametrize("name", COURSE.names())
def test_the_readmes_minutes_and_seconds_are_the_notebooks(name: str) -> None:
    source = re.sub(r"\n# ?", " ", COURSE.source(name).read_text(encoding="utf-8"))
    (opening,) = re.findall(r"\*\*Time\*\*: (.*?CPU cores)", source)
    found = re.fullmatch(
        r"(?P<read>.+?)(?: to read| of reading and thinking, without the exercises\. Running all cells takes)(?:,)? "
        r"(?P<run>.+?)(?: to run)? on two (?:quiet )?CPU cores",
        opening,
    )
    assert found, f"{name}: the opening reads {opening!r}; expected it to say how long it takes to read and to run"
    row = re.search(
        rf"^\| {name[:2]} [^|]+\|[^|]+\| (.+?) \| (.+?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert row and (row[1], row[2]) == (str(WORDS[found["read"]]), str(WORDS[found["run"]]))


# CITATION.cff


def test_the_citation_is_valid_and_of_this_version() -> None:
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    known = {
        "cff-version",
        "message",
        "title",
        "authors",
        "type",
        "abstract",
        "version",
        "license",
        "repository-code",
        "keywords",
    }
    assert set(found) <= known and found["cff-version"] == "1.2.0" and found["type"] == "software"
    assert all(set(author) in ({"name"}, {"family-names", "given-names"}) for author in found["authors"])
    assert found["version"] == course_lib.__version__ and found["license"] == "MIT"
    assert found["repository-code"] == read_launch(ROOT / "pyproject.toml").url


# Workflows: the same commands as a person would run

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_a_workflow_is_valid_and_runs_commands_that_exist(path: Path) -> None:
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", True, "permissions", "jobs"} <= set(flow), "YAML reads `on` as true"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for job in flow["jobs"].values():
        assert job["runs-on"] and set(job.get("needs", "").split()) <= set(flow["jobs"])
    for step in steps(path):
        assert ("run" in step) != ("uses" in step)
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/x@v1"))
        for command in re.split(r"\s*(?:&&|\n)\s*", step.get("run", "").strip()):
            words = command.split()
            if words[:1] == ["make"]:
                assert re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE), f"make {words[1]} is not there"
            elif words[:1] == ["bash"]:
                assert (ROOT / words[1]).is_file(), f"{words[1]} is not there"
            else:
                assert not words or words[0] == "sudo", f"{command!r}: neither make, bash nor sudo"


def test_the_workflows_cover_the_pythons_and_run_every_week() -> None:
    flows = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS}
    assert flows["tests"]["jobs"]["tests"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert flows["weekly"][True]["schedule"]
    commands = {step.get("run") for path in WORKFLOWS for step in steps(path)}
    assert {"bash .ci/run", "make latest", "make colab", "make site"} <= commands


# Binder


def test_repo2docker_accepts_the_repository() -> None:
    """What Binder would build; nothing is built here."""
    if importlib.util.find_spec("repo2docker") is None and not os.environ.get("CI"):
        pytest.skip("repo2docker is not installed: pip install -r requirements-test.txt")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    recipe = done.stdout + done.stderr
    assert done.returncode == 0, recipe[-2000:]
    assert "conda environment for python=3.12" in recipe
    for line in (
        '--file "binder/environment.yml"',
        "RUN ./binder/postBuild",
        'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"',
    ):
        assert line in recipe
