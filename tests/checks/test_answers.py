"""What a function may return: right by value whatever it is made of, or one clear sentence, from `check` and grade."""

from __future__ import annotations

import array
import json
import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from course_checks import Case, Exercise
from course_checks.checking import _text
from course_checks.in_kernel import MIME, answer
from course_checks.judging import judge_function
from course_checks.wire import encode_cases
from course_staff.grading.verdicts import Judged, judge_outputs

VALUES = torch.tensor([[0.1, -2.5, 3.0], [4.0, 0.0, -1e-3]], dtype=torch.float64)
SCALAR, WHOLE = 0.3, 7
Answer = Callable[[], Any]


def exercise(expected: Any, cases: int = 2) -> Exercise:
    return Exercise(
        id="90.9",
        title="Return what is expected",
        points=1,
        reference=lambda x: expected,
        cases=lambda g: [Case(f"case {number}", (float(number),)) for number in range(cases)],
        wrong_answers=(),
    )


def both(expected: Any, function: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[str, Judged]:
    """What `check` prints, and what a grading kernel's message is judged to be."""
    task = exercise(expected)
    cases = task.draw_cases()
    said = _text("90.9", judge_function(task, cases, function), function)
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw=False, **_: shown.append(data))
    answer(function, encode_cases(cases), "90.9", "nonce")
    assert all(type(message[MIME]) is str for message in shown)
    return said, judge_outputs(task, cases, [{"data": message} for message in shown], "nonce")


def strided() -> Any:
    wide = np.zeros((2, 6))
    wide[:, ::2] = VALUES.numpy()
    return wide[:, ::2]


def own_class() -> Tensor:
    class Mine(Tensor):
        pass

    return VALUES.as_subclass(Mine)


@dataclass
class Box:
    values: Tensor


TENSOR: dict[str, Answer] = {
    "a tensor": lambda: VALUES,
    "NumPy": VALUES.numpy,
    "negative strides": lambda: VALUES.numpy()[::-1, ::-1].copy()[::-1, ::-1],
    "every second column": strided,
    "Fortran's order": lambda: np.asfortranarray(VALUES.numpy()),
    "big-endian": lambda: VALUES.numpy().astype(">f8"),
    "long double": lambda: VALUES.numpy().astype(np.longdouble),
    "objects": lambda: VALUES.numpy().astype(object),
    "read-only": lambda: np.broadcast_to(VALUES.numpy(), (1, 2, 3))[0],
    "a matrix": lambda: np.asmatrix(VALUES.numpy()),
    "a masked array without a gap": lambda: np.ma.masked_array(VALUES.numpy()),
    "lists": VALUES.tolist,
    "a tuple of rows": lambda: tuple(VALUES),
    "a list of rows": lambda: list(VALUES),
    "rows of NumPy": lambda: list(VALUES.numpy()),
    "lists of 0-d tensors": lambda: [list(row) for row in VALUES],
    "fractions": lambda: [[Fraction(float(x)) for x in row] for row in VALUES],
    "rows of the array module": lambda: [array.array("d", row) for row in VALUES.tolist()],
    "sparse": VALUES.to_sparse,
    "compressed rows": VALUES.to_sparse_csr,
    "needing a gradient": lambda: VALUES.clone().requires_grad_(),
    "a parameter": lambda: torch.nn.Parameter(VALUES.clone()),
    "a class of its own": own_class,
    "a view": lambda: VALUES.T.contiguous().T,
    "a lazily negated": lambda: torch._neg_view(-VALUES),
    "a nested tensor": lambda: torch.nested.nested_tensor(list(VALUES)),
}
NUMBER: dict[str, Answer] = {
    "a float": lambda: SCALAR,
    "a 0-d tensor": lambda: torch.tensor(SCALAR, dtype=torch.float64),
    "a 0-d array": lambda: np.array(SCALAR),
    "NumPy's own": lambda: np.float64(SCALAR),
    "long double": lambda: np.longdouble(SCALAR),
    "a decimal": lambda: Decimal("0.3"),
    "a fraction": lambda: Fraction(3, 10),
    "a 0-d sparse tensor": lambda: torch.tensor(SCALAR, dtype=torch.float64).to_sparse(),
}
INTEGER: dict[str, Answer] = {
    "an int": lambda: WHOLE,
    "uint64": lambda: np.uint64(WHOLE),
    "int8": lambda: torch.tensor(WHOLE, dtype=torch.int8),
    "big-endian": lambda: np.array(WHOLE, dtype=">i2"),
    "a fraction": lambda: Fraction(14, 2),
}
RIGHT = [
    *((VALUES, form) for form in TENSOR.values()),
    *((SCALAR, form) for form in NUMBER.values()),
    *((WHOLE, form) for form in INTEGER.values()),
]
NAMES = [*TENSOR, *(f"number: {name}" for name in NUMBER), *(f"whole number: {name}" for name in INTEGER)]


