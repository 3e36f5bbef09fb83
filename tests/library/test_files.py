"""Files and terminals: a full disk or a kill leaves the old file whole, one run a folder, any code page."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from course_lib import files
from course_lib.__main__ import main
from course_lib.files import only_run, write_atomically
from course_lib.plotting import Picture, save_sheet
from course_lib.scrubber import scrub
from course_staff.release.copy_notebooks import copy_notebooks

IMAGES = np.zeros((2, 8, 8))
TRAIN = ["train", "--steps", "2", "--batch", "8"]
WRITERS = {
    "a.txt": lambda path: write_atomically(path, "new"),
    "sheet.png": lambda path: save_sheet(IMAGES, path),
    "plot.png": lambda path: Picture(Figure(), "nothing").save(path),
    "plot.svg": lambda path: Picture(Figure(), "nothing").save(path),
    "plot.pdf": lambda path: Picture(Figure(), "nothing").save(path),
    "page.html": lambda path: scrub(IMAGES, alt="black").save(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_whole_and_is_told_with_file_and_folder(name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device") as told:
            WRITERS[name](path)
    assert told.value.errno == errno.ENOSPC
    assert f"cannot write {name} into the folder {tmp_path}: " in str(told.value)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    WRITERS[name](path)
    assert path.read_bytes() != b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_makes_the_folder(name, tmp_path):
    WRITERS[name](tmp_path / "a" / "b" / name)
    assert (tmp_path / "a" / "b" / name).stat().st_size > 0


def test_a_link_is_followed_and_a_device_stays_one(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_atomically(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", "new")
    assert os.read(reader, 10) == b"new" and (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_a_picture_of_an_unknown_kind_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"such as \.png"):
        save_sheet(IMAGES, tmp_path / "sheet.pgn")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_under_a_notebooks_copy_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "01_a.ipynb").write_text("{}")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write 01_a\.ipynb into the folder"):
        copy_notebooks(tmp_path / "from", tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_full_disk_is_one_line_of_sample(tmp_path, monkeypatch, capsys):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    out = tmp_path / "s.png"
    out.write_text("old")
    assert main(["sample", "--n", "1", "--steps", "1", "--sampler", "ddim", "--out", str(out)]) == 1
    said = f"course_lib sample: cannot write s.png into the folder {tmp_path}: No space left on device; "
    assert said in capsys.readouterr().err and out.read_text() == "old"


def test_a_second_run_into_one_folder_is_refused_and_the_lock_dies_with_its_process(tmp_path, capsys):
    folder = tmp_path / "a"
    folder.mkdir()
    code = (
        "import sys, pathlib, course_lib.files as f\n"
        "with f.only_run(pathlib.Path(sys.argv[1]), 'a'):\n    print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert main([*TRAIN, "--out", str(folder)]) == 2
        error = capsys.readouterr().err
        assert (
            error == f"course_lib train: another run works in {str(folder)!r}: wait for it, or choose another --out\n"
        )
        assert main([*TRAIN, "--out", str(folder), "--resume"]) == 2
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert (folder / files.LOCK).exists(), "left by the killed process"
    assert main([*TRAIN, "--out", str(folder)]) == 0
    assert not (folder / files.LOCK).exists()


def test_a_second_grading_into_one_folder_is_refused_and_writes_nothing(tmp_path, capsys):
    (tmp_path / "a.ipynb").write_text("{}")
    folder = tmp_path / "grades"
    folder.mkdir()
    with only_run(folder, "grades"):
        assert main(["grade", str(tmp_path / "a.ipynb"), "--out", str(folder), "--no-sandbox"]) == 2
        assert [path.name for path in folder.iterdir()] == [files.LOCK]
    assert "another run works in --out" in capsys.readouterr().err


def test_a_second_bench_into_one_folder_is_refused(tmp_path, capsys):
    with only_run(tmp_path, "bench"):
        assert main(["bench", "--no-reference", "--out", str(tmp_path)]) == 2
    assert "another run works in --out" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("buffered", ["", "-u"])
def test_a_reader_that_goes_away_ends_a_command_without_a_word(buffered):
    shell = f"{sys.executable} {buffered} -m course_lib doctor | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (141, "")


WRITES = re.compile(
    r"\.write_(text|bytes)\(|open\([^)\n]*[\"'][wax]b?\+?[\"']|shutil\.(copy|move)|np\.save|nbformat\.write\(|torch\.save"
)
SCRATCH = (  # what nobody keeps: files of the system's, and folders that are made anew
    "course_lib/files.py", "course_lib/command/machine.py", "course_staff/studies/small_machine.py",
    "course_staff/grading/sandbox/", "course_staff/grading/grader.py", "course_staff/site/",
)  # fmt: skip


def test_nothing_else_in_the_course_writes_files():
    root = Path(files.__file__).parents[1]
    found = []
    for path in (path for package in ("course_lib", "course_staff") for path in (root / package).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        lines = path.read_text(encoding="utf-8").splitlines() if not name.startswith(SCRATCH) else []
        found += [f"{name}: {line.strip()}" for line in lines if WRITES.search(line) and "buffer" not in line]
    assert found == []


def test_where_there_are_no_locks_that_is_said_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    import fcntl

    def none(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    with only_run(tmp_path, "a"):
        pass
    assert "files cannot be locked in a" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["digits", "./digits", "digits/"])
def test_a_run_is_not_called_like_the_shipped_network(out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "--out", out]) == 2
    assert "--model digits means the shipped network" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_the_home_folder_is_known_to_every_option(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "--out=~/run"]) == 0
    assert main(["sample", "--model=~/run", "--n", "1", "--steps", "1", "--out=~/s.png"]) == 0
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"run", "s.png"}
    assert main(["grade", "~/none.ipynb", "--out=~/g"]) == 2
    assert str(tmp_path / "home" / "none.ipynb") in capsys.readouterr().err
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("code_page", ["ascii", "cp1252", "utf-8"])
def test_any_code_page_is_written_to(code_page, tmp_path):
    out = tmp_path / "日é.png"
    words = ["sample", "--n", "1", "--steps", "1", "--sampler", "ddim", "--out", str(out)]
    environment = {**os.environ, "PYTHONIOENCODING": code_page, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "course_lib", *words], env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert out.exists() and b"saved as" in done.stdout and Path(str(out)).stat().st_size > 0
