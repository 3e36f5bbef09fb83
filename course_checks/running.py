"""Run a learner's function on a case, quietly, and note what came of it: a value, or a failure in one line."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import linecache
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

import torch

from .answers import plain
from .contract import Case, build
from .wire import fingerprint


@dataclass(frozen=True)
class Failure:
    """An exception: its type and message, where in the function, and whether it is an untouched stub's."""

    kind: str
    message: str
    line: int | None = None  # counted from the `def` line, which is 1
    source: str = ""  # that line's text
    stub: bool = False

    def __str__(self) -> str:
        text = f"{self.kind}: {self.message}" if self.message else self.kind
        if self.line is not None:
            text += f" (line {self.line} of your function" + (f": `{self.source}`)" if self.source else ")")
        return text


@dataclass(frozen=True)
class Outcome:
    """What a function did with a case. `value` is a plain answer; it means nothing where `failure` is set."""

    value: Any = None
    failure: Failure | None = None
    changed_inputs: bool = False


def run(function: Callable[..., Any], case: Case, exact: bool = False) -> Outcome:
    """Call `function` on fresh copies of the case's inputs. Only an interruption by the user gets out."""
    with fresh_defaults(), quiet():
        args, kwargs = case.inputs(exact)
        live_args, live_kwargs = build(args), build(kwargs)
        before = fingerprint((live_args, live_kwargs))
        try:
            value = plain(function(*live_args, **live_kwargs))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Outcome(failure=_failure(error, function))
        try:
            changed = fingerprint((live_args, live_kwargs)) != before
        except Exception:  # what it has put there cannot even be written down
            changed = True
    return Outcome(value, changed_inputs=changed)


@contextlib.contextmanager
def fresh_defaults() -> Iterator[None]:
    """PyTorch's settings as a new kernel has them: `torch.set_default_dtype` in a notebook does not reach the grade."""
    dtype, device, grad = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    if device.type != "cpu":
        torch.set_default_device(None)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if device.type != "cpu":
            torch.set_default_device(device)


def code_of(function: Any) -> CodeType | None:
    """The code behind a function, a method, a partial, or an object that can be called; None where there is none."""
    try:
        function = inspect.unwrap(function)
        while isinstance(function, functools.partial):
            function = inspect.unwrap(function.func)
        code = getattr(function, "__code__", None)
        for name in ("__call__", "forward"):  # the latter of a network
            method = getattr(type(function), name, None)
            if code is None and getattr(method, "__module__", "") == type(function).__module__:
                code = getattr(method, "__code__", None)
    except Exception:  # an object that answers to no name
        return None
    return code if isinstance(code, CodeType) else None


def _failure(error: BaseException, function: Callable[..., Any]) -> Failure:
    code = code_of(function)
    line, source, innermost, trace = None, "", None, error.__traceback__
    while trace is not None:
        innermost = trace.tb_frame.f_code
        if code is not None and innermost.co_filename == code.co_filename and trace.tb_lineno >= code.co_firstlineno:
            line = trace.tb_lineno - code.co_firstlineno + 1
            source = linecache.getline(code.co_filename, trace.tb_lineno, trace.tb_frame.f_globals).strip()
        trace = trace.tb_next
    try:
        text = str(error)
    except Exception:
        text = ""
    message = re.sub(r"0x[0-9a-fA-F]+", "0x...", text.strip().split("\n")[0])[:300]
    stub = type(error) is NotImplementedError and not message and innermost is code
    return Failure(type(error).__name__, message, line, source, stub)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow printing, warnings, rich output and figures that a function makes on the way."""
    with contextlib.ExitStack() as stack:
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if shell is not None:
            from IPython.utils.capture import capture_output

            stack.enter_context(capture_output())
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        pyplot = sys.modules.get("matplotlib.pyplot")
        figures = set(pyplot.get_fignums()) if pyplot else set()
        yield
        for number in set(pyplot.get_fignums()) - figures if pyplot else set():
            pyplot.close(number)  # type: ignore[union-attr]
