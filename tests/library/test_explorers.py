"""The explorers' pictures by value, and their widgets: what is drawn, when, and how often. No browser, no kernel."""

import asyncio
import base64
import io
import json
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import explorers
from course_lib.data import digits, toys
from course_lib.explorers import affine, convolution, designer
from course_lib.explorers import samplers as samplers
from course_lib.explorers.drawing import Plot, arrows, line, picture, ticks
from course_lib.explorers.panel import PAUSE, Explorer, slider
from course_lib.gaussian import Mixture
from course_lib.metrics import classify
from course_lib.schedule import ConstantGamma, Cosine, Linear, Marginal, Sigmoid, Straight, VarianceExploding, jump
from course_staff.building.execute import execute

ALL = [
    explorers.affine_gaussian,
    explorers.schedule_designer,
    explorers.noise_as_convolution,
    explorers.sampler_bench,
]
each_explorer = pytest.mark.parametrize("make", ALL, ids=[make.__name__ for make in ALL])


def paths(svg: str, kind: str) -> list[np.ndarray]:
    """The vertices, (N, 2) in pixels, of every path of this class."""
    found = re.findall(rf'<path class="{kind}" d="([^"]*)"', svg)
    return [np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", d), dtype=float).reshape(-1, 2) for d in found]


def data_units(plot: Plot, pixels: np.ndarray) -> np.ndarray:
    """Pixels back to data, from two corners of the plot."""
    left, right, bottom, top = plot.limits
    low, high = plot.pixels((left, right), (bottom, top))
    return (pixels - low) / (high - low) * [right - left, top - bottom] + [left, bottom]


def ellipses(svg: str) -> list[list[float]]:
    """cx, cy, rx, ry and the angle in degrees of every ellipse."""
    pattern = r'<ellipse cx="([-\d.]+)" cy="([-\d.]+)" rx="([-\d.]+)" ry="([-\d.]+)" transform="rotate\(([-\d.]+) '
    return [[float(value) for value in match] for match in re.findall(pattern, svg)]


# Drawing


def test_a_line_runs_through_its_points_and_breaks_at_infinity():
    plot = Plot((0.0, 4.0, -1.0, 1.0))
    x, y = np.arange(5.0), np.array([0.5, -0.5, np.inf, 1.0, 0.0])
    svg = line(plot, x, y)
    assert data_units(plot, paths(svg, "line")[0]) == pytest.approx(np.delete(np.stack([x, y], 1), 2, 0), abs=0.02)
    assert svg.count("M") == 2  # the pen is lifted once


def test_an_arrow_ends_where_asked():
    plot = Plot((-1.0, 1.0, -1.0, 1.0), 200, 200)
    drawn = data_units(plot, paths(arrows(plot, np.zeros((1, 2)), np.array([[0.5, -0.25]])), "arrows")[0])
    assert drawn[:2] == pytest.approx(np.array([[0, 0], [0.5, -0.25]]), abs=0.01)
    assert drawn[3] == pytest.approx([0.5, -0.25], abs=0.01)  # the head's tip
    assert drawn[2] + drawn[4] == pytest.approx(2 * drawn[3] * (1 - 0.07 / np.hypot(0.5, 0.25)), abs=0.02)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-15, 15), (-2.8, 2.8), (0, 84), (0, 1.05), (-4, 4)])
def test_ticks_are_round_and_inside(low, high):
    values = ticks(low, high)
    steps = np.diff(values)
    assert 3 <= len(values) <= 9
    assert low <= values[0] and values[-1] <= high
    assert steps == pytest.approx(steps[0])
    assert f"{steps[0]:.0e}"[0] in "125"


def test_a_picture_needs_words():
    with pytest.raises(ValueError, match="one sentence"):
        picture((10, 10), [], " ")
    assert 'aria-label="a &lt; b &quot;c&quot;"' in picture((10, 10), [], 'a < b "c"')


# Affine Gaussian


