"""Every registered exercise keeps the exercise contract, and `check` says what it should."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from course_checks import Call, Case, Exercise, WrongAnswer, check, equation, load, notebooks, of_notebook, wire
from course_checks.answers import Tolerance, describe, difference, gap, plain, widen
from course_checks.checking import verdict_text
from course_checks.judging import compare, judge_function
from course_checks.names import global_names, outside
from course_checks.running import Outcome, run

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))
FIXTURE = "fixture_exercises"

COURSE = [exercise for number in notebooks() for exercise in of_notebook(number)]
ALL = [*COURSE, *of_notebook("90", FIXTURE)]
SEEDS = (0, 1, "a teacher's")

each_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)


# Every exercise


@each_exercise
def test_the_reference_is_right_for_every_seed(exercise: Exercise) -> None:
    for seed in SEEDS:
        verdict = judge_function(exercise, exercise.draw_cases(seed), exercise.reference)
        assert verdict.status == "right", (seed, verdict)


@each_exercise
def test_a_wrong_answer_is_caught_with_its_own_hint(exercise: Exercise) -> None:
    for wrong in exercise.wrong_answers:
        for seed in SEEDS:
            verdict = judge_function(exercise, exercise.draw_cases(seed), wrong.function)
            assert verdict.status in ("wrong", "error") and verdict.hint == wrong.hint, (seed, wrong.hint, verdict)


@each_exercise
def test_wrong_answers_are_plausible_clearly_wrong_and_told_apart(exercise: Exercise) -> None:
    """Some are right on a special value, as mistakes that are really made are; each is far off on a case, by itself."""
    cases = exercise.draw_cases()
    expected = [run(exercise.reference, case, exact=True) for case in cases]
    answers = [[run(wrong.function, case, exact=True) for case in cases] for wrong in exercise.wrong_answers]
    right_somewhere = 0
    for wrong, got in zip(exercise.wrong_answers, answers, strict=True):
        triples = list(zip(cases, got, expected, strict=True))
        right_somewhere += any(compare(exercise, *triple) is None for triple in triples)
        assert max(distance(exercise, a, b) for _, a, b in triples) > 1e-3, f"never clearly wrong: {wrong.hint}"
    assert right_somewhere or len(cases) == 1, "no wrong answer is right on any case: no case is special"
    for k, mine in enumerate(answers):
        for other, theirs in zip(exercise.wrong_answers[k + 1 :], answers[k + 1 :], strict=True):
            pairs = zip(cases, mine, theirs, strict=True)
            assert any(compare(exercise, *pair) for pair in pairs), (exercise.wrong_answers[k].hint, other.hint)


def distance(exercise: Exercise, got: Outcome, expected: Outcome) -> float:
    if got.failure or expected.failure:
        return math.inf if got.failure != expected.failure else 0.0
    return gap(canonical(exercise, got), canonical(exercise, expected))


def canonical(exercise: Exercise, outcome: Outcome) -> Any:
    value = widen(outcome.value)
    return plain(exercise.canonical(value)) if exercise.canonical else value


@each_exercise
def test_a_stub_is_unattempted(exercise: Exercise) -> None:
    def stub(*args: Any, **kwargs: Any) -> Any:
        """As the build leaves it."""
        raise NotImplementedError

    assert judge_function(exercise, exercise.draw_cases(), stub).status == "unattempted"


@each_exercise
def test_cases_are_drawn_from_the_seed_alone_and_can_be_written_down(exercise: Exercise) -> None:
    cases = exercise.draw_cases(3)
    text = wire.encode_cases(cases)
    assert wire.encode_cases(exercise.draw_cases(3)) == text
    assert len(text) < 10**6, "cases are written into grading cells: keep them small"
    names = [case.name for case in cases]
    assert len(set(names)) == len(names) and all(names)
    for case, decoded in zip(cases, wire.decode_cases(text), strict=True):
        here, there = run(exercise.reference, case), run(exercise.reference, decoded)
        assert here.failure is None and there.failure is None, (case.name, here, there)
        assert compare(exercise, case, there, here) is None, case.name
        assert not here.changed_inputs, case.name


@each_exercise
def test_an_answer_survives_the_wire(exercise: Exercise) -> None:
    for case in exercise.draw_cases():
        value = run(exercise.reference, case).value
        assert difference(wire.decode_answer(wire.encode(value)), value, Tolerance(0, 0, 0)) is None


@pytest.mark.parametrize("exercise", COURSE, ids=lambda exercise: exercise.id)
def test_a_course_exercise_is_complete(exercise: Exercise) -> None:
    cases = exercise.draw_cases()
    tensors = any("float64" in wire.encode_cases([case]) for case in cases)
    assert any(case.float32 for case in cases) or not tensors, "no float32 case"
    assert load(exercise.id) is exercise
    hints = [wrong.hint for wrong in exercise.wrong_answers]
    assert hints and all(len(hint) > 20 for hint in hints) and len(set(hints)) == len(hints)
    for name in exercise.answers:
        module, _, function = name.rpartition(".")
        found = wire.named(f"{module}:{function}") if module else None
        assert callable(found), f"{name} is not importable"


@each_exercise
def test_the_text_of_check_repeats(exercise: Exercise) -> None:
    package = FIXTURE if exercise.id.startswith("90") else "course_checks"
    for wrong in exercise.wrong_answers:
        first, second = (verdict_text(exercise.id, wrong.function, package) for _ in range(2))
        assert first == second and not first[0]


# check, on the fixture's first exercise: mix(signal, noise, alpha)


def say(function: Any, capsys: pytest.CaptureFixture[str], id: str = "90.1") -> str:
    check(id, function, package=FIXTURE)
    out, err = capsys.readouterr()
    assert err == ""
    return out


def right(signal: torch.Tensor, noise: torch.Tensor, alpha: float) -> torch.Tensor:
    return alpha * signal + (1 - alpha**2) ** 0.5 * noise


def test_check_prints_one_fixed_line_when_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(right, capsys) == "Exercise 90.1: right.\n"


def test_check_tells_case_inputs_got_expected_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    text = say(lambda signal, noise, alpha: alpha * signal + (1 - alpha) * noise, capsys)
    signal, noise, alpha = load("90.1", FIXTURE).draw_cases()[0].args
    lines = text.splitlines()
    assert lines[0] == "Exercise 90.1: not right yet."
    assert lines[1] == "  case: three numbers"
    assert f"signal = float64 (3,) [{signal[0]:.6g}," in lines[2] and "alpha = 0.6" in lines[2]
    assert lines[3] == "  3 of 3 numbers differ, first at index [0]"
    assert lines[4].startswith(f"  got:      {0.6 * signal[0] + 0.4 * noise[0]:.6g} ")
    assert lines[5].startswith(f"  expected: {0.6 * signal[0] + 0.8 * noise[0]:.6g} ")
    assert lines[6] == "  hint: Variances add, standard deviations do not."


def test_check_names_type_message_and_line_of_an_exception(capsys: pytest.CaptureFixture[str]) -> None:
    def stops(signal, noise, alpha):  # type: ignore[no-untyped-def]
        total = signal + noise
        return total.missing_method()

    text = say(stops, capsys)
    assert "AttributeError: 'Tensor' object has no attribute 'missing_method' (line 3 of your function" in text


def test_check_gives_the_line_in_the_function_when_the_library_raises(capsys: pytest.CaptureFixture[str]) -> None:
    def stops(signal, noise, alpha):  # type: ignore[no-untyped-def]
        return (
            signal.reshape(7)
        )  # fmt: skip

    assert "(line 3 of your function: `signal.reshape(7)`)" in say(stops, capsys)


def test_a_stub_with_a_message_or_a_deeper_not_implemented_is_an_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    def deeper(*args: Any) -> Any:
        def inner() -> None:
            raise NotImplementedError

        inner()

    assert "not right yet" in say(deeper, capsys)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda signal, noise, alpha: None, "returned None: is a `return` missing?"),
        (lambda signal, noise, alpha: "text", "object of type str"),
        (lambda signal, noise, alpha: {"a": 1}, "object of type dict"),
        (lambda signal, noise, alpha, mix=right: (mix(signal, noise, alpha),), "got:      a tuple of 1"),
        (lambda signal, noise, alpha, mix=right: mix(signal, noise, alpha)[None], "the shape differs"),
        (lambda signal, noise, alpha, mix=right: mix(signal, noise, alpha) > 0, "the type differs"),
        (lambda signal, noise, alpha: signal * float("nan"), "got:      nan"),
        (lambda signal: signal, "TypeError"),
        (lambda signal, noise, alpha, stop=sys.exit: stop(3), "SystemExit: 3"),
        (lambda signal, noise, alpha: signal.mul_(alpha).add_((1 - alpha**2) ** 0.5 * noise), "in place"),
        (3, "expected a function, got int"),
        (None, "expected a function, got NoneType"),
    ],
)
def test_check_explains_what_is_not_an_answer(function: Any, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in say(function, capsys)


def test_check_survives_hostile_objects(capsys: pytest.CaptureFixture[str]) -> None:
    class Liar:
        def __eq__(self, other: object) -> bool:
            return True

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def mute(signal, noise, alpha, error=Mute):  # type: ignore[no-untyped-def]
        raise error

    assert "object of type Liar" in say(lambda *args, kind=Liar: kind(), capsys)
    assert "stopped with Mute" in say(mute, capsys)


def test_check_of_an_unknown_id_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(right, capsys, "90.9") == "check: there is no exercise 90.9; notebook 90 has 90.1, 90.2, 90.3, 90.4.\n"
    assert "such as '02.3'" in say(right, capsys, 5)  # type: ignore[arg-type]


def test_check_swallows_what_the_function_prints(capsys: pytest.CaptureFixture[str]) -> None:
    def loud(signal, noise, alpha):  # type: ignore[no-untyped-def]
        import warnings

        print("Exercise 90.1: right.")
        warnings.warn("more noise", stacklevel=1)
        return signal

    assert say(loud, capsys).count("right.") == 0


def test_check_names_globals_from_outside_setup(capsys: pytest.CaptureFixture[str]) -> None:
    text = say(lambda signal, noise, alpha: right(signal, noise, alpha), capsys)
    assert "your function uses `right` from outside" in text


def test_check_raises_only_where_nbgrader_executes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stub(*args: Any) -> Any:
        raise NotImplementedError

    assert say(stub, capsys) == "Exercise 90.1: not attempted yet.\n"
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match=r"not attempted yet"):
        check("90.1", stub, package=FIXTURE)
    assert say(right, capsys) == "Exercise 90.1: right.\n"


def test_an_interruption_by_the_user_is_not_swallowed() -> None:
    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("90.1", interrupted, package=FIXTURE)


def test_many_right_forms_are_right_through_the_canonical_form(capsys: pytest.CaptureFixture[str]) -> None:
    def rotated(cov: torch.Tensor) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(cov)
        return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T

    assert say(rotated, capsys, "90.3") == "Exercise 90.3: right.\n"
    assert "not right yet" in say(lambda cov: 3, capsys, "90.3")


# The float32 case


def exercise_with(reference: Callable[..., Any], case: Case, **options: Any) -> Exercise:
    return Exercise("90.9", "made for a test", 1, reference, lambda generator: [case], (), **options)


def test_float32_inputs_reach_the_function_and_float32_answers_have_their_own_tolerance() -> None:
    third = torch.tensor([1 / 3], dtype=torch.float64)
    seen = []

    def times(x: torch.Tensor, error: float = 0.0) -> torch.Tensor:
        seen.append(x.dtype)
        return 3 * x * (1 + error)

    exercise = exercise_with(lambda x: 3 * x, Case("single", (third,), float32=True))
    assert judge_function(exercise, exercise.draw_cases(), lambda x: times(x, 3e-4)).status == "right"
    assert judge_function(exercise, exercise.draw_cases(), lambda x: times(x, 3e-3)).status == "wrong"
    assert set(seen) == {torch.float32}
    assert exercise.draw_cases()[0].inputs(exact=True)[0][0].dtype == torch.float64
    assert float(exercise.draw_cases()[0].inputs(exact=True)[0][0]) == float(np.float32(1 / 3)), "not rounded first"


def test_a_float32_answer_to_float64_inputs_is_told_so() -> None:
    exercise = exercise_with(lambda x: x - 1, Case("double", (torch.tensor([1.0001, 2.0], dtype=torch.float64),)))
    verdict = judge_function(exercise, exercise.draw_cases(), lambda x: x.float() - 1)
    assert verdict.difference and "your answer is only float32" in verdict.difference.reason


# Values


@pytest.mark.parametrize(
    ("got", "expected", "equal"),
    [
        (1.0, 1.0 + 5e-7, True),
        (1.0, 1.0 + 5e-6, False),
        (1e-30, 2e-30, True),  # below the floor
        (1e-8, 2e-8, False),
        (0, 0.0, True),
        (2, 2.0, True),
        (2.0, 2, False),
        (True, 1, False),
        (math.nan, math.nan, True),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (1e308, math.inf, False),
        (torch.tensor(2.0), 2.0, True),
        (torch.tensor([2.0]), 2.0, False),
        ((1.0, 2), (1.0, 2), True),
        ((1.0, 2), (1.0, 2, 3), False),
        ((1.0, (2, torch.ones(2))), (1.0, (2, torch.ones(2))), True),
        (torch.empty(0), torch.empty(0), True),
        (torch.empty(0, 2), torch.empty(2, 0), False),
        (2**70, 2**70, True),
        (1 + 1e-9j, 1.0 + 0j, True),
    ],
)
def test_answers_are_compared_by_value(got: Any, expected: Any, equal: bool) -> None:
    assert (difference(plain(got), plain(expected), Tolerance()) is None) is equal


def test_roundoff_beside_large_numbers_is_no_difference_but_alone_it_is() -> None:
    large = torch.tensor([1e3, 0.0], dtype=torch.float64)
    assert difference(large + 1e-7 * torch.tensor([0, 1]), large, Tolerance()) is None
    assert difference(torch.tensor([1e-7, 0.0]).double(), torch.zeros(2).double(), Tolerance()) is not None


def test_cancelling_errors_are_seen() -> None:
    """Pitfall 11: signed differences that sum to zero."""
    assert difference(torch.tensor([1.1, 0.9]), torch.ones(2), Tolerance()) is not None


def test_the_first_difference_is_located_inside_tuples() -> None:
    found = difference((1.0, (2.0, torch.tensor([0.0, 5.0]))), (1.0, (2.0, torch.tensor([0.0, 6.0]))), Tolerance())
    assert found and found.reason.startswith("value 2 of 2: value 2 of 2: 1 of 2 numbers differ, first at index [1]")
    assert found.got.startswith("5 in") and found.expected.startswith("6 in")


def test_arrays_lists_and_small_dataclasses_are_plain_answers() -> None:
    from course_lib.gaussian import Isotropic

    value = plain([np.float64(2.5), np.arange(3), Isotropic(torch.zeros(2), torch.ones(()))])
    assert describe(value) == "(2.5, int64 (3,) [0, 1, 2], (float32 (2,) [0, 0], 1))"
    assert plain(torch.nn.Parameter(torch.ones(1))).requires_grad is False
    with pytest.raises(TypeError, match="deeper than 3"):
        plain(((((1,),),),))


# The wire


@pytest.mark.parametrize("dtype", list(wire.DTYPES.values()), ids=str)
def test_tensors_of_every_dtype_travel_bit_by_bit(dtype: torch.dtype) -> None:
    for shape in ((), (0,), (3,), (2, 0, 3), (2, 3)):
        value = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        back = wire.decode_answer(wire.encode(value))
        assert back.dtype == dtype and back.shape == value.shape and torch.equal(back, value)


@pytest.mark.parametrize("value", [0.1, math.inf, -math.inf, 1e-310, 3, -(2**80), True, (1, (2.0, ()), 1 + 2j)])
def test_numbers_travel_exactly(value: Any) -> None:
    back = wire.decode_answer(wire.encode(value))
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        *(None, 3, [], {}, {"value": [1]}, {"float": 3}, {"float": "x"}, {"tuple": 3}, {"call": "os:system"}),
        *({"name": "os:system"}, {"list": []}, {"dict": {}}, {"value": 1, "float": "0x1p0"}, {"complex": ["0x1p0"]}),
        {"tuple": [{"tuple": [{"tuple": [{"tuple": []}]}]}]},
        {"tensor": {"dtype": "float64", "shape": [2], "data": ""}},
        {"tensor": {"dtype": "float64", "shape": [-1], "data": ""}},
        {"tensor": {"dtype": "float64", "shape": [True], "data": "AAAAAAAAAAA="}},
        {"tensor": {"dtype": "object", "shape": [], "data": "AAAAAAAAAAA="}},
        {"tensor": {"dtype": "float64", "shape": [], "data": "not base64!"}},
        {"tensor": {"dtype": "bool", "shape": [1], "data": "Ag=="}},
        {"tensor": {"dtype": "float64", "shape": [0, 10**30], "data": "", "more": 1}},
    ],
)
def test_malformed_answers_are_refused(data: Any) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode_answer(data)


def test_recipes_are_rebuilt_by_name_and_fresh_for_every_run() -> None:
    case = Case("a recipe", (Call(torch.linspace, 0, 1, steps=3), [torch.ones(1)], {"k": (None, "text")}))
    (back,) = wire.decode_cases(wire.encode_cases([case]))
    assert back.args[0].function is torch.linspace and back.args[1:] == case.args[1:]
    first = run(lambda x, y, z: x.add_(1), back).value
    second = run(lambda x, y, z: x, back).value
    assert torch.equal(first, torch.tensor([1, 1.5, 2])) and torch.equal(second, torch.tensor([0, 0.5, 1]))


def test_a_function_without_a_name_cannot_be_written_down() -> None:
    with pytest.raises(TypeError, match="no importable name"):
        wire.encode(lambda: 0)


# Names


def test_global_names_see_nested_functions_and_classes_but_not_locals() -> None:
    code = compile(
        "def f(x):\n"
        "    class Local:\n"
        "        size = y\n"
        "    def inner(): return [torch.ones(k) for k in range(z)]\n"
        "    local = 1\n"
        "    return inner() + local + len(x)\n",
        "cell",
        "exec",
    )
    assert outside(global_names(code), ["torch"]) == ["y", "z"]


# Equations


def test_an_equation_that_is_one_percent_off_fails() -> None:
    with pytest.raises(AssertionError, match=r"equation \(03.4\): the sides differ: left 1.01, right 1"):
        equation("03.4", 1.01, 1.0)
    with pytest.raises(AssertionError, match="1 of 2 numbers differ"):
        equation("03.4", torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.02]), rtol=5e-3)


def test_an_equation_that_holds_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    equation("03.4", torch.ones(2), np.ones(2) + 1e-9)
    assert capsys.readouterr().out == "Equation (03.4): both sides agree.\n"


# The package


def test_exercises_are_validated() -> None:
    with pytest.raises(ValueError, match="such as 02.3, not '2.3'"):
        Exercise("2.3", "", 1, right, lambda g: [], (WrongAnswer(right, "hint"),))
    with pytest.raises(ValueError, match="-1 points"):
        Exercise("02.3", "", -1, right, lambda g: [], ())


def test_importing_check_loads_no_notebooks_exercises() -> None:
    code = "import sys, course_checks; print([m for m in sys.modules if m.startswith('course_checks.nb')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"
