"""Random words through every command: exit code 0, 1 or 2, one line where it is not 0, and never a traceback.

The work itself is left out: networks, grading and building are replaced, parsers and their checks are not.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.__main__ import main as library
from course_staff.__main__ import main as staff
from course_staff.building.assemble import dump

NUMBERS = ["0", "1", "-1", "3", "1e9", "nan", "inf", "-inf", "1e400", "9" * 30, "0x1", "1_0", "٣", "3.5", ""]
NAMES = ["digits", "tiny", "base", "large", "edm", "v", "heun", "ddpm", "cpu", "cuda:9", "mps", "auto", "muon", "on"]
PATHS = ["~", "~nobody/x", "a.png", "b.npz", "c/d.png", "there", "there/x.png", ".", "/", "..", "/proc/x", "/dev/null"]
PATHS += ["x" * 300, "é.png", "\udcff.npz", "a\nb.ipynb", "a.ipynb", "none.ipynb"]
WORDS = st.one_of(
    st.sampled_from(NUMBERS + NAMES + PATHS),
    st.text(st.characters(exclude_characters="\0", exclude_categories=[]), max_size=12).filter(
        lambda text: not text.startswith("/")
    ),
)
OPTIONS = {
    "train": "data preset seconds steps out resume target batch optimizer learning-rate muon-rate noise-mean noise-std "
    "seed device compile save-seconds",
    "sample": "model n number sampler steps seed device out",
    "grade": "out format jobs resume seed-file timeout no-sandbox",
    "build": "check execute",
    "bench": "presets seconds samples no-reference out",
    "doctor": "nothing",
}
FLAGS = {"resume", "no-sandbox", "check", "execute", "no-reference", "nothing"}
NEEDED = {  # so that most get past the parser
    "train": ["--steps=2", "--out=there"],
    "sample": ["--out=a.png"],
    "grade": ["a.ipynb", "--out=there"],
}


@st.composite
def commands(draw: st.DrawFn, name: str) -> list[str]:
    words = list(NEEDED.get(name, [])) if draw(st.integers(0, 4)) else []
    for option in draw(st.lists(st.sampled_from(OPTIONS[name].split()), max_size=4)):
        value = [] if option in FLAGS else [draw(WORDS)]
        words += [f"--{option}={value[0]}"] if value and draw(st.booleans()) else [f"--{option}", *value]
    return [name, *words, *draw(st.lists(WORDS, max_size=1))]


@contextlib.contextmanager
def no_work():
    """Everything heavy does nothing, each after its arguments were looked at."""
    import course_lib.command.doctor as doctor
    import course_lib.command.sample as sample
    import course_lib.command.train as train
    import course_staff.building.build as build
    import course_staff.grading.command as grade
    import course_staff.studies.bench as bench

    images = torch.zeros(8, 1, 28, 28)
    with contextlib.ExitStack() as held:
        for module, attribute, value in (
            (train, "train", lambda *words, **more: iter(())),
            (train, "dataset", lambda name: SimpleNamespace(images=images)),
            (sample, "generate", lambda *words: images),
            (grade, "_run", lambda *words: 0),
            (grade, "_box", lambda course: None),
            (build, "build", lambda *words: []),
            (build, "check", lambda *words: []),
            (bench, "run", lambda *words: {}),
            (doctor, "examine", lambda: iter(())),
        ):
            held.enter_context(patch.object(module, attribute, value))
        yield


@pytest.mark.parametrize("program", [library, staff])
@pytest.mark.parametrize("name", OPTIONS)
def test_random_words_end_in_an_exit_code_and_one_line(name, program):
    @settings(max_examples=60, deadline=None, database=None)
    @given(commands(name))
    @example([name, *NEEDED.get(name, []), "a\nb"])
    def one(words: list[str]) -> None:
        said, wrong = io.StringIO(), io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), no_work():
            Path("there").mkdir()
            Path("a.ipynb").write_text(dump({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
                try:
                    code = program(words)
                except SystemExit as ended:
                    code = ended.code
        lines = wrong.getvalue().strip("\n").split("\n")
        assert code in (0, 1, 2) and "Traceback" not in wrong.getvalue()
        if code:
            assert lines[-1] and len([line for line in lines if not line.startswith(("warning: ", "note: "))]) == 1

    if not (name == "doctor" and program is staff):
        one()