@pytest.mark.parametrize("A", [[[1.2, 0.6], [0.2, 0.7]], [[-0.5, 1.5], [1.0, 0.3]], [[2.0, 0.0], [0.0, 0.5]]])
def test_the_ellipse_is_that_of_the_covariance(A):
    """Half axes: roots of the eigenvalues of A A^T. Direction: the eigenvector of the largest."""
    A, m = np.array(A), np.array([0.5, -1.0])
    plot = Plot((-4.0, 4.0, -4.0, 4.0), 300, 300)
    values, vectors = np.linalg.eigh(A @ A.T)
    drawn = ellipses(affine.render_image(A, m))
    assert len(drawn) == 2
    for deviations, (cx, cy, rx, ry, degrees) in zip((1, 2), drawn, strict=True):
        assert data_units(plot, np.array([cx, cy])) == pytest.approx(m, abs=0.01)
        assert [rx, ry] == pytest.approx(deviations * np.sqrt(values[::-1]) * 300 / 8, abs=0.01)
        along = np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))  # SVG's y points down
        assert abs(along @ vectors[:, 1]) == pytest.approx(1, abs=1e-4)


def test_the_points_are_the_noise_mapped():
    A, m = np.array([[1.2, 0.6], [0.2, 0.7]]), np.array([0.5, 0.25])
    plot = Plot((-4.0, 4.0, -4.0, 4.0), 300, 300)
    drawn = np.concatenate(paths(affine.render_image(A, m), "dots"))
    expected = affine.standard_noise() @ A.T + m
    assert len(drawn) == 400
    assert np.sort(data_units(plot, drawn), 0) == pytest.approx(np.sort(expected, 0), abs=0.01)


def test_turning_the_noise_moves_the_points_and_not_the_ellipse():
    A, m = np.array([[1.2, 0.6], [0.2, 0.7]]), np.zeros(2)
    before, after = affine.render_image(A, m), affine.render_image(A, m, 90)
    assert ellipses(before) == ellipses(after)
    assert np.concatenate(paths(before, "dots")) != pytest.approx(np.concatenate(paths(after, "dots")), abs=1)


def test_a_map_to_a_line_is_drawn_as_a_thin_ellipse():
    rx, ry = ellipses(affine.render_image(np.array([[1.0, 1.0], [1.0, 1.0]]), np.zeros(2)))[0][2:4]
    assert rx == pytest.approx(2 * 300 / 8, abs=0.01)
    assert 0 < ry <= 0.5


def test_moments_are_those_of_the_points_drawn():
    A, m = np.array([[1.2, 0.6], [0.2, 0.7]]), np.array([0.5, -0.25])
    words = re.findall(r"<td[^>]*>([^<]*)</td>", affine.render_moments(A, m))
    points = affine.standard_noise() @ A.T + m
    seen = [*points.mean(0), *np.cov(points.T)[[0, 1, 0], [0, 1, 1]]]
    exact = [0.5, -0.25, 1.2**2 + 0.6**2, 0.2**2 + 0.7**2, 1.2 * 0.2 + 0.6 * 0.7]
    values = [float(word.replace("−", "-")) for word in words[:10]]
    assert values[0::2] == pytest.approx(exact, abs=0.006)
    assert values[1::2] == pytest.approx(seen, abs=0.006)


# Schedule designer

SCHEDULES = [Cosine(), Linear(), Sigmoid(), ConstantGamma(), VarianceExploding(), Straight()]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


def test_log_snr_is_drawn_as_it_is():
    """Linear: alpha**2 = exp(-(0.1 t + 9.95 t**2)), so the log of alpha**2 / (1 - alpha**2) is known."""
    plot = Plot((0.0, 1.0, -15.0, 15.0))
    reference, drawn, _ = paths(designer.render_log_snr(Linear(0.1, 20.0), 0.5), "line")
    t, seen = data_units(plot, drawn).T
    integral = 0.1 * t + 9.95 * t**2
    inside = np.abs(seen) < 15
    assert len(drawn) == 200  # t = 0, where log SNR is infinite, is left out
    assert seen[inside] == pytest.approx(-np.log(np.expm1(integral))[inside], abs=0.35)  # t is known to 0.05 pixels
    assert seen[100:] == pytest.approx(-np.log(np.expm1(integral))[100:], abs=0.02)


@each_schedule
def test_two_points_follow_the_library_s_mixture(schedule):
    times, heights = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), np.linspace(-2.8, 2.8, 2001)
    one = torch.ones(2, dtype=torch.float64)
    law = Mixture(one / 2, torch.tensor([[-1.0], [1.0]], dtype=torch.float64), 0 * one)
    drawn = designer.two_point_density(schedule, heights, times)
    for column, t in zip(drawn.T, times, strict=True):
        level = schedule(t)
        x = torch.from_numpy(heights)[:, None] * torch.hypot(level.alpha, level.sigma)
        expected = law.log_density(x, level).exp().numpy()
        assert column == pytest.approx(expected / expected.max(), abs=1e-9)


