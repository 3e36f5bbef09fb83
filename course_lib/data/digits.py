"""The embedded digits: 10,000 of MNIST's training images, 9,000 to learn from and 1,000 held back.

No network is needed. The held-back digits are seen by no generator and no feature network of the course, so that
comparisons with them mean something. Their licence (CC BY-SA 3.0) is in `assets/LICENSES.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

SPLITS = {"train": slice(0, 9000), "held_back": slice(9000, 10000)}


@dataclass(frozen=True)
class Labelled:
    """`images` (N, C, H, W) float32 in [-1, 1] and what each shows: `labels` (N,) int64 from 0."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def of(self, label: int) -> Tensor:
        """The images with this label, (M, C, H, W)."""
        last = int(self.labels.max())
        if label not in range(last + 1):
            raise ValueError(f"expected a label from 0 to {last}, got {label}")
        return self.images[self.labels == label]


def digits(split: str = "train") -> Labelled:
    """The embedded digits: split "train" (9,000) or "held_back" (1,000), in a fixed shuffled order."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected 'train' or 'held_back'")
    with files("course_lib").joinpath("assets/mnist10k.npz").open("rb") as file, np.load(file) as stored:
        images, labels = stored["x"][SPLITS[split]], stored["y"][SPLITS[split]]
    return Labelled(from_unit(torch.from_numpy(images)[:, None].float() / 255), torch.from_numpy(labels).long())


def from_unit(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]: what networks and noising processes work with."""
    return 2 * images - 1


def to_unit(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], clamped: what is shown or saved."""
    return ((images + 1) / 2).clamp(0, 1)


def binarise(images: Tensor) -> Tensor:
    """Every pixel to -1 (at or below 0) or +1 (above)."""
    return torch.where(images > 0, 1.0, -1.0).to(images.dtype)
