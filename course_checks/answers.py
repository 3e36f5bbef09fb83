"""Answers as plain values: brought to one form, compared, and described in a few words.

An answer is a number, a tensor, or tuples of these to depth 3. Lists, named tuples and the library's small dataclasses
(`Isotropic`, `Prediction`) count as tuples of their fields; NumPy arrays, and what makes one of itself (pandas), as
tensors; a tuple of numbers of the right shape is as good as a tensor. What cannot be compared is a `NotAnAnswer`.
"""

from __future__ import annotations

import array
import dataclasses
import inspect
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import torch
from torch import Tensor

DEPTH = 3
DTYPES = {  # of plain answers
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
    )
}
WIDER = {  # the other dtypes whose numbers can be read; what these names lead to holds them exactly
    **dict.fromkeys(("uint16", "uint32"), torch.int64),
    **dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"), torch.float16),
    **{"float8_e8m0fnu": torch.float32, "complex32": torch.complex64},
}


class NotAnAnswer(TypeError):
    """What a function returned cannot be compared. `sentence` is what may be said of it without what is in it."""

    sentence = "the function returned something other than numbers, tensors or tuples of them"


class ReturnedNothing(NotAnAnswer):
    sentence = "the function returned None: is a `return` missing?"


class ReturnedGenerator(NotAnAnswer):
    sentence = "the function returned a generator: `return` the values themselves, without `yield`"


class ReturnedCoroutine(NotAnAnswer):
    sentence = "the function is `async`, so that nobody has waited for its value: write `def` without `async`"


class NestsTooDeep(NotAnAnswer):
    sentence = f"the answer nests tuples deeper than {DEPTH} levels"


class WithoutValues(NotAnAnswer):
    sentence = "the answer is a tensor or an array whose numbers cannot be read"


