"""Notebooks are built from their sources, reproducibly, and what is out of step is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_checks import of_notebook
from course_lib.files import write_atomically
from course_staff.building import assemble, rules
from course_staff.building import build as building
from course_staff.building.build import build, check
from course_staff.building.execute import execute, output_problems, tidy
from course_staff.building.source import read_source, stub
from course_staff.course import ROOT, Course

FIXTURES = ROOT / "tests" / "fixtures"
NAME = "90_fixture"
sys.path.insert(0, str(FIXTURES))


@dataclass(frozen=True)
class Copy(Course):
    """The fixture course in a folder of its own, its record of setup names beside it."""

    def setup_names(self) -> Path:
        return self.folder / "setup_names.json"


@pytest.fixture
def course(tmp_path: Path) -> Copy:
    shutil.copytree(FIXTURES / "source", tmp_path / "source")
    return Copy(tmp_path, "fixture_exercises")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """The fixture course, built and executed once. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("executed")
    shutil.copytree(FIXTURES / "source", folder / "source")
    course = Copy(folder, "fixture_exercises")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FIXTURES))
        assert build(course, [NAME], run=True) == []
    return course


@pytest.fixture
def built(executed: Copy, tmp_path: Path) -> Copy:
    shutil.copytree(executed.folder, tmp_path / "course")
    return Copy(tmp_path / "course", "fixture_exercises")


def edit(course: Course, old: str, new: str) -> None:
    path = course.source(NAME)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def load(path: Path) -> Any:
    return json.loads(path.read_text())


# The student notebook


def test_a_stub_keeps_signature_docstring_and_scaffold_and_raises_in_place_of_the_solution() -> None:
    solution = "    ### BEGIN SOLUTION\n    if x:\n        return 1\n    ### END SOLUTION\n"
    code = f'def f(x):\n    """Doc."""\n    n = 2\n{solution}    return n'
    expected = 'def f(x):\n    """Doc."""\n    n = 2\n    raise NotImplementedError\n    return n'
    assert stub(code) == expected


def test_the_student_notebook_is_valid_has_no_outputs_and_no_solution(course: Copy) -> None:
    build(course, [NAME], run=False)
    text = course.student(NAME).read_text()
    nbformat.validate(nbformat.reads(text, as_version=4))
    notebook = json.loads(text)
    assert notebook["nbformat"] == 4 and notebook["nbformat_minor"] == 5
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in assemble.code_cells(notebook))
    assert "SOLUTION" not in text and "cholesky" not in text
    assert text.count("raise NotImplementedError") == 4


def test_exercise_and_check_cells_carry_nbgraders_metadata(course: Copy) -> None:
    build(course, [NAME], run=False)
    cells = {cell["id"]: cell for cell in load(course.student(NAME))["cells"]}
    exercise, graded = (cells[id]["metadata"]["nbgrader"] for id in ("exercise-90-3", "check-90-3"))
    common = {"schema_version": 3, "task": False, "cell_type": "code"}
    assert exercise == {**common, "grade_id": "exercise-90-3", "solution": True, "grade": False, "locked": False}
    assert graded == {
        **common,
        "grade_id": "check-90-3",
        "solution": False,
        "grade": True,
        "locked": True,
        "points": 3,
    }


def test_the_same_source_gives_the_same_bytes_and_ids_that_survive_edits_elsewhere(course: Copy) -> None:
    build(course, [NAME], run=False)
    first = course.student(NAME).read_bytes()
    build(course, [NAME], run=False)
    assert course.student(NAME).read_bytes() == first
    before = [cell["id"] for cell in json.loads(first)["cells"]]
    edit(course, "# # A fixture\n", "# # Another title\n")
    edit(
        course,
        "# %% [markdown]\n# ## Mixing",
        "# %% [markdown]\n# New.\n\n# %% [markdown]\n# New.\n\n# %% [markdown]\n# ## Mixing",
    )
    build(course, [NAME], run=False)
    after = [cell["id"] for cell in load(course.student(NAME))["cells"]]
    assert len(set(after)) == len(after) == len(before) + 2
    assert after[4:] == before[2:]


