"""Text from outside, such as the name of a submitted file, made safe for a terminal, a page and a spreadsheet."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """Control, bidirectional, zero-width and unpaired characters written as their code points, such as <U+202E>."""
    return "".join(f"<U+{ord(character):04X}>" if _hidden(character) else character for character in text)


def _hidden(character: str) -> bool:
    return unicodedata.category(character)[0] == "C" or character in "\u2028\u2029"


def for_spreadsheet(text: str) -> str:
    """The same, and never a formula."""
    text = printable(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def csv_file(rows: Iterable[Sequence[str | float]]) -> str:
    """The rows as CSV, no text in them a formula. The byte order mark is how spreadsheets know UTF-8, names and all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([for_spreadsheet(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return f"\ufeff{text.getvalue()}"
