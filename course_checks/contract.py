"""What an exercise is: its cases, the reference answer, and the wrong answers worth a hint.

One file an exercise (`nb05/e4_ancestral_step.py` for exercise 05.4) holds all of it and ends in `EXERCISE`.
`docs/authoring.md` has a complete worked example.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

ID = re.compile(r"\d\d\.[1-9]\d*")
ONE = torch.ones((), dtype=torch.float64)


def normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Standard normal numbers of this shape, float64: what most cases are made of."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class Call:
    """A recipe for an input that is not plain data: `Call(gaussian_denoiser, 0.4, std=0.3)`, that call's result.

    Every run of a function gets a freshly built object, and a recipe can be written down as text, so that the same case
    runs in a learner's notebook and in a grading kernel. `function` is a public function or class of an importable
    module.
    """

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs


@dataclass(frozen=True)
class Case:
    """One question put to the learner's function: its arguments, and a name a learner can read ("one pixel, t = 0").

    Arguments are tensors (float64, or integers), numbers, strings, None, tuples, lists, dicts of these, `Call`
    recipes, or functions of an importable module. With `float32=True` the learner's function gets every floating
    tensor rounded to float32; the reference still computes in float64, from the rounded numbers.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    float32: bool = False

    def inputs(self, exact: bool = False) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments as the learner's function gets them, or, `exact`, as the reference does."""
        args, kwargs = self.args, dict(self.kwargs)
        if not self.float32:
            return args, kwargs
        dtypes = (torch.float32, torch.float64) if exact else (torch.float32,)
        for dtype in dtypes:
            args, kwargs = cast(args, dtype), cast(kwargs, dtype)
        return args, kwargs


@dataclass(frozen=True)
class WrongAnswer:
    """A plausible wrong answer: the function a learner might have written, and the hint that teaches.

    Right on some special value, clearly wrong on another, told apart from the others: tests hold it to that.
    """

    function: Callable[..., Any]
    hint: str


@dataclass(frozen=True)
class Exercise:
    """An exercise: how its function is judged, by the values it returns and nothing else.

    `cases(generator)` draws the cases; the same generator state gives the same cases. `reference` is the library's own
    function wherever one exists. `canonical` maps an answer to the one form in which right answers are equal (A to
    A A^T).
    Tolerances are relative, elementwise; `atol` is the floor below which differences never count. `answers` names the
    library functions that are the answer themselves ("course_lib.schedule.bridge").
    """

    id: str
    title: str
    points: int
    reference: Callable[..., Any]
    cases: Callable[[torch.Generator], Sequence[Case]]
    wrong_answers: tuple[WrongAnswer, ...]
    canonical: Callable[[Any], Any] | None = None
    rtol: float = 1e-6
    rtol32: float = 1e-3
    atol: float = 1e-12
    answers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            raise ValueError(f"an exercise id is two digits, a dot and a number, such as 02.3, not {self.id!r}")
        if self.points < 0:
            raise ValueError(f"exercise {self.id} has {self.points} points; expected 0 or more")

    def draw_cases(self, seed: str | int = 0) -> list[Case]:
        """The cases for one seed. `check` uses seed 0, a teacher's grading another one."""
        digest = hashlib.sha256(f"{seed}:{self.id}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        return list(self.cases(generator))


def cast(value: Any, dtype: torch.dtype) -> Any:
    """`value` with every floating tensor inside it, recipes included, as `dtype`."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, Call):
        args, kwargs = cast(value.args, dtype), cast(value.kwargs, dtype)
        return Call(value.function, *args, **kwargs)
    if isinstance(value, (tuple, list)):
        return type(value)(cast(item, dtype) for item in value)
    if isinstance(value, dict):
        return {key: cast(item, dtype) for key, item in value.items()}
    return value


def build(value: Any) -> Any:
    """A fresh, live copy of an input: recipes called, tensors cloned, so that no run can spoil another."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, Call):
        return value.function(*build(value.args), **build(value.kwargs))
    if isinstance(value, (tuple, list)):
        return type(value)(build(item) for item in value)
    if isinstance(value, dict):
        return {key: build(item) for key, item in value.items()}
    return value
