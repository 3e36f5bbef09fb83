"""Two-sample test: the distance against pairs written out, its size and its power by simulation."""

import math

import pytest
import torch

from course_lib.metrics import energy_distance, energy_test, null_band

F64 = torch.float64


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_the_distance_is_the_sum_over_all_pairs():
    x, y = draw(4, 1, 2), 0.5 + draw(3, 1, 2, seed=1)

    def mean(a, b, same):
        pairs = [
            math.dist(p.ravel(), q.ravel()) for i, p in enumerate(a) for j, q in enumerate(b) if not same or i != j
        ]
        return sum(pairs) / len(pairs)

    expected = 2 * mean(x, y, False) - mean(x, x, True) - mean(y, y, True)
    assert float(energy_distance(x, y)) == pytest.approx(expected, rel=1e-9)


def test_between_two_shifted_normals_it_is_the_known_integral():
    """In one dimension it is 2 * integral of (F - G)^2 (Szekely and Rizzo 2013)."""
    u = torch.linspace(-9, 10, 20_001, dtype=F64)
    gap = torch.special.ndtr(u) - torch.special.ndtr(u - 1)
    expected = float(2 * torch.trapezoid(gap**2, u))
    assert float(energy_distance(draw(3000, 1), 1 + draw(3000, 1, seed=2))) == pytest.approx(expected, abs=0.05)


def test_equal_laws_stay_in_the_band_nineteen_times_in_twenty():
    generator = torch.Generator().manual_seed(3)
    tests = [energy_test(draw(40, 3, seed=i), draw(40, 3, seed=1000 + i), generator, 200) for i in range(200)]
    outside = sum(not t.same for t in tests)
    assert 2 <= outside <= 21  # 5% of 200, give or take three standard errors


def test_a_wrong_spread_is_seen():
    verdict = energy_test(draw(150, 20), 1.5 * draw(150, 20, seed=1), torch.Generator().manual_seed(0), 200)
    assert not verdict.same and "different" in str(verdict)


def test_one_sample_is_not_enough():
    with pytest.raises(ValueError, match="got 1 and 5"):
        energy_distance(draw(1, 2), draw(5, 2))


def test_the_null_band_holds_for_its_share_of_fresh_pairs_and_not_for_others():
    generator = torch.Generator().manual_seed(3)

    def sample() -> torch.Tensor:
        return torch.randn(100, 1, generator=generator, dtype=F64)

    band = null_band(sample, pairs=200, level=0.9)
    inside = sum(float(energy_distance(sample(), sample())) <= band for _ in range(200)) / 200
    assert 0.82 < inside < 0.97
    assert float(energy_distance(sample(), sample() + 1.0)) > band
