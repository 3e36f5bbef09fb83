"""Data sets beyond the embedded digits: all of MNIST, Fashion-MNIST, CIFAR-10. Fetched once, checked, never unpickled.

Pooch downloads them (the extra `data` brings it); nothing else in the course needs a download. Addresses and checksums
are those that the data sets' authors or PyTorch's torchvision publish. The addresses could not be tried where this was
written and are therefore marked unverified in each data set's `note`; a file that comes from somewhere else and has the
right checksum is as good: put it into the cache folder.
"""

from __future__ import annotations

import gzip
import math
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .digits import Labelled, digits, from_unit

UNVERIFIED = "addresses unverified: they could not be tried where this was written"
DEBIAN = Path("/usr/share/datasets")  # where Debian's package dataset-fashion-mnist puts its files


@dataclass(frozen=True)
class Remote:
    """A file to fetch: its `name` here, the `urls` that hold it (tried in order), and the checksums it may have.

    A checksum is "md5:..." or "sha256:...", in hexadecimal; the file at the `urls` has the first.
    """

    name: str
    urls: tuple[str, ...]
    checksums: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The files of a data set by split: for IDX files (images, labels), else one archive."""

    files: dict[str, tuple[Remote, ...]]
    note: str
    also_in: tuple[Path, ...] = ()


def _idx(name: str, hosts: tuple[str, ...], *checksums: str) -> Remote:
    return Remote(name, tuple(host + name for host in hosts), checksums)


_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_FASHION = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
_TRAIN, _TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST, _TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

SOURCES = {
    "mnist": Source(
        {
            "train": (
                _idx(_TRAIN, _MNIST, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                _idx(_TRAIN_LABELS, _MNIST, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
            ),
            "held_back": (
                _idx(_TEST, _MNIST, "md5:9fb629c4189551a2d022fa330f9573f3"),
                _idx(_TEST_LABELS, _MNIST, "md5:ec29112dd5afa0611ce80d1b7f02629c"),
            ),
        },
        f"MNIST, Y. LeCun, C. Cortes, C. J. C. Burges, CC BY-SA 3.0; {UNVERIFIED}",
    ),
    # Second checksums: Debian's package packs the same images anew; its files were read and tested.
    "fashion": Source(
        {
            "train": (
                _idx(
                    _TRAIN, _FASHION, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "sha256:b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                ),
                _idx(
                    _TRAIN_LABELS, _FASHION, "md5:25c81989df183df01b3e8a0aad5dffbe",
                    "sha256:0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
                ),
            ),
            "held_back": (
                _idx(
                    _TEST, _FASHION, "md5:bef4ecab320f06d8554ea6380940ec79",
                    "sha256:cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
                ),
                _idx(
                    _TEST_LABELS, _FASHION, "md5:bb300cfdad3c16e7a12a480ee83cd310",
                    "sha256:8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
                ),
            ),
        },
        f"Fashion-MNIST, H. Xiao, K. Rasul, R. Vollgraf 2017, MIT licence; {UNVERIFIED}, Debian's files tested",
        (DEBIAN / "fashion-mnist",),
    ),
    "cifar10": Source(
        dict.fromkeys(
            ("train", "held_back"),
            (
                Remote(
                    "cifar-10-binary.tar.gz", ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                    ("md5:c32a1d4ab5d03f1284b67883e8d87530",),
                ),
            ),
        ),
        f"CIFAR-10, A. Krizhevsky 2009; {UNVERIFIED}",
    ),
}  # fmt: skip


def dataset(name: str, split: str = "train", folder: Path | None = None, progress: bool = True) -> Labelled:
    """Images (N, C, H, W) float32 in [-1, 1] and labels (N,): "digits" (embedded), "mnist", "fashion", "cifar10".

    Splits are "train" and "held_back" (the data set's test images). What is not in `folder` (default:
    $COURSE_DATA, or `course_lib` in the user's cache folder) is downloaded. Raises ValueError for an unknown name or
    split and where pooch is not installed, OSError where a file cannot be had.
    """
    if name == "digits":
        return digits(split)
    if name not in SOURCES:
        raise ValueError(f"unknown data set {name!r}: expected one of digits, {', '.join(SOURCES)}")
    source = SOURCES[name]
    if split not in source.files:
        raise ValueError(f"unknown split {split!r}: expected 'train' or 'held_back'")
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise ValueError(f"data set {name!r} needs {error.name}: python -m pip install pooch") from None
    folder = folder or Path(os.environ.get("COURSE_DATA") or pooch.os_cache("course_lib")).expanduser()
    paths = [fetch(remote, folder / name, source.also_in, progress) for remote in source.files[split]]
    images, labels = read_cifar(paths[0], split) if name == "cifar10" else (read_idx(paths[0]), read_idx(paths[1]))
    images = images[:, None] if images.ndim == 3 else images
    if len(images) != len(labels):
        raise OSError(f"{name}: {len(images)} images but {len(labels)} labels")
    return Labelled(from_unit(images.float() / 255), labels.long())


def fetch(remote: Remote, folder: Path, also_in: Sequence[Path] = (), progress: bool = True) -> Path:
    """The path of `remote` in `folder`, downloaded only where it is not there yet.

    Folders in `also_in` are looked into first, and never written to. A file stands under its name only once its
    checksum is right. Raises OSError with one sentence where no address gives the right file.
    """
    import pooch

    for path in (place / remote.name for place in (*also_in, folder)):
        if path.is_file() and any(_matches(path, *checksum.split(":")) for checksum in remote.checksums):
            return path
    pooch.get_logger().setLevel("WARNING")  # the bar says what is downloaded
    get = pooch.HTTPDownloader(progressbar=progress, chunk_size=1 << 18)
    trouble = []
    for url in remote.urls:
        try:
            return Path(pooch.retrieve(url, remote.checksums[0], remote.name, folder, downloader=get))
        except (OSError, ValueError) as error:  # what requests raises is an OSError
            trouble.append(f"{url}: {_reason(error)}")
    raise OSError(f"cannot get {remote.name}; by hand, put it into {folder}. Tried {'; '.join(trouble)}")


def _matches(path: Path, algorithm: str, digest: str) -> bool:
    import pooch

    return pooch.file_hash(str(path), algorithm) == digest


def _reason(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return "the file's checksum is not the published one"
    if error.errno is not None or getattr(error, "response", None) is not None:
        return str(error)  # the system's words, or the server's
    return f"the connection failed ({type(error).__name__})"


def read_idx(path: Path) -> Tensor:
    """The array in a gzipped IDX file (0, 0, 8, number of dimensions; sizes; bytes), uint8. OSError if it is none."""
    with gzip.open(path, "rb") as file:
        content = file.read()
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise OSError(f"{path} is not an IDX file of bytes")
    head = 4 + 4 * content[3]
    shape = [int(size) for size in np.frombuffer(content, ">u4", content[3], 4)] if len(content) >= head else []
    if len(content) - head != math.prod(shape):
        raise OSError(f"{path} has {len(content) - head:,} bytes of data, expected {math.prod(shape):,}")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy())


CIFAR_ROW = 1 + 3 * 32 * 32  # a label, then red, green and blue, row by row


def read_cifar(path: Path, split: str) -> tuple[Tensor, Tensor]:
    """CIFAR-10's binary archive: images (N, 3, 32, 32) uint8 and labels (N,). Read in memory: nothing is unpacked."""
    wanted = [f"data_batch_{k}.bin" for k in range(1, 6)] if split == "train" else ["test_batch.bin"]
    parts = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = Path(member.name).name
            if name in wanted and member.isfile() and (file := archive.extractfile(member)):
                parts[name] = np.frombuffer(file.read(), np.uint8)
    if missing := [name for name in wanted if name not in parts or len(parts[name]) % CIFAR_ROW]:
        raise OSError(f"{path} has no usable {missing[0]}")
    rows = torch.from_numpy(np.concatenate([parts[name] for name in wanted]).reshape(-1, CIFAR_ROW))
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]
