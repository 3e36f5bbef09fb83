"""Grading: values come out of the kernel, the verdict is nbval's, and one exercise's accident costs that exercise."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from grading import (
    COURSE,
    EXERCISES,
    FIXTURES,
    FULL,
    NAME,
    RIGHT,
    SEED,
    blank,
    cell,
    grader,
    needed,
    points,
    row,
    save_to,
    solved,
)

from course_checks.in_kernel import MIME
from course_checks.running import run
from course_checks.wire import Malformed, encode
from course_lib.__main__ import main
from course_staff.building import assemble
from course_staff.building.source import read_source
from course_staff.course import ROOT, Course
from course_staff.grading.class_report import class_report
from course_staff.grading.grade import Grade, Grader, Row, as_grade, read_seed
from course_staff.grading.notebook import grading_notebook
from course_staff.grading.reports import file_names, save, text_table
from course_staff.grading.sandbox.stage import SERVER, stage
from course_staff.grading.submission import Found, Unreadable, find_solutions, read_submission
from course_staff.grading.verdicts import judge_outputs, read_message

ONCE = """# whether it starts depends on whether it was started before
from pathlib import Path
tried = Path(__file__).with_name("tried")
ends = {}
tried.touch()
if ends:
    raise SystemExit
"""


@pytest.fixture(scope="module")
def process() -> Iterator[Grader]:
    """A grading process without a box, as on a machine that has none."""
    with grader(None, timeout=30.0) as made:
        yield made


@pytest.fixture
def hurried() -> Iterator[Grader]:
    """One that waits 8 seconds for a cell."""
    with grader(None, timeout=8.0) as made:
        yield made


def graded(process: Grader, notebook: Any, folder: Path) -> Grade:
    return process.grade(save_to(folder / "submission.ipynb", notebook))


# Honest work


def test_a_blank_submission_scores_0_everywhere(process: Grader, tmp_path: Path) -> None:
    result = graded(process, blank(), tmp_path)
    assert [(row.points, row.status) for row in result.rows] == [(0, "unattempted")] * 4
    assert result.out_of == 10


def test_a_stub_is_not_attempted_whether_it_is_run_or_known_as_handed_out(process: Grader, tmp_path: Path) -> None:
    notebook = blank()
    for id in ("90.1", "90.3"):
        cell(notebook, id)["source"] = ["# a note\n", *cell(notebook, id)["source"]]
    found = find_solutions(read_submission(save_to(tmp_path / "a.ipynb", notebook)), read_source(COURSE.source(NAME)))
    assert {id: item.untouched for id, item in found.items()} == {
        "90.1": False, "90.2": True, "90.3": False, "90.4": True
    }  # fmt: skip
    result = graded(process, notebook, tmp_path)
    assert {(row.points, row.status, row.feedback) for row in result.rows} == {(0, "unattempted", "not attempted")}


def test_the_solution_scores_full_points_twice_with_identical_reports(process: Grader, tmp_path: Path) -> None:
    notebook = assemble.solution(read_source(COURSE.source(NAME)), COURSE.package)
    first, second = graded(process, notebook, tmp_path), graded(process, notebook, tmp_path)
    assert first.points == first.out_of == 10 and first.reason == ""
    assert first == second and text_table([first]) == text_table([second])


def test_wrong_answers_cost_their_points_and_get_their_hint_but_no_values(process: Grader, tmp_path: Path) -> None:
    result = graded(
        process,
        solved(
            e1="def mix(signal, noise, alpha):\n    return alpha * signal + (1 - alpha) * noise",
            e2="def moments(x):\n    return x.mean(), x.var(), len(x)",
            e3="def root(cov):\n    raise ValueError(str(cov.tolist()))",
            e4="def repeat(step, x, times):\n    x.mul_(0)\n    return x",
        ),
        tmp_path,
    )
    assert points(result) == dict.fromkeys(RIGHT, 0)
    assert "Variances add, standard deviations do not." in row(result, "90.1").feedback
    assert "Divide by N, not by N - 1." in row(result, "90.2").feedback
    assert row(result, "90.3").feedback.startswith("case '3 x 3': the function stopped with ValueError (line 2 of")
    inputs = [
        f"{number:.2f}" for case in EXERCISES["90.3"].draw_cases(SEED) for number in case.args[0].flatten().tolist()
    ]
    text = " ".join(row.feedback for row in result.rows)
    assert not any(number.strip("0.-") and number in text for number in inputs)


def test_an_answer_changed_in_place_is_told_so(process: Grader, tmp_path: Path) -> None:
    code = "def repeat(step, x, times):\n    for _ in range(times):\n        x.copy_(step(x))\n    return x"
    result = graded(process, solved(e4=code), tmp_path)
    assert points(result) == {"90.1": 2, "90.2": 1, "90.3": 3, "90.4": 0}
    assert "changes its inputs in place" in row(result, "90.4").feedback


def test_inputs_come_from_the_teachers_seed(process: Grader, tmp_path: Path) -> None:
    """Right on the cases that `check` shows, wrong elsewhere: a table of answers learned by heart."""
    case = EXERCISES["90.2"].draw_cases()[0]
    mean, variance, n = run(EXERCISES["90.2"].reference, case).value
    learned = f"def moments(x):\n    return ({mean}, {variance}, {n}) if x.var() else (1.0, 0.0, 4)"
    result = graded(process, solved(e2=learned), tmp_path)
    assert points(result) == {"90.1": 2, "90.2": 0, "90.3": 3, "90.4": 4}


# Accidents and attacks: only the exercise concerned loses its points


def test_always_equal_objects_forged_lines_and_exits_cost_only_their_exercise(process: Grader, tmp_path: Path) -> None:
    liar = (
        "class Liar:\n    def __eq__(self, other):\n        return True\n\n\n"
        "def mix(signal, noise, alpha):\n    return Liar()"
    )
    forged = (
        "def moments(x):\n    import sys\n    sys.__stdout__.write('exercise 90.2: right\\n')\n"
        "    print('exercise 90.2: right')\n    return 0.0, 0.0, 0\n\n\nprint('exercise 90.2: right')"
    )
    leaves = "import sys\n\n\ndef root(cov):\n    sys.exit()\n\n\nsys.exit()"
    result = graded(process, solved(e1=liar, e2=forged, e3=leaves), tmp_path)
    assert points(result) == {"90.1": 0, "90.2": 0, "90.3": 0, "90.4": 4}
    assert [row.status for row in result.rows] == ["error", "wrong", "error", "right"]


def test_a_function_of_another_name_is_told_so(process: Grader, tmp_path: Path) -> None:
    result = graded(
        process, solved(e1=RIGHT["90.1"].replace("mix", "blend"), e2="def moments(x):\n    return y"), tmp_path
    )
    assert points(result) == FULL | {"90.1": 0, "90.2": 0}
    assert row(result, "90.1").feedback.startswith("your cell defines no function `mix`: its name was changed")
    assert "the function stopped with NameError (line 2 of your function)" in row(result, "90.2").feedback


@pytest.mark.slow
def test_hangs_and_crashes_cost_only_their_exercise(hurried: Grader, tmp_path: Path) -> None:
    loop = "def mix(signal, noise, alpha):\n    while True:\n        pass"
    crash = "import os\n\n\ndef moments(x):\n    os._exit(1)"
    quits = "def root(cov):\n    return torch.linalg.cholesky(cov)\n\n\nexit()"
    result = graded(hurried, solved(e1=loop, e2=crash, e3=quits), tmp_path)
    assert points(result) | {"90.3": 0} == {"90.1": 0, "90.2": 0, "90.3": 0, "90.4": 4}
    assert row(result, "90.1").status == "timeout" and "longer than 8 seconds" in row(result, "90.1").feedback
    assert row(result, "90.2").status == "stopped"


@pytest.mark.slow
def test_a_loop_that_refuses_interruption_costs_only_its_exercise(hurried: Grader, tmp_path: Path) -> None:
    stubborn = (
        "def repeat(step, x, times):\n    while True:\n        try:\n            while True:\n                pass\n"
        "        except BaseException:\n            continue"
    )
    result = graded(hurried, solved(e1="def mix(signal, noise, alpha):\n    1 +", e4=stubborn), tmp_path)
    assert points(result) == {"90.1": 0, "90.2": 1, "90.3": 3, "90.4": 0}
    assert "SyntaxError" in row(result, "90.1").feedback
    assert row(result, "90.4").status in ("timeout", "stopped")


@pytest.mark.slow
def test_a_chatty_loop_that_refuses_interruption_costs_only_its_exercise(hurried: Grader, tmp_path: Path) -> None:
    chatty = (
        "def moments(x):\n    import sys\n    while True:\n        try:\n            while True:\n"
        "                print('x', file=sys.__stdout__)\n                display('x')\n"
        "        except BaseException:\n            continue"
    )
    shows = "from IPython.display import display\n\n\n" + chatty
    result = graded(hurried, solved(e2=shows), tmp_path)
    assert points(result) == {"90.1": 2, "90.2": 0, "90.3": 3, "90.4": 4}


@pytest.mark.slow
def test_a_submission_that_is_stopped_by_the_clock_keeps_what_it_has_earned(process: Grader, tmp_path: Path) -> None:
    """The wall clock of a submission: child and kernel are ended, results so far stay, the next one is graded."""
    forever = solved(e4="def repeat(step, x, times):\n    import time\n    time.sleep(10**6)")
    wall = 8 + 3 * graded(process, solved(), tmp_path).seconds  # however busy the machine is
    with grader(None, timeout=10_000.0, wall=wall) as impatient:
        result, another = graded(impatient, forever, tmp_path), graded(impatient, solved(), tmp_path)
    assert points(result) == {"90.1": 2, "90.2": 1, "90.3": 3, "90.4": 0}
    assert row(result, "90.4").status == "stopped"
    assert points(another) == FULL


def break_server(process: Grader, code: str) -> None:
    """Let what serves this grading process's kernels run `code` first."""
    server, future = process.folder / "course" / SERVER, "from __future__ import annotations\n"
    server.write_text(server.read_text().replace(future, future + code))


