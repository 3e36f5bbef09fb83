"""The scrubber's output, read as a browser would: decode what it carries and compare with what was given."""

import base64
import html.parser
import io
import json
import math
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import plotting
from course_lib.scrubber import scrub

RAMP = np.arange(7).reshape(7, 1, 1) / 6 * np.ones((7, 6, 5))  # frame k has grey k / 6


class Reader(html.parser.HTMLParser):
    """Data, image sources and attributes of a scrubber's HTML, by the standard library's own parser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        values = {key: value or "" for key, value in attrs}
        self.addresses += [values[key] for key in ("src", "href") if key in values]
        if tag == "img":
            self.images.append(values)

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts.append(data)
        elif self.inside != "style":
            self.words.append(data)

    @property
    def data(self):
        return json.loads(self.scripts[0])

    def frames(self, panel: int = 0) -> list[np.ndarray]:
        """The frames of a panel cut out of its sheet as the script does."""
        spec = self.data["panels"][panel]
        sheet = Image.open(io.BytesIO(base64.b64decode(self.images[panel]["src"].split(",")[1]))).convert("RGB")
        cut = []
        for i in range(self.data["count"]):
            left = (i % spec["columns"]) * (spec["width"] + spec["gap"])
            top = (i // spec["columns"]) * (spec["height"] + spec["gap"])
            cut.append(np.asarray(sheet.crop((left, top, left + spec["width"], top + spec["height"]))))
        return cut


def read(scrubber) -> Reader:
    return Reader(scrubber._repr_html_())


@pytest.mark.parametrize("levels", [2, 16, 64, 256])
def test_frames_survive_to_within_half_a_grey_level(levels):
    frames = np.random.default_rng(0).random((11, 9, 13))
    shown = np.stack(read(scrub(frames, alt="Noise", levels=levels)).frames())
    assert np.abs(shown[..., 0] / 255 - frames).max() <= 0.5 / (levels - 1) + 0.5 / 255
    assert len(np.unique(shown)) <= levels


def test_colour_frames_keep_their_channels():
    frames = torch.rand(5, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    shown = np.stack(read(scrub(frames, alt="Colours", levels=256)).frames())
    np.testing.assert_array_equal(shown, (frames.double() * 255).round().permute(0, 2, 3, 1).numpy())


def test_five_axes_are_a_grid_a_frame():
    """(F, B, C, H, W): image b of frame f stands in row b // ncols, column b % ncols; B = 3 is no colour."""
    frames = np.arange(6).reshape(2, 3, 1, 1, 1) / 5 * np.ones((2, 3, 1, 4, 4))
    for f, shown in enumerate(read(scrub(frames, alt="Grids", ncols=2, levels=6)).frames()):
        assert shown.shape == (9, 9, 3)
        corners = [shown[0, 0, 0], shown[0, -1, 0], shown[-1, 0, 0]]
        assert corners == [51 * (3 * f + b) for b in range(3)]


def test_a_list_of_states_is_a_film():
    states = [torch.full((4, 1, 3, 3), k / 2) for k in range(3)]
    assert [frame[0, 0, 0] for frame in read(scrub(states, alt="Walk", levels=3)).frames()] == [0, 128, 255]


def test_drawn_figures_are_frames_at_their_own_size():
    pictures = [plotting.curves({"a": [0, k]}, alt="Line", size=(3, 2)) for k in (1, 2)]
    for shown, picture in zip(read(scrub(pictures, alt="A line turns")).frames(), pictures, strict=True):
        assert shown.shape == (200, 300, 3)
        error = shown.astype(float) - np.asarray(picture.image(), dtype=float)
        assert np.abs(error).mean() < 1  # 256 colours for all frames
    assert not read(scrub(pictures, alt="A line turns")).data["panels"][0]["pixelArt"]


def test_linked_panels_share_one_slider_and_keep_their_labels():
    reader = read(scrub({"x_t": RAMP, "predicted x_0": 1 - RAMP}, alt="Two films"))
    assert [panel["label"] for panel in reader.data["panels"]] == ["x_t", "predicted x_0"]
    assert [frame[0, 0, 0] for frame in reader.frames(0)] == [frame[0, 0, 0] for frame in reader.frames(1)][::-1]


