"""Draws the letter T of the demos, 64 x 64, and writes it to `course_lib/assets/letter_t.png`.

    python -m course_staff letter

No font is asked: the letter is a union of rectangles, bar, stem and serifs, in units of pixels. Each pixel's grey is
the share of it that the letter covers, found by counting 16 x 16 points inside it. White on black, like the digits.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from course_lib.command.parser import typed_path
from course_lib.files import write_atomically

SIZE = 64
FINE = 16
ASSET = Path(__file__).parents[2] / "course_lib" / "assets" / "letter_t.png"
# (left, right, top, bottom), edges in pixels from the upper left corner
STROKES = {
    "bar": (10.0, 54.0, 11.0, 17.5),
    "left serif": (10.0, 13.5, 11.0, 24.5),
    "right serif": (50.5, 54.0, 11.0, 24.5),
    "stem": (27.5, 36.5, 11.0, 53.0),
    "foot": (21.0, 43.0, 49.5, 53.0),
}


def letter_t() -> np.ndarray:
    """The letter as grey levels 0 (paper, black) to 255 (ink, white), uint8 (64, 64)."""
    points = (np.arange(SIZE * FINE) + 0.5) / FINE
    ink = np.zeros((SIZE * FINE, SIZE * FINE), dtype=bool)
    for left, right, top, bottom in STROKES.values():
        ink |= np.outer((points > top) & (points < bottom), (points > left) & (points < right))
    cover = ink.reshape(SIZE, FINE, SIZE, FINE).mean(axis=(1, 3))
    return np.round(255 * cover).astype(np.uint8)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course_staff letter", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=typed_path, default=ASSET, help="where to write the PNG")
    options = parser.parse_args(arguments)
    buffer = io.BytesIO()
    Image.fromarray(letter_t()).save(buffer, format="png", optimize=True)
    write_atomically(options.out, buffer.getvalue())
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
