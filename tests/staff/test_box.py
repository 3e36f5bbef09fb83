"""The box: what is inside and what is not, that right answers pass in it and the library's own functions do not."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grading import COURSE, FULL, box_or_skip, cell, grader, points, save_to, solved

from course_checks import Call, Case, Exercise, of_notebook
from course_checks.forbidden import forbidden, guarded_functions
from course_checks.running import run
from course_staff.building import assemble
from course_staff.building.source import function_of, read_source
from course_staff.course import ROOT, Course
from course_staff.grading.grade import Grader
from course_staff.grading.sandbox import box, cgroups
from course_staff.grading.sandbox.box import Box, Limits, NoBox, environment, find_box
from course_staff.grading.sandbox.cgroups import Groups
from course_staff.grading.sandbox.stage import RUNS_FUNCTIONS, packages, stage

WHOLE = Course()
NOTEBOOKS = [name for name in WHOLE.names() if read_source(WHOLE.source(name)).exercises()]
OPTIONS = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(WHOLE, tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def process() -> Iterator[Grader]:
    """A grading process for the course itself."""
    with grader(box_or_skip(WHOLE), WHOLE, timeout=60.0) as made:
        yield made


def inside(code: str, staged: Path, folder: Path, of: Box | None = None) -> Any:
    """What Python `code` in the box prints, as JSON."""
    of = of or box_or_skip(WHOLE)
    command = of.command(staged, folder, Limits(), [sys.executable, "-c", code])
    groups = cgroups.make_groups(2 * 10**9, 64)
    process = of.start(command, groups, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=300)
    if groups:
        groups.remove()
        assert not any(group.exists() for group in groups.folders)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


LOOK = """
import json, os, resource, socket, sys, pathlib
def can(action):
    try:
        action()
        return True
    except OSError:
        return False
home = os.path.expanduser("~")  # a Python that lies below it is shown there, and nothing else
files = [str(path.relative_to("/box/course")) for path in pathlib.Path("/box/course").rglob("*.py")]
print(json.dumps({
    "files": files,
    "uid": os.getuid(),
    "groups": os.getgroups(),
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("Cap")],
    "no_new_privileges": [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")],
    "environment": sorted(os.environ),
    "home": [name for name in os.listdir(home) if not sys.prefix.startswith(os.path.join(home, name))],
    "network": sorted(os.listdir("/sys/class/net")) if os.path.exists("/sys/class/net") else ["lo"],
    "interfaces": [name for _, name in socket.if_nameindex()],
    "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1],
    "file": resource.getrlimit(resource.RLIMIT_FSIZE)[1],
    "writable": [path for path in ("/", "/usr", "/etc", "/dev", "/box", "/box/course", "/box/sockets",
        "/tmp", "/dev/shm", os.path.dirname(os.__file__)) if can(lambda: open(path + "/touched", "w").close())],
    "pids": [int(name) for name in os.listdir("/proc") if name.isdigit()],
    "packages": [path for path in sys.path for name in ("course_staff", "course_checks/judging.py")
        if os.path.exists(os.path.join(path, name))],
}))
"""


def test_the_box_is_empty_but_for_what_it_is_for(staged: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    found = inside(LOOK, staged, tmp_path)
    checks = [name.removeprefix("course_checks/") for name in found["files"] if name.startswith("course_checks/")]
    assert {name for name in checks if "/" not in name} == {f"{name}.py" for name in ("__init__", *RUNS_FUNCTIONS)}
    assert all(re.fullmatch(r"nb\d\d/(__init__|inputs)\.py", name) for name in checks if "/" in name), checks
    others = [name for name in found["files"] if not name.startswith(("course_checks/", "course_lib/"))]
    assert sorted(others) == ["kernel_server.py", "orphans.py"]
    assert "course_lib/schedule/__init__.py" in found["files"]
    assert found["uid"] >= 1000 and found["groups"] in ([], [found["uid"]], [65534], [1000])
    assert set(found["capabilities"]) == {"0" * 16} and found["no_new_privileges"] == ["1"]
    assert set(found["environment"]) - {"LC_CTYPE", "PWD"} == set(environment("")), found["environment"]
    assert found["home"] == [] and found["interfaces"] == ["lo"]
    assert found["processes"] < 100_000 and found["file"] == Limits().file
    assert set(found["writable"]) <= {"/tmp", "/dev/shm"} | (
        {"/box/sockets"} if not box_or_skip(WHOLE).as_root else set()
    )
    assert len(found["pids"]) <= 3 and found["packages"] == []


def test_modules_of_inputs_import_inside_the_box_for_every_notebook(staged: Path, tmp_path: Path) -> None:
    names = sorted(path.parent.name for path in (ROOT / "course_checks").glob("nb[0-9][0-9]/inputs.py"))
    assert names
    line = "    importlib.import_module(f'course_checks.{name}.inputs')\n"
    code = f"import importlib, json\nfor name in {names}:\n{line}"
    assert inside(code + "print(json.dumps('all'))", staged, tmp_path) == "all"


def test_recipes_of_every_exercise_name_only_what_is_inside(staged: Path, tmp_path: Path) -> None:
    """Inputs are rebuilt in the box from names; each of these has to lead somewhere there."""
    from course_checks import wire

    written = {
        exercise.id: wire.encode_cases(exercise.draw_cases("a seed"))
        for name in NOTEBOOKS
        for exercise in of_notebook(name[:2])
    }
    path = staged / "cases.json"
    path.write_text(json.dumps(written))
    path.chmod(0o644)
    code = """