def test_same_input_same_bytes_and_other_input_another_name():
    first, second, other = scrub(RAMP, alt="Ramp"), scrub(RAMP.copy(), alt="Ramp"), scrub(RAMP[::-1], alt="Ramp")
    assert first.html == second.html
    name = re.compile(r'data-scrubber="(\w+)"')
    assert name.findall(first.html) != name.findall(other.html)


def test_output_needs_nothing_from_outside():
    """Every address is a data URI; the script names no loader, no network call and no host."""
    reader = read(scrub(RAMP, alt="Ramp", curves={"a": range(7)}))
    assert reader.addresses
    assert all(address.startswith("data:image/") for address in reader.addresses)
    script = reader.scripts[1].replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.search(r"https?:|\brequire\b|\bimport\b|\bfetch\b|XMLHttp|eval\(", script)
    assert ' id="' not in scrub(RAMP, alt="Ramp").html  # two copies on a page cannot clash


def test_text_from_the_author_cannot_break_out():
    evil = '</script><img src=x onerror="alert(1)">'
    reader = read(scrub(RAMP, alt=evil, title=evil, captions=[evil] * 7, readout={evil: range(7)}))
    assert [image["alt"] for image in reader.images] == [f"{evil}. All 7 frames, from frame 1 to frame 7."]
    assert reader.data["captions"][0] == reader.data["title"] == reader.data["alt"] == evil
    assert len(reader.scripts) == 2


def test_without_scripts_a_described_sheet_of_all_frames_remains():
    scrubber = scrub(RAMP, t=np.linspace(0, 1, 7), alt="A square brightens")
    still = Reader(re.sub(r"<(script|style).*?</\1>", "", scrubber.html, flags=re.DOTALL))  # what a sanitiser leaves
    assert still.images[0]["alt"] == "A square brightens. All 7 frames, from t = 0 to t = 1."
    assert "7 frames, left to right and down: t = 0 to t = 1" in " ".join(still.words)


