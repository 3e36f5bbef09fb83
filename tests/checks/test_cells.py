"""Cells are taken apart as text: what defines a function, and what of its cell that function needs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_checks.cells import definitions, part_of, python_of

STUB = 'def f(x):\n    """Twice x."""\n    raise NotImplementedError'


def graded(text: str, setup: tuple[str, ...] = ("torch",)) -> str:
    part = part_of(text, "f", setup)
    assert part is not None
    return part.source


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x",
        "async def f(x):\n    return x",
        "class f:\n    pass",
        "f = lambda x: x",
        "f: object = lambda x: x",
        "(f := lambda x: x)",
        "g = f = h",
        "f = partial(g, 1)",
        "f = table['f']",
        "from here import f",
        "from here import g as f",
        "import f",
        "if True:\n    pass\nelse:\n    def f(x): pass",
        "try:\n    pass\nexcept Error:\n    f = g",
        "with no_grad():\n    def f(x): pass",
        "match x:\n    case 1:\n        def f(x): pass",
        "%%time\ndef f(x):\n    return x",
        "!ls\n%load_ext autoreload\ndef f(x):\n    return x\nf?",
        "def f(x):\r\n    return x\r\n",
        "\ufefff = g".lstrip("\ufeff"),
        "def f(x):\n    return x\nf = cached(f)",
    ],
)
def test_what_gives_the_name_a_function_is_a_definition(text: str) -> None:
    assert "f" in definitions(text)


@pytest.mark.parametrize(
    "text",
    [
        "f(3)",
        "f = 3",
        "f = [1, 2]",
        "f = f(3)",
        "f = cached(f)",
        "f.steps = 3",
        "f[0] = g",
        "for f in range(3):\n    pass",
        "def g():\n    def f(x): pass",
        "class A:\n    def f(self): pass",
        "# def f(x):",
        "'''\ndef f(x):\n    pass\n'''",
        "%%bash\ndef f(x):\n    return x",
        "%%writefile f.py\ndef f(x):\n    return x",
        "def f(x:\n    return x",
        "",
    ],
)
def test_what_uses_or_only_mentions_it_is_none(text: str) -> None:
    assert "f" not in definitions(text)


def test_a_stub_is_known_by_what_it_does_not_by_its_signature_or_comments() -> None:
    other = "def f(x, scale=1.0):\n    # mine\n    raise NotImplementedError  # later"
    assert definitions(STUB)["f"] == definitions(other)["f"] == definitions("import math\n" + STUB)["f"] != ""
    assert definitions("def f(x):\n    return x")["f"] == ""
    assert definitions(STUB.replace("raise", "x = 1\n    raise"))["f"] != definitions(STUB)["f"]


@pytest.mark.parametrize(
    "dropped",
    ["assert f(1) == 2", "input()", "print(f(3))", "while True:\n    pass", "raise SystemExit", "y = f(2)", "1 / 0"]
    + ["plt.plot(f(3)); plt.show()", "for k in range(10**9):\n    f(k)", "with open('x') as file:\n    file.read()"],
)
@pytest.mark.parametrize("above", [False, True])
def test_what_the_function_does_not_need_is_left_out_and_lines_stay_where_they_are(dropped: str, above: bool) -> None:
    function = "def f(x):\n    # a note\n    return  2 * x"
    text = f"{dropped}\n{function}" if above else f"{function}\n{dropped}"
    source = graded(text)
    assert function in source and dropped not in source
    assert len(source.splitlines()) == len(text.splitlines())
    assert source.splitlines().index("def f(x):") == text.splitlines().index("def f(x):")


@pytest.mark.parametrize(
    "needed",
    [
        "import math",
        "from math import pi",
        "two = 2",
        "two: int = 2",
        "two, three = 2, 3",
        "def two():\n    return three\nthree = 3",
        "class two:\n    three = 3",
        "two = []\ntwo.append(3)",
        "two = {}\ntwo['a'] = 3",
        "two = {}\nfor k in range(3):\n    two[k] = k",
        "two = 1\ntwo += 1",
        "try:\n    import two\nexcept ImportError:\n    two = None",
        "if torch:\n    two = 2\nelse:\n    two = 3",
        "two = [0]\nfill(two)\ndef fill(x):\n    x[0] = 1",
    ],
)
def test_what_the_function_uses_stays_and_what_that_uses_and_what_changes_it(needed: str) -> None:
    text = f"{needed}\ndef f(x):\n    return math, pi, two\nprint(f(1))"
    source = graded(text, ("torch", "math", "pi", "two"))
    assert needed in source and "print" not in source


def test_names_from_nowhere_are_listed_and_hints_are_not_looked_up() -> None:
    part = part_of("def f(x: Array) -> Optional[float]:\n    return square(x) + torch.pi", "f", ("torch",))
    assert part is not None and part.outside == ("square",)
    assert part.source.startswith("from __future__ import annotations\n")
    known = part_of("def f(x: Tensor):\n    return x", "f", ("Tensor",))
    assert known is not None and known.source == "def f(x: Tensor):\n    return x"


def test_what_is_no_python_has_no_part() -> None:
    assert part_of("def f(x:\n", "f", ()) is None and part_of("g = 1", "f", ()) is None
    assert python_of("%%html\n<b>f</b>") is None and python_of("def f(:") is None


PIECES = [
    "def f(x):\n    return x\n",
    "f = ",
    "(",
    "[" * 50,
    "'''",
    "%%time\n",
    "%",
    "!",
    "?",
    "\\\n",
    "\x00",
    "\ud83d",
]
PIECES += [
    "if True:\n",
    "    ",
    "\t",
    "\r",
    "\x0c",
    "lambda: ",
    "await ",
    "return\n",
    "del f\n",
    "import f\n",
    "é",
    "@",
]
PIECES += [
    "async ",
    "global f\n",
    "class A:\n    f = f\n",
    "match f:\n    case _:\n        ",
    "f: int = 3\n",
    "*",
    "\ufeff",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join))
def test_no_text_makes_it_stop(text: str) -> None:
    found = definitions(text)
    part = part_of(text, "f", ("torch",))
    assert (part is not None) == ("f" in found)
    if part is not None:
        assert "f" in definitions(part.source), "what is left defines the function still"
        again = part_of(part.source, "f", ("torch",))
        assert again is not None and again.outside == part.outside


DEEP = {
    "brackets": "(" * 5000 + ")" * 5000,
    "signs": "-" * 20_000 + "1",
    "names": "f = " * 5000 + "g",
    "blocks": "\n".join(" " * k + "if x:" for k in range(300)),
}


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP.keys())
def test_what_nests_too_deeply_is_no_python(deep: str) -> None:
    assert isinstance(dict(definitions("f = g\n" + deep)), dict)
    part_of("f = g\n" + deep, "f", ())


def test_a_long_cell_is_taken_apart_in_a_moment() -> None:
    lines = [f"x{k} = x{k - 1} if {k} else 0" for k in range(2000)]
    random.Random(0).shuffle(lines)
    source = graded("\n".join(["def f(x):\n    return x1999", *lines]))
    assert source.count("pass") == 0 and len(source) > 40_000
