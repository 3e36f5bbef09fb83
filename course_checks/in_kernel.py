"""What a grading cell runs inside the kernel: the learner's function on given inputs, and its values sent out.

Nothing here knows what is right. The message is one display of type `MIME`, its content a JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .forbidden import forbidden
from .running import Outcome, run
from .wire import decode_cases, encode

MIME = "application/vnd.course.answer+json"
LARGEST_CASE = 10**6  # characters of one case's answer
NAME = re.compile(r"[A-Za-z_]\w{0,59}", re.ASCII)


def answer(function: Any, inputs: str, exercise: str, nonce: str, forbid: Sequence[str] = ()) -> None:
    """Run `function` on every case of `inputs` (from `wire.encode_cases`) and display what came of them.

    The library functions `forbid` refuse the learner's calls meanwhile.
    """
    from IPython.display import display

    outcomes = []
    for case in decode_cases(inputs):
        if not callable(function):
            outcomes.append(_failed("NotAFunction"))
            continue
        with forbidden(forbid):
            outcome = run(function, case)
        outcomes.append(_written(outcome))
    display({MIME: json.dumps({"exercise": exercise, "nonce": nonce, "outcomes": outcomes})}, raw=True)


def _written(outcome: Outcome) -> dict[str, Any]:
    if outcome.failure is not None:
        failure = outcome.failure
        return _failed(failure.kind if NAME.fullmatch(failure.kind) else "Exception", failure.line, failure.stub)
    if _bytes(outcome.value) > LARGEST_CASE:  # before it is written down
        return _failed("AnswerTooLarge")
    written = {"value": encode(outcome.value), "changed_inputs": outcome.changed_inputs}
    return written if len(json.dumps(written)) <= LARGEST_CASE else _failed("AnswerTooLarge")


def _failed(kind: str, line: int | None = None, stub: bool = False) -> dict[str, Any]:
    return {"failure": {"kind": kind, "line": line, "stub": stub}}


def _bytes(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_bytes, value))
    if isinstance(value, int):
        return value.bit_length() // 4  # it is written down in hexadecimal digits
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0