@each_schedule
def test_bridge_weights_keep_the_mean_and_the_noise(schedule):
    """w_t alpha_t + w_0 = alpha_s, and sigma_s**2 = (w_t sigma_t)**2 + std**2: x_s is what a jump to s gives."""
    times, weight_t, weight_0, fresh = designer.bridge_curves(schedule, 20)
    later, earlier = schedule(times), schedule((times - 0.05).clamp(min=0))
    assert weight_t * later.alpha + weight_0 == pytest.approx(earlier.alpha, abs=1e-9)
    assert (weight_t * later.sigma) ** 2 + (fresh * earlier.sigma) ** 2 == pytest.approx(earlier.sigma**2, abs=1e-9)


def test_the_digit_goes_from_clean_to_noise():
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    frames = designer.noised_digit(Cosine(), times, 7)
    clean = (255 * (digits("held_back").of(7)[0, 0] + 1) / 2).round().numpy()
    assert frames.shape == (9, 28, 28)
    assert (frames[0] == clean).all()
    likeness = [np.corrcoef(frame.ravel(), clean.ravel())[0, 1] for frame in frames]
    assert likeness[0] == pytest.approx(1)
    assert np.all(np.diff(likeness) < 0)
    assert abs(likeness[-1]) < 0.15


def test_the_digit_s_view_holds_these_pixels():
    svg = designer.render_digit(Linear(), 0.3, 4)
    images = [Image.open(io.BytesIO(base64.b64decode(d))) for d in re.findall(r'base64,([^"]*)"', svg)]
    expected = designer.noised_digit(Linear(), torch.tensor([0.3, *np.linspace(0, 1, 9)], dtype=torch.float64), 4)
    assert np.stack([np.asarray(image) for image in images]).tolist() == expected.tolist()


@each_schedule
def test_the_classifier_s_confidence_is_that_of_the_pictures_themselves(schedule):
    """Asked directly, with fresh noises, at times whose log-SNR lies between the levels that were asked beforehand."""
    label, times = 3, torch.tensor([0.06, 0.35, 0.62, 0.97], dtype=torch.float64)
    image = digits("held_back").of(label)[:1].double().expand(4, -1, -1, -1)
    level, generator = schedule(times), torch.Generator().manual_seed(9)
    seen = torch.zeros(4)
    for _ in range(64):
        x_t = jump(image, level, torch.randn(image.shape, generator=generator, dtype=image.dtype))
        seen += classify(x_t / torch.hypot(level.alpha, level.sigma)[:, None, None, None])[:, label] / 64
    assert designer.confidence(schedule, times, label) == pytest.approx(seen.numpy(), abs=0.25)  # 8 noises against 64
    assert designer.confidence(schedule, torch.zeros(1).double(), label)[0] == pytest.approx(
        float(classify(image[:1])[0, label]), abs=1e-3
    )


# Noise as convolution


@pytest.mark.parametrize("data", list(convolution.DATA))
def test_the_density_is_the_library_s(data):
    x, y = np.linspace(-1.5, 1.5, 7), np.linspace(-1, 1, 5)
    at = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    level = Marginal(torch.tensor(1.0), torch.tensor(0.15, dtype=torch.float64))
    expected = convolution.DATA[data]().log_density(torch.from_numpy(at), level).exp().reshape(5, 7)
    assert convolution.density(data, 0.15, x, y) == pytest.approx(expected.numpy(), rel=1e-9)


def test_the_density_is_the_clean_one_convolved():
    """A sum over the grid of clean density times Gaussian kernel: no formula shared."""
    grid = np.linspace(-2, 2, 161)
    clean, step = convolution.density("three bumps", 0.0, grid, grid), grid[1] - grid[0]
    kernel = np.exp(-0.5 * ((grid[:, None] - grid) / 0.3) ** 2) / np.sqrt(2 * np.pi * 0.09) * step
    noised = convolution.density("three bumps", 0.3, grid, grid)
    assert kernel @ clean @ kernel == pytest.approx(noised, abs=0.002)


