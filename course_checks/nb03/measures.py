"""The measurement of exercise 03.9: how far a formula for one step back is from the conditions that a walk sets.

Not in `inputs`, which enters the grading box: this is the answer. Notebook 03 uses it after the exercise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.schedule import Table

from .inputs import Formula


@dataclass(frozen=True)
class Gaps:
    """How far a formula is from each of the conditions (03.31) on a table: signed, each (T - 1,), for t = 2 ... T."""

    mean: Tensor
    variance: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, formula: Formula, table: Table, shift: int = 0, power: int = 2, first: int = 2) -> Gaps:
        """Other options are mistakes: rows of another time, a std taken for a variance, another start."""
        t = torch.arange(first, len(table.alpha))
        numbers = [formula(table.betas, int(k)) for k in t]
        w_t, w_0, std = (torch.stack([torch.as_tensor(part[i]) for part in numbers]) for i in range(3))
        before, now = table((t - 1 + shift).double()), table((t + shift).double())
        return cls(
            w_t * now.alpha + w_0 - before.alpha,
            w_t**2 * now.sigma**2 + std**power - before.sigma**2,
            w_t * now.sigma**2 - now.alpha / before.alpha * before.sigma**2,
        )

    @property
    def all(self) -> Tensor:
        return torch.stack([self.mean, self.variance, self.covariance])

    @property
    def worst(self) -> Tensor:
        return self.all.abs().max()