def test_readout_shows_the_marginal_infinite_ends_included():
    """log SNR = ln(alpha^2 / sigma^2) = ln(16 / 9) = 0.575 between +inf (no noise) and -inf (no signal)."""
    alpha, sigma = torch.tensor([1.0, 0.8, 0.0]), torch.tensor([0.0, 0.6, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader = read(scrub(RAMP[:3], marginals=SimpleNamespace(alpha=alpha, sigma=sigma), alt="Ramp"))
    assert reader.data["readout"] == [
        ["alpha", ["1", "0.8", "0"]],
        ["sigma", ["0", "0.6", "1"]],
        ["log SNR", ["∞", "0.575", "−∞"]],
    ]


def test_numbers_are_short_and_whole_ones_complete():
    values = [0.0, -0.0, 0.25, 1 / 3, 1000, 1234.5, -2.5, 1.2e-05, -1e-9, math.nan, 1e12]
    shown = ["0", "0", "0.25", "0.333", "1000", "1234", "−2.5", "1.2e−05", "−1e−09", "undefined", "1e+12"]
    reader = read(scrub(np.zeros((11, 2, 2)), readout={"value": values}, alt="Numbers"))
    assert reader.data["readout"] == [["value", shown]]


def test_infinite_values_leave_a_gap_in_a_curve():
    reader = read(scrub(RAMP[:3], curves={"log SNR": [math.inf, -1.5, -math.inf]}, alt="Ramp"))
    assert reader.data["curves"] == [["log SNR", [None, -1.5, None], ["∞", "−1.5", "−∞"]]]


@pytest.mark.parametrize(
    ("t", "scale", "positions"),
    [
        (None, None, [0, 1, 2, 3]),
        ([0, 0.5, 0.75, 1], None, [0, 1.5, 2.25, 3]),
        ([1, 0.75, 0.5, 0], "linear", [0, 0.75, 1.5, 3]),  # sampling: t falls, the slider still starts left
        ([0, 0.5, 0.75, 1], "frames", [0, 1, 2, 3]),
        ([0.001, 0.01, 0.1, 1], "log", [0, 1, 2, 3]),
        ([0, 0.01, 0.1, 1], "log", [0, 1, 2, 3]),  # t = 0 one mean gap before the first
        ([0, 1, 1, 2], None, [0, 1, 2, 3]),  # repeated times: equal steps
    ],
)
def test_slider_positions_follow_the_scale(t, scale, positions):
    reader = read(scrub(RAMP[:4], t=t, scale=scale, alt="Ramp"))
    assert reader.data["positions"] == pytest.approx(positions, abs=1e-4)


def test_smaller_of_png_and_webp_is_taken():
    """Against both encoders called here on the decoded sheet."""
    for frames in (RAMP, np.random.default_rng(0).random((20, 28, 28))):
        source = read(scrub(frames, alt="Film")).images[0]["src"]
        size = len(base64.b64decode(source.split(",")[1]))
        sheet = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
        png, webp = io.BytesIO(), io.BytesIO()
        sheet.convert("L").save(png, "PNG", optimize=True)
        sheet.convert("RGB").save(webp, "WEBP", lossless=True)
        assert size <= 1.02 * min(len(png.getvalue()), len(webp.getvalue()))


def test_more_than_two_megabytes_are_warned_of():
    noise = np.random.default_rng(0).random((16, 400, 400))
    with pytest.warns(UserWarning, match=r"takes \d\.\d MB: fewer frames"):
        scrub(noise, alt="Noise", levels=256)


def test_negative_start_counts_from_the_end():
    assert read(scrub(RAMP, start=-1, alt="Ramp")).data["start"] == 6


def test_a_small_digit_is_shown_large_by_a_whole_factor():
    assert read(scrub(np.zeros((2, 28, 28)), alt="Digit")).data["panels"][0]["display"] == 224
    assert read(scrub(np.zeros((2, 28, 28)), alt="Digit", size=100)).data["panels"][0]["display"] == 100


def test_a_single_frame_is_a_film_too():
    assert read(scrub(RAMP[:1], t=[0.0], alt="One")).data["positions"] == [0.0]


def test_saved_page_is_complete(tmp_path):
    scrubber = scrub(RAMP, alt="Ramp & more")
    scrubber.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert scrubber.html in page
    assert '<html lang="en">' in page
    assert "<title>Ramp &amp; more</title>" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": RAMP * 2 - 1}, r"run from -1 to 1, expected \[0, 1\].*as_pixels"),
        ({"frames": RAMP * np.nan}, r"run from nan to nan"),
        ({"frames": np.zeros((2, 4, 8, 8))}, r"with 4 channels, expected 1 or 3"),
        ({"frames": np.zeros((8, 8))}, r"shape \(8, 8\), expected \(F, H, W\)"),
        ({"frames": []}, r"frames have shape \(0,\)"),
        ({"frames": {}}, r"panels have \[\] frames"),
        ({"frames": {"a": RAMP, "b": RAMP[:3]}}, r"panels have \[7, 3\] frames"),
        ({"alt": ""}, "alt is empty"),
        ({"t": [0, 1]}, r"t has shape \(2,\), expected one number a frame: \(7,\)"),
        ({"readout": {"loss": [1, 2]}}, r"loss has shape \(2,\)"),
        ({"curves": {"snr": [1, 2]}}, r"snr has shape \(2,\)"),
        ({"captions": ["a"]}, "1 captions for 7 frames"),
        ({"start": 7}, "start = 7, expected a frame from -7 to 6"),
        ({"fps": 0}, "fps = 0, expected a positive number"),
        ({"levels": 1}, "levels = 1, expected 2 to 256"),
        ({"scale": "cubic"}, "scale = 'cubic', expected 'linear', 'log' or 'frames'"),
        ({"scale": "log"}, "scale = 'log' needs t"),
        ({"scale": "log", "t": np.arange(-3, 4)}, "needs t >= 0"),
        ({"scale": "linear", "t": [0, 1, 1, 2, 3, 4, 5]}, "only rise or only fall"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"frames": RAMP, "alt": "Ramp"} | change
    with pytest.raises(ValueError, match=message):
        scrub(arguments.pop("frames"), **arguments)
