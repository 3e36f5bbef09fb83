"""`check`: what a learner sees under an exercise."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

from .answers import describe
from .contract import Call, Case
from .judging import Verdict, judge_function
from .names import outside_setup
from .registry import PACKAGE, load


def check(id: str, function: Any, *, package: str = PACKAGE) -> None:
    """Judge `function` as the answer to exercise `id` and print the verdict.

    Never raises in a learner's notebook. It does when nbgrader executes the notebook (it sets NBGRADER_EXECUTION):
    there, an exercise without a right answer has to fail.
    """
    right, text = verdict_text(id, function, package)
    if not right and os.environ.get("NBGRADER_EXECUTION"):
        raise AssertionError(text)
    print(text)


def verdict_text(id: str, function: Any, package: str = PACKAGE) -> tuple[bool, str]:
    """Whether the function is right, and the text that `check` prints: the same for the same function, on every run."""
    try:
        exercise = load(id, package)
    except ValueError as error:
        return False, f"check: {error}."
    if not callable(function):
        got = type(function).__name__
        return False, f"Exercise {id}: expected a function, got {got}. Pass it by its name, without brackets."
    verdict = judge_function(exercise, exercise.draw_cases(), function, exercise.answers)
    names = outside_setup(function, id[:2], package)
    if names and verdict.status != "unattempted":
        listed = ", ".join(f"`{name}`" for name in names)
        return False, (
            f"Exercise {id}: not right yet.\n  your function uses {listed} from outside;"
            " only the names of the setup cell are there when it is graded.\n"
            "  hint: pass it as an argument, or define it inside the function."
        )
    return verdict.status == "right", _text(id, verdict, function)


def _text(id: str, verdict: Verdict, function: Callable[..., Any]) -> str:
    if verdict.status == "right":
        return f"Exercise {id}: right."
    if verdict.status == "unattempted":
        return f"Exercise {id}: not attempted yet."
    lines = [f"Exercise {id}: not right yet."]
    if verdict.case:
        lines.append(f"  case: {verdict.case.name}{_inputs(verdict.case, function)}")
    if verdict.failure:
        lines.append(f"  your function stopped with {verdict.failure}")
    if verdict.difference:
        lines += [f"  {verdict.difference.reason}"] * bool(verdict.difference.reason)
        lines += [f"  got:      {verdict.difference.got}", f"  expected: {verdict.difference.expected}"]
    lines += [f"  hint: {verdict.hint}"] * bool(verdict.hint)
    return "\n".join(lines)


def _inputs(case: Case, function: Callable[..., Any]) -> str:
    """The inputs of a case by parameter name: " (x = float64 (3,) [0.1, ...], t = 0.5)"."""
    args, kwargs = case.inputs()
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
        parts = [f"{name} = {_input(value)}" for name, value in bound.items()]
    except (TypeError, ValueError):
        parts = [_input(value) for value in (*args, *kwargs.values())]
    return f"\n  inputs: {', '.join(parts)}" if parts else ""


def _input(value: Any) -> str:
    if isinstance(value, Call):
        inner = [_input(item) for item in value.args] + [
            f"{name}={_input(item)}" for name, item in value.kwargs.items()
        ]
        return f"{value.function.__name__}({', '.join(inner)})"
    if isinstance(value, (tuple, list)):
        inner = [_input(item) for item in value[:4]] + ["..."] * (len(value) > 4)
        return f"({', '.join(inner)})" if isinstance(value, tuple) else f"[{', '.join(inner)}]"
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return describe(value, 3)
