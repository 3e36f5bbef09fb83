"""Several processes do what one does. Real ones, started by torchrun, talking through gloo; two, on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from parallel_worker import CLIP, learn

from course_lib import generate
from course_lib.__main__ import main
from course_lib.checkpoint import Model
from course_lib.engine.devices import choose_device
from course_lib.engine.parallel import ALONE, Processes, join_processes, started_together
from course_lib.parametrization import Parametrization
from course_lib.unet import UNet, UNetConfig

WORKER = str(Path(__file__).parents[1] / "parallel_worker.py")
TRAIN = ["train", "--preset", "tiny", "--steps", "8", "--batch", "8", "--device", "cpu", "--save-seconds", "0"]


def together(*arguments: str) -> subprocess.CompletedProcess:
    """Two processes under torchrun; `arguments` as after `torchrun --nproc-per-node 2`."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [*torchrun, "--nproc-per-node", "2", *arguments], capture_output=True, text=True, env=environment, timeout=120
    )


def said(result: subprocess.CompletedProcess) -> list[str]:
    """Our lines on stderr, torchrun's own left out."""
    return re.findall(r"course_lib (?:train|sample): .*", result.stderr)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "training.safetensors")


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """What tests/parallel_worker.py found in each of two processes."""
    folder = tmp_path_factory.mktemp("learned")
    result = together(WORKER, "learn", str(folder))
    assert result.returncode == 0, result.stderr
    return [safetensors.torch.load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.fixture(scope="module")
def alone() -> dict[str, torch.Tensor]:
    return learn()


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def test_two_processes_compute_the_gradient_of_one(learned, alone):
    """With labels, label dropout and attention; averaged before it is clipped, else the weights would part at once."""
    assert alone["gradient"].norm() > 2 * CLIP and (alone["gradient"] != 0).float().mean() > 0.9
    for each in learned:
        assert relative(each["gradient"], alone["gradient"]) < 1e-6
    assert torch.equal(learned[0]["gradient"], learned[1]["gradient"])


def test_two_processes_follow_the_loss_curve_of_one(learned, alone):
    """Rounding alone parts them, and grows from step to step: 20 steps, to a hundred-thousandth of the loss."""
    assert alone["loss"][-1] < 0.95 * alone["loss"][0]
    for each in learned:
        torch.testing.assert_close(each["loss"], alone["loss"], rtol=1e-5, atol=0)
        assert relative(each["weights"], alone["weights"]) < 1e-4
    assert torch.equal(learned[0]["weights"], learned[1]["weights"])


def test_the_first_clock_decides_for_all(learned):
    """The other's is an hour late: by itself it would not have stopped, and the two would wait for each other."""
    assert learned[0]["steps"] == learned[1]["steps"] > 1


def test_each_process_withholds_other_features(learned):
    share = [each["dropped"].mean() for each in learned]
    assert 0.3 < min(share) and max(share) < 0.7
    assert (learned[0]["dropped"] != learned[1]["dropped"]).float().mean() > 0.3


def test_a_compiled_network_trains_in_two_processes(learned):
    expected = learn(steps=4)["loss"]
    for each in learned:
        torch.testing.assert_close(each["compiled loss"], expected, rtol=1e-5, atol=0)


def test_what_the_first_process_reads_all_receive(learned):
    for each in learned:
        assert torch.equal(each["sent numbers"], torch.arange(5.0)) and each["sent step"] == 7


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted run of two processes."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    result = together("-m", "course_lib", *TRAIN, "--out", str(folder))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("8 steps, 64 images") == 1, "every process reported, or none"
    assert result.stderr.count("training tiny:   0%") == 1, "every process drew a bar, or none"
    assert "FutureWarning" not in result.stderr
    return folder


def test_the_command_line_trains_as_one_process_does(whole: Path, tmp_path: Path):
    assert main([*TRAIN, "--out", str(tmp_path / "alone")]) == 0
    one, two = weights(tmp_path / "alone"), weights(whole)
    assert one.keys() == two.keys()
    for name in one:
        if name.startswith("network."):
            torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-4)  # a step changes a weight by up to 4e-3


