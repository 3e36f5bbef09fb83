"""Notebook 01's network: an hourglass, with each of its parts behind a switch, so that it can be taken away.

Wide at both ends and narrow in the middle, the waist. Two skips carry around the waist what does not fit through it:
the features of the way down are concatenated to those of the way up (Ronneberger et al. 2015). The network is told the
time t, and where each pixel stands (Liu et al. 2018). Notebook 05's `unet` is its grown-up form.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..unet import coordinates, normalisation, zero

PaddingMode = Literal["zeros", "circular"]


class TimeFeatures(nn.Module):
    """t (B,) in [0, 1] -> features (B, width): sines and cosines of it, then two linear layers."""

    def __init__(self, width: int, frequencies: int = 8) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(frequencies) / 2, persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        angle = t[:, None] * self.frequencies
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


class Block(nn.Module):
    """x (B, in, H, W) -> (B, out, H, W): a shortcut plus two convolutions; the time's features shift the first."""

    def __init__(self, inputs: int, outputs: int, features: int, padding_mode: PaddingMode) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, kernel_size=3, padding=1, padding_mode=padding_mode)
        self.norm1, self.conv1 = normalisation(inputs), conv(inputs, outputs)
        self.shift = nn.Linear(features, outputs)
        self.norm2, self.conv2 = normalisation(outputs), zero(conv(outputs, outputs))
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.shift(features)[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Hourglass(nn.Module):
    """x (B, 1, H, W), t (B,) in [0, 1] -> (B, 1, H, W). H and W must be multiples of 4.

    width        channels of the upper level; the lower one has twice as many
    waist        channels of the narrowest place, at a quarter of the resolution
    skips        concatenate the features of the way down to those of the way up
    time         tell the network t
    coordinates  show each pixel where it stands: two more input channels, x and y in [-1, 1]
    wrap         continue the image periodically at its edges, so that without coordinates no pixel can know where it is
    """

    def __init__(
        self,
        width: int = 24,
        waist: int = 8,
        skips: bool = True,
        time: bool = True,
        coordinates: bool = True,
        wrap: bool = False,
    ) -> None:
        super().__init__()
        self.skips, self.time, self.coordinates = skips, time, coordinates
        mode: PaddingMode = "circular" if wrap else "zeros"
        block = partial(Block, features=2 * width, padding_mode=mode)
        conv = partial(nn.Conv2d, kernel_size=3, padding=1, padding_mode=mode)
        self.time_features = TimeFeatures(2 * width)
        self.stem = conv(4 + 2 * coordinates, width)
        self.down1 = block(width, width)
        self.shrink = conv(width, 2 * width, stride=2)
        self.down2 = block(2 * width, 2 * width)
        self.into_waist, self.out_of_waist = nn.Conv2d(2 * width, waist, 1), nn.Conv2d(waist, 2 * width, 1)
        self.middle = block(2 * width, 2 * width)
        self.up2 = block((4 if skips else 2) * width, 2 * width)
        self.grow = conv(2 * width, width)
        self.up1 = block((2 if skips else 1) * width, width)
        self.norm, self.head = normalisation(width), zero(conv(width, 4))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 1 or x.shape[2] % 4 or x.shape[3] % 4:
            raise ValueError(f"expected images (B, 1, H, W), H and W multiples of 4, got shape {tuple(x.shape)}")
        if t.shape != x.shape[:1]:
            raise ValueError(f"expected one t per image, ({len(x)},), got shape {tuple(t.shape)}")
        features = F.silu(self.time_features(t if self.time else torch.zeros_like(t)))
        h = F.pixel_unshuffle(x, 2)  # (B, 4, H / 2, W / 2): four pixels become four channels
        if self.coordinates:
            h = torch.cat([h, coordinates(h)], dim=1)
        upper = self.down1(self.stem(h), features)  # (B, width, H / 2, W / 2)
        lower = self.down2(self.shrink(upper), features)  # (B, 2 width, H / 4, W / 4)
        h = self.middle(self.out_of_waist(self.into_waist(lower)), features)
        h = self.up2(self._join(h, lower), features)
        h = F.interpolate(self.grow(h), scale_factor=2.0, mode="nearest")
        h = self.up1(self._join(h, upper), features)
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), 2)

    def _join(self, h: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([h, skip], dim=1) if self.skips else h