import json
from course_checks.contract import build
from course_checks.wire import decode_cases
cases = {id: decode_cases(text) for id, text in json.load(open("/box/course/cases.json")).items()}
for id, found in cases.items():
    for case in found:
        build(case.args), build(dict(case.kwargs))
print(json.dumps(sorted(cases)))
"""
    assert inside(code, staged, tmp_path) == sorted(written)


@pytest.mark.slow
@OPTIONS
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_solutions_of_every_notebook_score_full_points_in_the_box(
    name: str, process: Grader, tmp_path: Path, record_property: Any
) -> None:
    source = read_source(WHOLE.source(name))
    result = process.grade(save_to(tmp_path / f"{name}.ipynb", assemble.solution(source, WHOLE.package)))
    assert {item.exercise: item.status for item in result.rows} == dict.fromkeys(source.exercises(), "right"), result
    assert result.points == result.out_of == sum(exercise.points for exercise in of_notebook(source.number))
    record_property("seconds", round(result.seconds, 1))


def use_of(answer: str) -> str:
    """A use of the library's function of that name, here `own`; of a class, its `__call__` or its first function."""
    module, _, attribute = answer.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, type):
        return "own(*args, **kwargs)"
    guarded = {id(function) for function, _ in guarded_functions(found)}
    names = ["__call__", *(name for base in found.__mro__ for name in vars(base))]
    for name in names:
        value = inspect.getattr_static(found, name, None)
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if id(function) in guarded:
            if isinstance(value, property):
                return f"own.{name}.fget(object.__new__(own))"
            return f"own.{name}(*args)" if isinstance(value, classmethod) else f"own.{name}(object.__new__(own), *args)"
    raise AssertionError(f"{answer} has nothing to call")


def library_calls(name: str, number: int) -> dict[str, Any]:
    """The notebook with each function calling the `number`-th of the library functions that are its answer."""
    source = read_source(WHOLE.source(name))
    notebook = assemble.student(source, WHOLE.package)
    exercises = {exercise.id: exercise for exercise in of_notebook(source.number)}
    for id, where in source.exercises().items():
        function, answers = function_of(where), exercises[id].answers
        assert function is not None
        if answers[number : number + 1]:
            module, _, attribute = answers[number].rpartition(".")
            code = f"    from {module} import {attribute} as own\n    return {use_of(answers[number])}"
            cell(notebook, id)["source"] = f"def {function.name}(*args, **kwargs):\n{code}"
    return notebook


CALLS = [
    (name, number)
    for name in NOTEBOOKS
    for number in range(max(len(exercise.answers) for exercise in of_notebook(name[:2])))
]


@pytest.mark.slow
@OPTIONS
@pytest.mark.parametrize(("name", "number"), CALLS, ids=str)
def test_calling_the_librarys_own_function_scores_0_and_says_why(
    name: str, number: int, process: Grader, tmp_path: Path
) -> None:
    result = process.grade(save_to(tmp_path / f"{name}.ipynb", library_calls(name, number)))
    exercises: dict[str, Exercise] = {exercise.id: exercise for exercise in of_notebook(name[:2])}
    for item in result.rows:
        assert item.points == 0
        if exercises[item.exercise].answers[number : number + 1]:
            assert "write it yourself" in item.feedback, (item, exercises[item.exercise].answers[number])


