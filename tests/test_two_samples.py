"""The energy distance against brute force and a closed form; the null band against its own promise."""

from __future__ import annotations

import math

import pytest
import torch

from course_lib.two_samples import energy_distance, null_band

F64 = torch.float64


def normal(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, 1, generator=torch.Generator().manual_seed(seed), dtype=F64) + shift


def test_it_is_twice_the_cross_mean_minus_the_two_inner_means():
    x, y = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [0.0, 1.0], [6.0, 8.0]])
    cross = (0 + 1 + 10 + 5 + math.hypot(3, 3) + 5) / 6
    within = (1 + 10 + math.hypot(6, 7)) / 3
    assert energy_distance(x, y) == pytest.approx(2 * cross - 5 - within)


def test_for_shifted_normals_it_is_the_closed_form():
    """E|Z| of N(m, 2) against N(0, 2): 2 E|X - Y| - 2 E|X - X'|, from the folded normal's mean."""

    def folded(m: float) -> float:
        return math.sqrt(4 / math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)

    found = energy_distance(normal(4000, 1), normal(4000, 2, shift=1.0))
    assert found == pytest.approx(2 * folded(1.0) - 2 * folded(0.0), abs=0.03)


def test_it_has_no_bias_where_the_laws_are_the_same():
    found = [energy_distance(normal(50, 2 * k), normal(50, 2 * k + 1)) for k in range(200)]
    values = torch.tensor(found)
    assert float(values.mean()) == pytest.approx(0.0, abs=4 * float(values.std()) / math.sqrt(200))
    assert float(values.min()) < 0


def test_the_null_band_holds_for_its_share_of_fresh_pairs_and_not_for_others():
    generator = torch.Generator().manual_seed(3)

    def sample() -> torch.Tensor:
        return torch.randn(100, 1, generator=generator, dtype=F64)

    band = null_band(sample, pairs=200, level=0.9)
    inside = sum(energy_distance(sample(), sample()) <= band for _ in range(200)) / 200
    assert 0.82 < inside < 0.97
    assert energy_distance(sample(), sample() + 1.0) > band


def test_a_single_point_is_refused_by_number():
    with pytest.raises(ValueError, match="at least two points on both sides, got 1 and 5"):
        energy_distance(torch.zeros(1, 2), torch.zeros(5, 2))
