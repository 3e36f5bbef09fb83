"""Downloads from a local server that misbehaves on request; data sets from files made here, and from Debian's."""

import errno
import gzip
import hashlib
import http.server
import io
import os
import pickle
import signal
import struct
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

from course_lib.data import datasets
from course_lib.data.datasets import CIFAR_ROW, SOURCES, Remote, dataset, fetch, read_cifar, read_idx

CONTENT = np.random.default_rng(0).integers(0, 256, 700_001, dtype=np.uint8).tobytes()
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; a request's path says how badly. `asked` lists the paths; `half_sent` is set once half is."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.half_sent = threading.Event()
        self.go_on = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        mode = self.path.removeprefix("/")
        self.server.asked.append(mode)
        if mode == "missing":
            return self.send_error(404)
        if mode == "another-protocol":
            self.wfile.write(b"SSH-2.0-server\r\n")
            return
        body = CONTENT[::-1] if mode == "corrupt" else CONTENT
        half = len(body) // 2
        self.send_response(200)
        if mode == "chunked-and-cut":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s" % (len(body), body[:half])
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:half] if mode in ("cut", "slow") else body)
        self.server.half_sent.set()
        if mode == "slow":
            self.server.go_on.wait(60)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


def remote(server: Server, *paths: str) -> Remote:
    urls = tuple(f"http://127.0.0.1:{server.server_port}/{path}" for path in paths or ("file",))
    return Remote("file.bin", urls, (CHECKSUM,))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_fetched_once_and_then_found(server, tmp_path):
    for _ in range(2):
        assert fetch(remote(server), tmp_path / "a" / "b", progress=False).read_bytes() == CONTENT
    assert server.asked == ["file"] and names(tmp_path / "a" / "b") == {"file.bin"}


def test_a_file_that_is_elsewhere_already_is_not_fetched(server, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "file.bin").write_bytes(CONTENT)
    assert fetch(remote(server), tmp_path / "cache", [there], progress=False) == there / "file.bin"
    assert server.asked == [] and not (tmp_path / "cache").exists()


def test_a_file_with_any_of_its_checksums_is_taken_from_the_cache(tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    packed_anew = Remote("file.bin", (), ("md5:" + "0" * 32, CHECKSUM))
    assert fetch(packed_anew, tmp_path, progress=False).read_bytes() == CONTENT


def test_a_broken_copy_is_replaced(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1])
    assert fetch(remote(server), tmp_path, progress=False).read_bytes() == CONTENT


