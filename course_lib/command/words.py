"""What the commands share: counts in words, and a folder that can be written."""

from __future__ import annotations

import tempfile
from pathlib import Path


def make_writable(folder: Path, out: str) -> None:
    """Make `folder` and see that files can be written there. Raises ValueError that names `out` where they cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        no_folder = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file is where a folder should be" if no_folder else error.strerror
        raise ValueError(f"--out {out!r} cannot be written: {reason}") from error


def count(n: int, word: str) -> str:
    """Such as "1 step" and "2 steps"."""
    return f"{n} {word}{'s' * (n != 1)}"
