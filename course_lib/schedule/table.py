"""Discrete schedules: tables of T + 1 rows, and a noising path through one of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .curves import Continuous
from .marginal import Marginal, kernel
from .times import as_times, uniform_times


@dataclass(frozen=True)
class Table:
    """A discrete schedule: `alpha`, `sigma` of shape (T + 1,), float64; row 0 is clean, row T is noise."""

    alpha: Tensor
    sigma: Tensor

    def __post_init__(self) -> None:
        if self.alpha.shape != self.sigma.shape or self.alpha.ndim != 1 or len(self.alpha) < 2:
            raise ValueError(
                f"expected two tables of T + 1 rows, got {tuple(self.alpha.shape)}, {tuple(self.sigma.shape)}"
            )
        if self.alpha[0] != 1 or self.sigma[0] != 0:
            raise ValueError(f"row 0 must be clean (alpha 1, sigma 0), got {self.alpha[0]:g} and {self.sigma[0]:g}")

    @property
    def end(self) -> float:
        return float(len(self.alpha) - 1)

    def __call__(self, t: Tensor | float) -> Marginal:
        t = as_times(t, self.end)
        index = t.round().long()
        if bool((index != t).any()):
            raise ValueError(f"a table has whole times only, got {t[index != t].flatten()[0].item():g}")
        return Marginal(self.alpha.to(t.device)[index], self.sigma.to(t.device)[index])

    def times(self, n: int) -> Tensor:
        if n > self.end:
            raise ValueError(f"a table of {self.end:g} steps cannot be walked in {n}")
        return uniform_times(self, n).round()

    @property
    def betas(self) -> Tensor:
        """beta_t = 1 - (alpha_t / alpha_{t-1})**2, (T,): the variances of the steps of a variance-preserving table."""
        return 1 - (self.alpha[1:] / self.alpha[:-1]) ** 2

    @classmethod
    def of(cls, schedule: Continuous, steps: int) -> Table:
        """`schedule` read at `steps` + 1 even times: betas at any T are derived from alpha(t), never rescaled."""
        marginal = schedule(torch.linspace(0, 1, steps + 1, dtype=torch.float64))
        return cls(marginal.alpha, marginal.sigma)

    @classmethod
    def from_betas(cls, betas: Tensor) -> Table:
        """Variance-preserving steps: x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise. `betas` (T,), in [0, 1]."""
        betas = torch.as_tensor(betas, dtype=torch.float64)
        if bool(((betas < 0) | (betas > 1)).any()):
            raise ValueError(f"betas are variances in [0, 1], got {betas[(betas < 0) | (betas > 1)][0]:g}")
        log_alpha = torch.cat([torch.zeros(1, dtype=torch.float64), 0.5 * torch.log1p(-betas).cumsum(0)])
        return cls(log_alpha.exp(), torch.sqrt(-torch.expm1(2 * log_alpha)).abs())  # abs: no -0

    @classmethod
    def from_gammas(cls, gammas: Tensor) -> Table:
        """Variance-preserving steps: x_t = gamma_t x_{t-1} + sqrt(1 - gamma_t**2) noise. `gammas` (T,), in [0, 1]."""
        gammas = torch.as_tensor(gammas, dtype=torch.float64)
        if bool(((gammas < 0) | (gammas > 1)).any()):
            raise ValueError(f"gammas are scales in [0, 1], got {gammas[(gammas < 0) | (gammas > 1)][0]:g}")
        return cls.from_betas(1 - gammas**2)


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Ho et al.'s table of betas, (T,). Made for T = 1000; with fewer steps it does not end in noise (see
    `Table.of`).
    """
    return torch.linspace(first, last, steps, dtype=torch.float64)


def noising_path(x_0: Tensor, table: Table, noises: Tensor) -> Tensor:
    """A sample path of the forward process: x_0, x_1, ..., x_T, stacked, (T + 1, ...).

    `x_0` (...), `noises` (T, ...): step t draws from q(x_t | x_{t-1}) with noises[t - 1]. Linear in (x_0, noises), so a
    walk of zeros along `torch.eye(T)` gives each noise's coefficient in each x_t. ValueError where T does not fit.
    """
    if noises.shape != (len(table.alpha) - 1, *x_0.shape):
        raise ValueError(
            f"a path of {table.end:g} steps needs noises of shape "
            f"{(len(table.alpha) - 1, *x_0.shape)}, got {tuple(noises.shape)}"
        )
    steps = kernel(Marginal(table.alpha[:-1], table.sigma[:-1]), Marginal(table.alpha[1:], table.sigma[1:]))
    path = [x_0]
    for scale, std, noise in zip(steps.scale.to(x_0), steps.std.to(x_0), noises, strict=True):
        path.append(scale * path[-1] + std * noise)
    return torch.stack(path)