def test_only_calls_from_the_learners_own_code_are_refused() -> None:
    import course_lib.schedule as schedule

    names, at = ["schedule.jump", "schedule.marginal.Marginal", "schedule.Cosine"], schedule.Linear()(0.5)
    own: dict[str, Any] = {"__name__": "__main__", "schedule": schedule, "alias": schedule.jump, "at": at}
    code = """
def learner(x):
    return alias(x, at, x)
def maker():
    return at.snr
def caller():
    return schedule.Cosine()(0.5)
"""
    exec(code, own)
    import torch

    x = torch.ones(2)
    before = own["learner"](x)
    with forbidden([f"course_lib.{name}" for name in names]):
        for function, arguments in ((own["learner"], (x,)), (own["maker"], ()), (own["caller"], ())):
            with pytest.raises(RuntimeError, match="is what this exercise asks you to write"):
                function(*arguments)
        assert schedule.Linear()(0.5).alpha == at.alpha, "the library's own use"
        assert eval("schedule.Linear()(0.5)", own).alpha == at.alpha, "a class that inherits the same function"
        assert eval("schedule.Marginal(at.alpha, at.sigma)", own).alpha == at.alpha, "a container for an answer"
        case = Case("made by a recipe", (Call(schedule.jump, x, at, x),))
        assert torch.equal(run(lambda made: made, case).value, before), "an input that is made with it"
        failure = run(schedule.jump, Case("handed in", (x, at, x))).failure
        assert failure and failure.kind == "WriteItYourself", "the library's own function, handed in as the answer"
    assert torch.equal(own["learner"](x), before), "restored afterwards"
    assert own["maker"]() == at.snr


@pytest.mark.slow
@OPTIONS
def test_a_user_namespace_is_a_box_too(tmp_path: Path) -> None:
    """What everybody but root gets."""
    of = replace(box_or_skip(), as_root=False)
    try:
        with grader(of) as process:
            result = process.grade(save_to(tmp_path / "a.ipynb", solved(e1="import os\nos._exit(1)")))
            again = process.grade(save_to(tmp_path / "b.ipynb", solved()))
    except NoBox as error:
        pytest.skip(str(error))
    assert points(result) == FULL | {"90.1": 0}, result
    assert points(again) == FULL