def test_the_heat_map_is_brightest_where_the_density_is_highest_with_y_upwards():
    svg = convolution.render_density("three bumps", 0.05, 0.0)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(re.search(r'base64,([^"]*)"', svg).group(1)))))
    row, column = np.unravel_index(image.astype(int).sum(2).argmax(), image.shape[:2])
    values = convolution.density("three bumps", 0.05, convolution.GRID, convolution.GRID)
    highest = np.unravel_index(values.argmax(), values.shape)
    assert abs(len(image) - 1 - row - highest[0]) <= 1
    assert abs(column - highest[1]) <= 1


def test_noise_merges_the_two_points():
    alts = [
        re.search(r'aria-label="([^"]*)"', convolution.render_cut("two points", s, 0.0)).group(1) for s in (0.3, 1.2)
    ]
    assert "2 peaks" in alts[0]
    assert "1 peak," in alts[1]


def test_the_noised_points_are_drawn_at_their_place():
    noised, clean = paths(convolution.render_points("spiral", 0.1), "dots")
    assert len(noised) == len(clean) == convolution.POINTS
    plot = Plot((-2.0, 2.0, -2.0, 2.0), 300, 300)
    offsets = data_units(plot, noised) - data_units(plot, clean)
    assert offsets.std() == pytest.approx(0.1, rel=0.08)  # 1000 draws: standard error 2.2%


# Sampler samplers


@pytest.mark.parametrize("sampler", list(samplers.SAMPLERS))
def test_every_walk_is_drawn_and_each_step_is_a_corner(sampler):
    run = samplers.run_sampler(sampler, steps=7, eta=0.5)
    assert run.tracks.shape == (8, samplers.POINTS, 2)
    assert run.evaluations == (13 if sampler == "Heun" else 7)
    lines = paths(samplers.render_tracks(run), "line")
    assert len(lines) == samplers.DRAWN
    assert all(len(corners) == 8 for corners in lines)
    plot = Plot((-3.0, 3.0, -3.0, 3.0), 300, 300)
    assert data_units(plot, lines[3]) == pytest.approx(run.tracks[:, 3], abs=0.02)
    assert len(paths(samplers.render_ends(run), "dots")[1]) == samplers.POINTS


def test_a_good_sampler_hits_the_bumps_and_renoising_narrows_them():
    """Within 4 standard errors of 400 draws; renoising halves the variance (notebook 05), so widths shrink by 0.71."""
    law = toys.mixture_2d()
    shares, stds = samplers.bump_moments(samplers.run_sampler("Heun", 50).ends)
    assert shares == pytest.approx(law.weights.numpy(), abs=4 * np.sqrt(0.25 / 400))
    assert stds == pytest.approx(law.stds.numpy(), rel=4 / np.sqrt(2 * 2 * 80))
    narrow = samplers.bump_moments(samplers.run_sampler("renoise: c = σ_s", 50).ends)[1]
    assert np.all(narrow < 0.85 * stds)


def test_moments_of_the_bumps_from_points_of_known_place():
    law = toys.mixture_2d()
    left, top = law.means[0].numpy(), law.means[2].numpy()
    points = np.stack([left + [0.1, 0], left - [0.1, 0], top, top + [0, 0.02]])
    shares, stds = samplers.bump_moments(points)
    assert shares == pytest.approx([0.5, 0, 0.5])
    assert stds[[0, 2]] == pytest.approx([0.1 / np.sqrt(2), 0.02 / 2])
    assert np.isnan(stds[1])


def test_samplers_start_from_the_same_noise():
    starts = [
        samplers.run_sampler(sampler, 3, spacing=spacing).tracks[0]
        for sampler in samplers.SAMPLERS
        for spacing in samplers.SPACINGS
    ]
    assert all((start == starts[0]).all() for start in starts)
    assert (samplers.run_sampler(samplers.KNOB, 3, seed=1).tracks[0] != starts[0]).all()


# Widgets


@each_explorer
def test_every_view_carries_words_and_no_fixed_colour_of_ink(make):
    for name, view in make().views.items():
        assert ('role="img" aria-label="' in view.value) or "<table" in view.value, name
        assert "black" not in view.value and "#000" not in view.value


