"""The ribbon: columns share one scale of colours each, tracks are drawn where they run, bad shapes are named."""

from __future__ import annotations

import numpy as np
import pytest

from course_lib import plotting


def test_each_column_is_scaled_to_its_own_largest_value():
    density = np.outer(np.array([0.5, 1.0, 0.25]), np.array([1.0, 10.0, 0.001]))
    picture = plotting.ribbon(density, alt="three equal columns", extent=(0, 1, -1, 1))
    shown = picture.figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, np.outer([0.5, 1.0, 0.25], np.ones(3)))


def test_tracks_are_drawn_at_their_times_with_one_name_a_group():
    times, positions = np.array([1.0, 0.5, 0.0]), np.array([[0.0, 0.3], [0.1, 0.4], [0.2, 0.5]])
    picture = plotting.ribbon(
        np.ones((2, 2)), alt="two tracks", extent=(0, 1, -1, 1), tracks={"ODE": (times, positions)}
    )
    axes = picture.figure.axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == positions.T.tolist()
    assert all(line.get_xdata().tolist() == times.tolist() for line in axes.lines)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ODE"]


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="shape \\(3,\\), expected \\(rows, columns\\)"):
        plotting.ribbon(np.ones(3), alt="one row", extent=(0, 1, 0, 1))
    with pytest.raises(ValueError, match="'ODE' have shape \\(2,\\) at 2 times"):
        plotting.ribbon(np.ones((2, 2)), alt="a bad track", extent=(0, 1, 0, 1), tracks={"ODE": ([0, 1], [0, 1])})