def test_processes_killed_with_or_without_each_other_resume_to_the_same_weights(whole: Path, tmp_path: Path):
    """One is killed after step 3, then both after step 5 of what goes on from there."""
    folder = tmp_path / "killed"
    arguments = [*TRAIN, "--out", str(folder)]
    started = time.monotonic()
    one = together(WORKER, "die", "3", "1", *arguments)
    assert one.returncode != 0 and time.monotonic() - started < 60 and len(said(one)) <= 1, one.stderr
    assert int(weights(folder)["step"]) in (2, 3)
    both = together(WORKER, "die", "5", "0,1", *arguments, "--resume")
    assert both.returncode != 0 and int(weights(folder)["step"]) in (4, 5)  # whichever of them was killed first
    done = together("-m", "course_lib", *arguments, "--resume")
    assert done.returncode == 0, done.stderr
    expected, resumed = weights(whole), weights(folder)
    assert expected.keys() == resumed.keys() and int(resumed["step"]) == 8
    assert [name for name in expected if name != "seconds" and not torch.equal(expected[name], resumed[name])] == []


def test_an_error_in_one_process_ends_all_and_is_one_line(tmp_path: Path):
    started = time.monotonic()
    result = together(WORKER, "fail", "2", "1", *TRAIN, "--out", str(tmp_path / "failed"))
    assert result.returncode != 0 and time.monotonic() - started < 60
    assert said(result) == ["course_lib train: process 2 of 2: no luck at all"]
    assert "Traceback" not in result.stderr.split("torch/distributed")[0]


