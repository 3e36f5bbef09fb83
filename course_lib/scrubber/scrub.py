"""`scrub`: check what is shown at each frame and hand it to the page."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_atomically
from ..plotting.picture import as_array
from . import page
from .frames import Film, film, pack

LARGE = 2_000_000  # bytes of HTML; a notebook of several such outputs is slow to open and to keep under version control


@dataclass(frozen=True)
class Scrubber:
    """A player ready to show: `html` is complete in itself."""

    html: str
    alt: str
    count: int

    def show(self) -> None:
        """Display now, for scrubbers that are not the last expression of a cell."""
        from IPython.display import display

        display(self)

    def save(self, path: str | Path) -> None:
        """Write a page that holds only this scrubber."""
        write_atomically(Path(path), page.whole_page(self.html, self.alt))

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"Scrubber of {self.count} frames: {self.alt}"


def scrub(
    frames: Any | Mapping[str, Any],
    *,
    alt: str,
    t: Any = None,
    marginals: Any = None,
    captions: Sequence[str] | None = None,
    readout: Mapping[str, Any] | None = None,
    curves: Mapping[str, Any] | None = None,
    scale: str | None = None,
    start: int = 0,
    fps: float = 8.0,
    loop: bool = False,
    size: int | None = None,
    ncols: int | None = None,
    levels: int = 64,
    title: str = "",
) -> Scrubber:
    """Frames with a slider; a mapping `{"x_t": frames, "predicted x_0": frames}` moves several panels with one slider.

    frames     images in [0, 1], (F, H, W), (F, C, H, W) or, a grid a frame, (F, B, C, H, W), as a tensor, array or
               list; or a list of `Picture`s, matplotlib figures or PIL images
    alt        one sentence for readers who cannot see the frames
    t          (F,) the time of each frame, rising or falling
    marginals  an object with `alpha` and `sigma`, each (F,): adds alpha, sigma and log SNR to the readout
    captions   F sentences, shown one at a time
    readout    more numbers to show, (F,) each, by name
    curves     lines drawn under the slider with a moving cursor, (F,) each, by name; infinite values leave a gap
    scale      where the slider stands: "linear" or "log" in t, or "frames" (equal steps); linear if t is given
    start      the first frame shown; negative numbers count from the end
    fps, loop  speed of playing at 1x, and whether it starts again
    size       width of one panel in CSS pixels
    ncols      columns of a grid of images
    levels     grey levels kept of each channel: fewer levels, smaller output

    Raises ValueError where lengths, ranges or shapes do not fit; warns when the output exceeds 2 MB.
    """
    if not alt.strip():
        raise ValueError("alt is empty: a scrubber needs one sentence for readers who cannot see it")
    panels = frames if isinstance(frames, Mapping) else {"": frames}
    films = {label: film(content, levels, ncols) for label, content in panels.items()}
    if not films or len({f.count for f in films.values()}) != 1:
        raise ValueError(f"panels have {[f.count for f in films.values()]} frames, expected the same number in each")
    count = next(iter(films.values())).count
    if not -count <= start < count:
        raise ValueError(f"start = {start}, expected a frame from {-count} to {count - 1}")
    if not fps > 0:
        raise ValueError(f"fps = {fps}, expected a positive number")
    if captions is not None and len(captions) != count:
        raise ValueError(f"{len(captions)} captions for {count} frames")
    times = None if t is None else _values("t", t, count)
    numbers = {name: _values(name, values, count) for name, values in (readout or {}).items()}
    html = page.markup(
        films=[(label, f, pack(f), size or _display_width(f)) for label, f in films.items()],
        alt=alt,
        title=title,
        times=times,
        positions=_positions(times, count, scale),
        readout=_marginal_readout(marginals, count) | numbers,
        curves={name: _values(name, values, count) for name, values in (curves or {}).items()},
        captions=None if captions is None else list(captions),
        start=start % count,
        fps=fps,
        loop=loop,
    )
    if len(html) > LARGE:
        warnings.warn(
            f"this scrubber takes {len(html) / 1e6:.1f} MB: fewer frames, images or grey levels (levels={levels}) help",
            stacklevel=2,
        )
    return Scrubber(html, alt, count)


def _values(name: str, values: Any, count: int) -> np.ndarray:
    array = as_array(values)
    if array.shape != (count,):
        raise ValueError(f"{name} has shape {array.shape}, expected one number a frame: ({count},)")
    return array


def _marginal_readout(marginals: Any, count: int) -> dict[str, np.ndarray]:
    """alpha, sigma and log SNR = 2 log(alpha / sigma), infinite where one of the two is 0."""
    if marginals is None:
        return {}
    alpha, sigma = (np.broadcast_to(as_array(v), (count,)) for v in (marginals.alpha, marginals.sigma))
    with np.errstate(divide="ignore"):
        log_snr = 2 * (np.log(alpha) - np.log(sigma))
    return {"alpha": alpha, "sigma": sigma, "log SNR": log_snr}


def _positions(times: np.ndarray | None, count: int, scale: str | None) -> list[float]:
    """Where each frame stands on the slider, from 0 to count - 1, evenly or as t asks."""
    if scale not in (None, "linear", "log", "frames"):
        raise ValueError(f"scale = {scale!r}, expected 'linear', 'log' or 'frames'")
    even = [float(i) for i in range(count)]
    if scale == "frames" or times is None:
        if scale in ("linear", "log"):
            raise ValueError(f"scale = {scale!r} needs t, one time a frame")
        return even
    steps = np.diff(times)
    if not (np.isfinite(times).all() and (np.all(steps > 0) or np.all(steps < 0))):
        if scale is None:
            return even
        raise ValueError(f"scale = {scale!r} needs finite times that only rise or only fall")
    if scale == "log":
        times = _log_times(times)
    if count == 1:
        return [0.0]
    return [round(float(p), 4) for p in (times - times[0]) / (times[-1] - times[0]) * (count - 1)]


def _log_times(times: np.ndarray) -> np.ndarray:
    """log t; t = 0 has none, so it stands one mean gap before the smallest positive time."""
    if times.min() < 0 or np.sum(times > 0) < 2:
        raise ValueError(f"scale = 'log' needs t >= 0 and two positive times, got t from {times.min():.3g}")
    logs = np.log(times[times > 0])
    gap = (logs.max() - logs.min()) / (len(logs) - 1)
    return np.where(times > 0, np.log(np.where(times > 0, times, 1.0)), logs.min() - gap)


def _display_width(content: Film) -> int:
    """CSS pixels: a small image enlarged by a whole factor, a drawn figure at its own size."""
    width = content.size[0]
    target = 224 if width <= 64 else 360
    return max(1, round(target / width)) * width if content.pixel_art and width < target else min(width, 720)
