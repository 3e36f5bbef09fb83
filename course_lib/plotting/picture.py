"""What a figure of the course is: images as arrays in [0, 1], and a drawn figure that carries an alternative text.

`plotting` draws with these, `scrubber` moves them, the command line saves sheets. All names here can also be reached
through `plotting`.
"""

import base64
import html
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image

from ..files import write_atomically

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "mathtext.fontset": "dejavusans",
}
DPI = 100


def as_array(values: Any) -> np.ndarray:
    """A torch tensor (on any device), array or nested list as a float64 numpy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    elif isinstance(values, (list, tuple)):
        values = [as_array(v) if hasattr(v, "__len__") or hasattr(v, "detach") else v for v in values]
    return np.asarray(values, dtype=np.float64)


def as_pixels(images: Any) -> np.ndarray:
    """Images in [-1, 1], any shape, mapped to [0, 1] for showing or saving; what lies outside is clipped."""
    return np.clip((as_array(images) + 1.0) / 2.0, 0.0, 1.0)


@dataclass(frozen=True)
class Picture:
    """A drawn figure with its alternative text; shown by Jupyter as an image that carries the text."""

    figure: Figure
    alt: str

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("alt is empty: a figure needs one sentence for readers who cannot see it")

    def image(self, scale: float = 1.0) -> Image.Image:
        """The figure as an RGB image, `scale` * 100 pixels an inch."""
        buffer = io.BytesIO()
        with style.context(["default", STYLE]):
            self.figure.savefig(buffer, format="png", dpi=scale * DPI, facecolor="white", metadata={"Software": None})
        return Image.open(buffer).convert("RGB")

    def png(self, scale: float = 2.0) -> bytes:
        """The figure as a PNG file of at most 256 colours (a third of the size of a full-colour one)."""
        buffer = io.BytesIO()
        image = self.image(scale)
        image.quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
        return buffer.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the figure to a .png, .svg or .pdf file."""
        path, buffer = Path(path), io.BytesIO()
        path = path if path.suffix else path.with_suffix(".png")
        with style.context(["default", STYLE, {"svg.hashsalt": "course"}]):
            self.figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=2 * DPI, facecolor="white")
        write_atomically(path, buffer.getvalue())

    def show(self) -> None:
        """Display now, for figures that are not the last expression of a cell."""
        from IPython.display import display

        display(self)

    def _repr_html_(self) -> str:
        width = round(self.figure.get_size_inches()[0] * DPI)
        source = base64.b64encode(self.png()).decode()
        alt = html.escape(self.alt, quote=True)
        return f'<img alt="{alt}" width="{width}" style="height:auto" src="data:image/png;base64,{source}">'

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"


@dataclass(frozen=True)
class Beside:
    """Several pictures next to each other, wrapped on a narrow screen."""

    pictures: tuple[Picture, ...]

    def show(self) -> None:
        """Display now, for figures that are not the last expression of a cell."""
        from IPython.display import display

        display(self)

    def _repr_html_(self) -> str:
        inner = "".join(picture._repr_html_() for picture in self.pictures)
        return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{inner}</div>'

    def __repr__(self) -> str:
        return "\n".join(repr(picture) for picture in self.pictures)


def beside(*pictures: Picture) -> Beside:
    """Show several pictures next to each other; each keeps its own alternative text."""
    return Beside(pictures)


def check_images(images: Any) -> np.ndarray:
    """Images (N, H, W), (N, 1, H, W) or (N, 3, H, W) in [0, 1] as (N, H, W) or (N, H, W, 3); ValueError otherwise."""
    array = as_array(images)
    if array.ndim == 4 and array.shape[1] in (1, 3):
        array = array[:, 0] if array.shape[1] == 1 else array.transpose(0, 2, 3, 1)
    elif array.ndim != 3:
        raise ValueError(f"images have shape {array.shape}, expected (N, H, W), (N, 1, H, W) or (N, 3, H, W)")
    if array.size == 0:
        raise ValueError(f"images have shape {array.shape}: there is nothing to show")
    low, high = array.min(), array.max()
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # written so that NaN fails too
        raise ValueError(f"images run from {low:.3g} to {high:.3g}, expected [0, 1]: pass plotting.as_pixels(images)")
    return array.clip(0.0, 1.0)


def tile(images: Any, ncols: int | None = None, pad: int = 1, fill: float = 0.5) -> np.ndarray:
    """Images in [0, 1] laid out in one array (H', W') or (H', W', 3), row by row, `pad` pixels of `fill` between."""
    array = check_images(images)
    count, height, width = array.shape[:3]
    ncols = min(ncols or math.ceil(math.sqrt(count)), count)
    nrows = math.ceil(count / ncols)
    sheet = np.full((nrows * (height + pad) - pad, ncols * (width + pad) - pad, *array.shape[3:]), fill)
    for i, image in enumerate(array):
        top, left = (i // ncols) * (height + pad), (i % ncols) * (width + pad)
        sheet[top : top + height, left : left + width] = image
    return sheet


def save_sheet(images: Any, path: str | Path, ncols: int | None = None) -> None:
    """Save images in [0, 1] as one contact sheet (.png, .webp, ...), small ones enlarged by a whole factor."""
    path, buffer = Path(path), io.BytesIO()
    form = Image.registered_extensions().get(path.suffix.lower())
    if form is None:
        raise ValueError(f"{path.name!r}: expected a name that ends as a picture's does, such as .png")
    sheet = (tile(images, ncols) * 255).round().astype(np.uint8)
    factor = max(1, round(64 / check_images(images).shape[1]))
    Image.fromarray(sheet.repeat(factor, 0).repeat(factor, 1)).save(buffer, form)
    write_atomically(path, buffer.getvalue())
