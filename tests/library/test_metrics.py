"""Fréchet distance, neighbours and balance against closed forms and brute force."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
import scipy.linalg
import torch

from course_lib.data import digits
from course_lib.metrics import class_balance, classify, digit_features, frechet_distance, nearest_neighbours


def draws(n: int, d: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + torch.randn(d, generator=generator)


def test_frechet_distance_equals_the_formula_with_scipys_matrix_square_root():
    a, b = draws(300, 6, 0), draws(200, 6, 1)
    cov_a, cov_b = torch.cov(a.T).numpy(), torch.cov(b.T).numpy()
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = float(((a.mean(0) - b.mean(0)) ** 2).sum()) + (cov_a + cov_b - 2 * root).trace()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_is_zero_for_equal_sets_and_a_shifts_square():
    a = draws(300, 6, 0)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(6 * 4, rel=1e-9)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="more than 6 samples on both sides, got 6"):
        frechet_distance(draws(6, 6, 0), draws(100, 6, 0))


def test_neighbours_equal_brute_force():
    a, b = draws(20, 9, 0).reshape(20, 1, 3, 3), draws(50, 9, 1).reshape(50, 1, 3, 3)
    distance, index = nearest_neighbours(a, b, chunk=7)
    table = torch.stack([(b - one).square().sum(dim=(1, 2, 3)).sqrt() for one in a])
    assert (index == table.argmin(1)).all()
    torch.testing.assert_close(distance.double(), table.min(1).values, rtol=1e-4, atol=1e-4)


def test_the_feature_net_reads_digits_it_never_saw_as_well_as_its_record_says():
    held_back = digits("held_back")
    accuracy = (classify(held_back.images).argmax(1) == held_back.labels).double().mean().item()
    assert accuracy > 0.99
    record = json.loads(files("course_lib").joinpath("assets/features.json").read_text())
    assert accuracy == pytest.approx(record["accuracy on the 1,000 held-back digits"], abs=0.003)


def test_features_are_standardised_and_tell_noise_from_digits():
    train, held_back = digits("train").images[:2000], digits("held_back").images
    features = digit_features(train)
    assert features.mean().abs() < 0.05 and (features.std(0) - 1).abs().max() < 0.15
    near = frechet_distance(digit_features(held_back), features)
    noise = torch.randn(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    assert near < 1.0 < 30 < frechet_distance(digit_features(noise), features)
    with pytest.raises(ValueError, match=r"got shape \(2, 3, 32, 32\)"):
        digit_features(torch.zeros(2, 3, 32, 32))


def test_class_balance_of_real_digits_is_that_of_their_labels():
    held_back = digits("held_back")
    shares = held_back.labels.bincount(minlength=10) / 1000
    torch.testing.assert_close(class_balance(held_back.images), shares, rtol=0, atol=0.005)
