"""The toys: their moments and shapes against independent routes, and the letter against the script that draws it."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats

from course_lib.data import toys
from course_staff.release import letter


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_two_points_are_one_either_side_of_the_origin():
    x = toys.two_points().sample(2_000, generator())
    assert x.unique(dim=0).tolist() == [[-1, 0], [1, 0]]
    assert abs(x[:, 0].mean()) < 5 / math.sqrt(2_000)


def test_mixture_bumps_have_empty_space_between_them():
    """Half way between any two means the density, computed with scipy, is below 2% of the lower of the two peaks."""
    toy = toys.mixture_2d()
    parts = list(zip(toy.weights.tolist(), toy.means.numpy(), toy.stds.tolist(), strict=True))

    def density(x: np.ndarray) -> float:
        return sum(weight * stats.multivariate_normal(mean, std**2).pdf(x) for weight, mean, std in parts)

    for (_, a, _), (_, b, _) in combinations(parts, 2):
        assert density((a + b) / 2) < 0.02 * min(density(a), density(b))
        assert max(abs(a).max(), abs(b).max()) < 1


def test_the_same_seed_draws_the_same_points_and_another_seed_others():
    first, again, other = (toys.spiral(50, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_spiral_points_lie_on_the_curve_within_its_width():
    """The distance to the ideal curve r = 0.15 + 0.85 u, angle = 3.5 pi u, has the root mean square of the width."""
    x = toys.spiral(5_000, generator(2))
    u = torch.linspace(-0.05, 1.05, 4_000, dtype=torch.float64)
    radius, angle = 0.15 + 0.85 * u, 3.5 * math.pi * u
    curve = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    distance = torch.cdist(x, curve).amin(1)
    assert distance.square().mean().sqrt().item() == pytest.approx(0.025, rel=0.05)


def test_spiral_parts_are_evenly_spaced_and_closer_than_two_widths():
    """The chords between neighbours agree to 1%, so that the density is even; the turns stay apart by many widths."""
    toy = toys.spiral_2d()
    chords = (toy.means[1:] - toy.means[:-1]).norm(dim=1)
    assert chords.max() / chords.min() < 1.01 and chords.max() < 2 * toy.stds[0]
    radius = toy.means.norm(dim=1)
    assert radius[0].item() == pytest.approx(0.15) and radius[-1].item() == pytest.approx(1.0)
    assert (radius[1:] > radius[:-1]).all()


def test_spiral_refuses_a_single_part():
    with pytest.raises(ValueError, match="at least 2 parts, got 1"):
        toys.spiral_2d(parts=1)


def test_the_shipped_letter_is_what_the_script_draws():
    shown = (toys.letter_t()[0, 0] + 1) * 127.5
    assert np.array_equal(shown.round().numpy().astype(np.uint8), letter.letter_t())


def test_the_letter_covers_the_area_of_its_rectangles():
    """Bar, stem and serifs by inclusion and exclusion on paper: 286 + 2 * 24.5 + 9 * 32 + 22 * 3.5 = 700 pixels."""
    x = toys.letter_t()
    assert x.shape == (1, 1, 64, 64) and x.dtype == torch.float32
    assert x.min() == -1 and x.max() == 1
    assert ((x + 1) / 2).sum().item() == pytest.approx(700, abs=0.5)
    assert torch.equal(x, x.flip(-1))  # symmetric about its stem