@pytest.mark.parametrize(("expected", "form"), RIGHT, ids=NAMES)
def test_right_numbers_are_right_whatever_holds_them(
    expected: Any, form: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, judged = both(expected, lambda x: form(), monkeypatch)
    assert said == "Exercise 90.9: right." and judged == Judged("right", "right")


def endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


async def later(x: Any) -> Any:
    return VALUES


def yields(x: Any) -> Any:
    yield from VALUES


class Broken:
    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no array")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


NOT_NUMBERS = "something other than numbers, tensors or tuples of them"
WRONG: dict[str, tuple[Any, str, str]] = {  # an answer, what `check` says of it, what the grade says
    "a whole number too large for a float": (10**400, "the shape differs", "the shape differs"),
    "minus that": (-(10**4000), "the shape differs", "the shape differs"),
    "too large for 64 bits": ([[2**63] * 3] * 2, "differ", "differ"),
    "NaN": (VALUES * math.nan, "6 of 6 numbers differ", "6 of 6 numbers differ"),
    "infinity": (VALUES / 0, "numbers differ", "numbers differ"),
    "NaN in an integer's place": (torch.full((2, 3), -1), "numbers differ", "numbers differ"),
    "half precision": (VALUES.half(), "your answer is only float16", "your answer is only float16"),
    "brain floats": (VALUES.bfloat16(), "your answer is only bfloat16", "your answer is only bfloat16"),
    "eight bits": (VALUES.to(torch.float8_e5m2), "differ", "differ"),
    "complex": (VALUES.to(torch.complex128), "the type differs", "the type differs"),
    "an imaginary part": (VALUES + 1j, "the type differs", "the type differs"),
    "truth values": (VALUES > 0, "the type differs", "the type differs"),
    "0-d": (VALUES[0, 0], "the shape differs", "the shape differs"),
    "empty": (VALUES[:0], "the shape differs", "the shape differs"),
    "an empty list": ([], "differs", "differs"),
    "ragged": ([[0.1, -2.5], [3.0]], "differs", "differs"),
    "no numbers on the device": (VALUES.to("meta"), "but no numbers", "cannot be read"),
    "quantised": (torch.quantize_per_tensor(VALUES.float(), 1.0, 0, torch.qint8), "differ", "differ"),
    "a gap in a masked array": (np.ma.masked_less(VALUES.numpy(), 0), "numbers are missing", "cannot be read"),
    "words in an array": (np.array([["a"] * 3] * 2), "which holds no numbers", "cannot be read"),
    "dates": (np.array(["2026-01-01"], dtype="datetime64[D]"), "which holds no numbers", "cannot be read"),
    "records": (np.zeros(2, dtype=[("a", float)]), "which holds no numbers", "cannot be read"),
    "None": (None, "returned None: is a `return` missing?", "returned None: is a `return` missing?"),
    "a string": ("0.3", "an object of type str", NOT_NUMBERS),
    "bytes": (b"0.3", "an object of type bytes", NOT_NUMBERS),
    "a dictionary": ({"x": VALUES}, "an object of type dict", NOT_NUMBERS),
    "a set": ({0.3}, "an object of type set", NOT_NUMBERS),
    "a module": (types, "an object of type module", NOT_NUMBERS),
    "a class": (Box, "an object of type type", NOT_NUMBERS),
    "a list that holds itself": (endless(), "nests tuples deeper than 3", "nests tuples deeper than 3"),
    "deep": ([[[[[0.3], VALUES]]]], "nests tuples deeper than 3", "nests tuples deeper than 3"),
    "None inside": ([VALUES[0], None], "returned None", "returned None"),
    "an object that answers to nothing": (Broken(), "stopped with RuntimeError", "stopped with RuntimeError"),
    "more than there is room for": (torch.zeros(10**6, dtype=torch.float64), "the shape differs", "larger than 1 MB"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_no_right_answer_is_told_so_in_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, by_check, by_grade = WRONG[name]
    said, judged = both(VALUES, lambda x: value, monkeypatch)
    assert by_check in said and "not right yet" in said and len(said.splitlines()) <= 6, said
    assert by_grade in judged.feedback and judged.status in ("wrong", "error"), judged
    assert "\n" not in judged.feedback and "Traceback" not in said


@pytest.mark.parametrize(
    ("function", "words"), [(yields, "returned a generator"), (later, "is `async`, so that nobody has waited")]
)
def test_generators_and_coroutines_are_named(
    function: Any, words: str, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    said, judged = both(VALUES, function, monkeypatch)
    assert words in said and words in judged.feedback
    assert not [warning for warning in recwarn if "never awaited" in str(warning.message)]


@pytest.mark.parametrize("huge", [2**63, -(2**63) - 1, 10**300, 10**400, -(10**5000)], ids="abcde")
def test_whole_numbers_of_any_size_travel_and_are_compared(huge: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said, judged = both(huge, lambda x: huge, monkeypatch)
    assert said.endswith("right.") and judged.status == "right"
    said, judged = both(huge, lambda x: huge + 1, monkeypatch)
    assert "not right yet" in said and judged.status == "wrong" and len(said) < 500


def test_a_number_with_half_a_million_digits_is_no_answer_and_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = 1 << (5 * 10**6)
    said, judged = both(VALUES, lambda x: digits, monkeypatch)
    assert "not right yet" in said and len(said) < 500 and "larger than 1 MB" in judged.feedback


def test_settings_of_the_notebook_do_not_reach_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that grades has PyTorch's own defaults, so `check` uses them too, and puts the learner's back."""

    def dtype_of_new_ones(x: float) -> Tensor:
        return torch.ones(2, requires_grad=True).sum() * torch.finfo(torch.get_default_dtype()).bits

    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            said, judged = both(64.0, dtype_of_new_ones, monkeypatch)
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert said.endswith("right.") and judged.status == "right"


@pytest.mark.parametrize("kind", ["A B", "ä" * 3, "x" * 100, ""])
def test_an_exception_of_any_name_is_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = type(kind, (Exception,), {})

    def stops(x: float) -> None:
        raise error("why")

    said, judged = both(VALUES, stops, monkeypatch)
    assert "your function stopped with" in said and "the function stopped with" in judged.feedback


@pytest.mark.parametrize("value", [3, None, "text", [1]])
def test_what_is_no_function_is_told_so_in_the_grade(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw=False, **_: shown.append(data))
    task = exercise(VALUES)
    answer(value, encode_cases(task.draw_cases()), "90.9", "nonce")
    assert json.loads(shown[0][MIME])["exercise"] == "90.9"
    judged = judge_outputs(task, task.draw_cases(), [{"data": shown[0]}], "nonce")
    assert "is no function" in judged.feedback