def test_without_bubblewrap_grading_refuses_and_names_the_way_out(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NoBox, match="bubblewrap is not installed"):
        find_box(packages(COURSE))
    from course_lib.__main__ import main

    path = save_to(tmp_path / "a.ipynb", {})
    assert main(["grade", str(path), "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_a_box_that_does_not_start_gives_its_reason(monkeypatch: Any) -> None:
    box_or_skip()
    monkeypatch.setattr(Box, "command", lambda *_: ["bwrap", "--no-such-option", "true"])
    with pytest.raises(NoBox, match="bubblewrap does not work here: .*no-such-option"):
        find_box(packages(COURSE))


NO_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'


def test_where_users_may_make_no_namespaces_the_box_says_so_and_names_the_ways_out(monkeypatch: Any) -> None:
    """Really so: in a namespace that allows no further ones."""
    inner = ["unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh"]
    if shutil.which("bwrap") is None or subprocess.run([*inner, "true"], capture_output=True).returncode:
        pytest.skip("bubblewrap is not installed, or nobody may make a user namespace here")
    monkeypatch.setattr(box.os, "geteuid", lambda: 1000)
    start = Box.start
    monkeypatch.setattr(Box, "start", lambda of, command, *rest, **more: start(of, [*inner, *command], *rest, **more))
    with pytest.raises(NoBox, match=r"does not work here: bwrap: .*namespace.*; this machine lets .*docs/teaching\.md"):
        find_box(packages(COURSE))
    heading = re.search("'(.*?)'", box.REFUSED)
    assert heading and f"### {heading[1]}\n" in (ROOT / "docs" / "teaching.md").read_text()


def cgroup_tree(root: Path, monkeypatch: Any, own: str, files: dict[str, str]) -> None:
    """A tree of control groups made of plain files; `own` is what /proc/self/cgroup says."""
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "own").write_text(own)
    monkeypatch.setattr(cgroups, "MOUNT", root)
    monkeypatch.setattr(cgroups, "OWN", root / "own")


SESSION = "user.slice/user@1000.service/app.slice"
VERSION_2 = {
    "cgroup.controllers": "cpu memory pids",
    "cgroup.subtree_control": "cpu memory pids",
    f"{SESSION}/cgroup.subtree_control": "memory pids",
    f"{SESSION}/terminal.scope/cgroup.subtree_control": "",
}


def test_in_cgroups_of_version_2_the_group_is_made_where_memory_is_handed_down(
    monkeypatch: Any, tmp_path: Path
) -> None:
    cgroup_tree(tmp_path, monkeypatch, f"0::/{SESSION}/terminal.scope\n", VERSION_2)
    groups = cgroups.make_groups(10**9, 64)
    assert groups is not None
    (made,) = groups.folders
    assert made.parent == tmp_path / SESSION and groups.doors == (f"{made}/cgroup.procs",)
    assert {path.name: path.read_text() for path in made.iterdir()} == {
        "memory.max": "1000000000",
        "memory.swap.max": "0",
        "pids.max": "64",
    }


@pytest.mark.parametrize("delegated", ["", "cpu pids"])
def test_in_cgroups_of_version_2_without_memory_there_is_no_group(
    monkeypatch: Any, tmp_path: Path, delegated: str
) -> None:
    files = {name: delegated if "subtree" in name else text for name, text in VERSION_2.items()}
    cgroup_tree(tmp_path, monkeypatch, f"0::/{SESSION}/terminal.scope\n", files)
    assert cgroups.make_groups(10**9, 64) is None


def test_in_cgroups_of_version_2_a_limit_that_cannot_be_set_leaves_nothing(monkeypatch: Any, tmp_path: Path) -> None:
    cgroup_tree(tmp_path, monkeypatch, f"0::/{SESSION}/terminal.scope\n", VERSION_2)
    monkeypatch.setitem(cgroups.FILES, "memory", (("no/such/file", "no/such/file"),))
    assert cgroups.make_groups(10**9, 64) is None
    assert not list(tmp_path.rglob(f"{cgroups.PREFIX}*"))


def test_in_cgroups_of_version_1_each_controller_has_a_group(monkeypatch: Any, tmp_path: Path) -> None:
    files = {"memory/docker/abc/cgroup.procs": "", "pids/cgroup.procs": ""}
    cgroup_tree(tmp_path, monkeypatch, "4:memory:/docker/abc\n3:cpu:/\n2:pids:/gone\n0::/\n", files)
    groups = cgroups.make_groups(10**9, 64)
    assert groups is not None
    assert [folder.parent for folder in groups.folders] == [tmp_path / "memory/docker/abc", tmp_path / "pids"]
    assert (groups.folders[0] / "memory.limit_in_bytes").read_text() == "1000000000"
    assert (groups.folders[1] / "pids.max").read_text() == "64"


def test_without_cgroups_there_is_no_group_and_groups_of_the_dead_are_swept_away(
    monkeypatch: Any, tmp_path: Path
) -> None:
    cgroup_tree(tmp_path / "none", monkeypatch, "", {})
    assert cgroups.make_groups(10**9, 64) is None
    cgroup_tree(tmp_path / "two", monkeypatch, f"0::/{SESSION}\n", VERSION_2)
    dead, living = (tmp_path / "two" / SESSION / f"{cgroups.PREFIX}{pid}" for pid in ("999999999", str(os.getpid())))
    dead.mkdir()
    living.mkdir()
    cgroups.sweep()
    assert not dead.exists() and living.exists()


def test_a_process_joins_the_groups_and_runs_where_it_cannot(tmp_path: Path) -> None:
    of = Box("bwrap", False, ())
    (tmp_path / "a").mkdir()
    for folders, joined in (((tmp_path / "a",), True), ((tmp_path / "missing",), False)):
        process = of.start(["echo", "ran"], Groups(folders), subprocess.DEVNULL, subprocess.PIPE, subprocess.DEVNULL)
        assert process.communicate()[0] == b"ran\n"
        written = folders[0] / "cgroup.procs"
        assert written.exists() is joined and (not joined or written.read_text() == f"{process.pid}\n")


def test_no_sandbox_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from course_lib.__main__ import main

    path = save_to(tmp_path / "a.ipynb", {})
    assert main(["grade", str(path), "--out", str(tmp_path / "out"), "--no-sandbox"]) == 0
    assert "submitted code runs with your rights" in capsys.readouterr().err


def test_an_installed_course_package_is_hidden(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "site-packages" / "course_lib").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site-packages")])
    monkeypatch.setattr(box, "_libraries", lambda: [str(tmp_path / "site-packages")])
    try:
        found = find_box(packages(WHOLE))
    except NoBox as error:
        pytest.skip(str(error))
    assert found.masked == (str(tmp_path / "site-packages" / "course_lib"),)
