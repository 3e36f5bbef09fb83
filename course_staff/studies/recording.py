"""What the recorded experiments of notebooks 01, 05 and 06 share: their seeds, their verdicts, how one is written."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically

FOLDER = Path(__file__).parents[2] / "course_lib" / "assets" / "recorded"
SEEDS = (0, 1, 2)
Values = dict[str, list[float]]  # a result by its name, one number a seed


def summary(values: Values) -> dict[str, dict[str, Any]]:
    """Of each result the mean, the spread over the seeds, and the values themselves."""
    return {
        key: {"mean": statistics.mean(v), "spread": statistics.stdev(v), "values": [round(x, 4) for x in v]}
        for key, v in values.items()
    }


def verdict(first: str, second: str, values: Values, unit: str) -> str:
    """One sentence on two results: which is lower, or that the seeds overlap."""
    a, b = values[first], values[second]
    if max(min(a), min(b)) <= min(max(a), max(b)):
        return f"{first} against {second}: no difference shown (the seeds overlap)"
    low, high = (first, second) if max(a) < min(b) else (second, first)
    return f"{low}: {unit} lower than {high}, for every seed"


def write_recording(
    name: str,
    study: str,
    settings: str,
    results: dict[str, Any],
    verdicts: list[str],
    curves: dict[str, list[float]] | None = None,
) -> None:
    """Write `assets/recorded/NAME.json`; `study` is the module, and its arguments, that makes it again."""
    content: dict[str, Any] = {
        "command": f"python -m course_staff.studies.{study}",
        "settings": settings,
        "results": results,
        "verdicts": verdicts,
    }
    if curves:
        content["curves"] = curves
    write_atomically(FOLDER / f"{name}.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    print(f"wrote {FOLDER / f'{name}.json'}")
