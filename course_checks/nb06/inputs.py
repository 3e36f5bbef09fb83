"""Inputs of notebook 06's exercises that are not data: vector fields whose Jacobians mix coordinates, or do not."""

from __future__ import annotations

import torch
from torch import Tensor


def bent_field(x: Tensor) -> Tensor:
    """A smooth field on (B, ...): every value depends on two coordinates, each sample on its own."""
    return torch.sin(x) + 0.5 * x * x.flip(-1) + 0.3 * x.flip(-1)


def parallel_field(x: Tensor) -> Tensor:
    """A field whose coordinates do not mix: its Jacobian is diagonal."""
    return torch.tanh(x) - 0.2 * x**3
