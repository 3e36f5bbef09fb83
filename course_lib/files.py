"""The one way in which files are written, all or nothing, and the one way to keep a second run out of a folder."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


class Busy(ValueError):
    """Another run works in the folder."""


NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # what a file system without them answers


def write_atomically(path: Path, content: bytes | str, new: bool = False) -> None:
    """Write `content`, text as UTF-8, so that `path` holds either all of it or what it held before.

    Makes the folder. A link is followed, a device is written to as it is. With `new` nothing may stand there yet. A
    process killed meanwhile leaves `.NAME.PROCESS.part` beside the file. Raises OSError that names file and folder.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(data)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if new and path.exists():
                raise FileExistsError(errno.EEXIST, "it appeared while it was being written, and was left alone")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        kept = "; what it held before is kept" if path.is_file() and not new else ""
        told = type(error)(f"cannot write {path.name} into the folder {path.parent}: {error.strerror or error}{kept}")
        told.errno = error.errno
        raise told from error


@contextmanager
def only_run(folder: Path, name: str) -> Iterator[None]:
    """Inside the block no other run works in `folder`, called `name` by who asked; the lock dies with its process.

    Raises Busy where one does. Where there are no locks, that is said, and the block is run all the same.
    """
    path = folder / LOCK
    descriptor = _locked(path, name)
    try:
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)  # while it is still locked: whoever waits at the old file looks again
            os.close(descriptor)


def _locked(path: Path, name: str) -> int | None:
    """The open lock file; None where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        _say_unlocked(name)
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
            os.close(descriptor)  # the one before has removed the file between our two calls
        except OSError as error:
            os.close(descriptor)
            if error.errno not in NO_LOCKS:
                raise Busy(f"another run works in {name}: wait for it, or choose another --out") from error
            path.unlink(missing_ok=True)
            _say_unlocked(name)
            return None


def _say_unlocked(name: str) -> None:
    print(f"note: files cannot be locked in {name}: see to it that no second run works there", file=sys.stderr)
