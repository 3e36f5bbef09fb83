"""Data sets beyond the embedded digits: all of MNIST, Fashion-MNIST, CIFAR-10. Fetched once, checked, never unpickled.

Addresses and checksums are those that the data sets' authors or PyTorch's torchvision publish. The addresses could not
be tried where this was written and are therefore marked unverified in each data set's `note`; a file that comes from
somewhere else and has the right checksum is as good: put it into the cache folder.
"""

from __future__ import annotations

import gzip
import math
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .digits import Digits, digits, from_unit
from .download import Remote, cache_folder, fetch

UNVERIFIED = "addresses unverified: they could not be tried where this was written"
DEBIAN = Path("/usr/share/datasets")  # where Debian's package dataset-fashion-mnist puts its files


@dataclass(frozen=True)
class Source:
    """The files of a data set by split: for IDX files (images, labels), else one archive."""

    files: dict[str, tuple[Remote, ...]]
    note: str
    also_in: tuple[Path, ...] = ()


def _idx(name: str, hosts: tuple[str, ...], size: int, *checksums: str) -> Remote:
    return Remote(name, tuple(host + name for host in hosts), checksums, size)


_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_FASHION = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
_TRAIN, _TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST, _TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

SOURCES = {
    "mnist": Source(
        {
            "train": (
                _idx(_TRAIN, _MNIST, 9912422, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                _idx(_TRAIN_LABELS, _MNIST, 28881, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
            ),
            "held_back": (
                _idx(_TEST, _MNIST, 1648877, "md5:9fb629c4189551a2d022fa330f9573f3"),
                _idx(_TEST_LABELS, _MNIST, 4542, "md5:ec29112dd5afa0611ce80d1b7f02629c"),
            ),
        },
        f"MNIST, Y. LeCun, C. Cortes, C. J. C. Burges, CC BY-SA 3.0; {UNVERIFIED}",
    ),
    # Second checksums: Debian's package packs the same images anew; its files were read and tested.
    "fashion": Source(
        {
            "train": (
                _idx(
                    _TRAIN, _FASHION, 26421880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "sha256:b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                ),
                _idx(
                    _TRAIN_LABELS, _FASHION, 29515, "md5:25c81989df183df01b3e8a0aad5dffbe",
                    "sha256:0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
                ),
            ),
            "held_back": (
                _idx(
                    _TEST, _FASHION, 4422102, "md5:bef4ecab320f06d8554ea6380940ec79",
                    "sha256:cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
                ),
                _idx(
                    _TEST_LABELS, _FASHION, 5148, "md5:bb300cfdad3c16e7a12a480ee83cd310",
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
                    ("md5:c32a1d4ab5d03f1284b67883e8d87530",), 170052171,
                ),
            ),
        ),
        f"CIFAR-10, A. Krizhevsky 2009; {UNVERIFIED}",
    ),
}  # fmt: skip


def dataset(name: str, split: str = "train", folder: Path | None = None, progress: bool = True) -> Digits:
    """Images (N, C, H, W) float32 in [-1, 1] and labels (N,): "digits" (embedded), "mnist", "fashion", "cifar10".

    Splits are "train" and "held_back" (the data set's test images). What is not in `folder` (default: the cache) is
    downloaded. Raises ValueError for an unknown name or split, OSError where a file cannot be had.
    """
    if name == "digits":
        return digits(split)
    if name not in SOURCES:
        raise ValueError(f"unknown data set {name!r}: expected one of digits, {', '.join(SOURCES)}")
    source = SOURCES[name]
    if split not in source.files:
        raise ValueError(f"unknown split {split!r}: expected 'train' or 'held_back'")
    place = (folder or cache_folder()) / name
    paths = [fetch(remote, place, source.also_in, progress) for remote in source.files[split]]
    images, labels = read_cifar(paths[0], split) if name == "cifar10" else (read_idx(paths[0]), read_idx(paths[1]))
    images = images[:, None] if images.ndim == 3 else images
    if len(images) != len(labels):
        raise OSError(f"{name}: {len(images)} images but {len(labels)} labels")
    return Digits(from_unit(images.float() / 255), labels.long())


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
