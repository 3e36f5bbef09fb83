"""The HTML of a scrubber: a still sheet of frames, the data, and the script that turns them into a player."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np

from ..plotting.numbers import format_number
from .frames import Film, Sheet

Panel = tuple[str, Film, Sheet, int]  # label, frames, packed frames, width in CSS pixels


@cache
def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def markup(
    *,
    films: Sequence[Panel],
    alt: str,
    title: str,
    times: np.ndarray | None,
    positions: Sequence[float],
    readout: Mapping[str, np.ndarray],
    curves: Mapping[str, np.ndarray],
    captions: Sequence[str] | None,
    start: int,
    fps: float,
    loop: bool,
) -> str:
    """The whole output. What a script-less page shows stands first; the script replaces it."""
    count = films[0][1].count
    names = [f"frame {i + 1}" for i in range(count)] if times is None else [f"t = {format_number(v)}" for v in times]
    data = {
        "alt": alt,
        "title": title,
        "count": count,
        "start": start,
        "fps": fps,
        "loop": loop,
        "names": names,
        "positions": list(positions),
        "ends": [names[0], names[-1]],
        "readout": [[name, [format_number(v) for v in values]] for name, values in readout.items()],
        "captions": captions,
        "curves": [
            [name, [_finite(v) for v in values], [format_number(v) for v in values]] for name, values in curves.items()
        ],
        "panels": [
            {
                "label": label,
                "width": film.size[0],
                "height": film.size[1],
                "columns": sheet.columns,
                "gap": sheet.gap,
                "display": display,
                "pixelArt": film.pixel_art,
            }
            for label, film, sheet, display in films
        ],
    }
    record = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    figures = "".join(_still(panel, alt, names) for panel in films)
    heading = f"<p><strong>{html.escape(title)}</strong></p>" if title else ""
    span = f"{count} frames, left to right and down: {names[0]} to {names[-1]}"
    note = f"{span}. Trust the notebook, or allow scripts, to move them."
    body = (
        f"<style>{_asset('scrubber.css')}</style>"
        f'<div class="cs-still">{heading}{figures}<p>{html.escape(note)}</p></div>'
        f'<script type="application/json">{record}</script>'
        f"<script>{_asset('scrubber.js')}</script>"
    )
    name = hashlib.sha256(body.encode()).hexdigest()[:12]
    return f'<div class="course-scrubber" data-scrubber="{name}">{body}</div>'


def whole_page(fragment: str, title: str) -> str:
    """A page of its own around one scrubber."""
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    theme = "<style>:root{color-scheme:light dark;font-family:system-ui,sans-serif}body{margin:1rem}</style>"
    return f'<!DOCTYPE html><html lang="en"><head>{head}{theme}</head><body><main>{fragment}</main></body></html>\n'


def _still(panel: Panel, alt: str, names: Sequence[str]) -> str:
    label, _, sheet, display = panel
    width = min(960, sheet.width if display < 2 * sheet.width / sheet.columns else 2 * sheet.width)
    words = f"{label + ': ' if label else ''}{alt}. All {len(names)} frames, from {names[0]} to {names[-1]}."
    source = f"data:{sheet.mime};base64,{base64.b64encode(sheet.data).decode()}"
    caption = f"<figcaption>{html.escape(label)}</figcaption>" if label else ""
    return f'<figure>{caption}<img alt="{html.escape(words, quote=True)}" width="{width}" src="{source}"></figure>'


def _finite(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