@each_explorer
def test_every_control_changes_a_picture_and_back_again(make):
    explorer = make()
    first = {name: view.value for name, view in explorer.views.items()}
    for name, control in explorer.controls.items():
        if control.layout.display == "none":
            continue
        before = control.value
        control.value = other_value(control)
        assert {n: v.value for n, v in explorer.views.items()} != first, name
        control.value = before
        assert {n: v.value for n, v in explorer.views.items()} == first, name


@pytest.mark.parametrize("family", list(designer.FAMILIES))
def test_every_parameter_of_a_family_bends_its_curve_over_its_whole_range(family):
    explorer = explorers.schedule_designer()
    explorer.controls["family"].value = family
    shown = {name for name, control in explorer.controls.items() if control.layout.display != "none"}
    assert shown == {"family", "t", "steps", "digit"} | designer.FAMILIES[family][0]
    for name in designer.FAMILIES[family][0]:
        control, seen = explorer.controls[name], set()
        exponent = hasattr(control, "base")
        for value in (control.min, control.max):
            control.value = control.base**value if exponent else value
            seen.add(explorer.views["log_snr"].value)
            for t in (0.0, 1.0):
                explorer.controls["t"].value = t
            assert not re.search(r"\bnan\b", "".join(view.value for view in explorer.views.values()))
        assert len(seen) == 2, name


def other_value(control):
    if hasattr(control, "options"):
        return control.options[1]
    if isinstance(control.value, bool):
        return not control.value
    if isinstance(control.value, int):
        return control.value + 1 if control.value < control.max else control.value - 1
    return control.value * 0.5 if control.value else control.max / 2


def counting() -> tuple[Explorer, list[float]]:
    drawn: list[float] = []

    def draw(values: dict[str, float]) -> dict[str, str]:
        drawn.append(values["x"])
        return {"view": f"<p>{values['x']}</p>"}

    return Explorer("a test", {"x": slider("x", 0.0, 0, 100, 1)}, draw), drawn


def test_without_an_event_loop_every_move_is_drawn():
    explorer, drawn = counting()
    for value in (1.0, 2.0):
        explorer.controls["x"].value = value
    assert drawn == [0, 1, 2]


def test_thirty_fast_moves_are_one_drawing_of_the_last_state():
    explorer, drawn = counting()

    async def moves() -> None:
        for value in range(1, 31):
            explorer.controls["x"].value = value
        await asyncio.sleep(3 * PAUSE)
        explorer.controls["x"].value = 50.0
        await asyncio.sleep(3 * PAUSE)

    asyncio.run(moves())
    assert drawn == [0, 30, 50]
    assert explorer.views["view"].value == "<p>50.0</p>"


def test_moves_while_drawing_end_in_the_last_state():
    explorer, drawn = counting()

    async def moves() -> None:
        for value in range(1, 31):
            explorer.controls["x"].value = value
            await asyncio.sleep(PAUSE / 4)
        await asyncio.sleep(3 * PAUSE)

    asyncio.run(moves())
    assert drawn[-1] == 30
    assert len(drawn) < 31


@pytest.mark.slow
def test_in_a_kernel_thirty_moves_by_code_are_one_drawing_and_redraw_draws_at_once():
    cells = [
        "from course_lib.explorers import affine_gaussian\nexplorer = affine_gaussian()\nexplorer",
        "for degrees in range(1, 31):\n    explorer.controls['turn'].value = degrees",
        "import asyncio\nawait asyncio.sleep(0.5)",
        "print(explorer.drawings)\nexplorer.controls['turn'].value = 45\nexplorer.redraw()",
        "print(explorer.drawings)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    executed = execute(json.loads(nbformat.writes(notebook)), 60)
    shown, moved, _, once, twice = (cell["outputs"] for cell in executed["cells"])
    assert "application/vnd.jupyter.widget-view+json" in shown[0]["data"]
    assert "".join(shown[0]["data"]["text/plain"]).startswith("Explorer: ")
    assert moved == []
    assert ["".join(outputs[0]["text"]) for outputs in (once, twice)] == ["1\n", "2\n"]
    assert "turned by 45 degrees" in json.dumps(executed["metadata"]["widgets"])


@each_explorer
def test_an_explorer_names_itself_in_words(make):
    assert repr(make()).startswith("Explorer: ")
    assert len(repr(make())) < 200


def test_the_library_loads_no_torch_and_no_widgets_by_itself():
    code = "import sys, course_lib; assert not {'torch', 'ipywidgets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
