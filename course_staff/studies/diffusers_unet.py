"""diffusers' UNet2DModel, called as the course's UNet is, so that both go through one loop: for bench and gpu_check."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from course_lib.unet import UNetConfig

USUAL = UNetConfig(width=32, multipliers=(1, 2, 2), blocks=2, attn_levels=(1, 2), head_dim=8, patch=1, more_skips=True)
"""A usual tutorial's network for digits: 32, 64 and 64 channels, attention at the two lower levels, nothing packed."""


class DiffusersUNet(nn.Module):
    """diffusers' UNet2DModel in our layout `config`, for x (B, C, side, side) and log_snr (B,)."""

    def __init__(self, config: UNetConfig, side: int) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        self.config = config
        levels = range(len(config.multipliers))
        down = ["AttnDownBlock2D" if level in config.attn_levels else "DownBlock2D" for level in levels]
        self.unet: Any = UNet2DModel(
            sample_size=side,
            in_channels=config.channels,
            out_channels=config.channels,
            layers_per_block=config.blocks,
            block_out_channels=tuple(config.width * multiplier for multiplier in config.multipliers),
            down_block_types=tuple(down),
            up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
            attention_head_dim=config.head_dim,
            norm_num_groups=min(32, config.width // 4),
            dropout=config.dropout,
        )

    def forward(self, x: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        """Their embedding expects steps from 0 to 1,000: the log-SNR is squeezed into that range, falling."""
        return self.unet(x, 1000 * torch.sigmoid(-log_snr / 4), return_dict=False)[0]
