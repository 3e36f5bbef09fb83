"""The command line as a person meets it: files, one-line errors, exit codes, a run killed while it saves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import course_lib.muon as muon
from course_lib.__main__ import main
from course_lib.generate import SAMPLER_STEPS
from course_lib.sampling import STEPS
from course_lib.unet import PRESETS, UNet, parameter_count

TRAIN = ["train", "--data", "digits", "--preset", "tiny", "--steps", "6", "--batch", "8", "--save-seconds", "0"]

KILLED_WHILE_SAVING = """
import os, pathlib, signal, sys
real, opened = pathlib.Path.open, 0
class Dying:  # a file whose writer is killed half way
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
def dying_open(path, mode="r", *args, **kwargs):
    global opened
    opened += mode == "wb"
    file = real(path, mode, *args, **kwargs)
    return Dying(file) if mode == "wb" and opened == int(sys.argv[1]) else file
pathlib.Path.open = dying_open
from course_lib.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    assert main([*TRAIN, "--out", str(folder)]) == 0
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "training.safetensors")


@pytest.mark.parametrize("killed_at", [7, 8])  # a save opens three files; in the third: training state, weights
def test_a_run_killed_while_saving_resumes_to_the_same_weights(run: Path, tmp_path: Path, killed_at: int):
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(killed_at), *TRAIN, "--out", str(folder)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert int(tensors(folder)["step"]) == (2 if killed_at == 7 else 3)
    assert list(folder.glob(".*.part")), "the kill fell outside a save"
    (folder / ".notes.1.part").touch()
    assert main([*TRAIN, "--out", str(folder)]) == 2 and len(list(folder.glob(".*.part"))) == 2
    assert main([*TRAIN, "--out", str(folder), "--resume"]) == 0
    assert [path.name for path in folder.glob(".*.part")] == [".notes.1.part"], "litter, or someone else's file"
    whole, resumed = tensors(run), tensors(folder)
    assert whole.keys() == resumed.keys()
    assert [name for name in whole if name != "seconds" and not torch.equal(whole[name], resumed[name])] == []


def test_resume_starts_anew_where_nothing_was_saved_and_does_nothing_when_done(tmp_path: Path, capsys):
    assert main([*TRAIN, "--out", str(tmp_path / "b"), "--resume"]) == 0
    before = (tmp_path / "b/model.safetensors").read_bytes()
    assert main([*TRAIN, "--out", str(tmp_path / "b"), "--resume"]) == 0
    assert "nothing left to do" in capsys.readouterr().out
    assert (tmp_path / "b/model.safetensors").read_bytes() == before


