"""The library functions that are an exercise's answer themselves: while it is judged, they are not for the learner.

Only calls that come from the learner's own code are refused: the library goes on using its functions, and so do the
exercises' inputs. This is for honest mistakes ("may I not just call it?"), not a lock: source that was copied is the
learner's own code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any

LIBRARY, OURS = "course_lib", ("course_lib", "course_checks")
RUNNER = "course_checks.running"  # which calls the learner's function: what it calls itself is the learner's call


class WriteItYourself(RuntimeError):
    """The learner's function called the library function that is the answer."""


@contextlib.contextmanager
def forbidden(names: Sequence[str]) -> Iterator[None]:
    """Meanwhile the functions and classes `names`, such as "course_lib.schedule.bridge", refuse the learner's calls."""
    with contextlib.ExitStack() as stack:
        for name in names:
            module, _, attribute = name.rpartition(".")
            found = getattr(importlib.import_module(module), attribute)
            for function, of in guarded_functions(found):
                stack.enter_context(_refuse_learner(function, of, attribute))
        yield


CONTAINER = {"__init__", "__post_init__", "__new__", "__eq__", "__repr__", "__hash__", "__setattr__", "__delattr__"}


def guarded_functions(found: Any) -> Iterator[tuple[FunctionType, type | None]]:
    """The function itself; or what a class defines or inherits from the library's classes, with the class.

    A dataclass may be made, but not used: an answer may come in it.
    """
    if not isinstance(found, type):
        function = getattr(found, "__wrapped__", found) if not isinstance(found, FunctionType) else found
        if isinstance(function, FunctionType):
            yield function, None
        return
    for base in found.__mro__:
        if base.__module__.partition(".")[0] != LIBRARY:
            continue
        for name, value in vars(base).items():
            inner = value.func if isinstance(value, functools.cached_property) else value
            function = inner.fget if isinstance(inner, property) else getattr(inner, "__func__", inner)
            plain = name in CONTAINER and dataclasses.is_dataclass(base)
            if isinstance(function, FunctionType) and not plain:
                yield function, None if isinstance(value, staticmethod) else found


@contextlib.contextmanager
def _refuse_learner(function: FunctionType, of: type | None, name: str) -> Iterator[None]:
    """Swap the code of `function`, so that every name it goes by, in whatever module, leads to the guard.

    With a class `of`, it refuses to work for that class and its objects only: others may inherit the function.
    """
    original = function.__code__
    twin = FunctionType(original, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__

    def guard(*args: Any, **kwargs: Any) -> Any:
        own = of is None or (args and (isinstance(args[0], of) or args[0] is of))
        if own and _from_learner(sys._getframe(2)):
            raise WriteItYourself(f"`{name}` is what this exercise asks you to write; call it nowhere in your answer")
        return twin(*args, **kwargs)

    defaults = function.__defaults__, function.__kwdefaults__
    function.__code__ = _calling_guard(original)
    function.__defaults__, function.__kwdefaults__ = None, {"_guard": guard}
    try:
        yield
    finally:
        function.__code__ = original
        function.__defaults__, function.__kwdefaults__ = defaults


def _calling_guard(original: CodeType) -> CodeType:
    """Code that calls its keyword `_guard` with all arguments, closing over the same names as `original` does."""
    closed_over = ", ".join(original.co_freevars)
    lines = [
        f"def outer({closed_over}):",
        "    def stub(*args, _guard, **kwargs):",
        f"        {closed_over or 'pass'}",
        "        return _guard(*args, **kwargs)",
    ]
    (outer,) = (constant for constant in compile("\n".join(lines), "guard", "exec").co_consts if _is_code(constant))
    (stub,) = (constant for constant in outer.co_consts if _is_code(constant))
    return stub.replace(co_freevars=original.co_freevars, co_name=original.co_name)


def _is_code(constant: Any) -> bool:
    return isinstance(constant, CodeType)


def _from_learner(frame: FrameType | None) -> bool:
    """Whether the nearest caller that is the learner's or one of ours is the learner."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == "__main__" or module == RUNNER:
            return True
        if module.partition(".")[0] in OURS:
            return False
        frame = frame.f_back
    return False
