"""`check`: what a learner sees under an exercise."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .answers import REASONS, describe
from .contract import Call, Case
from .judging import Verdict, judge_function
from .live import name_in_call, needs_of
from .registry import PACKAGE, load


def check(id: str, function: Any, *, package: str = PACKAGE) -> None:
    """Judge `function` as the answer to exercise `id` and print the verdict.

    Never raises in a learner's notebook. It does when nbgrader executes the notebook (it sets NBGRADER_EXECUTION):
    there, an exercise without a right answer has to fail.
    """
    try:
        name = name_in_call(sys._getframe(1), str(id))
        right, text = verdict_text(id, function, package, name)
    except Exception as error:  # one that no test has thought of; a traceback of ours would help no learner
        right, text = False, f"check: {type(error).__name__} in `check` itself. Please report it with your function."
    if not right and os.environ.get("NBGRADER_EXECUTION"):
        raise AssertionError(text)
    print(text.encode("utf-8", "backslashreplace").decode())  # half a character cannot be shown


def verdict_text(id: str, function: Any, package: str = PACKAGE, name: str = "") -> tuple[bool, str]:
    """Whether the function is right, and the text that `check` prints: the same for the same function, on every run.

    `name` is what the notebook calls the function.
    """
    try:
        exercise = load(id, package)
    except ValueError as error:
        return False, f"check: {error}."
    if not callable(function):
        got = type(function).__name__
        return False, f"Exercise {id}: expected a function, got {got}. Pass it by its name, without brackets."
    verdict = judge_function(exercise, exercise.draw_cases(), function, exercise.answers)
    needs = needs_of(function, id[:2], package, name)
    if needs.missing and verdict.status != "unattempted":
        return False, (
            f"Exercise {id}: not right yet.\n  your function uses {_listed(needs.missing)} from outside;"
            " only the names of the setup cell and of its own cell are there when it is graded.\n"
            "  hint: pass it as an argument, or define it inside the function or in its cell."
        )
    text = _text(id, verdict, function)
    if needs.libraries and verdict.status == "right":
        text += f"\n  note: {_listed(needs.libraries)} does not come with the course; ask whether the grader has it."
    return verdict.status == "right", text


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _text(id: str, verdict: Verdict, function: Callable[..., Any]) -> str:
    if verdict.status == "right":
        return f"Exercise {id}: right."
    if verdict.status == "unattempted":
        return f"Exercise {id}: not attempted yet."
    lines = [f"Exercise {id}: not right yet."]
    if verdict.case:
        lines.append(f"  case: {verdict.case.name}{_inputs(verdict.case, function)}")
    if verdict.failure:
        failure = verdict.failure
        said = failure.message if failure.kind in REASONS else f"your function stopped with {failure}"
        lines.append(f"  {said}")
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
    except Exception:  # what is no plain function has no signature, or a strange one
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