def damaged_then_whole(folder: Path, damage: Callable[[Grader], None]) -> tuple[Any, Any]:
    """What one grading process makes of a full submission with its kernel server damaged, and then with it mended."""
    with grader(None, timeout=30.0) as process:
        server = process.folder / "course" / SERVER
        whole = server.read_text()
        damage(process)
        failed = graded(process, solved(), folder)
        server.write_text(whole)
        return failed, graded(process, solved(), folder)


def test_a_grader_that_starts_no_kernel_gives_no_points_but_its_reason(tmp_path: Path) -> None:
    failed, mended = damaged_then_whole(tmp_path, partial(break_server, code="raise SystemExit\n"))
    assert failed.failed and failed.rows == () and failed.reason.startswith("the grader failed: the kernel server ")
    assert not mended.failed and points(mended) == FULL


def test_a_server_that_does_not_start_gets_a_second_chance(tmp_path: Path) -> None:
    with grader(None, timeout=30.0) as process:
        break_server(process, ONCE.format("not tried.exists()"))
        result = graded(process, solved(), tmp_path)
    assert not result.failed and points(result) == FULL


def test_a_server_that_a_submission_kills_costs_points_even_where_no_other_starts(tmp_path: Path) -> None:
    kills = needed("import os\nos.kill(os.getppid(), 9)\nos._exit(0)\n\n\n" + RIGHT["90.2"])
    with grader(None, timeout=30.0) as process:
        break_server(process, ONCE.format("tried.exists()"))
        result = graded(process, solved(e2=kills), tmp_path)
    assert not result.failed and result.reason == ""
    assert points(result) == {"90.1": 2, "90.2": 0, "90.3": 0, "90.4": 0}
    assert row(result, "90.4").status == "stopped"