def test_ctrl_c_saves_a_whole_step_of_all_processes(whole: Path, tmp_path: Path):
    """torchrun passes the signal on, never to all at the same time: here to one; both stop after the same step."""
    folder = tmp_path / "interrupted"
    arguments = [*TRAIN[:-1], "999", "--out", str(folder)]
    interrupted = together(WORKER, "interrupt", "3", "1", *arguments)
    assert interrupted.returncode != 0
    (line,) = said(interrupted)
    assert line.startswith("course_lib train: interrupted at step 4, saved in"), line
    assert int(weights(folder)["step"]) == 4
    done = together("-m", "course_lib", *arguments, "--resume")
    assert done.returncode == 0, done.stderr
    expected, resumed = weights(whole), weights(folder)
    assert [name for name in expected if name != "seconds" and not torch.equal(expected[name], resumed[name])] == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([*TRAIN, "--batch", "9"], "9 images cannot be shared equally by 2 processes: expected a multiple of 2"),
        (["sample", "--model", "nowhere"], "no model called 'nowhere'"),
        ([*TRAIN, "--out", f"{__file__}/x"], "x' cannot be written: a file is where a folder should be"),
        (["sample", "--out", f"{__file__}/x.png"], "x.png' cannot be written: a file is where a folder should be"),
    ],
)
def test_a_bad_argument_is_one_line_from_two_processes(tmp_path: Path, command, message):
    result = together("-m", "course_lib", command[0], "--out", str(tmp_path / "x.png"), *command[1:])
    assert result.returncode != 0 and list(tmp_path.iterdir()) == []
    (line,) = said(result)
    assert message in line


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As `together`: sums that several threads share out are rounded elsewhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_two_processes_draw_the_very_samples_of_one(tmp_path: Path, one_thread: None):
    arguments = ["sample", "--number", "280", "--sampler", "ddpm", "--steps", "2", "--seed", "3", "--device", "cpu"]
    result = together("-m", "course_lib", *arguments, "--out", str(tmp_path / "two.npz"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("280 images by ddpm") == 1
    assert main([*arguments, "--out", str(tmp_path / "one.npz")]) == 0
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "two.npz") as two:
        assert one["images"].shape == (280, 28, 28) and one["images"].std() > 0.1
        assert np.array_equal(one["images"], two["images"])


@pytest.mark.parametrize("sampler", ["ddpm", "heun"])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_any_number_of_processes_shares_out_the_same_samples(monkeypatch, count, sampler):
    """One after the other in this process: chunks of 10 in pieces of 4; one of seven gets rows only at the end."""
    monkeypatch.setattr(generate, "CHUNK", 10)
    monkeypatch.setattr(generate, "PIECES", {"cpu": 4})
    monkeypatch.setattr(Processes, "gather_rows", lambda self, mine, owner: mine)
    torch.manual_seed(0)
    network = UNet(UNetConfig(width=8, head_dim=8, multipliers=(1,)))
    torch.nn.init.normal_(network.head.weight)
    model = Model(network.eval(), Parametrization(), {"image_size": (8, 8)})
    expected = generate.generate(model, 27, sampler, 3, seed=5)
    parts = [
        generate.generate(model, 27, sampler, 3, seed=5, processes=Processes(rank, count)) for rank in range(count)
    ]
    owner = torch.cat([Processes(0, count).owners(n, 4) for n in (10, 10, 7)])
    assert len(expected) == 27 and expected.flatten(1).unique(dim=0).shape[0] == 27
    for rank, part in enumerate(parts):
        assert torch.equal(part, expected[owner == rank])


def test_rows_are_owned_in_blocks_of_whole_pieces():
    for n, piece, count in [(250, 25, 4), (7, 3, 2), (5, 25, 3), (1, 1, 1), (100, 10, 7)]:
        owner = Processes(0, count).owners(n, piece)
        assert len(owner) == n and bool((owner.diff() >= 0).all()) and 0 <= owner[0] and owner[-1] < count
        assert all(len(part.unique()) == 1 for part in owner.split(piece))
        sizes = [len(part) for rank in range(count) for part in [owner[owner == rank]]]
        assert max(sizes) - min(sizes) <= 2 * piece


def test_a_batch_is_shared_equally_or_not_at_all():
    rows = [Processes(rank, 3).share(12) for rank in range(3)]
    assert rows == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(ValueError, match="a batch of 10 images cannot be shared equally by 3"):
        Processes(0, 3).share(10)


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    assert Processes(1, 2, 1).device("auto") == ("auto" if not torch.cuda.is_available() else "cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert ALONE.device("cuda:1") == "cuda:1" and Processes(1, 2, 1).device("cpu") == "cpu"
    assert [Processes(rank, 4, rank % 2).device("auto") for rank in range(4)] == ["cuda:0", "cuda:1"] * 2
    with pytest.raises(ValueError, match="more processes than GPUs: expected --nproc-per-node of at most 2"):
        Processes(2, 3, 2).device("auto")
    with pytest.raises(ValueError, match="cuda:1 for 2 processes: expected auto, cpu or cuda"):
        Processes(1, 2, 1).device("cuda:1")


def test_several_processes_without_any_gpu_hear_that_it_is_not_there():
    with pytest.raises(ValueError, match="device 'cuda' is not available here"):
        choose_device(Processes(1, 2, 1).device("cuda"))


def test_one_process_downloads_then_the_other_machines_first_then_the_rest(monkeypatch):
    """Two machines of two; threads play the processes. In the order in which they enter and leave the block."""
    barrier, seen = threading.Barrier(4), []
    monkeypatch.setattr(Processes, "wait", lambda self: barrier.wait(10))

    def take_turn(rank: int) -> None:
        with Processes(rank, 4, rank % 2).one_downloads():
            seen.append(("in", rank))
            time.sleep(0.1)
            seen.append(("out", rank))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(take_turn, range(4)))
    assert seen[:4] == [("in", 0), ("out", 0), ("in", 2), ("out", 2)]
    assert {rank for _, rank in seen[4:]} == {1, 3}


def test_one_process_is_alone_whatever_started_it(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with join_processes() as processes:
        assert processes is ALONE
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not started_together()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert started_together()


def test_of_several_processes_one_reports_a_wrong_command_line(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as exit:
        main(["train"])
    assert exit.value.code == 2 and capsys.readouterr().err == ""
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit):
        main(["train"])
    assert len(capsys.readouterr().err.splitlines()) == 1
