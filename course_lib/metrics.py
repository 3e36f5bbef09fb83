"""How good are the samples? Fréchet distance in the features of a small digit classifier, nearest neighbours, balance;
and whether two samples come from one law: the energy distance, judged against relabelled or fresh samples.

The feature network is trained on the 9,000 training digits only (`python -m course_staff features`) and shipped. Its
64 features are standardised so that each has mean 0 and standard deviation 1 over those digits. Fréchet distances
measured with it are comparable with one another and with nothing published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch
from safetensors.torch import load
from torch import Tensor, nn


class FeatureNet(nn.Module):
    """A digit classifier: images (N, 1, 28, 28) in [-1, 1] -> `features` (N, 64) -> logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_block(1, 16, 1), *_block(16, 32, 2), *_block(32, 32, 1), *_block(32, 64, 2), *_block(64, 64, 1),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, 64), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(64))
        self.register_buffer("std", torch.ones(64))

    def features(self, images: Tensor) -> Tensor:
        """Standardised features, (N, 64)."""
        return (self.layers(images) - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(images))


def _block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()]


@cache
def feature_net() -> FeatureNet:
    """The shipped feature network, ready to use."""
    network = FeatureNet()
    network.load_state_dict(load(files("course_lib").joinpath("assets/features.safetensors").read_bytes()))
    return network.eval().requires_grad_(False)


@torch.no_grad()
def digit_features(images: Tensor, chunk: int = 500) -> Tensor:
    """Standardised features of `images`, (N, 1, 28, 28) in [-1, 1]: (N, 64), float64."""
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28):
        raise ValueError(f"the feature network knows digits (N, 1, 28, 28), got shape {tuple(images.shape)}")
    return torch.cat([feature_net().features(part.float()) for part in images.cpu().split(chunk)]).double()


@torch.no_grad()
def classify(images: Tensor, chunk: int = 500) -> Tensor:
    """Probability of each digit, (N, 10), for `images` (N, 1, 28, 28) in [-1, 1]."""
    return torch.cat([feature_net()(part.float()).softmax(1) for part in images.cpu().split(chunk)])


def class_balance(images: Tensor) -> Tensor:
    """The share of `images` that the classifier takes for each digit, (10,); sums to 1."""
    return torch.bincount(classify(images).argmax(1), minlength=10) / len(images)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet (2-Wasserstein) distance between the Gaussians fitted to two sets of features, (N, D) and (M, D).

    |mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2) (Heusel et al. 2017). Biased upwards for small N and M:
    compare at equal sizes only. Raises ValueError with fewer than D + 1 rows, where a covariance matrix is singular.
    """
    if min(len(a), len(b)) <= a.shape[1]:
        raise ValueError(f"expected more than {a.shape[1]} samples on both sides, got {len(a)} and {len(b)}")
    cov_a, cov_b = torch.cov(a.double().T), torch.cov(b.double().T)
    root = _square_root(cov_a)
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum()
    return float(shift + cov_a.trace() + cov_b.trace() - 2 * cross)


def _square_root(cov: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def nearest_neighbours(images: Tensor, references: Tensor, chunk: int = 256) -> tuple[Tensor, Tensor]:
    """Euclidean distance of each of `images`, (N, ...), to its nearest of `references`, (M, ...), and that one's index.

    Both (N,). To leave an image's own copy out, compare against references without it.
    """
    flat = references.flatten(1).float()
    found = [torch.cdist(part.flatten(1).float(), flat).min(dim=1) for part in images.split(chunk)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


@dataclass(frozen=True)
class EnergyTest:
    """A distance between two samples, and the `limit` that 95 of 100 stay below if their laws are the same."""

    distance: float
    limit: float

    @property
    def same(self) -> bool:
        """Whether the distance is one that equal laws would give."""
        return self.distance <= self.limit

    def __str__(self) -> str:
        words = "no difference shown" if self.same else "different"
        return f"distance {self.distance:6.3f}, null band up to {self.limit:.3f}: {words}"


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| without bias, () float64, between the samples `x` (N, ...), `y` (M, ...).

    Its expectation is 0 exactly where the two laws are equal (Szekely and Rizzo 2013); an estimate may be negative.
    Raises ValueError with fewer than two samples on a side.
    """
    pooled = torch.cat([x, y]).flatten(1).double()
    label = torch.arange(len(pooled)) < len(x)
    return _energy(torch.cdist(pooled, pooled), label)


def energy_test(x: Tensor, y: Tensor, generator: torch.Generator, permutations: int = 400) -> EnergyTest:
    """The energy distance of two samples, with its null band: the lower 95% among random relabellings of all samples.

    If both come from one law, labels mean nothing, and the distance is one more draw from the relabelled ones.
    """
    pooled = torch.cat([x, y]).flatten(1).double()
    apart = torch.cdist(pooled, pooled)
    label = torch.arange(len(pooled)) < len(x)
    shuffled = [_energy(apart, label[torch.randperm(len(pooled), generator=generator)]) for _ in range(permutations)]
    return EnergyTest(float(_energy(apart, label)), float(torch.stack(shuffled).quantile(0.95)))


def null_band(sample: Callable[[], Tensor], pairs: int = 100, level: float = 0.99) -> float:
    """What the energy distance stays below, with probability about `level`, when nothing but chance is at work.

    `sample()` returns an independent sample of the law, of the size to be tested, (N, ...); `pairs` pairs of them are
    compared, and the quantile `level` of the distances is returned.
    """
    return float(torch.stack([energy_distance(sample(), sample()) for _ in range(pairs)]).quantile(level))


def _energy(apart: Tensor, first: Tensor) -> Tensor:
    """The distance from all pairs' distances (N + M, N + M) and who belongs to the first sample."""
    a, b = first.double(), (~first).double()
    n, m = a.sum(), b.sum()
    if n < 2 or m < 2:
        raise ValueError(f"expected at least two samples on each side, got {int(n)} and {int(m)}")
    rows = apart @ torch.stack([a, b], 1)
    within = (a @ rows[:, 0]) / (n * (n - 1)) + (b @ rows[:, 1]) / (m * (m - 1))
    return 2 * (a @ rows[:, 1]) / (n * m) - within
