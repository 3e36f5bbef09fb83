"""Text from outside, such as the name of a submitted file, made safe for a terminal, a page and a spreadsheet."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Control, bidirectional, zero-width and unpaired characters written as their code points, such as <U+202E>."""
    return "".join(f"<U+{ord(character):04X}>" if _hidden(character) else character for character in text)


def _hidden(character: str) -> bool:
    return unicodedata.category(character)[0] == "C" or character in "\u2028\u2029"


def for_spreadsheet(text: str) -> str:
    """The same, and never a formula."""
    text = printable(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
