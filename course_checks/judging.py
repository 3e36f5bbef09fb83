"""Right or wrong, and why: outcomes against the reference's, and against those of the wrong answers we know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from .answers import Difference, Tolerance, difference, stack, widen
from .contract import Case, Exercise
from .forbidden import forbidden
from .running import Failure, Outcome, run

CHANGED_INPUTS = (
    "your function changes its inputs in place; work on a copy (`x = x.clone()`, or `x = x + ...` for `x += ...`)"
)


@dataclass(frozen=True)
class Verdict:
    """The judgement on a function. Where it is wrong: the first case that shows it, how, and a hint if there is one."""

    status: Literal["right", "wrong", "error", "unattempted"]
    case: Case | None = None
    difference: Difference | None = None
    failure: Failure | None = None
    hint: str = ""


def judge(exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Verdict:
    """Verdict on the outcomes of a function, one a case. Reference and wrong answers run here, in this process."""
    if outcomes and all(outcome.failure is not None and outcome.failure.stub for outcome in outcomes):
        return Verdict("unattempted")
    for case, outcome in zip(cases, outcomes, strict=True):
        if outcome.failure:
            return Verdict("error", case, failure=outcome.failure, hint=_hint(exercise, cases, outcomes))
        found = compare(exercise, case, outcome, run(exercise.reference, case, exact=True))
        if found:
            return Verdict("wrong", case, found, hint=_hint(exercise, cases, outcomes))
        if outcome.changed_inputs:
            return Verdict("wrong", case, hint=CHANGED_INPUTS)
    return Verdict("right")


def judge_function(
    exercise: Exercise, cases: Sequence[Case], function: Callable[..., Any], forbid: Sequence[str] = ()
) -> Verdict:
    """Run `function` on every case, then judge it. Library functions `forbid` refuse its calls."""
    with forbidden(forbid):
        outcomes = [run(function, case) for case in cases]
    return judge(exercise, cases, outcomes)


def compare(exercise: Exercise, case: Case, outcome: Outcome, expected: Outcome) -> Difference | None:
    """None where both outcomes agree: equal values within tolerance, or the same type of exception."""
    if expected.failure or outcome.failure:
        names = _failure_name(outcome), _failure_name(expected)
        return None if names[0] == names[1] else Difference("", *names)
    tolerance = (
        Tolerance(exercise.rtol32, exercise.rtol32 / 10, 1e-7)
        if case.float32
        else Tolerance(exercise.rtol, atol=exercise.atol)
    )
    got, want = outcome.value, widen(expected.value)
    if exercise.canonical:
        stacked = stack(got) if isinstance(want, Tensor) else None
        got = got if stacked is None else stacked
        try:
            got, want = exercise.canonical(widen(got)), exercise.canonical(want)
        except Exception:  # not the kind of object the canonical form expects: say so by type and shape
            return difference(got, want, tolerance) or Difference("not the right kind of answer", str(type(got)), "")
    return difference(got, want, tolerance)


def _failure_name(outcome: Outcome) -> str:
    return outcome.failure.kind if outcome.failure else "a value"


def _hint(exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> str:
    """The hint of the wrong answer that agrees with these outcomes on every case; empty where none does."""
    for wrong in exercise.wrong_answers:
        pairs = zip(cases, outcomes, strict=True)
        if all(
            compare(exercise, case, outcome, run(wrong.function, case, exact=True)) is None for case, outcome in pairs
        ):
            return wrong.hint
    return ""
