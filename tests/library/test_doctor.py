"""The doctor finds what is wrong, says how to mend it, and never falls ill itself."""

import importlib.util
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest
import torch

from course_lib import training
from course_lib.command import doctor, machine
from course_staff.grading.sandbox import box


def fake_machine(monkeypatch, **facts):
    values = {"cores": 2, "threads": 2, "memory": 8 * 2**30, "gpu": None} | facts
    monkeypatch.setattr(machine, "machine", lambda: SimpleNamespace(**values))


@pytest.mark.parametrize(
    ("installed", "inside"),
    [("2.6.0", True), ("2.6", True), ("2.13.0+cpu", True), ("2.7.0rc1", True), ("2.5.9", False), ("3.0.0", False)],
)
def test_a_version_is_held_against_the_declared_range(monkeypatch, installed, inside):
    monkeypatch.setattr(doctor, "version", lambda name: installed)
    (finding,) = doctor.packages(["torch>=2.6,<3"])
    assert (finding.state, finding.found) == ("ok" if inside else "note", installed)


def test_only_what_runs_the_course_or_opens_its_notebooks_is_looked_at():
    declared = ["numpy", 'jupyterlab>=4.2; extra == "lab"', "sphinx; extra == 'site'", 'tqdm; python_version < "3"']
    assert [finding.subject for finding in doctor.packages(declared)] == ["numpy", "jupyterlab"]


def test_a_python_without_the_course_or_without_packaging_is_told(monkeypatch):
    def not_installed(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", not_installed)
    assert [str(finding).split(":")[0] for finding in doctor.packages()] == ["broken course_lib"]
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert [str(finding).split(":")[0] for finding in doctor.packages()] == ["broken packaging"]


def test_every_library_of_the_course_is_looked_at_and_found_here():
    found = {finding.subject: finding.state for finding in doctor.packages()}
    libraries = {"torch", "numpy", "matplotlib", "packaging", "ipywidgets", "pillow", "safetensors", "tqdm"}
    assert set(found) == libraries | {"jupyterlab", "ipykernel"} and set(found.values()) == {"ok"}


def test_a_missing_and_an_unsuitable_library_are_told_apart():
    missing, old = doctor.packages(["no-such-library>=1", "numpy<1"])
    assert missing.state == "broken" and "expected >=1" in missing.found and "make lab" in missing.mend
    assert old.state == "note" and "tested only with <1" in old.mend


def test_an_old_python_is_broken():
    assert doctor.python((3, 10, 4)).state == "broken"
    assert doctor.python((3, 11, 0)).state == "ok"


@pytest.mark.parametrize(
    ("memory", "state"), [(2**30, "broken"), (2 * 2**30, "note"), (8 * 2**30, "ok"), (None, "note")]
)
def test_memory_is_held_against_what_a_notebook_takes(monkeypatch, memory, state):
    fake_machine(monkeypatch, memory=memory)
    assert doctor.memory().state == state


@pytest.mark.parametrize(
    ("cores", "threads", "state"),
    [(1, 8, "slow"), (0.5, 2, "slow"), (0.5, 1, "slow"), (1, 1, "slow"), (2, 2, "ok"), (4, 2, "ok")],
)
def test_more_threads_than_cores_are_slow(monkeypatch, cores, threads, state):
    fake_machine(monkeypatch, cores=cores, threads=threads)
    finding = doctor.processor()
    assert finding.state == state
    assert ("OMP_NUM_THREADS=1" in finding.mend) == (threads > max(cores, 1))
    assert ("4 times the time" in finding.mend) == (cores == 0.5 and threads == 1)


def test_a_gpu_that_pytorch_cannot_use_is_slow(monkeypatch):
    fake_machine(monkeypatch)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.gpu().state == "slow"
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.gpu().state == "ok" and doctor.browser().state == "note"


def test_grading_needs_a_box_and_packages_that_only_teachers_need(monkeypatch):
    real = box.Box("/usr/bin/bwrap", False, ())
    monkeypatch.setattr(box, "find_box", lambda packages: real)
    assert doctor.grading() == doctor.Finding("grading", "ok", "in a box, by /usr/bin/bwrap")

    def none(error):
        def find_box(packages):
            raise error

        monkeypatch.setattr(box, "find_box", find_box)
        return doctor.grading()

    missing, ill = none(box.NoBox(f"bubblewrap is not installed ({box.INSTALL})")), none(OSError("no fork"))
    assert missing.state == "note" and "apt-get install bubblewrap" in missing.found
    assert "only teachers need it" in missing.mend
    assert ill.state == "note" and "no fork" in ill.found and "only teachers need it" in ill.mend


@pytest.mark.parametrize("name", doctor.GRADING)
def test_grading_says_which_packages_are_not_there(monkeypatch, name):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda other: None if other == name else find(other))
    finding = doctor.grading()
    assert (finding.state, finding.found) == ("note", f"without {name}")
    assert "only teachers need it" in finding.mend and "requirements-test.txt" in finding.mend


def test_grading_is_looked_at_and_never_breaks_the_course(monkeypatch):
    for name in ("processor", "memory", "gpu", "assets", "speed", "browser"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Finding("x", "ok", ""))
    (finding,) = (finding for finding in doctor.examine() if finding.subject == "grading")
    assert finding.state in ("ok", "note")
    monkeypatch.setitem(sys.modules, "course_staff.grading.sandbox.box", None)
    finding = doctor.grading()
    assert finding.state == "note" and "cannot be imported" in finding.found


def test_speed_is_digits_over_time_and_leaves_the_global_generator_alone():
    ticks = iter([0.0, 2.0])
    state = torch.random.get_rng_state()
    finding = doctor.speed(lambda: next(ticks))
    assert f"{doctor.TRIAL_STEPS * doctor.TRIAL_BATCH / 2:,.0f} digits" in finding.found
    assert "about 2.6 minutes" in finding.found, "80,000 digits at 512 a second"
    assert finding.state == ("ok" if doctor.TRIAL_STEPS * doctor.TRIAL_BATCH / 2 >= 500 else "slow")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_speed_reads_the_clock_only_when_the_last_step_is_done(monkeypatch):
    happened = []

    class Loss:
        def __float__(self):
            happened.append("done")
            return 1.0

    def train(*arguments):
        for _ in range(3):
            happened.append("step")
            yield SimpleNamespace(loss=Loss())

    def clock():
        happened.append("clock")
        return float(len(happened))

    monkeypatch.setattr(training, "train", train)
    doctor.speed(clock)
    assert happened == ["step", "done", "clock", "step", "step", "done", "clock"]


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def ill():
        raise RuntimeError("no digits")

    for name in ("processor", "memory", "gpu", "speed", "browser", "grading"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Finding("x", "ok", ""))
    ill.__name__ = "assets"
    monkeypatch.setattr(doctor, "assets", ill)
    broken = [finding for finding in doctor.examine() if finding.state == "broken"]
    assert [finding.subject for finding in broken] == ["assets"] and "no digits" in broken[0].found


def test_the_command_says_that_the_course_runs_or_exits_with_1(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: iter([doctor.Finding("memory", "slow", "little", "get more")]))
    assert doctor.report() == 0 and "-> get more" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "examine", lambda: iter([doctor.Finding("torch", "broken", "gone")]))
    assert doctor.report() == 1 and "1 broken" in capsys.readouterr().out


def test_it_runs_where_pytorch_cannot_be_imported():
    code = "import sys; sys.modules['torch'] = None; from course_lib.__main__ import main; sys.exit(main(['doctor']))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "broken torch: installed but cannot be imported" in ended.stdout