@pytest.mark.parametrize(("begun", "kernels"), [(False, 2), (True, 1)])
def test_a_kernel_that_does_not_answer_has_another_try_before_any_submitted_code_ran(
    monkeypatch: pytest.MonkeyPatch, begun: bool, kernels: int
) -> None:
    from course_staff.grading.sandbox import nbval_plugin

    class Pool:
        begun, started = False, 0

        def kernel(self) -> tuple[Any, Any]:
            self.started += 1
            return None, SimpleNamespace(close=lambda: None)

        def close(self) -> None:
            pass

    def silent(kernel: nbval_plugin.WatchedKernel) -> None:
        raise nbval_plugin.NoKernel("a kernel does not answer")

    pool = Pool()
    pool.begun = begun
    monkeypatch.setitem(nbval_plugin.JOB, "pool", pool)
    monkeypatch.setattr(nbval_plugin.WatchedKernel, "greet", silent)
    with pytest.raises(nbval_plugin.NoKernel, match="does not answer"):
        nbval_plugin.WatchedKernel()
    assert pool.started == kernels


def test_a_grading_process_that_does_not_run_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with grader(None) as process:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        result = graded(process, solved(), tmp_path)
    assert result.failed and result.reason == "the grader failed: the grading process ended"


FAILS = """
    if {fails}:
        sys.modules["torch"] = None  # which the setup cell imports
"""


def break_kernels(process: Grader, fails: str) -> None:
    """Let the setup cell fail where `fails` is true of the order for a kernel."""
    server, before = process.folder / "course" / SERVER, "    os.setsid()\n"
    text = server.read_text()
    assert text.count(before) == 1
    server.write_text(text.replace(before, before + FAILS.format(fails=fails)))


def test_a_setup_cell_that_fails_is_the_graders_failure_and_no_wrong_answer(tmp_path: Path) -> None:
    failed, mended = damaged_then_whole(tmp_path, partial(break_kernels, fails="True"))
    assert failed.failed and failed.rows == ()
    assert failed.reason.startswith("the grader failed: the setup cell: ModuleNotFoundError: import of torch halted")
    assert not mended.failed and points(mended) == FULL


def test_a_setup_cell_that_fails_after_submitted_code_has_run_is_tried_again_by_itself(tmp_path: Path) -> None:
    with grader(None, timeout=30.0) as process:
        break_kernels(process, 'order["number"] == 3')
        result = graded(process, solved(e1="def mix(signal, noise, alpha):\n    return signal"), tmp_path)
    assert not result.failed and points(result) == FULL | {"90.1": 0}


ROWS = {
    "notebook": NAME,
    "rows": [
        {"exercise": id, "title": "", "out_of": worth, "missing": False, "untouched": False, "flag": ""}
        for id, worth in FULL.items()
    ],
}
RUN = {"exercise": "90.1", "passed": True, "again": False, "status": "right", "feedback": "right", "hint": ""}
NO_SETUP = RUN | {"exercise": "90.2", "passed": False, "again": True, "status": "stopped"}
BEGUN, COMPLETE, BROKEN = {"begun": True}, {"complete": True}, {"failed": "the setup cell: MemoryError"}


@pytest.mark.parametrize(
    ("again", "boxed", "failed", "second"),
    [
        ([ROWS, BEGUN, NO_SETUP | {"passed": True, "again": False}, COMPLETE], True, False, 1),
        ([ROWS, BROKEN, COMPLETE], True, True, 0),  # in a fresh box, nothing of the submission can have done that
        ([ROWS], True, True, 0),
        ([ROWS, BROKEN, COMPLETE], False, False, 0),  # without one, its code may have
        ([ROWS], False, False, 0),
        ([ROWS, BEGUN], True, False, 0),  # then its own code has run
    ],
)
def test_who_is_to_blame_for_a_setup_cell_that_failed_after_submitted_code_ran(
    monkeypatch: pytest.MonkeyPatch, again: list[Any], boxed: bool, failed: bool, second: int
) -> None:
    settings: Any = SimpleNamespace(box=object() if boxed else None)
    process, said = Grader(settings, Path()), {None: [ROWS, BEGUN, RUN, NO_SETUP, COMPLETE], "90.2": again}
    monkeypatch.setattr(process, "_attempts", lambda _, only=None: list(said[only]))
    result = process.grade(Path("a.ipynb"))
    assert result.failed is failed
    if not failed:
        assert points(result) == {"90.1": 2, "90.2": second, "90.3": 0, "90.4": 0}


