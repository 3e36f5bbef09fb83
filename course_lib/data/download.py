"""Checksummed downloads that can be interrupted: a file is either whole and right, or not there.

Standard library only. Nothing in the course needs a download; larger data sets do.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

CHUNK = 1 << 18
TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Remote:
    """A file to fetch: its `name` here, the `urls` that hold it (tried in order), and the checksums it may have.

    A checksum is "md5:..." or "sha256:...", in hexadecimal. `size` in bytes, 0 where unknown.
    """

    name: str
    urls: tuple[str, ...]
    checksums: tuple[str, ...]
    size: int = 0


def cache_folder() -> Path:
    """Where downloads are kept: $COURSE_DATA, or `course_lib` in the user's cache folder."""
    if named := os.environ.get("COURSE_DATA"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "course_lib"


def fetch(remote: Remote, folder: Path | None = None, also_in: Sequence[Path] = (), progress: bool = True) -> Path:
    """The path of `remote` in `folder` (default: the cache), downloaded only where it is not there yet.

    Folders in `also_in` are looked into first, and never written to. A download goes to `NAME.part`: after an
    interruption the next call continues it where the server allows; one that turns out spoiled is fetched again from
    its beginning. Raises OSError with one sentence where no address gives the right file, the folder cannot be made, or
    the disk is full; a wrong file is never left under its name. Several processes may share the folder, but they share
    `NAME.part` too: let one go first.
    """
    folder = folder or cache_folder()
    target = folder / remote.name
    for path in (*(place / remote.name for place in also_in), target):
        if path.is_file() and matches(path, remote):
            return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"the folder {folder} cannot be made: {error.strerror}") from None
    part = folder / f"{remote.name}.part"
    trouble = []
    for url in remote.urls:
        try:
            wrong = _get(url, part, remote, progress)
            if not wrong:
                os.replace(part, target)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                needs = f"{remote.name} needs {remote.size / 1e6:.0f} MB" if remote.size else remote.name
                raise OSError(
                    errno.ENOSPC, f"the disk is full: {needs} in {folder}; what came so far is kept"
                ) from None
            wrong = _reason(error)
        if not wrong or (target.is_file() and matches(target, remote)):  # the latter: another process was faster
            return target
        trouble.append(f"{url}: {wrong}")
    raise OSError(f"cannot get {remote.name}; by hand, put it into {folder}. Tried {'; '.join(trouble)}")


def matches(path: Path, remote: Remote) -> bool:
    """Whether the file's content has one of the checksums of `remote`."""
    for kind in sorted({checksum.partition(":")[0] for checksum in remote.checksums}):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, partial(hashlib.new, kind, usedforsecurity=False))
        if f"{kind}:{digest.hexdigest()}" in remote.checksums:
            return True
    return False


def _get(url: str, part: Path, remote: Remote, progress: bool) -> str:
    """Make `part` the whole file at `url`: "" where it is the right one, else what is wrong with it, and it is gone."""
    continued = _continue(url, part, remote, progress)
    if matches(part, remote):
        return ""
    wrong = _wrong(part, remote)
    part.unlink(missing_ok=True)
    return _get(url, part, remote, progress) if continued else wrong  # what was there before may have been spoiled


def _continue(url: str, part: Path, remote: Remote, progress: bool) -> bool:
    """Append to `part` what is missing of the file at `url`; start over where the server cannot continue.

    Returns whether what was there before is still part of it.
    """
    have = part.stat().st_size if part.exists() else 0
    if remote.size and have >= remote.size:
        if have == remote.size:
            return True  # whole: the checksum decides
        part.unlink()
        have = 0
    request = urllib.request.Request(url, headers={"User-Agent": "course_lib", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        part.unlink()  # the server's file ends before ours does
        return _continue(url, part, remote, progress)
    with answer:
        continued = answer.status == 206 and str(answer.headers["Content-Range"]).startswith(f"bytes {have}-")
        start = have if continued else 0
        length = int(answer.headers["Content-Length"] or 0)
        total = start + length if length else remote.size or None
        if total and shutil.disk_usage(part.parent).free < total - start:
            raise OSError(errno.ENOSPC, "no space")
        with (
            part.open("ab" if continued else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=remote.name, disable=not progress) as bar,
        ):
            received = 0
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
                received += len(chunk)
    if length and received < length:
        raise OSError(f"the connection ended after {start + received:,} of {start + length:,} bytes")
    return start > 0


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended before the file did"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP ({type(error).__name__})"
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"cannot be reached ({error.reason})"
    return str(error) or type(error).__name__


def _wrong(part: Path, remote: Remote) -> str:
    size = part.stat().st_size
    if remote.size and size != remote.size:
        return f"the file has {size:,} bytes, expected {remote.size:,}"
    return "the file's checksum is not the published one"
