"""`python -m course_staff`, and what `python -m course_lib` hands on to it: light, and told in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from course_lib.__main__ import main as library
from course_lib.command.parser import STAFF
from course_staff.__main__ import COMMANDS, main
from course_staff.course import ROOT

HEAVY = {"torch", "numpy", "matplotlib", "jupytext", "nbformat", "nbclient", "pytest"}


def heavy_after(*arguments: str) -> str:
    """Heavy libraries that a call loads: "[]" where it loads none."""
    code = (
        "import runpy, sys\nsys.argv = sys.argv[1:]\n"
        "try:\n    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        f"except SystemExit:\n    pass\nprint('loaded', sorted(set(sys.modules) & {HEAVY}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    return done.stdout.rpartition("loaded ")[2].strip() + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_main_and_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(import_module(f"course_staff.{COMMANDS[name][0]}").main)
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("usage: ")


def test_the_list_of_commands_names_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0 and main([]) == 2
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said and text in said for name, (_, text) in COMMANDS.items())


@pytest.mark.parametrize("words", [["dance"], ["record"], ["record", "07"]])
def test_an_unknown_command_is_one_line_and_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"course_staff: there is no command {' '.join(words)!r}; there are ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["course_lib", "--help"],
        ["course_lib", "build", "--help"],
        ["course_lib", "grade", "--help"],
        ["course_lib", "bench", "--help"],
        ["course_staff", "--help"],
        ["course_staff", "fork", "--help"],
        ["course_staff", "copy-notebooks", "--source", "nothing"],
    ],
)
def test_help_and_copying_load_nothing_heavy(words: list[str]) -> None:
    assert heavy_after(*words).startswith("[]")


def test_the_library_imports_no_other_package_of_ours_until_it_is_asked_to() -> None:
    code = (
        "import sys, course_lib.__main__, course_lib.command.doctor\n"
        "print([name for name in sys.modules if name.startswith(('course_staff', 'course_checks'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("name", STAFF)
def test_the_library_shows_the_same_commands_under_its_own_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    helps = []
    for program in (library, main):
        with pytest.raises(SystemExit):
            program([name, "--help"])
        helps.append(capsys.readouterr().out)
    squeezed = [" ".join(text.split()) for text in helps]
    assert squeezed[0] == squeezed[1].replace("usage: course_staff ", "usage: course_lib ")


@pytest.mark.parametrize(
    ("name", "words"), [("build", []), ("grade", ["a.ipynb", "--out", "out"]), ("bench", ["--no-reference"])]
)
def test_without_the_other_package_one_sentence_says_so(
    name: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == "course_staff"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "course_staff", None)
    monkeypatch.chdir(tmp_path)
    assert library([name, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"course_lib {name}: needs 'course_staff") and error.count("\n") == 1
    assert "only authors and teachers install" in error


def test_a_bad_argument_is_told_under_the_name_that_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    for program, name in ((library, "course_lib"), (main, "course_staff")):
        assert program(["build", "77"]) == 2
        assert capsys.readouterr().err.startswith(f"{name}: there is no notebook '77'; there are")
        assert program(["bench", "--seconds", "0"]) == 2
        assert capsys.readouterr().err == f"{name} bench: --seconds 0: expected a time above 0\n"
        with pytest.raises(SystemExit):
            program(["grade", "--jobs", "x"])
        assert capsys.readouterr().err.startswith(f"{name} grade: ")
