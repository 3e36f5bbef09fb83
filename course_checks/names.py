"""Which global names code reaches for, and which a setup cell binds."""

from __future__ import annotations

import builtins
import dis
import json
from collections.abc import Iterable
from types import CodeType

from .registry import folder_of

LOOKS_UP = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "STORE_GLOBAL", "DELETE_GLOBAL")


def global_names(code: CodeType) -> set[str]:
    """Names that `code`, nested functions and classes included, looks up outside itself."""
    stored = {str(i.argval) for i in dis.get_instructions(code) if i.opname == "STORE_NAME"}
    nested = [global_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return _own(code).union(*nested) - stored


def looked_up(code: CodeType) -> set[str]:
    """The same, with names that it binds itself and may have looked up before: `rate = rate` in a class."""
    return _own(code).union(*(looked_up(constant) for constant in code.co_consts if isinstance(constant, CodeType)))


def _own(code: CodeType) -> set[str]:
    found = {str(i.argval) for i in dis.get_instructions(code) if i.opname in LOOKS_UP}
    return {name for name in found if not (name.startswith("__") and name.endswith("__"))}


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
