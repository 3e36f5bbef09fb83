"""The real UNet: residual blocks that are told the noise level, attention where it pays, skips by concatenation.

The layout is Ho et al. 2020's, with three later habits: the noise level enters as a scale and a shift after the second
normalisation (FiLM; Dhariwal and Nichol 2021), it is the log-SNR instead of a step number, so that one network serves
any schedule, and p x p pixels may be packed into channels before the first layer. Packing is what makes two CPU cores
enough: at 14 x 14 instead of 28 x 28 every layer costs a quarter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class UNetConfig:
    """A network's layout. Levels count from 0 (full resolution after packing); each halves the one before."""

    channels: int = 1  # of the images
    width: int = 16  # channels of level 0
    multipliers: tuple[int, ...] = (1, 3)  # channels of each level, in units of `width`
    blocks: int = 1  # residual blocks per level, on the way down and on the way up
    attn_levels: tuple[int, ...] = ()  # levels whose blocks are followed by attention; the middle always has one
    head_dim: int = 16  # channels of one attention head
    groups: int = 32  # of a normalisation, at most; 1: all channels together, which processors do much faster
    patch: int = 2  # p x p pixels become channels before the first layer
    # As Ho et al.: the stem and each shrinking layer give a skip too, and each level has one more block on the way up.
    more_skips: bool = False
    coordinates: bool = False  # show the network where it is: two more input channels, x and y in [-1, 1]
    classes: int = 0  # number of labels; 0: unconditional
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if any(level not in range(len(self.multipliers)) for level in self.attn_levels):
            raise ValueError(f"attn_levels {self.attn_levels}: expected levels 0 to {len(self.multipliers) - 1}")
        for level in {*self.attn_levels, len(self.multipliers) - 1}:
            if self.width * self.multipliers[level] % self.head_dim:
                raise ValueError(
                    f"head_dim {self.head_dim} does not divide {self.width * self.multipliers[level]} channels"
                )

    @property
    def divisor(self) -> int:
        """Heights and widths must be multiples of this."""
        return self.patch * 2 ** (len(self.multipliers) - 1)


PRESETS: dict[str, UNetConfig] = {
    "tiny": UNetConfig(groups=1),  # two CPU cores
    "small": UNetConfig(width=48, multipliers=(1, 2), head_dim=32),
    "base": UNetConfig(
        width=64, multipliers=(1, 2, 2), blocks=2, attn_levels=(1, 2), head_dim=64, patch=1, dropout=0.1
    ),
    "large": UNetConfig(  # the layout of Ho et al. 2020 for CIFAR-10
        channels=3,
        width=128,
        multipliers=(1, 2, 2, 2),
        blocks=2,
        attn_levels=(1,),
        head_dim=256,
        patch=1,
        more_skips=True,
        dropout=0.1,
    ),
}


class LevelEmbedding(nn.Module):
    """log-SNR (B,) -> features (B, width): sines and cosines of it, then two linear layers.

    The log-SNR is clamped to +-15, where an image of [-1, 1] is as good as clean or gone; infinities are welcome.
    """

    def __init__(self, width: int, frequencies: int = 16) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer(
            "frequencies", torch.logspace(math.log10(0.05), math.log10(3.0), frequencies), persistent=False
        )
        self.layers = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, log_snr: Tensor) -> Tensor:
        angle = log_snr.clamp(-15, 15)[:, None] * self.frequencies  # (B, frequencies)
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


class ResidualBlock(nn.Module):
    """x (B, in, H, W) -> (B, out, H, W): x + conv(silu(film(norm(conv(silu(norm(x)))))), at first 0 + x."""

    def __init__(self, inputs: int, outputs: int, features: int, dropout: float, groups: int = 32) -> None:
        super().__init__()
        self.norm1, self.conv1 = normalisation(inputs, groups), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(features, 2 * outputs)
        self.norm2, self.conv2 = normalisation(outputs, groups), zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(features)[:, :, None, None].chunk(2, dim=1)  # each (B, out, 1, 1)
        h = F.silu(torch.addcmul(shift, self.norm2(h), 1 + scale))
        return self.shortcut(x) + self.conv2(self.dropout(h))


class Attention(nn.Module):
    """x (B, C, H, W) -> the same shape: every place looks at every other. The last layer starts at zero."""

    def __init__(self, channels: int, head_dim: int, groups: int = 32) -> None:
        super().__init__()
        self.heads = channels // head_dim
        self.norm, self.qkv = normalisation(channels, groups), nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(qkv[:, 0], qkv[:, 1], qkv[:, 2])  # (B, heads, H W, head_dim)
        return x + self.out(mixed.transpose(-1, -2).reshape(b, c, h, w))


