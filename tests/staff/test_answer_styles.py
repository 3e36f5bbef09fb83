"""Ways to hand in one right answer: `check` in the notebook and the grade agree, and what scores 0 is told why."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grading import COURSE, FIXTURES, NAME, RIGHT, blank, cell, grader, row, save_to

from course_staff.building.source import read_source
from course_staff.course import ROOT
from course_staff.grading.grade import Grade, Grader
from course_staff.grading.submission import find_solutions, read_submission

GOOD = RIGHT["90.1"] + "\n"
BAD = GOOD.replace("(1 - alpha**2) ** 0.5", "(1 - alpha)")
BODY = GOOD.partition("\n")[2]
USES = GOOD.replace("alpha**2", "square(alpha)")
OWN, NEW = "own", "new"
STUB = "".join(cell(blank(), "90.1")["source"])


@dataclass(frozen=True)
class Style:
    """Cells in place of the exercise's: its own, with its metadata, and new ones. What is expected of check and grade.

    `flag`, `feedback`: part of the remark, and of the feedback. `check`: whether `check` says "right" where that is not
    what the grade says, None where the cells cannot be run here.
    """

    cells: tuple[tuple[str, str], ...]
    right: bool = True
    flag: str = ""
    feedback: str = ""
    check: bool | None = True


def own(text: str, right: bool = True, **expected: Any) -> Style:
    return Style(((OWN, text),), right, **({"check": right} | expected))


def stops(line: str) -> Style:
    """The definition, then a line that stops the cell or never ends: `check`, in a cell of its own, still sees it."""
    return own(f"{GOOD}\n{line}\n")


LACKS = "which neither its cell nor the setup cell defines"
STYLES = {
    # What stands around the function
    "as it is": own(GOOD),
    "%%time": own("%%time\n" + GOOD),
    "%%capture": own("%%capture out\n" + GOOD),
    "%%time, a comment above": own("\n%%time\n# mine\n" + GOOD),
    "%timeit below": own(GOOD + "\n%timeit -n1 -r1 mix(torch.ones(2), torch.ones(2), 0.5)\n"),
    "shell line": own("!true\n" + GOOD),
    "magic of a widget": own("%matplotlib widget\n" + GOOD, check=None),
    "help": own(GOOD + "\nmix?\n"),
    "an assert that fails": stops("assert False, 'my own note'"),
    "an error": stops("1 / 0"),
    "input": stops("name = input('Name? ')"),
    "exit": stops("raise SystemExit"),
    "endless loop": Style(((OWN, GOOD + "\nwhile True:\n    pass\n"),), check=None),
    "endless loop above": Style(((OWN, "import time\nwhile True:\n    time.sleep(1)\n" + GOOD),), check=None),
    "a call of check": own(GOOD + "\ncheck('90.1', mix)\n"),
    "a plot": own("import matplotlib.pyplot as plt\n" + GOOD + "\nplt.plot([mix(1.0, 1.0, 0.5)]); plt.show()\n"),
    "await": own(GOOD + "\nimport asyncio\nawait asyncio.sleep(0)\n"),
    "a note that is a string": own('"""My notes."""\n' + GOOD),
    # How it is written
    "lambda": own("mix = lambda signal, noise, alpha: alpha * signal + (1 - alpha**2) ** 0.5 * noise\n"),
    "alias": own("def mine(signal, noise, alpha):\n" + BODY + "mix = mine\n"),
    "alias, typed": own("def mine(signal, noise, alpha):\n" + BODY + "mix: object = mine\n"),
    "two names": own("def mine(signal, noise, alpha):\n" + BODY + "mix = blend = mine\n"),
    "partial": own(
        "from functools import partial\ndef mine(p, signal, noise, alpha):\n"
        "    return alpha * signal + (1 - alpha**p) ** 0.5 * noise\nmix = partial(mine, 2)\n"
    ),
    "an object that is called": own(
        "class Mix:\n    power = 2\n    def __call__(self, signal, noise, alpha):\n"
        "        return alpha * signal + (1 - alpha**self.power) ** 0.5 * noise\nmix = Mix()\n"
    ),
    "decorated": own("@torch.no_grad()\n" + GOOD),
    "decorated by its own": own("def keep(f):\n    return f\n\n@keep\n" + GOOD),
    "cached": own("import functools\n" + GOOD + "\nmix = functools.wraps(mix)(lambda *a, f=mix: f(*a))\n"),
    "after a branch": own("try:\n    import nowhere_at_all\nexcept ImportError:\n    nowhere_at_all = None\n" + GOOD),
    "in a branch": own(f"if torch is None:\n    mix = None\nelse:\n{textwrap.indent(GOOD, '    ')}"),
    "tabs": own(GOOD.replace("    ", "\t")),
    "Greek": own(
        "def mix(signal, noise, alpha):\n    σ = (1 - alpha**2) ** 0.5\n    return alpha * signal + σ * noise\n"
    ),
    "carriage returns": own(GOOD.replace("\n", "\r\n")),
    "half a character": own(GOOD + "# \ud83d\n", check=None),
    "hints that are not imported": own(GOOD.replace("alpha)", "alpha: Optional[float] = None)"), check=False),
    "hints from the future": own("from __future__ import annotations\n" + GOOD.replace("alpha)", "alpha: Scale)")),
    "defaults": own(GOOD.replace("alpha)", "alpha=0.5)")),
    "defined twice in the cell": own(BAD + "\n\n" + GOOD),
    # What it uses
    "a helper above": own("def square(x):\n    return x**2\n\n\n" + USES),
    "a helper below": own(USES + "\n\ndef square(x):\n    return x**2\n"),
    "a helper's constant": own("TWO = 2\ndef square(x):\n    return x**TWO\n\n" + USES),
    "an import": own("from operator import mul\n" + GOOD.replace("alpha * signal", "mul(alpha, signal)")),
    "a star import": own("from math import *\n" + GOOD.replace("(1 - alpha**2) ** 0.5", "sqrt(1 - alpha**2)")),
    "a table that is filled": own(
        "powers = {}\npowers['a'] = 2\nfor k in range(3):\n    powers[k] = k\n" + GOOD.replace("**2", "**powers[2]")
    ),
    "a list that grows": own("powers = []\npowers.append(2)\n" + GOOD.replace("**2", "**powers[0]")),
    "a counter": own("count = 0\n" + GOOD.replace("    return", "    global count\n    count += 1\n    return")),
    "default dtype": own("torch.set_default_dtype(torch.float64)\n" + GOOD),
    "prints": own(GOOD.replace("    return", "    print('here')\n    return")),
    "a name of another cell": Style(
        ((NEW, "def square(x):\n    return x**2\n"), (OWN, USES)), False, f"`square`, {LACKS}", "NameError", False
    ),
    "an import of another cell": Style(
        ((NEW, "import math\n"), (OWN, GOOD.replace("(1 - alpha**2) ** 0.5", "math.sqrt(1 - alpha**2)"))),
        False,
        f"`math`, {LACKS}",
        "NameError",
        False,
    ),  # fmt: skip
    "a library that is not there": own(
        "import nowhere_at_all\n" + GOOD.replace("    return", "    nowhere_at_all\n    return"),
        False,
        feedback="imports a module that is not there",
        check=False,
    ),
    # Where it stands
    "tried out in a cell of its own": Style(((OWN, GOOD), (OWN, "mix(1.0, 1.0, 0.5)\n"))),
    "below the stub": Style(((OWN, STUB), (NEW, GOOD)), flag="found in a cell below the one handed out"),
    "above the stub": Style(((NEW, GOOD), (OWN, STUB)), flag="found in a cell above the one handed out", check=False),
    "a lambda below the stub": Style(
        ((OWN, STUB), (NEW, "mix = lambda s, n, a: a * s + (1 - a**2) ** 0.5 * n")), flag="found in a cell below"
    ),
    "an alias below the stub": Style(
        ((OWN, STUB), (NEW, "def mine(s, n, a):\n    return a * s + (1 - a**2) ** 0.5 * n\nmix = mine")),
        flag="found in a cell below",
    ),
    "without its metadata": Style(((NEW, GOOD),), flag="metadata were lost"),
    "an alias without metadata": Style(
        ((NEW, "def mine(signal, noise, alpha):\n" + BODY + "mix = mine\n"),), flag="lost"
    ),
    "a lambda without metadata": Style(((NEW, "mix = lambda s, n, a: a * s + (1 - a**2) ** 0.5 * n"),), flag="lost"),
    "magic without metadata": Style(((NEW, "%%time\n" + GOOD),), flag="metadata were lost"),
    "decorated without metadata": Style(((NEW, "@torch.no_grad()\n" + GOOD),), flag="metadata were lost"),
    "two versions, the last one right": Style(((NEW, BAD), (NEW, GOOD)), flag="2 definitions; the last one was graded"),
    "two versions, the last one wrong": Style(
        ((NEW, GOOD), (NEW, BAD)), False, "2 definitions; the last one was graded", "Variances add", False
    ),
    "a duplicate that is empty": Style(((OWN, GOOD), (OWN, ""))),
    "a duplicate with an import": Style(((OWN, "import functools"), (OWN, GOOD))),
    "a second stub": Style(((OWN, GOOD), (NEW, STUB)), check=False),
    "wrapped by a later cell": Style(((OWN, GOOD), (NEW, "mix = torch.no_grad()(mix)\n"))),
    # What is rightly worth nothing, and says why
    "async": own("async " + GOOD, False, feedback="`async`"),
    "cut in the middle": Style(
        ((OWN, GOOD.partition("    return")[0]), (NEW, "    return alpha * signal\n")),
        False,
        feedback="SyntaxError",
        check=False,
    ),  # fmt: skip
    "no function": own("mix = 3\n", False, feedback="no function"),
    "another name": own(GOOD.replace("mix", "blend"), False, feedback="defines no function `mix`"),
    "not Python": own("Mein Text.\n" + GOOD, False, feedback="SyntaxError"),
    "the stub": own(STUB, False, feedback="not attempted"),
}


def notebook(cells: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The fixture as handed out, with these cells in place of exercise 90.1's."""
    made = blank()
    at = made["cells"].index(cell(made, "90.1"))
    handed_out, put = made["cells"][at], []
    for number, (where, text) in enumerate(cells):
        put.append(copy.deepcopy(handed_out) | {"id": f"cell-{number}", "source": text.splitlines(keepends=True)})
        if where == NEW:
            put[-1]["metadata"] = {}
    made["cells"][at : at + 1] = put
    return made


