"""Inputs and answers as text: what crosses the border between a grader's process and a grading kernel.

Everything is JSON; tensors travel as dtype, shape and base64 bytes. No pickle. Inputs may also hold functions and
`Call` recipes, by name; answers may not: reading an answer builds numbers, tensors and tuples and calls nothing.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import math
import re
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from .answers import DEPTH, DTYPES
from .contract import Call, Case

HUGE = re.compile("-?0x[0-9a-f]+")  # a whole number of 2**63 or more: JSON has no room for thousands of digits


class Malformed(ValueError):
    """An answer message that is not what a grading cell sends."""


def encode(value: Any) -> Any:
    """`value`, an input or a plain answer, as JSON-able data. TypeError where it cannot be written down."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return {"int": hex(value)}
    if value is None or isinstance(value, (bool, int, str)):
        return {"value": value}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real.hex(), value.imag.hex()]}
    if isinstance(value, Tensor):
        return {"tensor": _encode_tensor(value)}
    if isinstance(value, (tuple, list)):
        return {type(value).__name__: [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": {key: encode(item) for key, item in value.items()}}
    if isinstance(value, Call):
        return {"call": name_of(value.function), "args": encode(value.args), "kwargs": encode(value.kwargs)}
    if callable(value):
        return {"name": name_of(value)}
    raise TypeError(f"cannot write down an object of type {type(value).__name__}; use a Call recipe")


def decode(data: Any) -> Any:
    """The input that `encode` wrote down. For inputs only: names in it are imported."""
    if "list" in data:
        return [decode(item) for item in data["list"]]
    if "tuple" in data:
        return tuple(decode(item) for item in data["tuple"])
    if "dict" in data:
        return {key: decode(item) for key, item in data["dict"].items()}
    if "call" in data:
        return Call(named(data["call"]), *decode(data["args"]), **decode(data["kwargs"]))
    if "name" in data:
        return named(data["name"])
    if "value" in data:
        return data["value"]
    return decode_answer(data)


def decode_answer(data: Any, depth: int = 0) -> Any:
    """The plain answer in `data`, which may come from anywhere. `Malformed` where it is not one."""
    if not isinstance(data, dict) or len(data) != 1:
        raise Malformed("an answer is an object with one key")
    ((key, content),) = data.items()
    if key == "value" and isinstance(content, (bool, int)):
        return content
    if key == "int" and isinstance(content, str) and HUGE.fullmatch(content):
        return int(content, 16)
    if key == "float" and isinstance(content, str):
        return _float(content)
    if key == "complex" and isinstance(content, list) and len(content) == 2:
        return complex(_float(content[0]), _float(content[1]))
    if key == "tensor":
        return _decode_tensor(content)
    if key == "tuple" and isinstance(content, list) and depth < DEPTH:
        return tuple(decode_answer(item, depth + 1) for item in content)
    raise Malformed(f"an answer cannot hold {str(key)[:20]!r}")


def encode_cases(cases: list[Case]) -> str:
    """The cases' inputs, as the learner's function gets them. Names of cases are not sent."""
    return json.dumps([encode(case.inputs()) for case in cases])


def decode_cases(text: str) -> list[Case]:
    return [
        Case(f"case {number}", args, kwargs) for number, (args, kwargs) in enumerate(map(decode, json.loads(text)), 1)
    ]


def fingerprint(value: Any) -> str:
    """A digest of the data in live inputs, to see whether a function changed them; objects count as nothing."""
    return hashlib.sha256(json.dumps(_data_only(value)).encode()).hexdigest()


def _data_only(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_data_only(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _data_only(item) for key, item in value.items()}
    return encode(value) if value is None or isinstance(value, (bool, int, str, float, complex, Tensor)) else None


def name_of(function: Callable[..., Any]) -> str:
    """ "module:qualified.name" of a public function or class. TypeError where that name does not lead back to it."""
    module = getattr(function, "__module__", None)
    for attribute in ("__qualname__", "__name__"):
        name = f"{module}:{getattr(function, attribute, '<')}"
        try:
            if "<" not in name and module != "__main__" and named(name) == function:
                return name
        except (ImportError, AttributeError, ValueError):
            continue
    raise TypeError(f"{function!r} has no importable name; put it in a module and use its name, or a Call")


def named(name: str) -> Callable[..., Any]:
    """The function or class that `name_of` wrote down; its module is imported."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return cast(Callable[..., Any], found)


def _encode_tensor(value: Tensor) -> dict[str, Any]:
    value = value.detach().to("cpu").contiguous()
    name = str(value.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise TypeError(f"cannot write down a tensor of dtype {name}")
    data = value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    return {"dtype": name, "shape": list(value.shape), "data": base64.b64encode(data).decode()}


def _decode_tensor(content: Any) -> Tensor:
    if not isinstance(content, dict) or set(content) != {"dtype", "shape", "data"}:
        raise Malformed("a tensor has a dtype, a shape and data")
    name, shape, data = content["dtype"], content["shape"], content["data"]
    if not isinstance(name, str) or name not in DTYPES:
        raise Malformed("a tensor of unknown dtype")
    if not isinstance(shape, list) or len(shape) > 16 or not all(type(n) is int and n >= 0 for n in shape):
        raise Malformed("a tensor's shape is a list of whole numbers")
    try:
        raw = base64.b64decode(data, validate=True)
    except (ValueError, TypeError) as error:
        raise Malformed("a tensor's data are not base64") from error
    dtype = DTYPES[name]
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise Malformed("a tensor's data do not fill its shape")
    if name == "bool" and any(byte > 1 for byte in raw):
        raise Malformed("a truth value is neither 0 nor 1")
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    return flat.reshape(shape)


def _float(text: Any) -> float:
    try:
        return float.fromhex(text)
    except (ValueError, TypeError, OverflowError) as error:
        raise Malformed("a float is not in hexadecimal form") from error