REASONS = {
    kind.__name__: kind.sentence
    for kind in (NotAnAnswer, ReturnedNothing, ReturnedGenerator, ReturnedCoroutine, NestsTooDeep, WithoutValues)
}


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
    """`value` as bool, int, float, complex, a detached CPU tensor, or a tuple of these; else `NotAnAnswer`."""
    number: Any
    for number in (bool, int, float, complex):
        if isinstance(value, number):
            return number(value)
    if isinstance(value, Tensor):
        return _plain_tensor(value, depth)
    if isinstance(value, (np.ndarray, np.generic, array.array, memoryview)):
        return _plain_array(np.asanyarray(value), depth)
    if isinstance(value, numbers.Number):
        return _plain_number(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        stacked = None if isinstance(value, tuple) else _of_equal_numbers(value)
        if stacked is not None:
            return stacked
        if depth >= DEPTH:
            raise NestsTooDeep(NestsTooDeep.sentence)
        return tuple(plain(item, depth + 1) for item in value)
    if hasattr(type(value), "__array__") or hasattr(type(value), "__array_interface__"):
        return _plain_array(np.asarray(value), depth)
    raise _reason(value)


def _reason(value: Any) -> NotAnAnswer:
    """Why `value`, none of the kinds that are known, is no answer."""
    if value is None:
        return ReturnedNothing(ReturnedNothing.sentence)
    if inspect.isgenerator(value):
        return ReturnedGenerator(ReturnedGenerator.sentence)
    if inspect.iscoroutine(value) or inspect.isasyncgen(value):
        if inspect.iscoroutine(value):
            value.close()  # else Python warns that nobody has waited for it
        return ReturnedCoroutine(ReturnedCoroutine.sentence)
    return NotAnAnswer(f"expected numbers, tensors or tuples of them, got an object of type {type(value).__name__}")


def _plain_number(value: Any) -> Any:
    """Fractions, decimals and the like."""
    if isinstance(value, numbers.Rational) and value.denominator == 1:
        return int(value.numerator)
    try:
        return float(value) if isinstance(value, (numbers.Real, Decimal)) else complex(value)
    except OverflowError:
        return int(value)  # beyond what a float can hold, the rest behind the point is nothing


def _plain_tensor(value: Tensor, depth: int) -> Any:
    if value.is_nested:
        if depth >= DEPTH:
            raise NestsTooDeep(NestsTooDeep.sentence)
        return tuple(plain(part, depth + 1) for part in value.detach().unbind())
    name = _name(value.dtype)
    if value.is_meta:
        raise WithoutValues("the answer is a tensor on the device `meta`: it has a shape, but no numbers")
    value = value.detach().to("cpu").to_dense().as_subclass(Tensor).resolve_conj().resolve_neg().clone()
    if value.is_quantized:
        return value.dequantize()
    if name == "uint64":
        return _plain_array(value.numpy(), depth)
    if name in WIDER:
        return value.to(WIDER[name])
    if name not in DTYPES:
        raise WithoutValues(f"the answer is a tensor of dtype {name}, whose numbers cannot be read")
    return value


def _plain_array(value: Any, depth: int) -> Any:
    """A NumPy array as a tensor, whatever its strides and its byte order."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise WithoutValues("the answer is a masked array, in which numbers are missing")
        value = value.data
    value = np.asarray(value)
    if value.dtype.kind == "O":
        return plain(value.tolist(), depth)
    if value.dtype.kind not in "biufc":
        raise WithoutValues(f"the answer is an array of dtype {value.dtype}, which holds no numbers")
    if value.dtype == np.uint64:
        if value.size and value.max() >= 2**63:
            return plain(value.tolist(), depth)
        value = value.astype(np.int64)
    widest = {"f": np.float64, "c": np.complex128}.get(value.dtype.kind)
    dtype = widest if widest and value.dtype.itemsize > np.dtype(widest).itemsize else value.dtype.newbyteorder("=")
    return _plain_tensor(torch.from_numpy(np.array(value, dtype=dtype, order="C")), depth)


def _of_equal_numbers(value: Sequence[Any]) -> Tensor | None:
    """The tensor that a list of numbers is, or of lists of equal length of them, if they are all of one kind."""
    shape: list[int] = []
    level: list[Any] = [list(value)]
    while level and isinstance(level[0], list):
        lengths = {len(item) if isinstance(item, list) else -1 for item in level}
        if len(lengths) != 1 or len(shape) > 16:
            return None
        shape += lengths
        level = [item for items in level for item in items]
    kinds = set(map(type, level))
    if len(kinds) != 1 or not shape:
        return None
    (kind,) = kinds
    if kind is int and not all(map(_fits, level)):
        return None
    dtype = {bool: torch.bool, int: torch.int64, float: torch.float64, complex: torch.complex128}.get(kind)
    return torch.tensor(level, dtype=dtype).reshape(shape) if dtype else None


def difference(got: Any, expected: Any, tolerance: Tolerance, where: str = "") -> Difference | None:
    """None where two plain answers are equal within `tolerance`, whole numbers exactly; else the first difference."""
    if isinstance(got, tuple) != isinstance(expected, tuple):
        return _form_difference(got, expected, tolerance, where)
    if isinstance(got, tuple):
        return _tuple_difference(got, expected, tolerance, where)
    kinds = _kind(got), _kind(expected)
    if kinds[0] != kinds[1] and kinds not in _HARMLESS:
        return Difference(f"{where}the type differs", kind(got), kind(expected))
    if not (_fits(got) and _fits(expected)):
        return _huge_difference(got, expected, tolerance, where)
    a, b = _tensor(got), _tensor(expected)
    if a.shape != b.shape:
        return Difference(f"{where}the shape differs", kind(got), kind(expected))
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    exact = kinds == ("a whole number", "a whole number")
    wrong = a != b if exact else ~_close(a.to(wide), b.to(wide), tolerance)
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


def _form_difference(got: Any, expected: Any, tolerance: Tolerance, where: str) -> Difference | None:
    """One is a tuple, the other is not: a tensor of the same shape has the same values, and they decide."""
    tensor = expected if isinstance(got, tuple) else got
    stacked = stack(got if isinstance(got, tuple) else expected)
    fits = isinstance(tensor, Tensor) and tensor.dim() > 0 and stacked is not None and stacked.shape == tensor.shape
    if not fits:
        return Difference(f"{where}the type differs", kind(got), kind(expected))
    if isinstance(got, tuple):
        return difference(stacked, expected, tolerance, where)
    return difference(tuple(got.unbind()), expected, tolerance, where)


def stack(value: Any) -> Tensor | None:
    """A plain answer as one tensor; None for tuples of things of different shapes, or of truth values and numbers."""
    if not isinstance(value, tuple):
        return _tensor(value) if _fits(value) else None
    parts = [stack(item) for item in value]
    found = [part for part in parts if part is not None]
    kinds = {_kind(part) for part in found}
    if len(found) != len(parts) or len({part.shape for part in found}) != 1 or (len(kinds) > 1 and _TRUTH in kinds):
        return None
    return torch.stack(_of_one_dtype(found))


def _of_one_dtype(tensors: list[Tensor]) -> list[Tensor]:
    if len({tensor.dtype for tensor in tensors}) == 1:
        return tensors
    if any(tensor.is_complex() for tensor in tensors):
        return [tensor.to(torch.complex128) for tensor in tensors]
    wide = torch.float64 if any(tensor.is_floating_point() for tensor in tensors) else torch.int64
    return [tensor.to(wide) for tensor in tensors]


def _tuple_difference(got: Any, expected: Any, tolerance: Tolerance, where: str) -> Difference | None:
    if len(got) != len(expected):
        return Difference(f"{where}the number of values differs", kind(got), kind(expected))
    for number, (a, b) in enumerate(zip(got, expected, strict=True), start=1):
        found = difference(a, b, tolerance, f"{where}value {number} of {len(expected)}: ")
        if found:
            return found
    return None


def _huge_difference(got: Any, expected: Any, tolerance: Tolerance, where: str) -> Difference | None:
    """The same where one is a whole number for which no tensor has room."""
    a, b = (value.item() if isinstance(value, Tensor) and value.dim() == 0 else value for value in (got, expected))
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return Difference(f"{where}the shape differs", kind(got), kind(expected))
    if isinstance(a, int) and isinstance(b, int):
        equal = a == b
    else:
        try:
            wide = [torch.tensor(complex(value), dtype=torch.complex128) for value in (a, b)]
            equal = bool(_close(wide[0], wide[1], tolerance))
        except OverflowError:  # too large for a float, so nowhere near one
            equal = False
    return None if equal else Difference(where.removesuffix(": "), describe(got), describe(expected))


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
    stacked, wanted = stack(got), stack(expected)
    if stacked is None or wanted is None or stacked.shape != wanted.shape:
        return float("inf")
    a, b = stacked.to(torch.complex128), wanted.to(torch.complex128)
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
    dtype = {float: torch.float64, complex: torch.complex128}.get(type(value))
    return torch.tensor(value, dtype=dtype)


def _fits(value: Any) -> bool:
    """Whether a tensor has room for it."""
    return not isinstance(value, int) or -(2**63) <= value < 2**63


_TRUTH = "True or False"
_KINDS = {bool: _TRUTH, int: "a whole number", float: "a real number", complex: "a complex number"}


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return _KINDS[type(value)]
    if value.dtype == torch.bool:
        return _TRUTH
    if value.is_complex():
        return _KINDS[complex]
    return _KINDS[float] if value.is_floating_point() else _KINDS[int]


def kind(value: Any) -> str:
    """Type and shape in words: "a float64 tensor of shape (3, 2)", "a tuple of 2"."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} ({', '.join(kind(item) for item in value)})"
    if isinstance(value, Tensor):
        return f"a {_name(value.dtype)} tensor of shape {tuple(value.shape)}"
    return f"{_kind(value)} ({describe(value)})"


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
    if isinstance(item, int) and item.bit_length() > 200:  # which Python may refuse to write down
        return f"a whole number of about {round(item.bit_length() * 0.30103)} digits"
    return f"{item:.6g}" if isinstance(item, complex) else str(item)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