@pytest.fixture(scope="module")
def process() -> Iterator[Grader]:
    with grader(None, timeout=30.0) as made:
        yield made


SHELL = """
import json, os, sys, tempfile
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config
import torch

os.chdir(tempfile.mkdtemp())
sys.stdin = open(os.devnull)
settings = Config()
settings.HistoryManager.hist_file = ":memory:"
said = {}
for name, cells in json.load(open(sys.argv[1])).items():
    shell = InteractiveShell.instance(config=settings)
    for cell in cells:
        with capture_output() as output:
            shell.run_cell(cell, store_history=True)
    said[name] = output.stdout
    shell.reset()
    torch.set_default_dtype(torch.float32)
json.dump(said, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def said_by_check(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `check` says of each style, in IPython, where its cells are run in order."""
    setup = "".join(next(cell for cell in blank()["cells"] if "setup" in cell["metadata"].get("tags", ()))["source"])
    cells = {
        name: [setup, *(text for _, text in style.cells), 'check("90.1", mix)']
        for name, style in STYLES.items()
        if style.check is not None
    }
    folder = tmp_path_factory.mktemp("shell")
    (folder / "cells.json").write_text(json.dumps(cells))
    command = [sys.executable, "-c", SHELL, str(folder / "cells.json"), str(folder / "said.json")]
    path = f"{ROOT}:{FIXTURES}"
    done = subprocess.run(
        command, env={**environment(), "PYTHONPATH": path}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads((folder / "said.json").read_text()))


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("NBGRADER")}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(STYLES))
def test_the_grade_is_as_expected_and_says_why(process: Grader, tmp_path: Path, name: str) -> None:
    style, result = STYLES[name], graded(process, notebook(STYLES[name].cells), tmp_path)
    found = row(result, "90.1")
    assert (found.points == 2) == style.right, found
    assert style.flag in found.flag and bool(style.flag) == bool(found.flag), found
    assert style.feedback in found.feedback and found.feedback, found
    assert "grading cell stopped" not in found.feedback


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, style in STYLES.items() if style.check is not None])
def test_check_agrees_with_the_grade(said_by_check: dict[str, str], name: str) -> None:
    said = said_by_check[name]
    assert (said.strip() == "Exercise 90.1: right.") == STYLES[name].check, said


def graded(process: Grader, made: dict[str, Any], folder: Path) -> Grade:
    return process.grade(save_to(folder / "submission.ipynb", made))


def test_check_and_grade_differ_only_where_the_kernel_has_another_function_than_the_notebook() -> None:
    differ = {name for name, style in STYLES.items() if style.check is not None and style.check != style.right}
    assert differ == {"above the stub", "a second stub", "hints that are not imported"}


@pytest.mark.parametrize("name", ["a helper above", "an assert that fails", "%%time"])
def test_what_is_graded_is_the_learners_text_byte_for_byte_without_what_it_does_not_need(
    tmp_path: Path, name: str
) -> None:
    path = save_to(tmp_path / "a.ipynb", notebook(STYLES[name].cells))
    source = find_solutions(read_submission(path), read_source(COURSE.source(NAME)))["90.1"].source
    assert source is not None and (USES if "helper" in name else GOOD).strip() in source
    assert "assert" not in source and "%%" not in source
