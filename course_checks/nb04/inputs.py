"""Inputs of notebook 04's exercises that are not data: pretend encoders and decoders of four pixels and two codes."""

from __future__ import annotations

import torch
from torch import Tensor


def toy_encoder(x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 4) -> mean and log variance, (B, 2) each; no two pictures alike."""
    mix = x.new_tensor([[0.9, -0.4], [0.3, 0.8], [-0.7, 0.5], [0.2, -0.6]])
    mean = x @ mix + 0.1
    return mean, torch.tanh(x @ mix.flip(0)) - 0.5


def prior_encoder(x: Tensor) -> tuple[Tensor, Tensor]:
    """An encoder that has learned nothing: N(0, I) for every picture."""
    return torch.zeros_like(x[:, :2]), torch.zeros_like(x[:, :2])


def toy_decoder(z: Tensor) -> Tensor:
    """(B, 2) -> logits of four pixels, (B, 4)."""
    mix = z.new_tensor([[1.1, -0.8, 0.4, 0.3], [0.2, 0.9, -1.2, 0.6]])
    return torch.sin(z @ mix) + 0.3 * (z @ mix) - 0.2


def deaf_decoder(z: Tensor) -> Tensor:
    """A decoder that does not look at the code."""
    return z.new_tensor([0.4, -1.0, 0.1, 0.7]).expand(len(z), 4)


def sure_decoder(z: Tensor) -> Tensor:
    """A decoder that is certain, rightly or wrongly: logits of 1,000 and more."""
    return 1000 * torch.sign(toy_decoder(z)) + toy_decoder(z)
