"""From an answer message, which may hold anything, to a verdict. Runs in the grader's process, never in the kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course_checks.answers import REASONS
from course_checks.contract import Case, Exercise
from course_checks.in_kernel import LARGEST_CASE, MIME
from course_checks.judging import Verdict, judge
from course_checks.running import Failure, Outcome
from course_checks.wire import Malformed, decode_answer

LARGEST_EXERCISE = 8 * 10**6  # characters of a message
EXPLAINED = {
    "WriteItYourself": "your function calls the library's own function for this exercise; write it yourself",
    "NotAFunction": "what your notebook calls by the function's name is no function",
    **REASONS,
    "AnswerTooLarge": f"the answer is larger than {LARGEST_CASE / 1e6:.0f} MB",
}


@dataclass(frozen=True)
class Judged:
    """A status word and feedback for the student, which tells no hidden input and no reference value."""

    status: str
    feedback: str
    hint: str = ""  # the recognised wrong answer's, for the class's statistics


def judge_outputs(
    exercise: Exercise, cases: Sequence[Case], outputs: Sequence[Mapping[str, Any]], nonce: str
) -> Judged:
    """Verdict on what a grading cell put out. Everything but the one answer message is ignored."""
    try:
        outcomes = read_message(outputs, exercise.id, nonce, len(cases))
    except Malformed as error:
        return Judged("malformed", f"no valid answer came out of the cell: {error}")
    verdict = judge(exercise, cases, outcomes)
    return Judged(verdict.status, feedback(verdict), verdict.hint)


def read_message(outputs: Sequence[Mapping[str, Any]], exercise: str, nonce: str, cases: int) -> list[Outcome]:
    """The outcomes in the one answer message among `outputs`. `Malformed` for none, several, or anything unexpected."""
    messages = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    if len(messages) != 1:
        raise Malformed(f"{len(messages)} answer messages, expected one")
    (text,) = messages
    if not isinstance(text, str) or len(text) > LARGEST_EXERCISE:
        raise Malformed(f"the answer is not a text of at most {LARGEST_EXERCISE / 1e6:.0f} MB")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("the answer is not JSON") from error
    if not isinstance(data, dict) or data.get("exercise") != exercise or data.get("nonce") != nonce:
        raise Malformed("the answer belongs to another request")
    outcomes = data.get("outcomes")
    if not isinstance(outcomes, list) or len(outcomes) != cases:
        raise Malformed(f"expected answers to {cases} cases")
    return [_outcome(item) for item in outcomes]


def _outcome(item: Any) -> Outcome:
    if not isinstance(item, dict):
        raise Malformed("an outcome is an object")
    if "failure" in item:
        return Outcome(failure=_failure(item["failure"]))
    if len(json.dumps(item)) > LARGEST_CASE:
        raise Malformed(f"the answer to one case has more than {LARGEST_CASE / 1e6:.0f} MB")
    return Outcome(decode_answer(item.get("value")), changed_inputs=item.get("changed_inputs") is not False)


def _failure(data: Any) -> Failure:
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or not kind.isidentifier() or not kind.isascii() or len(kind) > 60:
        raise Malformed("a failure has no type")
    line = data.get("line")
    return Failure(kind, "", line if type(line) is int and 0 < line < 10**5 else None, stub=data.get("stub") is True)


def feedback(verdict: Verdict) -> str:
    """What a student may read: the case's name and the hint, no values."""
    if verdict.status in ("right", "unattempted"):
        return {"right": "right", "unattempted": "not attempted"}[verdict.status]
    where = f"case {verdict.case.name!r}: " if verdict.case else ""
    if verdict.failure and verdict.failure.kind in EXPLAINED:
        what = EXPLAINED[verdict.failure.kind]
    elif verdict.failure:
        what = f"the function stopped with {verdict.failure}"
    else:
        what = (verdict.difference.reason if verdict.difference else "") or "a wrong value"
    return f"{where}{what}." + (f" {verdict.hint}" if verdict.hint else "")
