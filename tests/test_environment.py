"""environment.yml and binder/: the versions of pyproject.toml under conda's names. No real Binder is tried here."""

import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# conda-forge's name -> pip's, where they differ. pytorch-cpu is conda-forge's build without CUDA.
PIP_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
NOT_OURS = {"python", "pip", "setuptools"}  # what conda needs beside the libraries


def conda_specs(path: Path = ROOT / "environment.yml") -> dict[str, SpecifierSet]:
    """pip's name -> range, for every library of the environment file."""
    lines = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    parsed = [Requirement(line if any(c in line for c in "<>") else line.replace("=", "==")) for line in lines]
    return {PIP_NAMES.get(item.name, item.name): item.specifier for item in parsed}


def test_every_library_of_the_lab_has_the_range_of_pyproject():
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
    expected = {item.name: item.specifier for item in map(Requirement, wanted)}
    found = {name: spec for name, spec in conda_specs().items() if name not in NOT_OURS}
    assert found == expected


def test_the_versions_that_were_tested_are_inside_the_ranges():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for name, spec in conda_specs().items():
        if name not in {"python", "pip"}:
            assert spec.contains(pinned[name]), f"{name} {pinned[name]} was tested, but conda may take only {spec}"


def test_python_is_one_that_the_course_allows():
    (python,) = conda_specs()["python"]
    assert SpecifierSet(PYPROJECT["project"]["requires-python"]).contains(python.version)


def test_only_conda_forge_is_used():
    assert yaml.safe_load((ROOT / "environment.yml").read_text())["channels"] == ["conda-forge", "nodefaults"]


def test_binder_gets_the_same_environment():
    assert (ROOT / "binder/environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_binders_scripts_can_be_run_and_are_bash(name):
    path = ROOT / "binder" / name
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    assert path.stat().st_mode & stat.S_IXUSR, f"chmod +x binder/{name}"
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True).returncode == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_binder_starts_as_many_threads_as_it_has_processors(tmp_path):
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        done = subprocess.run(
            ["bash", str(ROOT / "binder/start"), "sh", "-c", "echo $OMP_NUM_THREADS"],
            capture_output=True, text=True, env=environment, timeout=120,
        )  # fmt: skip
    finally:
        os.sched_setaffinity(0, before)
    assert done.stdout == "1\n", done.stderr