def test_building_from_another_folder_with_other_hashes_gives_the_same_bytes(executed: Copy, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from course_staff.building import assemble; "
        "from course_staff.building.source import read_source; "
        "sys.stdout.write(assemble.dump(assemble.student(read_source(Path(sys.argv[1])), 'fixture_exercises')))"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{FIXTURES}", "PYTHONHASHSEED": "123"}
    command = [sys.executable, "-c", code, str(executed.source(NAME))]
    out = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True, timeout=120)
    assert out.stdout == executed.student(NAME).read_bytes()


# The solution notebook


def test_a_solution_is_executed_valid_and_in_step(executed: Copy) -> None:
    notebook = load(executed.solution(NAME))
    nbformat.validate(nbformat.from_dict(notebook))
    assert check(executed, [NAME]) == []
    assert [cell["execution_count"] for cell in assemble.code_cells(notebook)] == list(range(1, 11))
    assert not any("execution" in cell["metadata"] for cell in notebook["cells"])
    graded = {cell["id"]: cell for cell in notebook["cells"]}["check-90-4"]
    assert graded["outputs"][0]["text"] == ["Exercise 90.4: right.\n"]
    assert "nbval-check-output" in graded["metadata"]["tags"], "the verdict of a check is compared by nbval"
    assert "### BEGIN SOLUTION" in executed.solution(NAME).read_text()


def test_new_prose_keeps_the_outputs_and_new_code_asks_for_execution(built: Copy) -> None:
    old = load(built.solution(NAME))
    edit(built, "# What every notebook has", "# All that a notebook has")
    assert build(built, [NAME], run=False) == [] and check(built, [NAME]) == []
    new = load(built.solution(NAME))
    assert [cell["outputs"] for cell in assemble.code_cells(new)] == [
        cell["outputs"] for cell in assemble.code_cells(old)
    ]
    edit(built, "torch.tensor(0.6)", "torch.tensor(0.60)")
    (line,) = build(built, [NAME], run=False)
    assert line == f"{NAME}: the solution's code is new; run build --execute {NAME}"
    (line,) = check(built, [NAME])
    assert "the solution notebook was built from another source" in line


def test_a_solution_that_does_not_run_is_told_and_leaves_the_old_one(
    built: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))
    before = built.solution(NAME).read_bytes()
    edit(built, "sigma**2 + alpha**2, 1.0)", "sigma**2 + alpha**2, 1.01)")
    (line,) = build(built, [NAME], run=True)
    assert (
        "\n" not in line
        and "the solution does not run: AssertionError: " in line
        and "equation (90.1): the sides differ" in line
    )
    assert built.solution(NAME).read_bytes() == before


def test_widgets_are_saved_under_names_that_repeat_and_code_runs_in_an_empty_folder() -> None:
    code = "import os, ipywidgets\nprint(os.listdir())\nipywidgets.IntSlider(value=3)"
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": code, "outputs": [], "execution_count": None}
    notebook = {"cells": [cell], "metadata": {"kernelspec": assemble.KERNEL}, "nbformat": 4, "nbformat_minor": 5}
    first, second = execute(notebook), execute(notebook)
    assert assemble.dump(first) == assemble.dump(second)
    assert first["cells"][0]["outputs"][0]["text"] == ["[]\n"]
    (state,) = first["metadata"]["widgets"].values()
    shown = first["cells"][0]["outputs"][1]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert state["state"][shown]["state"]["value"] == 3
    assert tidy(json.loads(json.dumps(first))) == first


def test_a_compared_cell_has_to_show_text() -> None:
    def cell(outputs: list[Any], count: int | None = 1) -> dict[str, Any]:
        return {
            "cells": [
                {
                    "cell_type": "code",
                    "id": "a",
                    "metadata": {"tags": ["nbval-check-output"]},
                    "source": "x",
                    "outputs": outputs,
                    "execution_count": count,
                }
            ]
        }

    text = {"output_type": "stream", "name": "stdout", "text": ["a"]}
    assert output_problems(cell([text])) == []
    assert output_problems(cell([])) == ["compared cell a shows nothing to compare"]
    assert output_problems(cell([text], None)) == ["compared cell a shows nothing to compare"]
    image = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "", "text/plain": ""}}
    assert output_problems(cell([image])) == ["compared cell a shows more than text"]
    assert output_problems(cell([text | {"name": "stderr"}])) == ["compared cell a writes to stderr"]


