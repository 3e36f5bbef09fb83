"""Figures: what is drawn is what was given, every figure carries its words, bad input is named in one sentence."""

import base64
import html.parser
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import plotting


class FirstImage(html.parser.HTMLParser):
    """Attributes of the images in a piece of HTML, read by the standard library's parser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))


def shown_pixels(picture: plotting.Picture) -> np.ndarray:
    """The picture a notebook shows, decoded from its HTML, (H, W, 3) uint8."""
    source = FirstImage(picture._repr_html_()).images[0]["src"] or ""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB"))


def test_unit_range_is_the_affine_map_of_minus_one_to_one_clipped():
    values = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 7.0])
    np.testing.assert_allclose(plotting.as_pixels(values), [0, 0, 0.25, 0.5, 0.75, 1, 1])


def test_tile_puts_image_i_in_row_i_div_columns():
    images = np.arange(5).reshape(5, 1, 1) / 4 * np.ones((5, 2, 3))
    sheet = plotting.tile(images, ncols=2, pad=1, fill=0.5)
    expected = [
        [0, 0, 0, 0.5, 0.25, 0.25, 0.25],
        [0, 0, 0, 0.5, 0.25, 0.25, 0.25],
        [0.5] * 7,
        [0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 0.75],
        [0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 0.75],
        [0.5] * 7,
        [1, 1, 1, 0.5, 0.5, 0.5, 0.5],
        [1, 1, 1, 0.5, 0.5, 0.5, 0.5],
    ]
    np.testing.assert_array_equal(sheet, expected)


def test_grid_shows_each_image_at_its_own_value():
    """The centre of each cell of the rendered PNG has the grey of its image: nothing is rescaled to its own range."""
    greys = np.array([0.2, 0.4, 0.6, 0.8])
    picture = plotting.image_grid(greys[:, None, None] * np.ones((4, 8, 8)), alt="Four greys", ncols=2, cell=1.0)
    pixels = shown_pixels(picture)
    height, width = pixels.shape[:2]
    centres = [pixels[int(height * y), int(width * x), 0] for y in (0.25, 0.75) for x in (0.25, 0.75)]
    np.testing.assert_allclose(centres, greys * 255, atol=2)


def test_colour_channels_come_first_and_keep_their_order():
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0], image[:, 2] = 1.0, 0.5
    pixels = shown_pixels(plotting.image_grid(image, alt="Pink"))
    np.testing.assert_allclose(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2], [255, 0, 128], atol=2)


def test_strip_draws_one_row_for_each_entry():
    rows = {"dark": np.zeros((3, 5, 5)), "light": np.ones((3, 5, 5))}
    pixels = shown_pixels(plotting.strip(rows, alt="Two rows"))
    height, width = pixels.shape[:2]
    assert pixels[height // 4, -width // 6].tolist() == [0, 0, 0]
    assert pixels[3 * height // 4, -width // 6].tolist() == [255, 255, 255]


def test_saved_sheet_holds_the_values_enlarged_by_a_whole_factor(tmp_path):
    images = np.random.default_rng(0).random((4, 28, 28))
    plotting.save_sheet(images, tmp_path / "sheet.png", ncols=2)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert pixels.shape == (2 * 57, 2 * 57)
    np.testing.assert_allclose(pixels[::2, ::2][29:, 29:] / 255, images[3], atol=0.5 / 255 + 1e-9)


def test_histogram_areas_are_one_also_where_samples_lie_outside_the_limits():
    """Total area drawn = share of the samples within the limits."""
    samples = np.random.default_rng(0).standard_normal(10_000)
    axes = plotting.histograms({"normal": samples}, alt="A bell", limits=(-1.0, 1.0), bins=10).figure.axes[0]
    area = sum(bar.get_width() * bar.get_height() for bar in axes.containers[0].patches)
    assert area == pytest.approx(np.mean(np.abs(samples) <= 1), abs=1e-12)


def test_ellipse_at_k_deviations_has_mahalanobis_distance_k():
    """Every point of the drawn ellipse solves (x - m)^T C^-1 (x - m) = k^2: no shared algebra with the drawing."""
    mean, factor = np.array([1.0, -2.0]), np.array([[1.0, 0.7], [0.0, 0.4]])
    covariance = factor @ factor.T
    groups = {"g": (mean, covariance)}
    picture = plotting.scatter(np.zeros((1, 2)), alt="An ellipse", ellipses=groups, deviations=(1, 2))
    for k, ellipse in zip((1, 2), picture.figure.axes[0].patches, strict=True):
        outline = (
            ellipse.get_patch_transform().transform(ellipse.get_path().vertices)[:-1:3] - mean
        )  # ends of the pieces
        distances = np.sqrt(np.einsum("ni,ij,nj->n", outline, np.linalg.inv(covariance), outline))
        np.testing.assert_allclose(distances, k, rtol=1e-9)


def test_paths_are_as_wide_as_asked_by_name():
    tracks = {"wide": np.eye(2), "usual": -np.eye(2)}
    axes = plotting.paths(tracks, alt="Two paths", widths={"wide": 5.0}).figure.axes[0]
    assert [line.get_linewidth() for line in axes.lines] == [5.0, 1.0]


def test_curves_draw_the_given_points():
    picture = plotting.curves({"a": [1.0, 4.0, 9.0], "b": ([0, 1], [5, 6])}, x=torch.tensor([1.0, 2.0, 3.0]), alt="Two")
    first, second = picture.figure.axes[0].lines
    np.testing.assert_array_equal(first.get_xydata(), [[1, 1], [2, 4], [3, 9]])
    np.testing.assert_array_equal(second.get_xydata(), [[0, 5], [1, 6]])
    assert first.get_linestyle() != second.get_linestyle()  # told apart without colour


def test_stacked_bars_stand_on_each_other():
    picture = plotting.bars({"a": [1, 2], "b": [3, 4]}, stacked=True, alt="Stacks")
    tops = [bar.get_y() + bar.get_height() for bar in picture.figure.axes[0].containers[1].patches]
    assert tops == [4, 6]


def test_shares_stand_on_each_other_and_are_named_in_their_order():
    picture = plotting.stacked_shares({"old": [1, 2, 3], "new": [3, 4, 0], "newest": [0, 1, 2]}, alt="Shares")
    axes = picture.figure.axes[0]
    tops = [[bar.get_y() + bar.get_height() for bar in container.patches] for container in axes.containers]
    assert tops == [[1, 2, 3], [4, 6, 3], [4, 7, 5]]
    assert [entry.get_text() for entry in axes.get_legend().get_texts()] == ["newest", "new", "old"]
    assert len({bars.patches[0].get_facecolor() for bars in axes.containers}) == 3


FIGURES = {
    "image_grid": lambda alt: plotting.image_grid(np.zeros((3, 4, 4)), alt=alt, titles=["a", "b", "c"], title="t"),
    "strip": lambda alt: plotting.strip(np.zeros((3, 4, 4)), alt=alt, labels=["a", "b", "c"]),
    "curves": lambda alt: plotting.curves({"a": [1, 2]}, alt=alt, bands={"a": ([0, 1], [2, 3])}),
    "bars": lambda alt: plotting.bars({"a": 1.0, "b": 2.0}, alt=alt, errors={"a": 0.1, "b": 0.1}),
    "stacked_shares": lambda alt: plotting.stacked_shares({"a": [1.0], "b": [2.0]}, alt=alt),
    "histograms": lambda alt: plotting.histograms({"a": [1.0, 2.0]}, alt=alt, lines={"b": ([1, 2], [0, 1])}),
    "scatter": lambda alt: plotting.scatter({"a": np.eye(2)}, alt=alt),
    "paths": lambda alt: plotting.paths(np.zeros((2, 3, 2)), alt=alt, points=np.eye(2)),
    "vector_field": lambda alt: plotting.vector_field(np.eye(2), np.eye(2), alt=alt, samples=np.eye(2)),
    "heatmap": lambda alt: plotting.heatmap(np.eye(3), alt=alt, lines={"a": ([0, 1], [0, 1])}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_carries_its_words_and_repeats_to_the_byte(name):
    words = 'The "noise" grows & <fades>'
    first, second = FIGURES[name](words), FIGURES[name](words)
    assert first._repr_html_() == second._repr_html_()
    assert FirstImage(first._repr_html_()).images[0]["alt"] == words
    assert repr(first) == f"Picture: {words}"
    with pytest.raises(ValueError, match="alt is empty"):
        FIGURES[name]("  ")


def test_drawing_twice_moves_nothing():
    """A layout that is solved anew at each drawing drifts by a pixel: frames of a film would tremble."""
    picture = plotting.curves({"a": [0, 1]}, alt="Line", size=(3, 2))
    np.testing.assert_array_equal(picture.image(), picture.image())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.image_grid(-np.ones((1, 2, 2)), alt="x"), r"from -1 to -1, expected \[0, 1\].*as_pixels"),
        (lambda: plotting.image_grid(np.full((1, 2, 2), np.nan), alt="x"), r"from nan to nan, expected \[0, 1\]"),
        (lambda: plotting.image_grid(np.ones((2, 5, 2, 2)), alt="x"), r"\(2, 5, 2, 2\), expected \(N, H, W\)"),
        (lambda: plotting.image_grid(np.ones((0, 2, 2)), alt="x"), "nothing to show"),
        (lambda: plotting.image_grid(np.ones((3, 2, 2)), alt="x", ncols=3, titles=["a"]), "1 titles for 3 images"),
        (lambda: plotting.strip({"a": np.ones((2, 3, 3)), "b": np.ones((4, 3, 3))}, alt="x"), r"\[2, 4\] images"),
        (lambda: plotting.curves({"a": [1, 2]}, x=[1, 2, 3], alt="x"), r"'a' has \(2,\) values over x of shape \(3,\)"),
        (lambda: plotting.scatter(np.ones((2, 3)), alt="x"), r"points have shape \(2, 3\), expected \(N, 2\)"),
        (lambda: plotting.vector_field(np.ones((2, 2)), np.ones((3, 2)), alt="x"), "2 points but 3 vectors"),
        (lambda: plotting.bars({"a": [1, 2], "b": [1, 2, 3]}, alt="x"), r"lengths \[2, 3\]"),
        (lambda: plotting.stacked_shares({"a": [1, 2]}, alt="x", labels=["p"]), r"lengths \[2\] for 1 labels"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_plotting_leaves_torch_and_pyplot_alone():
    code = "import sys; import course_lib.plotting; print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_curves_share_a_range_of_y_where_told():
    pictures = [plotting.curves({"y": y}, alt="a line", ylim=(-2.0, 3.0)) for y in ([0.0, 1.0], [-1.0, 2.5])]
    assert [picture.figure.axes[0].get_ylim() for picture in pictures] == [(-2.0, 3.0)] * 2


def test_each_label_gets_its_own_marker_and_colour():
    points, labels = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 10
    axes = plotting.labelled_points(points, labels, alt="Thirty points").figure.axes[0]
    drawn = [collection for collection in axes.collections if len(collection.get_offsets())]
    assert len(drawn) == 10 and all(len(collection.get_offsets()) == 3 for collection in drawn)
    assert len({tuple(collection.get_facecolor()[0]) for collection in drawn}) == 10
    assert len({len(collection.get_paths()[0].vertices) for collection in drawn}) > 5  # the shapes of digits differ


def test_labels_and_labelled_points_must_match():
    with pytest.raises(ValueError, match="3 points but labels of shape"):
        plotting.labelled_points(torch.zeros(3, 2), torch.zeros(2), alt="x")


def test_each_column_of_a_ribbon_is_scaled_to_its_own_largest_value():
    density = np.outer(np.array([0.5, 1.0, 0.25]), np.array([1.0, 10.0, 0.001]))
    picture = plotting.ribbon(density, alt="three equal columns", extent=(0, 1, -1, 1))
    shown = picture.figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, np.outer([0.5, 1.0, 0.25], np.ones(3)))


def test_tracks_of_a_ribbon_are_drawn_at_their_times_with_one_name_a_group():
    times, positions = np.array([1.0, 0.5, 0.0]), np.array([[0.0, 0.3], [0.1, 0.4], [0.2, 0.5]])
    picture = plotting.ribbon(
        np.ones((2, 2)), alt="two tracks", extent=(0, 1, -1, 1), tracks={"ODE": (times, positions)}
    )
    axes = picture.figure.axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == positions.T.tolist()
    assert all(line.get_xdata().tolist() == times.tolist() for line in axes.lines)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ODE"]


def test_bad_shapes_of_a_ribbon_are_named():
    with pytest.raises(ValueError, match="shape \\(3,\\), expected \\(rows, columns\\)"):
        plotting.ribbon(np.ones(3), alt="one row", extent=(0, 1, 0, 1))
    with pytest.raises(ValueError, match="'ODE' have shape \\(2,\\) at 2 times"):
        plotting.ribbon(np.ones((2, 2)), alt="a bad track", extent=(0, 1, 0, 1), tracks={"ODE": ([0, 1], [0, 1])})
