"""The embedded digits: which ones, in what range, and kept apart."""

from __future__ import annotations

import hashlib

import pytest
import torch

from course_lib.data import binarise, digits, from_unit, to_unit


def test_the_digits_are_nine_thousand_and_one_thousand_in_minus_one_to_one():
    train, held_back = digits("train"), digits("held_back")
    assert train.images.shape == (9000, 1, 28, 28) and held_back.images.shape == (1000, 1, 28, 28)
    assert train.images.min() == -1 and train.images.max() == 1 and train.images.dtype == torch.float32
    assert (train.labels.bincount(minlength=10) > 700).all() and train.labels.max() == 9


def test_no_held_back_digit_is_among_those_learned_from():
    def prints(split: str) -> set[str]:
        return {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in digits(split).images}

    assert prints("train").isdisjoint(prints("held_back"))


def test_a_pixel_varies_by_027_and_most_are_black_as_the_course_says():
    images = digits().images
    assert images.var(dim=0).mean().item() == pytest.approx(0.27, abs=0.005)
    assert (images == -1).float().mean().item() == pytest.approx(0.81, abs=0.005)


def test_the_range_of_networks_and_the_range_of_what_is_shown():
    images = digits("held_back").images
    levels = 255 * to_unit(images)
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)  # the stored bytes
    torch.testing.assert_close(from_unit(levels / 255), images, rtol=0, atol=1e-6)
    torch.testing.assert_close(to_unit(torch.tensor([-3.0, 0.0, 3.0])), torch.tensor([0.0, 0.5, 1.0]))


def test_binarised_pixels_are_plus_or_minus_one():
    torch.testing.assert_close(binarise(torch.tensor([-0.2, 0.0, 0.2])), torch.tensor([-1.0, -1.0, 1.0]))


def test_digits_of_one_kind_and_wrong_names():
    train = digits()
    assert len(train.of(3)) == (train.labels == 3).sum() and len(train) == 9000
    with pytest.raises(ValueError, match="from 0 to 9, got 10"):
        train.of(10)
    with pytest.raises(ValueError, match="unknown split 'test'"):
        digits("test")