class Stage(nn.Module):
    """A residual block, followed by attention where the level has it."""

    def __init__(self, inputs: int, outputs: int, features: int, config: UNetConfig, attention: bool) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, features, config.dropout, config.groups)
        self.attention = Attention(outputs, config.head_dim, config.groups) if attention else nn.Identity()

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        return self.attention(self.block(x, features))


class Grow(nn.Module):
    """x (B, in, H, W) -> (B, out, 2 H, 2 W): a convolution to the next level's width, then every pixel becomes four.

    In this order the convolution costs a quarter; the residual block that follows smooths the squares.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.conv(x), scale_factor=2, mode="nearest")


class UNet(nn.Module):
    """x (B, C, H, W), log_snr (B,), label (B,) or None -> (B, C, H, W). H and W must be multiples of `config.divisor`.

    For labelled data (`classes` > 0) the label `classes` means "not told", which is also what None stands for.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        width, features = config.width, 2 * config.width
        packed = config.channels * config.patch**2
        self.noise_level = LevelEmbedding(features)
        self.label = nn.Embedding(config.classes + 1, features) if config.classes else None
        self.stem = nn.Conv2d(packed + 2 * config.coordinates, width, 3, padding=1)

        widths = [width * multiplier for multiplier in config.multipliers]
        here, skips = width, [width] if config.more_skips else []
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for level, wide in enumerate(widths):
            stages = nn.ModuleList()
            for _ in range(config.blocks):
                stages.append(Stage(here, wide, features, config, level in config.attn_levels))
                here = wide
                skips.append(here)
            self.down.append(stages)
            if level < len(widths) - 1:
                self.shrink.append(nn.Conv2d(here, here, 3, stride=2, padding=1))
                skips += [here] * config.more_skips

        self.middle = nn.ModuleList([Stage(here, here, features, config, attention) for attention in (True, False)])
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            stages = nn.ModuleList()
            for _ in range(config.blocks + config.more_skips):
                stages.append(Stage(here + skips.pop(), wide, features, config, level in config.attn_levels))
                here = wide
            self.up.append(stages)
            if level > 0:
                self.grow.append(Grow(here, widths[level - 1]))
                here = widths[level - 1]
        self.norm, self.head = normalisation(here, config.groups), zero(nn.Conv2d(here, packed, 3, padding=1))

    def forward(self, x: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        self._check(x, log_snr)
        features = self._features(log_snr, label)
        h = F.pixel_unshuffle(x, self.config.patch)  # (B, C p p, H / p, W / p)
        if self.config.coordinates:
            h = torch.cat([h, coordinates(h)], dim=1)
        h = self.stem(h)
        skips = [h] if self.config.more_skips else []
        for level, stages in enumerate(self.down):
            for stage in stages.children():
                h = stage(h, features)
                skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
                skips += [h] * self.config.more_skips
        for stage in self.middle:
            h = stage(h, features)
        for level, stages in enumerate(self.up):
            for stage in stages.children():
                h = stage(torch.cat([h, skips.pop()], dim=1), features)
            if level < len(self.grow):
                h = self.grow[level](h)
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), self.config.patch)

    def _features(self, log_snr: Tensor, label: Tensor | None) -> Tensor:
        features = self.noise_level(log_snr)
        if self.label is not None:
            unknown = torch.full(log_snr.shape, self.config.classes, device=log_snr.device)
            features = features + self.label(unknown if label is None else label)
        elif label is not None:
            raise ValueError("this network was built without labels (classes=0), but was given some")
        return F.silu(features)

    def _check(self, x: Tensor, log_snr: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.config.channels:
            raise ValueError(f"expected images (B, {self.config.channels}, H, W), got shape {tuple(x.shape)}")
        if x.shape[2] % self.config.divisor or x.shape[3] % self.config.divisor:
            raise ValueError(
                f"height and width must be multiples of {self.config.divisor}, got {x.shape[2]} x {x.shape[3]}"
            )
        if log_snr.shape != x.shape[:1]:
            raise ValueError(f"expected one log_snr per image, ({len(x)},), got shape {tuple(log_snr.shape)}")


def normalisation(channels: int, groups: int = 32) -> nn.GroupNorm:
    """GroupNorm with at most `groups` groups, of at least 4 channels each where the width allows."""
    most = min(groups, max(channels // 4, 1))
    return nn.GroupNorm(max(g for g in range(1, most + 1) if channels % g == 0), channels)


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """`layer` with all weights at zero: at the start of training its branch adds nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def coordinates(like: Tensor) -> Tensor:
    """Where every pixel of `like`, (B, C, H, W), stands: (B, 2, H, W), x then y, from -1 to 1."""
    b, _, height, width = like.shape
    y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)
    x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)]).expand(b, 2, height, width)


N = TypeVar("N", bound=nn.Module)


def channels_last(network: N) -> N:
    """`network` with its weights stored channel by channel within a pixel, which convolutions read faster."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def parameter_count(network: nn.Module) -> int:
    """How many numbers training adjusts."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
