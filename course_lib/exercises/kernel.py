"""What a grading cell runs inside the kernel: the learner's function on given inputs, and its values sent out.

Nothing here knows what is right. The message is one display of type `MIME`, its content a JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .running import Outcome, run
from .wire import decode_cases, encode

MIME = "application/vnd.course.answer+json"


def answer(function: Callable[..., Any], inputs: str, exercise: str, nonce: str) -> None:
    """Run `function` on every case of `inputs` (from `wire.encode_cases`) and display what came of them."""
    from IPython.display import display

    outcomes = [_written(run(function, case)) for case in decode_cases(inputs)]
    display({MIME: json.dumps({"exercise": exercise, "nonce": nonce, "outcomes": outcomes})}, raw=True)


def _written(outcome: Outcome) -> dict[str, Any]:
    if outcome.failure is not None:
        failure = outcome.failure
        return {"failure": {"kind": failure.kind, "line": failure.line, "stub": failure.stub}}
    return {"value": encode(outcome.value), "changed_inputs": outcome.changed_inputs}