def test_the_next_address_is_tried_and_a_wrong_file_is_not_kept(server, tmp_path):
    bad = ["missing", "corrupt", "cut"]
    assert fetch(remote(server, *bad, "file"), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.asked == [*bad, "file"]
    with pytest.raises(OSError, match="checksum is not the published one") as error:
        fetch(remote(server, *bad), tmp_path / "other", progress=False)
    assert "404" in str(error.value) and names(tmp_path / "other") == set()


def test_a_wrong_file_does_not_take_the_place_of_what_was_there(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"mine")
    with pytest.raises(OSError, match="checksum is not the published one"):
        fetch(remote(server, "corrupt"), tmp_path, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == b"mine" and names(tmp_path) == {"file.bin"}


@pytest.mark.parametrize("mode", ["missing", "cut", "corrupt", "chunked-and-cut", "another-protocol"])
def test_what_goes_wrong_is_one_sentence_with_address_and_folder(server, tmp_path, mode):
    bad = remote(server, mode)
    with pytest.raises(OSError, match=r"cannot get file\.bin; by hand, put it into ") as error:
        fetch(bad, tmp_path, progress=False)
    said = str(error.value)
    assert bad.urls[0] in said and str(tmp_path) in said and "\n" not in said and " object at 0x" not in said
    assert names(tmp_path) == set()


def test_without_a_network_one_sentence_says_where_to_put_the_file(tmp_path):
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:9/x: the connection failed \(ConnectionError\)") as error:
        fetch(Remote("x.gz", ("http://127.0.0.1:9/x",), ("md5:0",)), tmp_path, progress=False)
    assert f"by hand, put it into {tmp_path}" in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=rf"Not a directory: '{tmp_path}/file/cache'"):
        fetch(remote(server), tmp_path / "file" / "cache", progress=False)


def test_a_full_disk_is_said_and_leaves_nothing(server, tmp_path, monkeypatch):
    def full(get, url, output_file, pooch, check_only=False):
        Path(output_file).write_bytes(CONTENT[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    with pytest.raises(OSError, match="No space left on device"):
        fetch(remote(server), tmp_path, progress=False)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_leaves_nothing_under_the_name(server, tmp_path, how):
    code = (
        "import sys; from pathlib import Path; from course_lib.data.datasets import Remote, fetch;"
        "fetch(Remote('file.bin', (sys.argv[1],), (sys.argv[2],)), Path(sys.argv[3]), progress=False)"
    )
    words = [sys.executable, "-c", code, remote(server, "slow").urls[0], CHECKSUM, str(tmp_path)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        assert server.half_sent.wait(60)
        while not any(path.stat().st_size for path in tmp_path.iterdir()):
            assert process.poll() is None
        process.send_signal(how)
        assert process.wait(60) != 0
    assert "file.bin" not in names(tmp_path)
    assert how == signal.SIGKILL or names(tmp_path) == set()
    assert fetch(remote(server), tmp_path, progress=False).read_bytes() == CONTENT


def test_a_bar_shows_how_much_of_the_file_is_there(server, tmp_path, capsys):
    fetch(remote(server), tmp_path)
    assert "700k/700k" in capsys.readouterr().err
    fetch(remote(server), tmp_path / "silent", progress=False)
    assert "700k" not in capsys.readouterr().err


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


def made(monkeypatch, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A data set of three images under the name "mnist", its files in `folder`/mnist: images and labels."""
    images, labels = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28), np.array([1, 0, 2], np.uint8)
    remotes = []
    (folder / "mnist").mkdir()
    for name, array in (("images.gz", images), ("labels.gz", labels)):
        (folder / "mnist" / name).write_bytes(idx(array))
        remotes.append(Remote(name, (), ("md5:" + hashlib.md5(idx(array)).hexdigest(),)))
    monkeypatch.setitem(SOURCES, "mnist", datasets.Source({"train": tuple(remotes)}, ""))
    return images, labels


def test_a_data_set_in_the_folder_is_read_in_the_range_of_the_course(tmp_path, monkeypatch):
    images, labels = made(monkeypatch, tmp_path)
    found = dataset("mnist", folder=tmp_path, progress=False)
    assert found.images.shape == (3, 1, 28, 28) and found.labels.tolist() == labels.tolist()
    torch.testing.assert_close(found.images[:, 0], torch.from_numpy(images).float() / 127.5 - 1)


@pytest.mark.parametrize(("variable", "folder"), [("COURSE_DATA", "."), ("XDG_CACHE_HOME", "course_lib")])
def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch, variable, folder):
    if variable == "XDG_CACHE_HOME" and sys.platform != "linux":
        pytest.skip("only Linux has XDG_CACHE_HOME")
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / folder).mkdir(exist_ok=True)
    made(monkeypatch, tmp_path / folder)
    assert len(dataset("mnist", progress=False)) == 3


def test_no_pickle_is_read(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a pickle was read")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    made(monkeypatch, tmp_path)
    dataset("mnist", folder=tmp_path, progress=False)
    rows = np.zeros((1, CIFAR_ROW), np.uint8)
    cifar(tmp_path / "c.tar.gz", {"test_batch.bin": rows})
    read_cifar(tmp_path / "c.tar.gz", "held_back")


def test_without_pooch_one_sentence_says_how_to_get_it_and_the_digits_need_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ValueError, match="data set 'fashion' needs pooch: python -m pip install pooch"):
        dataset("fashion")
    assert len(dataset("digits")) == 9000


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
