"""Results that take too long for a notebook: made beforehand by a named script, kept with their command and spread."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def recording(name: str) -> dict[str, Any]:
    """The recorded result called `name`, such as "05_targets": its `command`, `settings` and `results`.

    Raises ValueError where there is none, naming those there are.
    """
    folder = files("course_lib").joinpath("assets/recorded")
    path = folder.joinpath(f"{name}.json")
    if not path.is_file():
        there = sorted(p.name.removesuffix(".json") for p in folder.iterdir()) if folder.is_dir() else []
        raise ValueError(f"no recorded result {name!r}: expected one of {', '.join(there) or 'none'}")
    return dict(json.loads(path.read_text(encoding="utf-8")))