# Out of step


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda c: edit(c, "# # A fixture", "# # Changed"), "the student notebook differs from the source"),
        (lambda c: edit(c, "from torch import Tensor", "from torch import Size, Tensor"), "the setup cell's names"),
        (lambda c: c.student(NAME).unlink(), "the student notebook differs from the source"),
        (lambda c: c.solution(NAME).unlink(), "no solution notebook"),
        (lambda c: c.solution(NAME).write_text("{}"), "cannot be read"),
        (lambda c: c.solution(NAME).write_text("not JSON"), "cannot be read"),
        (lambda c: replace(c.solution(NAME), "torch.linalg.cholesky", "torch.linalg.qr"), "built from another source"),
        (lambda c: replace(c.solution(NAME), '"execution_count": 3', '"execution_count": null'), "not executed"),
        (lambda c: replace(c.student(NAME), "A fixture", "A picture"), "the student notebook differs"),
        (lambda c: shutil.copy(c.student(NAME), c.student("91_gone")), "91_gone: a notebook without a source"),
        (lambda c: edit(c, "### END SOLUTION", "### END"), "expected one `### BEGIN SOLUTION`"),
        (lambda c: c.setup_names().unlink(), "does not have the setup cell's names"),
    ],
)
def test_check_tells_what_is_out_of_step(built: Copy, break_it: Any, words: str) -> None:
    break_it(built)
    before = {path: path.read_bytes() for path in built.folder.rglob("*") if path.is_file()}
    found = check(built, [NAME])
    assert any(words in line for line in found), found
    assert all(line.startswith(("90_fixture", "91_gone")) and "\n" not in line for line in found)
    assert {path: path.read_bytes() for path in built.folder.rglob("*") if path.is_file()} == before


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_changed_outputs_are_not_out_of_step(built: Copy) -> None:
    replace(built.solution(NAME), "both sides agree", "who knows")
    assert check(built, [NAME]) == []


def test_a_solution_beyond_the_limit_is_told(built: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "LARGEST", 1000)
    (line,) = check(built, [NAME])
    assert "the solution has 0.0 MB; at most 0 MB are allowed" in line


def test_a_setting_stamps_the_notebooks_and_keeps_every_output(built: Copy) -> None:
    """The two cells of launch.py: put on without an execution, told when they are not the setting's."""
    before = load(built.solution(NAME))
    setting = built.folder.parent / "pyproject.toml"
    setting.write_text('[tool.course]\nrepository = "me/mine"\nrelease = "v1"\n')
    student, solution = check(built, [NAME])
    assert "the student notebook differs" in student and "first cells are not those of pyproject.toml" in solution
    assert build(built, [NAME], run=False) == [] and check(built, [NAME]) == []
    assert load(built.solution(NAME))["cells"][2:] == before["cells"]
    assert "me/mine/v1" in built.student(NAME).read_text()
    setting.write_text('[tool.course]\nrepository = "me/mine"\nrelease = "v2"\n')
    assert len(check(built, [NAME])) == 2
    assert build(built, [NAME], run=False) == [] and check(built, [NAME]) == []


