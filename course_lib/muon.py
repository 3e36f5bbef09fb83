"""Muon: gradient steps whose matrices are made orthogonal first, so that every direction moves equally far.

A gradient's matrix has a few large singular values and many small ones: plain steps go almost wholly along the large
ones. Muon averages gradients over steps and then replaces all singular values of the average by (nearly) one.
Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". `torch.optim.Muon` does the same for
tensors that are matrices already, in bfloat16, and only in newer versions of PyTorch; a convolution's weights have four
dimensions, and many processors compute faster in float32. Tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the polynomial a s + b s**3 + c s**5 (Jordan et al. 2024)


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """`matrix` (rows, columns) with its singular values s replaced by about 1 (0.7 to 1.2), its directions kept.

    Newton-Schulz: s -> a s + b s**3 + c s**5, `steps` times, on the matrix divided by its norm; needs products of
    matrices only. A singular value far below the norm needs more steps than five: 1/650 of it comes to 0.7, 1/1000 only
    to 0.47.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonalised average gradient, for weights of two or more dimensions, (out, in, ...).

    Everything after the first dimension is one: a convolution's weights are a matrix of out x (in h w). `lr` is the
    size of a step in units of a weight matrix with all singular values 1, times sqrt(out / in) where that is above 1,
    so that one value serves all layers; `momentum` is the share of the running average that a step keeps (Nesterov's
    form); `weight_decay` shrinks by lr * weight_decay a step. Raises ValueError for a bias or a scale, which are
    AdamW's.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        if not lr >= 0:
            raise ValueError(f"expected a learning rate of at least 0, got {lr}")
        if not 0 <= momentum < 1:
            raise ValueError(f"expected a momentum in [0, 1), got {momentum}")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.ndim < 2:
                    raise ValueError(f"Muon moves matrices, got a parameter of shape {tuple(weight.shape)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "average" not in state:
                    state["average"] = torch.zeros_like(weight)
                average = state["average"].lerp_(weight.grad, 1 - group["momentum"])
                matrix = weight.grad.lerp(average, group["momentum"]).flatten(1)
                direction = orthogonalise(matrix.float()).reshape(weight.shape).to(weight)
                scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"] * scale)
        return loss


def split(
    network: nn.Module, ends: tuple[str, ...] = ("stem", "head")
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(hidden, others): the weights of hidden convolutions, which suit Muon, and everything else, which suits AdamW.

    The first and the last layer (names beginning with `ends`) belong to the others, as Jordan et al. advise.
    """
    hidden: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        inside = parameter.ndim == 4 and not name.startswith(ends)
        (hidden if inside else others).append(parameter)
    return hidden, others