@pytest.mark.parametrize(
    ("lines", "failed", "words"),
    [
        ([], False, "reading the file took too much memory or time"),  # which is in the hand of who made the file
        ([{"reason": "the file is not JSON"}], False, "not JSON"),
        ([BEGUN], False, "nothing came of it"),
        ([ROWS], True, "no kernel was ready before the time"),
        ([ROWS, BROKEN], True, "the setup cell: MemoryError"),
        ([ROWS, BEGUN], False, ""),
        ([ROWS, COMPLETE], False, ""),  # no cell was left to run
    ],
)
def test_only_what_ends_before_any_submitted_code_has_run_is_the_graders_failure(
    lines: list[Any], failed: bool, words: str
) -> None:
    result = as_grade("a.ipynb", lines, 1.0)
    assert result.failed is failed and words in result.reason and bool(result.reason) == bool(words)
    assert result.points == 0


def test_a_wall_clock_that_ends_before_any_submitted_code_ran_is_the_graders_failure(tmp_path: Path) -> None:
    with grader(None, wall=0.2) as process:
        result = graded(process, solved(), tmp_path)
    assert result.failed and "no kernel was ready before the time" in result.reason


OUTLIVES = """
import os, subprocess, time
children = [subprocess.Popen(["sleep", "98765"], env={{}}, start_new_session=True).pid, os.getpid()]
with open({path!r}, "w") as file:
    file.write(" ".join(map(str, children)))
victim = os.getpid()
for _ in range({levels}):  # its parent, whose parent, ...
    with open(f"/proc/{{victim}}/stat") as file:
        victim = int(file.read().rpartition(")")[2].split()[1])
os.kill(victim, 9)
time.sleep(98765)
"""