# Rules for sources


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('# %% tags=["setup"]', "# %%", "0 code cells are tagged setup"),
        ("import torch\n", "from math import *\nimport torch\n", "star import"),
        ("import torch\n", "import torch +\n", "setup cell is not Python: invalid syntax"),
        ("# # A fixture", "# # A fixture ![](figure.png)", "an image without alt text"),
        ("# # A fixture", '# # A fixture <img src="a.png">', "an image without alt text"),
        ('"""Return a square A with A A^T = cov, (d, d)."""', "pass", "`root` has no docstring"),
        (
            "    return torch.linalg.cholesky(cov)\n",
            "    return torch.linalg.cholesky(cov) + k\n",
            "uses `k`, which the setup",
        ),
        ("    ### BEGIN SOLUTION\n", "", "exercise cell 90.1: expected one `### BEGIN SOLUTION`"),
        ('tags=["check-90.2"]', 'tags=["nbval-skip"]', "exercise cell 90.2 is not followed by its check cell"),
        ('check("90.2", moments)', 'check("90.2", root)', "expected 'check(\"90.2\", moments)'"),
        ('tags=["exercise-90.2"]', 'tags=["exercise-90.7"]', "exercise 90.7 is not in fixture_exercises.nb90"),
        ('tags=["exercise-90.2"]', 'tags=["exercise-90.1"]', "exercise 90.1 appears 2 times"),
        ('tags=["exercise-90.2"]', 'tags=["exercise-91.2"]', "does not carry the notebook's number 90"),
        ("def root(cov: Tensor)", "HALF = 2\n\n\ndef root(cov: Tensor)", "holds something other than one function"),
        ("def root(cov: Tensor)", "def equation(cov: Tensor)", "expected 'check(\"90.3\", equation)'"),
        ("import check, equation", "import equation", "does not import check"),
        ("from torch import Tensor", "from torch import Tensor, moments", "`moments` is also a name of the setup cell"),
        ('equation("90.1", ', 'moments\nequation("90.1", ', "uses the student's `moments`"),
        (r"\tag{90.1}", r"\tag{90.2}", "equation 90.2: \\tag{90.2} appears 1 times, its check 0 times"),
        (r"\tag{90.1}", "", "equation 90.1: \\tag{90.1} appears 0 times, its check 1 times"),
        ('equation("90.1", sigma', 'equation("90.1", 1, 1)\nequation("90.1", sigma', "checks 2 equations"),
        ("90.2: mean, variance and number", "90.2: moments", "is '### Exercise 90.2: moments (1 point)'; its title"),
        ("covariance (3 points)", "covariance (2 points)", "the heading of exercise 90.3 is"),
        ("# ### Exercise 90.4: repeat a step (4 points)", "# text", "the heading of exercise 90.4 is on 0 lines"),
    ],
)
def test_a_source_that_breaks_a_rule_is_told_and_not_built(course: Copy, old: str, new: str, words: str) -> None:
    edit(course, old, new)
    found = build(course, [NAME], run=False)
    assert any(words in line for line in found), found
    assert not course.student(NAME).exists()


def test_the_fixture_keeps_every_rule(course: Copy) -> None:
    assert rules.problems(read_source(course.source(NAME)), course.package) == []
    assert rules.warnings(read_source(course.source(NAME))) == []


@pytest.mark.parametrize("name", Course().names())
def test_reports_call_every_exercise_what_its_notebook_calls_it(name: str) -> None:
    """Read from what students open, and from what graders print."""
    cells = load(Course().student(name))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    headings = re.findall(r"^### Exercise (\S+): (.*) \((\d+) points?\)$", text, re.MULTILINE)
    found = sorted((id, title.casefold(), int(points)) for id, title, points in headings)
    assert found == sorted((it.id, it.title.casefold(), it.points) for it in of_notebook(name[:2]))


def test_long_cells_and_uncompared_sections_get_a_warning(course: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    body = "\n".join(f"a{k} = {k}" for k in range(16))
    edit(course, "# ## Mixing", f"# ## Other\n\n# %%\n{body}\n\n# %% [markdown]\n# ## Mixing")
    build(course, [NAME], run=False)
    warned = capsys.readouterr().err
    assert "cell starting 'a0 = 0' has 16 lines; about 15 fit a screen" in warned
    assert "no compared cell in section 'Other'" in warned


def test_magic_lines_do_not_disturb_the_rules(course: Copy) -> None:
    edit(course, "import torch\n", "# %pip install course_lib\nimport torch\n")
    assert rules.problems(read_source(course.source(NAME)), course.package) == []


# The files and the command line


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ipynb"
    write_atomically(path, "old")

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_record_of_setup_names_forgets_notebooks_that_are_gone(course: Copy) -> None:
    course.setup_names().write_text('{"77": ["gone"]}')
    build(course, [NAME], run=False)
    assert load(course.setup_names()) == {"90": ["Tensor", "check", "equation", "torch"]}


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "course_lib", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_bad_arguments_get_one_line_and_exit_code_2() -> None:
    unknown = cli("build", "77")
    assert unknown.returncode == 2 and unknown.stderr.startswith("course_lib: there is no notebook '77'; there are")
    both = cli("build", "--check", "--execute")
    assert both.returncode == 2 and both.stderr.count("\n") == 1


def test_names_may_be_numbers_stems_or_files(course: Copy) -> None:
    for text in ("90", NAME, f"{NAME}.py", f"notebooks/{NAME}.ipynb"):
        assert course.select([text]) == [NAME]
    assert course.select([]) == [NAME]


def test_the_courses_own_notebooks_are_in_step_with_their_sources() -> None:
    out = cli("build", "--check")
    assert out.returncode == 0, out.stderr
