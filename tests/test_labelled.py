"""plotting.labelled_points: every point is drawn as its own digit, and shapes are checked."""

from __future__ import annotations

import pytest
import torch

from course_lib import plotting


def test_each_label_gets_its_own_marker_and_colour():
    points, labels = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 10
    axes = plotting.labelled_points(points, labels, alt="Thirty points").figure.axes[0]
    drawn = [collection for collection in axes.collections if len(collection.get_offsets())]
    assert len(drawn) == 10 and all(len(collection.get_offsets()) == 3 for collection in drawn)
    assert len({tuple(collection.get_facecolor()[0]) for collection in drawn}) == 10
    assert len({len(collection.get_paths()[0].vertices) for collection in drawn}) > 5  # the shapes of digits differ


def test_labels_and_points_must_match():
    with pytest.raises(ValueError, match="3 points but labels of shape"):
        plotting.labelled_points(torch.zeros(3, 2), torch.zeros(2), alt="x")