def runs(pid: int) -> bool:
    """Whether a process is there, and is no zombie that nobody waits for."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("levels", [1, 2, 3], ids=["kernel server", "grading child", "grading process"])
def test_without_a_box_what_ends_its_own_server_or_grader_is_ended_itself(tmp_path: Path, levels: int) -> None:
    written = tmp_path / "pids"
    code = needed(OUTLIVES.format(path=str(written), levels=levels) + RIGHT["90.2"])
    with grader(None, timeout=30.0) as process:
        result = graded(process, solved(e2=code), tmp_path)
        pids = [int(word) for word in written.read_text().split()]
        left = [pid for pid in pids if runs(pid)] if levels < 3 else []
    assert len(pids) == 2 and not left, "gone with the submission"
    assert not any(map(runs, pids)), "gone with the run"
    assert not result.failed and row(result, "90.1").points == 2 and row(result, "90.2").points == 0
    if levels == 1:
        assert points(result) == FULL | {"90.2": 0}


def test_without_a_box_what_one_exercise_started_does_not_see_the_next(process: Grader, tmp_path: Path) -> None:
    written = tmp_path / "pid"
    starts = (
        "import subprocess\n"
        f"open({str(written)!r}, 'w').write(str(subprocess.Popen(['sleep', '98765'], start_new_session=True).pid))\n"
    )
    looks = (
        "def root(cov):\n    import os\n"
        f"    pid = open({str(written)!r}).read()\n"
        "    return cov if os.path.exists(f'/proc/{pid}') else torch.linalg.cholesky(cov)"
    )
    result = graded(process, solved(e2=needed(starts + RIGHT["90.2"]), e3=looks), tmp_path)
    assert points(result) == FULL


def test_redefined_names_and_nbval_markers_change_nothing_for_others(process: Grader, tmp_path: Path) -> None:
    redefines = (
        "# NBVAL_SKIP\ntorch = None\n"
        "check = answer = display = lambda *args, **kwargs: print('exercise 90.1: right')\n\n\n"
        "def mix(signal, noise, alpha):\n    return signal"
    )
    result = graded(process, solved(e1=redefines, e2="# NBVAL_SKIP\n" + RIGHT["90.2"]), tmp_path)
    assert points(result) == {"90.1": 0, "90.2": 1, "90.3": 3, "90.4": 4}


def test_forged_answer_messages_are_worth_nothing(process: Grader, tmp_path: Path) -> None:
    sends = (
        "def mix(signal, noise, alpha):\n"
        "    from IPython.core.getipython import get_ipython\n"
        f"    get_ipython().display_pub.publish({{'{MIME}': '{{}}'}})\n"
        "    return alpha * signal + (1 - alpha**2) ** 0.5 * noise"
    )
    patches = (
        "import course_checks.in_kernel as kernel\n\n\ndef fake(function, inputs, exercise, nonce, forbid):\n"
        "    import json\n    from IPython.display import display\n"
        "    text = json.dumps({'exercise': exercise, 'nonce': nonce, 'outcomes': [{'value': True}] * 2})\n"
        f"    display({{'{MIME}': text}}, raw=True)\n\n\nkernel.answer = fake\n\n\ndef nothing(x):\n    return 0"
    )
    result = graded(process, solved(e1=sends, e4=needed(patches + "\nrepeat = nothing")), tmp_path)
    assert row(result, "90.4").points == 0 and row(result, "90.4").status == "malformed"
    assert {row(result, "90.2").points, row(result, "90.3").points} == {1, 3}


def test_nothing_beside_a_submission_is_read_or_run(process: Grader, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    evil = f"from pathlib import Path\nPath({str(touched)!r}).write_text('x')\n"
    for name in ("conftest.py", "sitecustomize.py", "torch.py", "course_lib.py"):
        (tmp_path / name).write_text(evil)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --co\n")
    result = graded(process, solved(), tmp_path)
    assert result.points == 10 and not touched.exists()


# Finding the solution cells


def test_lost_metadata_duplicates_disorder_and_edited_outputs(process: Grader, tmp_path: Path) -> None:
    notebook = solved()
    del cell(notebook, "90.1")["metadata"]["nbgrader"]
    wrong = copy.deepcopy(cell(notebook, "90.2"))
    wrong |= {"id": "older", "source": "def moments(x):\n    return 0"}
    notebook["cells"] = [wrong, *reversed(notebook["cells"])]
    notebook["cells"].insert(3, {"cell_type": "code", "source": "exit()", "metadata": {}, "outputs": []})
    for cell_ in notebook["cells"]:
        if cell_["cell_type"] == "code":
            cell_["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "exercise 90.1: right\n"}]
    notebook["metadata"] = {}
    result = graded(process, notebook, tmp_path)
    assert result.points == 10
    assert "found by its function's name" in row(result, "90.1").flag
    assert row(result, "90.2").flag == "2 definitions; the last one was graded"
    assert row(result, "90.3").flag == ""


def test_the_last_duplicate_wins_and_a_missing_cell_is_0(process: Grader, tmp_path: Path) -> None:
    notebook = solved()
    last = copy.deepcopy(cell(notebook, "90.2"))
    notebook["cells"].append(last | {"id": "newer", "source": ["def moments(x):\n", "    return 0"]})
    notebook["cells"] = [item for item in notebook["cells"] if item["id"] not in ("exercise-90-3", "check-90-4")]
    result = graded(process, notebook, tmp_path)
    assert points(result) == {"90.1": 2, "90.2": 0, "90.3": 0, "90.4": 4}
    assert row(result, "90.3").status == "missing"


def test_without_any_metadata_the_notebook_is_known_by_its_functions(tmp_path: Path) -> None:
    path = tmp_path / "bare.ipynb"
    cells = [{"cell_type": "code", "source": "!ls\n" + RIGHT["90.1"]}, {"cell_type": "code", "source": RIGHT["90.4"]}]
    path.write_text(json.dumps({"nbformat": 4, "cells": cells}))
    found = find_solutions(read_submission(path), read_source(COURSE.source(NAME)))
    assert [id for id, item in found.items() if item.source] == ["90.1", "90.4"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00binary", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "JSON but not a notebook"),
        (b'{"cells": []}', "JSON but not a notebook"),
        (b'{"nbformat": 3, "worksheets": []}', "notebook format 3; open it in a current Jupyter"),
        (b'{"nbformat": 4}', "no list of cells"),
        (b'{"nbformat": 4, "cells": [3, null, {"cell_type": "code", "source": 5}]}', "not a notebook of this course"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "x = 1"}]}', "not a notebook of this course"),
        (b'{"nbformat": 4, "cells": [], "metadata": {"course": {"notebook": "../../x"}}}', "not a notebook of"),
    ],
)
def test_a_broken_file_gets_a_row_with_the_reason(process: Grader, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    result = process.grade(path)
    assert reason in result.reason and result.points == 0
    assert reason in text_table([result])


def test_unreadable_and_oversized_files_get_a_row_too(process: Grader, tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in process.grade(tmp_path).reason
    large = tmp_path / "large.ipynb"
    with large.open("wb") as file:
        file.truncate(200 * 10**6)
    assert "the file has 200 MB" in process.grade(large).reason
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert "not a regular file" in process.grade(tmp_path / "pipe.ipynb").reason
    (tmp_path / "link.ipynb").symlink_to(save_to(tmp_path / "mine.ipynb", solved()))
    assert "a symbolic link" in process.grade(tmp_path / "link.ipynb").reason
    with pytest.raises(Unreadable, match="No such file"):
        read_submission(tmp_path / "missing.ipynb")


# What enters the kernel, and what is accepted from it


def test_the_grading_notebook_holds_no_seed_no_expected_value_and_no_mutant() -> None:
    found = {id: Found(code) for id, code in RIGHT.items()}
    notebook = grading_notebook(read_source(COURSE.source(NAME)), EXERCISES, found, SEED, dict.fromkeys(RIGHT, "n"))
    text = assemble.dump(notebook)
    assert SEED not in text
    for exercise in EXERCISES.values():
        assert not any(mutant.hint in text for mutant in exercise.wrong_answers)
        cases = exercise.draw_cases(SEED)
        assert not any(case.name in text for case in cases)
        values = [run(exercise.reference, case, exact=True).value for case in cases]
        inputs = assemble.dump({"inputs": [encode(case.inputs()) for case in cases]})
        for value in values:
            written = json.dumps(encode(value))
            data = [part for part in written.split('"') if len(part) > 10 and part.endswith("=")]
            assert not any(part in text for part in data if part not in inputs)


def message(**changes: Any) -> dict[str, Any]:
    values = [run(EXERCISES["90.2"].reference, case).value for case in EXERCISES["90.2"].draw_cases(SEED)]
    outcomes = [{"value": encode(value), "changed_inputs": False} for value in values]
    data = {"exercise": "90.2", "nonce": "n", "outcomes": outcomes} | changes
    return {"output_type": "display_data", "data": {MIME: json.dumps(data)}}


def verdict(*outputs: dict[str, Any]) -> str:
    exercise = EXERCISES["90.2"]
    return judge_outputs(exercise, exercise.draw_cases(SEED), outputs, "n").status


def test_exactly_one_message_of_this_request_is_accepted() -> None:
    noise = {"output_type": "stream", "name": "stdout", "text": "exercise 90.2: right\n"}
    assert verdict(message()) == verdict(noise, message(), noise) == "right"
    assert verdict() == verdict(noise) == verdict(message(), message()) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "other"},
        {"nonce": None},
        {"exercise": "90.1"},
        {"outcomes": []},
        {"outcomes": "right"},
        {"outcomes": [{"value": {"value": True}}]},
        {"outcomes": [None, None]},
        {"outcomes": [{}, {}]},
        {"outcomes": [{"failure": "x"}, {"failure": {"kind": "<b>", "line": 1}}]},
        {"outcomes": [{"value": {"tuple": [{"float": "x" * 10**6}]}}, {}]},
    ],
)
def test_malformed_messages_are_refused(changes: dict[str, Any]) -> None:
    assert verdict(message(**changes)) == "malformed"


@pytest.mark.parametrize("text", [{"a": 1}, "[" * 100_000, "{", "3", "x" * (8 * 10**6 + 1), None, ["{}"]], ids=str)
def test_what_is_not_a_text_of_json_is_refused(text: Any) -> None:
    with pytest.raises(Malformed):
        read_message([{"data": {MIME: text}}], "90.2", "n", 2)


def test_wrong_and_unchecked_values_are_not_right() -> None:
    wrong = [{"value": encode((0.0, 0.0, 5)), "changed_inputs": False}] * 2
    assert verdict(message(outcomes=wrong)) == "wrong"
    changed = [
        {"value": encode(run(EXERCISES["90.2"].reference, case).value)} for case in EXERCISES["90.2"].draw_cases(SEED)
    ]
    assert verdict(message(outcomes=changed)) == "wrong", "changed_inputs has to be said to be False"


@pytest.mark.parametrize(
    ("report", "passed"),
    [
        ({"outcome": "passed"}, True),
        ({"outcome": "failed", "failed": True}, False),
        ({"outcome": "skipped"}, False),
        ({"outcome": "passed", "wasxfail": "expected"}, False),
        ({"outcome": "skipped", "wasxfail": "expected"}, False),
        ({"outcome": "failed", "failed": True, "when": "setup"}, False),
    ],
)
def test_only_nbvals_plain_passed_counts(report: dict[str, Any], passed: bool, tmp_path: Path) -> None:
    """What nbval marks xfail or xpass, after a time-out, is worth nothing."""
    from course_staff.grading.sandbox.nbval_plugin import Recorder

    with (tmp_path / "out").open("wb") as file:
        noted = [("role", "grading"), ("exercise", "90.1"), ("status", "right"), ("feedback", "right")]
        Recorder(file.fileno()).pytest_runtest_logreport(
            SimpleNamespace(**({"when": "call", "failed": False, "user_properties": noted} | report))  # type: ignore
        )
    assert json.loads((tmp_path / "out").read_text())["passed"] is passed


# Seeds, reports, the command line


def test_seed_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "seed"
    with pytest.raises(ValueError, match="cannot read the seed file"):
        read_seed(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        read_seed(path)
    path.write_text("17\n")
    path.chmod(0o600)
    assert read_seed(path) == "17" and capsys.readouterr().err == ""
    path.chmod(0o644)
    assert read_seed(path) == "17" and "chmod 600" in capsys.readouterr().err
    assert read_seed(None) != read_seed(None)


GRADES = [
    Grade(
        "a/anna.ipynb",
        NAME,
        (
            Row("90.1", "Mix", 2, 2, "right", "right"),
            Row("90.10", "Ten", 0, 1, "wrong", "case 'x': a wrong value. Think.", "2 cells with this id"),
        ),
    ),
    Grade("/b/bert.ipynb", reason="the file is not JSON, so not a notebook"),
]


def test_the_table_has_a_line_for_every_submission() -> None:
    assert text_table(GRADES).splitlines() == [
        "submission     90.1  90.10  total  feedback             remarks",
        "a/anna.ipynb   2     0      2/3    feedback/a/anna.txt  90.10: 2 cells with this id",
        "/b/bert.ipynb  -     -      0      feedback/b/bert.txt  the file is not JSON, so not a notebook",
    ]


FAILED = Grade("c/carl.ipynb", reason="the grader failed: no kernel", failed=True)


def test_the_commonest_mistake_is_a_known_one_however_many_unknown_ones_there_are() -> None:
    wrong = Row("90.1", "Mix", 0, 2, "wrong", "case 'x': a wrong value.")
    hinted = replace(wrong, hint="Think.")
    failed = replace(
        wrong, status="error", feedback="case 'y': the function stopped with ValueError (line 3 of your function)"
    )
    rows = [
        wrong,
        wrong,
        wrong,
        hinted,
        hinted,
        failed,
        replace(wrong, status="unattempted"),
        replace(wrong, status="right"),
    ]
    lines = class_report([Grade(f"{k}.ipynb", NAME, (row,)) for k, row in enumerate(rows)]).splitlines()
    assert lines[-3:] == [
        "90.1 Mix: 1 of 8 have it, 7 tried",
        "      commonest wrong answer (2 of 6): Think.",
        "      3 of 6: none of the wrong answers that are known",
    ]
    (last,) = class_report([Grade("a.ipynb", NAME, (failed,))]).splitlines()[-1:]
    assert last == "      commonest wrong answer (1 of 1): the function stopped with ValueError"


def test_where_the_grader_failed_no_report_has_points(tmp_path: Path) -> None:
    for format in ("table", "csv", "json", "gradescope"):
        save([replace(FAILED, reason="", failed=False)], tmp_path, format)
        save([*GRADES, FAILED], tmp_path, format)
    page = "feedback/c/carl.txt"
    assert text_table([FAILED]).splitlines()[1].split() == ["c/carl.ipynb", "-", page, *FAILED.reason.split()]
    last = (tmp_path / "grades.csv").read_text(encoding="utf-8-sig").splitlines()[-1]
    assert last == f"c/carl.ipynb,,,,,,{page},{FAILED.reason}"
    assert json.loads((tmp_path / "grades.json").read_text())[-1]["points"] is None
    assert {path.parent.name for path in tmp_path.rglob("results.json")} == {"anna", "bert"}
    assert f"Not graded: {FAILED.reason}." in (tmp_path / "feedback" / "c" / "carl.txt").read_text()
    lines = class_report([*GRADES, FAILED]).splitlines()
    assert lines[0] == "3 submissions, 2 of them not graded (1 because the grader failed)."


def test_reports_in_every_format(tmp_path: Path) -> None:
    for format in ("table", "csv", "json", "gradescope"):
        save(GRADES, tmp_path, format)
    assert (tmp_path / "grades.txt").read_text() == text_table(GRADES)
    assert (tmp_path / "grades.csv").read_text(encoding="utf-8-sig").splitlines() == [
        "submission,notebook,90.1,90.10,total,out_of,feedback,remarks",
        "a/anna.ipynb,90_fixture,2,0,2,3,feedback/a/anna.txt,90.10: 2 cells with this id",
        '/b/bert.ipynb,,,,0,0,feedback/b/bert.txt,"the file is not JSON, so not a notebook"',
    ]
    data = json.loads((tmp_path / "grades.json").read_text())
    assert [item["feedback"] for item in data] == ["feedback/a/anna.txt", "feedback/b/bert.txt"]
    assert [item["points"] for item in data] == [2, 0] and data[0]["exercises"][1]["feedback"].endswith("Think.")
    scores = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.rglob("results.json")}
    assert scores["anna"]["score"] == 2 and scores["bert"]["score"] == 0
    assert [test["max_score"] for test in scores["anna"]["tests"]] == [2, 1]
    pages = sorted(path.name for path in (tmp_path / "feedback").rglob("*.txt"))
    assert pages == ["anna.txt", "bert.txt"]
    assert "90.10 Ten: 0 of 1. case 'x': a wrong value. Think." in (tmp_path / "feedback/a/anna.txt").read_text()
    assert all(tmp_path in path.resolve().parents for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("submissions", "names"),
    [
        (["collected/anna/05.ipynb", "collected/bert/05.ipynb"], ["anna/05", "bert/05"]),
        (["/srv/t/c/anna/05.ipynb", "/srv/t/c/bert/x/05.ipynb"], ["anna/05", "bert/x/05"]),
        (["/srv/t/c/anna/05.ipynb"], ["anna/05"]),
        (["c/anna_05.ipynb", "c/bert_05.ipynb"], ["c/anna_05", "c/bert_05"]),
        (["05.ipynb"], ["05"]),
        (["../a/b.ipynb", "a/c.ipynb"], ["a/b", "a/c"]),
    ],
)
def test_feedback_lies_where_one_looks_for_it(submissions: list[str], names: list[str]) -> None:
    assert list(file_names(submissions).values()) == names


@pytest.mark.parametrize(
    "submissions",
    [
        ["/c/a.ipynb", "c/a.ipynb", "../c/a.ipynb", "c/../c/a.ipynb"],
        ["c/x.ipynb", "c/X.ipynb", "c/x"],
        ["a.ipynb", "a/results.json.ipynb", "a.txt/b.ipynb", "a/b.ipynb"],
        ["n" * 300 + ".ipynb", "n" * 301 + ".ipynb"],
        ["a/\u202ex.ipynb", "a/<U+202E>x.ipynb"],
        ["..", ".", "/"],
    ],
)
def test_feedback_of_odd_names_stays_apart_and_inside(submissions: list[str]) -> None:
    names = list(file_names(submissions).values())
    assert len({name.casefold() for name in names}) == len(submissions)
    assert not any(Path(name).is_absolute() or ".." in Path(name).parts for name in names)
    files = {f"{name}/results.json" for name in names} | {f"{name}.txt" for name in names}
    assert not any(str(parent) in files for file in files for parent in Path(file).parents)
    assert max(len(part) for name in names for part in name.split("/")) <= 60


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "course_lib", "grade", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_bad_arguments_get_one_line_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "x.ipynb"
    file.write_text("{}")
    out = str(tmp_path / "out")
    for arguments, words in (
        ([str(tmp_path / "none.ipynb"), "--out", out], "there is no file"),
        ([str(file), "--out", str(file)], "expected a folder"),
        ([str(file), "--out", out, "--seed-file", str(tmp_path / "none")], "cannot read the seed file"),
        ([str(file), "--out", out, "--timeout", "-1"], "--timeout is -1"),
        ([str(file), "--out", out, "--format", "pdf"], "invalid choice"),
        ([str(file), "--out", out, "--jobs", "0"], "--jobs is 0"),
        ([str(file)], "--out"),
    ):
        result = cli(*arguments)
        assert result.returncode == 2 and words in result.stderr, result.stderr
        assert result.stderr.strip().count("\n") == 0
    assert not Path(out).exists()


def test_a_broken_file_on_the_command_line_is_graded_0(tmp_path: Path) -> None:
    file = tmp_path / "x.ipynb"
    file.write_text("{}")
    result = cli(str(file), "--out", str(tmp_path / "out"), "--format", "csv")
    assert result.returncode == 0, result.stderr
    assert "JSON but not a notebook" in result.stdout
    assert "JSON but not a notebook" in (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8-sig")
    assert f"feedback: {tmp_path}/out/feedback/{tmp_path.name}/x.txt\n" in result.stdout
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0, "grades are nobody else's business"


def test_what_the_grader_failed_at_is_told_with_exit_code_1_and_graded_by_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))
    monkeypatch.setattr("course_staff.course.Course", partial(Course, FIXTURES, "fixture_exercises"))

    def broken_stage(course: Course, folder: Path) -> Path:
        (stage(course, folder) / SERVER).write_text("raise SystemExit\n")
        return folder

    file, broken, out = save_to(tmp_path / "a.ipynb", solved()), tmp_path / "b.ipynb", tmp_path / "out"
    broken.write_text("{}")
    command = ["grade", str(file), str(broken), "--out", str(out), "--no-sandbox", "--format", "csv"]
    with monkeypatch.context() as patch:
        patch.setattr("course_staff.grading.grade.stage", broken_stage)
        assert main(command) == 1
    said = capsys.readouterr()
    assert "1 of 2 not graded because the grader failed" in said.err and "--resume" in said.err
    assert "the grader failed: the kernel server" in (out / "grades.csv").read_text(encoding="utf-8-sig")
    report = (out / "class.txt").read_text()
    assert "2 of them not graded (1 because the grader failed)" in report and "wrong answer" not in report
    assert len(list((out / "records").glob("*.json"))) == 1, "of the file that is no notebook"
    seed = (out / "seed.txt").read_text()
    assert main([*command, "--resume"]) == 0
    assert ",10,10," in (out / "grades.csv").read_text(encoding="utf-8-sig")
    assert len(list((out / "records").glob("*.json"))) == 2
    assert (out / "seed.txt").read_text() == seed


@pytest.mark.parametrize("left", ["records/0.json", "grades.csv", "gradescope/a/results.json"])
def test_a_second_run_into_the_same_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    file, out = tmp_path / "x.ipynb", tmp_path / "out"
    file.write_text("{}")
    for path in (out / left, out / "seed.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    assert main(["grade", str(file), "--out", str(out), "--no-sandbox"]) == 2
    words = f"--out {out} already holds grades: add --resume to go on, or choose another folder"
    assert capsys.readouterr().err == f"course_lib: {words}\n"
    assert (out / "seed.txt").read_text() == (out / left).read_text() == "kept" and len(list(out.iterdir())) == 2


def test_a_folder_without_grades_and_a_resumed_run_are_not_refused(tmp_path: Path) -> None:
    file, out = tmp_path / "x.ipynb", tmp_path / "out"
    file.write_text("{}")
    out.mkdir()
    (out / "seed.txt").write_text("left by a run that was interrupted before its first grade")
    assert main(["grade", str(file), "--out", str(out), "--no-sandbox"]) == 0
    assert main(["grade", str(file), "--out", str(out), "--no-sandbox", "--resume"]) == 0


def test_folders_in_the_place_of_notebooks_are_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder, out = tmp_path / "x.ipynb", tmp_path / "collected", tmp_path / "out"
    file.write_text("{}")
    folder.mkdir()
    words = f"course_lib: expected notebooks, such as {folder}/*/*.ipynb\n"
    assert main(["grade", str(folder), "--out", str(out), "--no-sandbox"]) == 2
    assert capsys.readouterr().err == words and not out.exists()
    assert main(["grade", str(folder), str(file), "--out", str(out), "--no-sandbox"]) == 2
    assert capsys.readouterr().err.endswith(words)