@pytest.fixture
def press_in_step(monkeypatch) -> Iterator[Callable[[int, int], None]]:
    """press(step, times): in that step (from 1) of what follows Ctrl-C is pressed, half of Muon's matrices moved."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest's workers ignore it
    hidden = len(muon.split(UNet(PRESETS["tiny"]))[0])
    real = muon.orthogonalise

    def press(step: int, times: int) -> None:
        calls = 0

        def pressed(matrix, *args):
            nonlocal calls
            calls += 1
            for _ in range(times if calls == (step - 1) * hidden + hidden // 2 else 0):
                signal.raise_signal(signal.SIGINT)
            return real(matrix, *args)

        monkeypatch.setattr(muon, "orthogonalise", pressed)

    yield press
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the handler was not put back"
    signal.signal(signal.SIGINT, before)


def test_interrupting_finishes_the_step_and_keeps_what_was_done(run: Path, tmp_path: Path, press_in_step, capsys):
    command = [*TRAIN[:-1], "999", "--out", str(tmp_path / "c")]  # no save before the interrupt
    press_in_step(3, 1)
    assert main(command) == 130
    assert "interrupted at step 3, saved in" in capsys.readouterr().err
    assert int(tensors(tmp_path / "c")["step"]) == 3
    assert main([*command, "--resume"]) == 0
    whole, resumed = tensors(run), tensors(tmp_path / "c")
    assert [name for name in whole if name != "seconds" and not torch.equal(whole[name], resumed[name])] == []


def test_interrupting_twice_stops_at_once_and_leaves_the_last_save(run: Path, tmp_path: Path, press_in_step, capsys):
    command = [*TRAIN, "--out", str(tmp_path / "c")]
    press_in_step(4, 2)
    assert main(command) == 130
    assert "interrupted at once; the last save in" in capsys.readouterr().err
    assert int(tensors(tmp_path / "c")["step"]) == 3
    press_in_step(99, 1)
    assert main([*command, "--resume"]) == 0
    whole, resumed = tensors(run), tensors(tmp_path / "c")
    assert [name for name in whole if name != "seconds" and not torch.equal(whole[name], resumed[name])] == []


def test_interrupting_before_the_first_step_is_whole_stops_at_once(tmp_path: Path, press_in_step, capsys):
    press_in_step(1, 1)
    assert main([*TRAIN, "--out", str(tmp_path / "c")]) == 130
    assert "interrupted before the first step; nothing was saved" in capsys.readouterr().err
    assert list((tmp_path / "c").iterdir()) == []


def test_elsewhere_than_in_the_main_thread_ctrl_c_is_left_alone(tmp_path: Path):
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(main, [*TRAIN, "--out", str(tmp_path / "c")]).result() == 0
    assert int(tensors(tmp_path / "c")["step"]) == 6


def test_what_only_teachers_install_is_named(monkeypatch, capsys, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "nbval", None)
    assert main(["grade", "my.ipynb", "--out", str(tmp_path)]) == 2
    assert "needs 'nbval', which only authors and teachers install" in capsys.readouterr().err


def test_a_diverged_run_stops_and_keeps_the_last_good_weights(tmp_path: Path, monkeypatch, capsys):
    import course_lib.training as training

    def poisoned(network, parametrization, x_0, marginal, noise):
        loss = real(network, parametrization, x_0, marginal, noise)
        return loss * float("nan") if len(list((tmp_path / "d").glob("*.safetensors"))) == 2 else loss

    real = training.simple
    monkeypatch.setattr(training, "simple", poisoned)
    assert main([*TRAIN, "--out", str(tmp_path / "d")]) == 1
    assert "diverged at step 2" in capsys.readouterr().err
    assert all(value.isfinite().all() for value in tensors(tmp_path / "d").values())


def test_samples_are_an_array_in_zero_one_and_the_same_for_the_same_seed(run: Path, tmp_path: Path):
    def images(name: str, seed: str) -> np.ndarray:
        out = tmp_path / name
        assert main(["sample", "--model", str(run), "--n", "3", "--sampler", "ddim", "--steps", "3",
                     "--seed", seed, "--out", str(out)]) == 0  # fmt: skip
        with np.load(out) as stored:
            return stored["images"]

    first = images("a.npz", "0")
    assert first.shape == (3, 28, 28) and first.dtype == np.float32
    assert 0 <= first.min() and first.max() <= 1
    assert (first == images("b.npz", "0")).all() and (first != images("c.npz", "1")).any()


@pytest.mark.parametrize("sampler", ["ddpm", "heun", "renoise"])
def test_every_sampler_writes_a_sheet(run: Path, tmp_path: Path, sampler: str):
    out = tmp_path / "new folder" / "sheet.png"
    assert (
        main(["sample", "--model", str(run), "--n", "5", "--sampler", sampler, "--steps", "2", "--out", str(out)]) == 0
    )
    with Image.open(out) as sheet:
        assert sheet.width > 56 and sheet.height > 28


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train", "--out", "x"], "one of the arguments --seconds --steps is required"),
        (["train", "--steps", "3", "--seconds", "2", "--out", "x"], "not allowed with argument"),
        (["train", "--steps", "three", "--out", "x"], "invalid int value: 'three'"),
        (["train", "--steps", "-3", "--out", "x"], "got -3"),
        (["train", "--steps", "3", "--preset", "huge", "--out", "x"], "unknown preset 'huge'"),
        (["train", "--steps", "3", "--preset", "large", "--out", "x"], "needs sizes that 8 divides"),
        (["train", "--steps", "3", "--data", "cats", "--out", "x"], "invalid choice: 'cats'"),
        (["train", "--steps", "3", "--target", "sigma", "--out", "x"], "unknown target 'sigma'"),
        (["train", "--steps", "3", "--device", "cuda:9", "--out", "x"], "'cuda:9' is not available"),
        (["train", "--steps", "3", "--preset", "base", "--noise-std", "-1", "--out", "x"], "got -1"),
        (["train", "--steps", "3", "--muon-rate", "-1", "--out", "x"], "muon_rate above 0 and finite, got -1"),
        (["train", "--steps", "3", "--seed", "99999999999999999999", "--out", "x"], "from 0 to 2**63 - 1"),
        (["train", "--steps", "3", "--save-seconds", "nan", "--out", "x"], "--save-seconds: nan: expected a number"),
        (["train", "--steps", "3", "--save-seconds", "-5", "--out", "x"], "--save-seconds: -5: expected a number"),
        (["train", "--steps", "3", "--out", ""], "--out '': expected the name of a folder"),
        (["train", "--steps", "3", "--out", f"{__file__}/x"], "cannot be written: a file is where a folder should be"),
        (["train", "--steps", "3", "--out", "/proc/x"], "--out '/proc/x' cannot be written: "),
        (["sample", "--out", ""], "--out '': expected a name"),
        (["sample", "--out", f"{__file__}/x.png"], "cannot be written: a file is where a folder should be"),
        (["sample", "--seed", "-1", "--out", "x.png"], "from 0 to 2**63 - 1"),
        (["sample", "--n", "0", "--out", "x.png"], "--n 0"),
        (["sample", "--out", "x.gif"], "'x.gif'"),
        (["sample", "--steps", "0", "--out", "x.png"], "--steps 0"),
        (["sample", "--sampler", "magic", "--out", "x.png"], "unknown sampler 'magic'"),
        (["sample", "--model", "nowhere", "--out", "x.png"], "no model called 'nowhere'"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "required"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_two(command, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(command)
    except SystemExit as exit:
        code = exit.code
    error = capsys.readouterr().err
    assert code == 2
    assert message in error and len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_refused_before_sampling_into_it(tmp_path: Path, capsys):
    (tmp_path / "x.png").mkdir()
    assert main(["sample", "--out", str(tmp_path / "x.png")]) == 2
    error = capsys.readouterr().err
    assert error.endswith("x.png' cannot be written: it is a folder\n") and len(error.splitlines()) == 1


def test_the_largest_seed_trains(tmp_path: Path):
    assert main([*TRAIN, "--seed", str(2**63 - 1), "--out", str(tmp_path / "s")]) == 0


def test_the_help_of_train_gives_the_defaults_that_count(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for default in (64, "muon", 0.004, 0.02, -0.2, 1.1):
        assert f"(default: {default})" in said
    for name, layout in PRESETS.items():
        assert f"{name} {float(f'{parameter_count(UNet(layout)) / 1e6:.2g}'):g}" in said


def test_the_help_of_sample_gives_every_sampler_its_steps(capsys):
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name in STEPS:
        assert f"{name} {SAMPLER_STEPS[name]}" in said


def test_a_run_is_neither_overwritten_nor_mixed_with_another(run: Path, capsys):
    before = (run / "model.safetensors").read_bytes()
    assert main([*TRAIN, "--out", str(run)]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert main([*TRAIN, "--seed", "5", "--out", str(run), "--resume"]) == 2
    assert "seed 0 (now 5)" in capsys.readouterr().err
    for length, now in [(["--steps", "9"], "9 steps"), (["--seconds", "2"], "2.0 seconds")]:
        assert main([*TRAIN[:5], *length, *TRAIN[7:], "--out", str(run), "--resume"]) == 2
        reason = f"length 6 steps (now {now}) (the learning rate's curve depends on the length: start a new --out)\n"
        error = capsys.readouterr().err
        assert error.endswith(reason) and "None" not in error
    assert (run / "model.safetensors").read_bytes() == before


def test_the_record_says_how_the_run_was_made(run: Path):
    record = json.loads((run / "record.json").read_text())
    assert record["steps"] == 6 and record["images_seen"] == 48
    assert record["settings"]["preset"] == "tiny" and record["settings"]["seed"] == 0


def test_colour_images_of_another_size_are_trained_on_and_sampled(tmp_path: Path, monkeypatch):
    from course_lib.command import train as command
    from course_lib.data import Labelled

    images = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    monkeypatch.setattr(command, "dataset", lambda name: Labelled(images, torch.zeros(20).long()))
    folder, out = tmp_path / "c", tmp_path / "c.npz"
    words = ["cifar10" if word == "digits" else word for word in TRAIN]
    assert main([*words, "--out", str(folder)]) == 0
    assert main(["sample", "--model", str(folder), "--n", "2", "--steps", "2", "--out", str(out)]) == 0
    with np.load(out) as stored:
        assert stored["images"].shape == (2, 32, 32, 3)
    assert json.loads((folder / "record.json").read_text())["settings"]["data"] == "cifar10"


def test_data_that_cannot_be_had_is_one_line_and_exit_code_one(tmp_path: Path, monkeypatch, capsys):
    from course_lib.data import datasets

    nowhere = datasets.Remote("images.gz", ("http://127.0.0.1:9/images.gz",), ("md5:0",))
    monkeypatch.setitem(datasets.SOURCES, "mnist", datasets.Source({"train": (nowhere, nowhere)}, ""))
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert main([*TRAIN, "--data", "mnist", "--out", str(tmp_path / "m")]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("course_lib train: cannot get images.gz; by hand, put it into ")
    assert not (tmp_path / "m").exists()


def test_a_missing_pooch_is_one_line_and_exit_code_two(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert main([*TRAIN, "--data", "mnist", "--out", str(tmp_path / "m")]) == 2
    assert capsys.readouterr().err == "course_lib train: data set 'mnist' needs pooch: python -m pip install pooch\n"


def test_the_command_line_offers_every_data_set():
    from course_lib.command.parser import parser
    from course_lib.data.datasets import SOURCES

    for name in ("digits", *SOURCES):
        assert parser().parse_args(["train", "--steps", "1", "--data", name, "--out", "x"]).data == name


def test_a_network_told_the_labels_draws_what_it_is_asked_for(tmp_path: Path, capsys):
    folder, sheet = tmp_path / "told", tmp_path / "a.npz"
    assert main([*TRAIN, "--labels", "--label-dropout", "0.5", "--out", str(folder)]) == 0
    record = json.loads((folder / "record.json").read_text())
    assert record["unet"]["classes"] == 10 and record["settings"]["label_dropout"] == 0.5
    drawn = {}
    for label in ("3", "7", None):
        asked = [] if label is None else ["--label", label]
        words = ["sample", "--model", str(folder), "--n", "2", "--steps", "2", "--sampler", "ddim", "--out", str(sheet)]
        assert main([*words, *asked]) == 0
        drawn[label] = np.load(sheet)["images"]
    assert all(np.abs(drawn[a] - drawn[b]).max() > 0 for a, b in (("3", "7"), ("3", None), ("7", None)))
    capsys.readouterr()
    assert main([*words, "--label", "10"]) == 2
    assert capsys.readouterr().err == "course_lib sample: label 10: expected one from 0 to 9\n"
    assert main([*TRAIN, "--out", str(folder), "--resume"]) == 2
    assert "labels True (now False)" in capsys.readouterr().err


def test_a_network_without_labels_says_so(run: Path, tmp_path: Path, capsys):
    words = ["sample", "--model", str(run), "--label", "3", "--n", "1", "--out", str(tmp_path / "a.png")]
    assert main(words) == 2
    assert "this network was trained without labels" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
