"""Which global names a function reaches for, so that an exercise can be held to the setup cell's."""

from __future__ import annotations

import builtins
import dis
import inspect
import json
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any

from .registry import folder_of


def global_names(code: CodeType) -> set[str]:
    """Names that `code`, nested functions and classes included, looks up outside itself."""
    loaded: set[str] = set()
    stored: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"):
            loaded.add(str(instruction.argval))
        elif instruction.opname == "STORE_NAME":
            stored.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            loaded |= global_names(constant)
    return loaded - stored - ({"__name__", "__module__", "__qualname__"})


def bound_names(code: CodeType) -> set[str]:
    """Names that a cell, compiled as a module, binds at its top level."""
    return {str(i.argval) for i in dis.get_instructions(code) if i.opname in ("STORE_NAME", "STORE_GLOBAL")}


def outside(names: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Those of `names` that are neither built in nor allowed, sorted."""
    return sorted(set(names) - set(allowed) - set(dir(builtins)))


def setup_names(package: str) -> dict[str, list[str]]:
    """What each notebook's setup cell defines, as the build wrote it down; nothing where it has not."""
    try:
        return json.loads((folder_of(package) / "setup_names.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def outside_setup(function: Callable[..., Any], notebook: str, package: str) -> list[str]:
    """Names a function uses that its notebook's setup cell does not define. Empty where that cannot be known."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    known = setup_names(package).get(notebook)
    if code is None or known is None:
        return []
    return outside(global_names(code), {*known, getattr(function, "__name__", "")})
