"""What a grading cell runs inside the kernel: the learner's function on given inputs, and its values sent out.

Nothing here knows what is right. The message is one display of type `MIME`, its content a JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from .forbidden import forbidden
from .running import Outcome, run
from .wire import decode_cases, encode

MIME = "application/vnd.course.answer+json"


LARGEST_CASE = 10**6  # characters of one case's answer


def answer(function: Callable[..., Any], inputs: str, exercise: str, nonce: str, forbid: Sequence[str] = ()) -> None:
    """Run `function` on every case of `inputs` (from `wire.encode_cases`) and display what came of them.

    The library functions `forbid` refuse the learner's calls meanwhile.
    """
    from IPython.display import display

    outcomes = []
    for case in decode_cases(inputs):
        with forbidden(forbid):
            outcome = run(function, case)
        outcomes.append(_written(outcome))
    display({MIME: json.dumps({"exercise": exercise, "nonce": nonce, "outcomes": outcomes})}, raw=True)


def _written(outcome: Outcome) -> dict[str, Any]:
    if outcome.failure is not None:
        failure = outcome.failure
        return {"failure": {"kind": failure.kind, "line": failure.line, "stub": failure.stub}}
    too_large = {"failure": {"kind": "AnswerTooLarge", "line": None, "stub": False}}
    if _bytes(outcome.value) > LARGEST_CASE:  # before it is written down
        return too_large
    written = {"value": encode(outcome.value), "changed_inputs": outcome.changed_inputs}
    return written if len(json.dumps(written)) <= LARGEST_CASE else too_large


def _bytes(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_bytes, value))
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0
