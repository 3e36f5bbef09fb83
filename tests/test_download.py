"""Downloads from a local server that misbehaves on request; data sets from files made here, and from Debian's."""

import errno
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.data import datasets, download
from course_lib.data.datasets import CIFAR_ROW, SOURCES, dataset, read_cifar, read_idx
from course_lib.data.download import Remote, fetch

CONTENT = np.random.default_rng(0).integers(0, 256, 700_001, dtype=np.uint8).tobytes()
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; `mode` says how badly. `ranges` lists the Range headers it was asked for.

    `meanwhile` is called before an answer: what another process does at the same time.
    """

    mode = "sound"
    meanwhile: Callable[[], object] = staticmethod(lambda: None)
    ranges: list[str | None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        self.server.meanwhile()
        mode = self.server.mode
        if self.path == "/missing" or mode == "404":
            return self.send_error(404)
        if mode == "another protocol":
            self.wfile.write(b"SSH-2.0-server\r\n")
            return
        if mode == "chunked and cut":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s" % (len(CONTENT), CONTENT[:300_000]))
            self.close_connection = True
            return
        body = CONTENT[::-1] if mode == "corrupt" or self.path == "/corrupt" else CONTENT
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and mode != "no ranges" else 0
        if start > len(body) or (start == len(body) and asked):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = mode == "truncated"
        self.wfile.write(body[start : start + 300_000] if cut else body[start:])
        if cut:
            self.server.mode = "sound"
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Handler)
    server.ranges = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def remote(server: Server, *paths: str, size: int = len(CONTENT)) -> Remote:
    urls = tuple(f"http://127.0.0.1:{server.server_port}/{path}" for path in paths or ("file",))
    return Remote("file.bin", urls, (CHECKSUM,), size)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_fetched_once_and_then_found(server, tmp_path):
    for _ in range(2):
        assert fetch(remote(server), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges == [None] and names(tmp_path) == {"file.bin"}


def test_a_file_that_is_elsewhere_already_is_not_fetched(server, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "file.bin").write_bytes(CONTENT)
    assert fetch(remote(server), tmp_path / "cache", [there], progress=False) == there / "file.bin"
    assert server.ranges == [] and not (tmp_path / "cache").exists()


def test_a_broken_copy_is_replaced(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1])
    assert fetch(remote(server), tmp_path, progress=False).read_bytes() == CONTENT


def test_a_cut_connection_is_said_and_the_next_call_continues_where_it_ended(server, tmp_path):
    server.mode = "truncated"
    with pytest.raises(OSError, match="ended after 300,000 of 700,001 bytes"):
        fetch(remote(server), tmp_path, progress=False)
    assert names(tmp_path) == {"file.bin.part"}
    assert fetch(remote(server), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"] and names(tmp_path) == {"file.bin"}


def test_a_server_that_cannot_continue_starts_over(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    server.mode = "no ranges"
    assert fetch(remote(server), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("chunked and cut", "the connection ended before the file did"),
        ("another protocol", r"the answer is not HTTP \(BadStatusLine\)"),
    ],
)
def test_what_goes_wrong_within_http_is_one_sentence_and_the_next_address_is_tried(server, tmp_path, mode, said):
    server.mode = mode
    with pytest.raises(OSError, match=said) as error:
        fetch(remote(server), tmp_path, progress=False)
    assert "\n" not in str(error.value)

    def recover():
        server.mode = "sound" if len(server.ranges) == 3 else mode

    server.meanwhile = recover
    assert fetch(remote(server, "file", "again"), tmp_path, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1000, len(CONTENT)])
@pytest.mark.parametrize("size", [len(CONTENT), 0])
def test_a_spoiled_part_is_fetched_anew_though_there_is_one_address(server, tmp_path, length, size):
    (tmp_path / "file.bin.part").write_bytes(b"?" * length)
    assert fetch(remote(server, size=size), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges[-1] is None and names(tmp_path) == {"file.bin"}


def test_a_file_wrong_from_its_beginning_is_not_asked_for_twice(server, tmp_path):
    with pytest.raises(OSError, match="checksum is not the published one"):
        fetch(remote(server, "corrupt"), tmp_path, progress=False)
    assert server.ranges == [None]


def test_a_file_that_another_process_brings_meanwhile_is_taken(server, tmp_path):
    def finish():
        (tmp_path / "file.bin").write_bytes(CONTENT)
        (tmp_path / "file.bin.part").unlink(missing_ok=True)

    server.meanwhile, server.mode = finish, "404"
    assert fetch(remote(server, "file", "again"), tmp_path, progress=False).read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_a_part_that_another_process_takes_away_is_said_in_one_sentence(server, tmp_path, monkeypatch):
    part = tmp_path / "file.bin.part"
    real = download._continue

    def then_it_is_gone(*arguments):
        done = real(*arguments)
        part.unlink()
        return done

    monkeypatch.setattr(download, "_continue", then_it_is_gone)
    with pytest.raises(OSError, match=r"cannot get file\.bin; by hand.*Tried http"):
        fetch(remote(server), tmp_path, progress=False)


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=f"the folder {tmp_path}/file/cache cannot be made: Not a directory"):
        fetch(remote(server), tmp_path / "file" / "cache", progress=False)


def test_a_bar_shows_the_whole_file_and_starts_where_the_last_call_ended(server, tmp_path, capsys):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:350_000])
    fetch(remote(server), tmp_path)
    drawn = capsys.readouterr().err.strip().split("\r")
    assert drawn[0].startswith("file.bin:  50%") and "350k/700k" in drawn[0]
    assert drawn[-1].startswith("file.bin: 100%") and "700k/700k" in drawn[-1]


@pytest.mark.parametrize("size", [len(CONTENT), 0])
def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path, size):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(remote(server, size=size), tmp_path, progress=False).read_bytes() == CONTENT


def test_a_whole_part_is_only_checked(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(remote(server), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges == []


def test_the_next_address_is_tried_and_a_wrong_file_is_not_kept(server, tmp_path):
    assert fetch(remote(server, "missing", "corrupt", "file"), tmp_path, progress=False).read_bytes() == CONTENT
    with pytest.raises(OSError, match="checksum is not the published one") as error:
        fetch(remote(server, "missing", "corrupt"), tmp_path / "other", progress=False)
    assert "404" in str(error.value) and str(tmp_path / "other") in str(error.value)
    assert names(tmp_path / "other") == set()


def test_a_file_of_another_length_is_named_as_such(server, tmp_path):
    with pytest.raises(OSError, match="has 700,001 bytes, expected 700,002"):
        fetch(Remote("x", remote(server).urls, ("md5:0",), 700_002), tmp_path, progress=False)


def test_without_a_network_one_sentence_says_where_to_put_the_file(tmp_path):
    with pytest.raises(OSError, match="cannot be reached") as error:
        fetch(Remote("x.gz", ("http://127.0.0.1:9/x",), ("md5:0",)), tmp_path, progress=False)
    assert f"by hand, put it into {tmp_path}" in str(error.value) and "\n" not in str(error.value)


def test_a_full_disk_is_said_before_it_is_full_and_nothing_is_lost(server, tmp_path, monkeypatch):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="the disk is full: file.bin needs 1 MB") as error:
        fetch(remote(server, "file", "file"), tmp_path, progress=False)
    assert error.value.errno == errno.ENOSPC and len(server.ranges) == 1
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_while_writing_is_said_too(server, tmp_path, monkeypatch):
    (tmp_path / "file.bin.part").symlink_to("/dev/full")  # every write fails with "no space left"
    with pytest.raises(OSError, match="the disk is full"):
        fetch(remote(server), tmp_path, progress=False)


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert download.cache_folder() == tmp_path
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / "course_lib"


# Data sets


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def test_idx_files_are_read_as_they_were_written(tmp_path):
    images = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    (tmp_path / "a.gz").write_bytes(idx(images))
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz").numpy(), images)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01x", b"\0\0\x08\x01\0\0\0\x05abc"])
def test_a_file_that_is_no_idx_file_is_refused(tmp_path, content):
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    with pytest.raises(OSError, match=r"a\.gz (is not an IDX file|has)"):
        read_idx(tmp_path / "a.gz")


def cifar(path: Path, batches: dict[str, np.ndarray]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, rows in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = rows.nbytes
            archive.addfile(member, io.BytesIO(rows.tobytes()))


def test_cifar_rows_are_labels_and_planes_of_colour(tmp_path):
    rows = np.random.default_rng(1).integers(0, 256, (6, 2, CIFAR_ROW), dtype=np.uint8)
    batches = {f"data_batch_{k + 1}.bin": rows[k] for k in range(5)} | {"test_batch.bin": rows[5]}
    cifar(tmp_path / "c.tar.gz", dict(reversed(batches.items())))  # the archive's own order is not to be trusted
    images, labels = read_cifar(tmp_path / "c.tar.gz", "train")
    assert images.shape == (10, 3, 32, 32) and labels.tolist() == rows[:5, :, 0].ravel().tolist()
    assert int(images[3, 1, 2, 5]) == rows[1, 1, 1 + 1024 + 2 * 32 + 5]  # batch 2, row 1, green
    assert read_cifar(tmp_path / "c.tar.gz", "held_back")[1].tolist() == rows[5, :, 0].tolist()


def test_an_archive_that_lacks_a_batch_is_refused(tmp_path):
    cifar(tmp_path / "c.tar.gz", {"data_batch_1.bin": np.zeros((1, CIFAR_ROW), np.uint8)})
    with pytest.raises(OSError, match="no usable data_batch_2"):
        read_cifar(tmp_path / "c.tar.gz", "train")


def test_a_data_set_comes_through_the_download_in_the_range_of_the_course(server, tmp_path, monkeypatch):
    images, labels = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28), np.array([1, 0, 2], np.uint8)
    remotes = []
    for name, array in (("images.gz", images), ("labels.gz", labels)):
        place = tmp_path / "mnist"
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(idx(array))
        remotes.append(Remote(name, (), ("md5:" + hashlib.md5(idx(array)).hexdigest(),)))
    monkeypatch.setitem(SOURCES, "mnist", datasets.Source({"train": tuple(remotes)}, ""))
    found = dataset("mnist", folder=tmp_path, progress=False)
    assert found.images.shape == (3, 1, 28, 28) and found.labels.tolist() == [1, 0, 2]
    torch.testing.assert_close(found.images[:, 0], torch.from_numpy(images).float() / 127.5 - 1)


def test_unknown_names_are_refused_with_those_there_are():
    with pytest.raises(ValueError, match="unknown data set 'faces': expected one of digits, mnist, fashion, cifar10"):
        dataset("faces")
    with pytest.raises(ValueError, match="unknown split 'test'"):
        dataset("fashion", "test")
    assert len(dataset("digits", "held_back")) == 1000


def test_every_address_is_marked_unverified():
    assert all(datasets.UNVERIFIED in source.note for source in SOURCES.values())


@pytest.mark.skipif(
    not (datasets.DEBIAN / "fashion-mnist").is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)
@pytest.mark.parametrize(("split", "count"), [("train", 60000), ("held_back", 10000)])
def test_debians_fashion_mnist_is_read_and_balanced(tmp_path, split, count):
    found = dataset("fashion", split, tmp_path, progress=False)
    assert found.images.shape == (count, 1, 28, 28) and not (tmp_path / "fashion").exists()
    assert found.labels.bincount().tolist() == [count // 10] * 10
    assert float(found.images.min()) == -1 and float(found.images.max()) == 1
