"""Answers as plain values: brought to one form, compared, and described in a few words.

An answer is a number, a tensor, or tuples of these to depth 3. Lists, named tuples and the library's small dataclasses
(`Isotropic`, `Prediction`) count as tuples of their fields; NumPy arrays as tensors.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

DEPTH = 3


@dataclass(frozen=True)
class Tolerance:
    """|got - expected| <= rtol |expected| + scale * (largest finite |expected| of that tensor) + atol."""

    rtol: float = 1e-6
    scale: float = 1e-9
    atol: float = 1e-12


@dataclass(frozen=True)
class Difference:
    """How an answer differs: in words (empty when only numbers differ), and both values described."""

    reason: str
    got: str
    expected: str


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as bool, int, float, complex, a detached CPU tensor, or a tuple of these. TypeError for anything else."""
    number: Any
    for number in (bool, int, float, complex):
        if isinstance(value, number):
            return number(value)
    if isinstance(value, Tensor):
        return value.detach().as_subclass(Tensor).to("cpu").to_dense().clone()
    if type(value).__module__ == "numpy":
        return torch.as_tensor(value).clone()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    if isinstance(value, (tuple, list)):
        if depth >= DEPTH:
            raise TypeError(f"the answer nests tuples deeper than {DEPTH} levels")
        return tuple(plain(item, depth + 1) for item in value)
    if value is None:
        raise TypeError("the function returned None: is a `return` missing?")
    raise TypeError(f"expected numbers, tensors or tuples of them, got an object of type {type(value).__name__}")


def difference(got: Any, expected: Any, tolerance: Tolerance, where: str = "") -> Difference | None:
    """None where two plain answers are equal within `tolerance`; else the first difference, left to right."""
    if isinstance(got, tuple) or isinstance(expected, tuple):
        return _tuple_difference(got, expected, tolerance, where)
    a, b = _tensor(got), _tensor(expected)
    if _kind(a) != _kind(b) and (_kind(a), _kind(b)) not in _HARMLESS:
        return Difference(f"{where}the type differs", kind(got), kind(expected))
    if a.shape != b.shape:
        return Difference(f"{where}the shape differs", kind(got), kind(expected))
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    wrong = ~_close(a.to(wide), b.to(wide), tolerance)
    if not wrong.any():
        return None
    reason = where.removesuffix(": ")
    if a.dim():
        index = tuple(int(i) for i in wrong.nonzero()[0])
        reason = f"{where}{int(wrong.sum())} of {a.numel()} numbers differ, first at index {list(index)}"
        if a.dtype != b.dtype and a.dtype in (torch.float16, torch.bfloat16, torch.float32) and b.is_floating_point():
            reason += f"; your answer is only {_name(a.dtype)}"
        return Difference(
            reason, f"{_number(a[index])} in {describe(got)}", f"{_number(b[index])} in {describe(expected)}"
        )
    return Difference(reason, describe(got), describe(expected))


_HARMLESS = {
    ("a whole number", "a real number"),
    ("a real number", "a complex number"),
    ("a whole number", "a complex number"),
}


def _tuple_difference(got: Any, expected: Any, tolerance: Tolerance, where: str) -> Difference | None:
    if not (isinstance(got, tuple) and isinstance(expected, tuple)):
        return Difference(f"{where}the type differs", kind(got), kind(expected))
    if len(got) != len(expected):
        return Difference(f"{where}the number of values differs", kind(got), kind(expected))
    for number, (a, b) in enumerate(zip(got, expected, strict=True), start=1):
        found = difference(a, b, tolerance, f"{where}value {number} of {len(expected)}: ")
        if found:
            return found
    return None


def _close(a: Tensor, b: Tensor, tolerance: Tolerance) -> Tensor:
    finite = torch.isfinite(b)
    largest = b[finite].abs().max() if finite.any() else torch.zeros(())
    allowed = tolerance.rtol * b.abs() + tolerance.scale * largest + tolerance.atol
    near = (a - b).abs() <= allowed
    return torch.where(finite, near, (a == b) | (torch.isnan(a) & torch.isnan(b)))


def gap(got: Any, expected: Any) -> float:
    """Largest difference relative to the size of `expected`; inf where type, shape or a non-finite value differs."""
    if difference(got, expected, Tolerance(0.0, 0.0, 0.0)) is None:
        return 0.0
    if isinstance(got, tuple) and isinstance(expected, tuple) and len(got) == len(expected):
        return max((gap(a, b) for a, b in zip(got, expected, strict=True)), default=0.0)
    if isinstance(got, tuple) or isinstance(expected, tuple) or _tensor(got).shape != _tensor(expected).shape:
        return float("inf")
    a, b = _tensor(got).to(torch.complex128), _tensor(expected).to(torch.complex128)
    equal = (a == b) | (torch.isnan(a) & torch.isnan(b))
    apart = torch.where(equal, 0.0, (a - b).abs()).nan_to_num(nan=float("inf"))
    finite = b[torch.isfinite(b)].abs()
    return float(apart.max() / max(float(finite.max()) if finite.numel() else 0.0, 1e-300))


def widen(value: Any) -> Any:
    """A plain answer with floating tensors in float64, ready for comparison in float64."""
    if isinstance(value, tuple):
        return tuple(widen(item) for item in value)
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return torch.tensor(float(value), dtype=torch.float64)
    dtype = {float: torch.float64, complex: torch.complex128}.get(type(value))
    return torch.tensor(value, dtype=dtype)


def _kind(value: Tensor) -> str:
    if value.dtype == torch.bool:
        return "True or False"
    if value.is_complex():
        return "a complex number"
    return "a real number" if value.is_floating_point() else "a whole number"


def kind(value: Any) -> str:
    """Type and shape in words: "a float64 tensor of shape (3, 2)", "a tuple of 2"."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} ({', '.join(kind(item) for item in value)})"
    if isinstance(value, Tensor):
        return f"a {_name(value.dtype)} tensor of shape {tuple(value.shape)}"
    return f"{_kind(_tensor(value))} ({describe(value)})"


def describe(value: Any, numbers: int = 4) -> str:
    """A value in a few words, the same on every run; long tensors are cut after `numbers` entries."""
    if isinstance(value, Tensor):
        flat = value.reshape(-1)
        if value.dim() == 0:
            return _number(value)
        shown = ", ".join(_number(item) for item in flat[:numbers])
        more = ", ..." if flat.numel() > numbers else ""
        return f"{_name(value.dtype)} {tuple(value.shape)} [{shown}{more}]"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(describe(item, numbers) for item in value[:6]) + (", ..." if len(value) > 6 else "")
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    return _number(value) if isinstance(value, (bool, int, float, complex)) else str(value)


def _number(value: Any) -> str:
    item = value.item() if isinstance(value, Tensor) else value
    if isinstance(item, float):
        return f"{item:.6g}"
    return f"{item:.6g}" if isinstance(item, complex) else str(item)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
