"""What a GPU gets, on a CPU: with fakes for what only a GPU has. Tests marked `gpu` are skipped without one."""

from __future__ import annotations

import importlib.util
import json
import os
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from networks import awake
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import course_lib.engine.gpu as gpu_module
import course_lib.training as training
from course_lib.checkpoint import Model
from course_lib.engine.devices import reduced_precision
from course_lib.engine.gpu import (
    Engine,
    Graphed,
    capture_cuda_graph,
    compile_network,
    hand_over,
    in_pieces,
    resident,
    take,
    wants_compiling,
)
from course_lib.muon import split
from course_lib.parametrization import Parametrization
from course_lib.sampling import STEPS, sample
from course_lib.schedule import karras_times
from course_lib.training import TrainConfig, train
from course_lib.unet import PRESETS, UNet, UNetConfig, parameter_count
from course_staff.studies import gpu_check
from course_staff.studies.diffusers_unet import DiffusersUNet

LAYOUT = UNetConfig(width=8, head_dim=8, multipliers=(1, 2))
CUDA = torch.device("cuda", 0)


def images(n: int = 40, channels: int = 1) -> torch.Tensor:
    return torch.randn(n, channels, 8, 8, generator=torch.Generator().manual_seed(5)).clamp(-1, 1)


def losses(engine: Engine = gpu_module.PLAIN, layout: UNetConfig = LAYOUT, steps: int = 4) -> torch.Tensor:
    config = TrainConfig(steps=steps, batch=8, device="cpu")
    states = list(train(awake(layout), Parametrization(), images(), config, engine=engine))
    assert all(p.dtype == torch.float32 for p in states[-1].network.parameters())
    return torch.stack([state.loss for state in states]).float()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The course's warnings; PyTorch's own notes are no matter of ours."""
    return [r.getMessage() for r in caplog.records if r.name == "course_lib" and r.levelname == "WARNING"]


def test_only_tests_marked_gpu_see_one():
    """Nor do processes that other tests start."""
    assert not torch.cuda.is_available() and os.environ["CUDA_VISIBLE_DEVICES"] == ""


# Precision


@pytest.mark.parametrize(("precision", "gap"), [("bfloat16", 0.05), ("float16", 0.02)])
def test_reduced_precision_follows_the_loss_curve_of_float32(precision, gap):
    exact, reduced = losses(steps=10), losses(Engine(precision=precision), steps=10)
    assert 0 < ((exact - reduced).abs() / exact).max() < gap


def test_precision_is_the_devices_best_unless_one_is_named():
    assert Engine().dtype(torch.float16) is torch.float16 and Engine().dtype(None) is None
    assert Engine(precision="float32").dtype(torch.bfloat16) is None
    assert Engine(precision="bfloat16").dtype(None) is torch.bfloat16
    with pytest.raises(ValueError, match="unknown precision 'half': expected auto, float32, bfloat16, float16"):
        Engine(precision="half")


@pytest.mark.parametrize(("where", "spoiled"), [("hidden", float("nan")), ("others", float("inf"))])
def test_an_overflow_in_one_optimisers_gradients_moves_neither(where, spoiled):
    """In the third step of float16, in one layer that Muon or AdamW moves; the step after it is sound again."""
    network = awake(LAYOUT)
    parameter = dict(zip(("hidden", "others"), split(network), strict=True))[where][-1]
    calls: list[int] = []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * spoiled if len(calls) == 3 else gradient

    parameter.register_hook(spoil)
    config = TrainConfig(steps=5, batch=8, device="cpu")
    weights = [torch.cat([p.detach().flatten() for p in network.parameters()])]
    for _ in train(network, Parametrization(), images(), config, engine=Engine(precision="float16")):
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.stack(weights).isfinite().all()
    moved = [bool((a != b).any()) for a, b in pairwise(weights)]
    assert moved == [True, True, False, True, True]


# Compiling


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_compiled_step_is_the_plain_one(dropout, caplog):
    layout = replace(LAYOUT, dropout=dropout)
    plain = losses(layout=layout)
    assert torch.equal(losses(Engine(compile=True, backend="eager"), layout), plain)
    torch.testing.assert_close(losses(Engine(compile=True, backend="aot_eager"), layout), plain, rtol=1e-5, atol=0)
    assert said(caplog) == []


def broken_backend(module, inputs):
    raise RuntimeError("no compiler on this machine\nand a long story")


def test_without_a_working_compiler_a_run_goes_on_and_says_so_in_a_line(caplog):
    torch._dynamo.register_backend(broken_backend, name="broken")
    assert torch.equal(losses(Engine(compile=True, backend="broken")), losses())
    assert torch.equal(losses(Engine(compile=True, backend="unheard of")), losses())
    lines = said(caplog)
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("not compiled, going on without") and "\n" not in line


def test_compiling_leaves_no_gradients_and_really_compiles():
    graphs = []

    def counting(module, inputs):
        graphs.append(module)
        return module

    torch._dynamo.register_backend(counting, name="counting")
    network = awake(LAYOUT)
    call = compile_network(network, images(6), backend="counting")
    assert len(graphs) == 1 and all(p.grad is None for p in network.parameters())
    x = images(6)
    torch.testing.assert_close(call(x, torch.zeros(6)), network(x, torch.zeros(6)))
    assert len(graphs) == 1, "the same shape was compiled twice"


@pytest.mark.parametrize(
    ("choice", "device", "seconds", "steps", "triton", "expected"),
    [
        ("auto", "cuda", 1200, None, True, True),
        ("auto", "cuda", None, 50_000, True, True),
        ("auto", "cuda", 60, None, True, False),
        ("auto", "cuda", 1200, None, False, False),
        ("auto", "cpu", 1200, None, True, False),
        ("on", "cpu", 1, None, False, True),
        ("off", "cuda", 1200, None, True, False),
    ],
)
def test_compiling_is_for_long_runs_on_a_gpu_unless_asked_for(
    monkeypatch, choice, device, seconds, steps, triton, expected
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if triton else None)
    assert wants_compiling(choice, torch.device(device), seconds, steps) is expected


# Data


def test_images_go_to_the_gpu_only_where_they_leave_it_room(monkeypatch, caplog):
    moved = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, **kwargs: moved.append((args, kwargs)) or self)
    small = torch.zeros(1000, 1, 8, 8)
    size = small.numel() * 4
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * size, 0))
    assert resident(small, CUDA) is small and moved == [((CUDA,), {})]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * size - 1, 0))
    assert resident(small, CUDA) is small and len(moved) == 1, "images that do not fit were moved"
    (line,) = said(caplog)
    assert "images stay in main memory" in line


def test_what_goes_to_a_gpu_goes_through_page_locked_memory_without_waiting(monkeypatch):
    """Both ways: indices to images that are there, and images from the CPU."""
    seen: list[tuple] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: seen.append(("pin", self.shape)) or self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, **kwargs: seen.append((args, kwargs)) or self)
    rows = torch.tensor([3, 1])
    assert torch.equal(take(images(), rows, CUDA), images()[rows])
    assert seen == [("pin", (2, 1, 8, 8)), ((CUDA,), {"non_blocking": True})]
    seen.clear()
    hand_over(rows, torch.device("cpu"))
    assert ("pin", rows.shape) not in seen
    assert torch.equal(take(images(), rows, torch.device("cpu")), images()[rows])


class NoReadingBack(TorchDispatchMode):
    """Refuses what would make the CPU wait for a GPU: reading a number, or a size that depends on values."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.name() not in ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select"), function
        return function(*args, **(kwargs or {}))


def test_no_step_of_training_reads_a_number_back():
    """With labels, dropout and clipping; the mode itself is seen to refuse."""
    layout = replace(LAYOUT, classes=3, dropout=0.1)
    labels = torch.arange(40) % 3
    config = TrainConfig(steps=6, batch=8, device="cpu")
    states = train(awake(layout), Parametrization(), images(), config, labels=labels)
    next(states)  # what happens once may wait
    with NoReadingBack():
        for _ in range(3):
            state = next(states)
        with pytest.raises(AssertionError):
            float(state.loss)


def test_drawing_indices_shuffles_once_an_epoch(monkeypatch):
    training._shuffle.cache_clear()
    for step in range(10):
        training.batch_indices(step, 10, 100, seed=1)
    assert training._shuffle.cache_info().misses == 1
    first = training.batch_indices(0, 10, 100, seed=1)
    first.zero_()
    assert training.batch_indices(0, 10, 100, seed=1).unique().numel() == 10, "a caller changed the shuffle"


# Graphs


class FakeRecorder:
    """What a CUDA graph does: the output stays where it is; a replay computes it from what the inputs then hold."""

    def __init__(self) -> None:
        self.recorded, self.replayed = 0, 0

    def __call__(self, call):
        self.recorded += 1
        output = call()

        def replay() -> None:
            self.replayed += 1
            output.copy_(call())

        return output, replay


@pytest.mark.parametrize("name", STEPS)
def test_samplers_do_not_notice_that_the_network_is_a_graph(name):
    """Heun's method holds one answer, here the predicted noise itself, while it asks for the next."""
    model = Model(awake(LAYOUT).eval(), Parametrization("eps"), {"image_size": (8, 8)})
    times, x, fake = karras_times(model.schedule, 4), images(3), FakeRecorder()

    def walk(around=None):
        generator = torch.Generator().manual_seed(1)
        denoiser = model.denoiser(clip_x0=False, around=around)
        states = sample(denoiser, model.schedule, times, x, STEPS[name], generator)
        return [(state.x, state.x0) for state in states]

    plain, graphed = walk(), walk(lambda network: Graphed(network, fake))
    assert all(torch.equal(a, b) for p, g in zip(plain, graphed, strict=True) for a, b in zip(p, g, strict=True))
    assert fake.recorded == 1 and fake.replayed == (7 if name == "heun" else 4)


def test_every_shape_is_recorded_once_and_a_fifth_is_called_plainly():
    fake, network = FakeRecorder(), awake(LAYOUT).eval()
    graphed = Graphed(network, fake)
    for n in (1, 2, 1, 3, 2, 4, 5, 6, 1):
        x, log_snr = images(n), torch.linspace(-3, 3, n)
        assert torch.equal(graphed(x, log_snr), network(x, log_snr))
    assert fake.recorded == 4 and fake.replayed == 7


def test_weights_that_change_in_place_are_seen():
    network = awake(LAYOUT).eval()
    graphed = Graphed(network, FakeRecorder())
    before = graphed(images(2), torch.zeros(2))
    with torch.no_grad():
        network.head.bias.add_(1)
    torch.testing.assert_close(graphed(images(2), torch.zeros(2)), before + 1)


def test_what_is_recorded_is_on_the_images_gpu():
    """A recording sees the current GPU alone; the images' may be another. Fake tensors stand in for two GPUs."""
    current = [0]

    @contextmanager
    def device(wanted):
        before, current[0] = current[0], wanted.index
        yield
        current[0] = before

    def record(call):
        recorded.append(current[0])
        return call(), lambda: None

    recorded: list[int] = []
    with FakeTensorMode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "device", device)
        graphed = Graphed(lambda x, log_snr: x + 1, record)
        for index in (1, 0):
            x = torch.empty(2, 1, 8, 8, device=f"cuda:{index}")
            assert graphed._record(x, torch.empty(2, device=x.device)).output.device.index == index
    assert recorded == [1, 0] and current == [0]


class FakeCuda:
    """Streams and a graph as torch.cuda has them; a capture that fails leaves its stream the current one."""

    def __init__(self, monkeypatch, fails: bool) -> None:
        self.current, self.captured_on, self.fails = self.stream("usual"), None, fails
        monkeypatch.setattr(torch.cuda, "Stream", lambda: self.stream("aside"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self.current)
        monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: setattr(self, "current", stream))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "graph", self.graph)

    def stream(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, wait_stream=lambda other: None)

    @contextmanager
    def on(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextmanager
    def graph(self, graph, stream=None):
        before, self.current = self.current, stream or self.stream("another")
        self.captured_on = self.current.name
        yield
        if self.fails:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        self.current = before


@pytest.mark.parametrize("fails", [False, True])
def test_a_recording_warms_up_on_its_own_stream_and_puts_the_usual_one_back(monkeypatch, fails):
    cuda, on = FakeCuda(monkeypatch, fails), []
    with pytest.raises(RuntimeError) if fails else nullcontext():
        capture_cuda_graph(lambda: on.append(cuda.current.name) or torch.zeros(1))
    assert on == ["aside"] * 4 and cuda.captured_on == "aside"
    assert cuda.current.name == "usual"


def test_where_nothing_can_be_recorded_the_network_is_called(caplog):
    calls = []

    def network(x, log_snr):
        calls.append(len(x))
        return x + 1

    def broken(call):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    assert torch.equal(Graphed(network)(images(2), torch.zeros(2)), images(2) + 1)  # a CPU
    graphed = Graphed(network, broken)
    for n in (2, 2, 3):
        assert torch.equal(graphed(images(n), torch.zeros(n)), images(n) + 1)
    assert calls == [2, 2, 2, 3]
    (line,) = said(caplog)
    assert line.startswith("not recorded as a CUDA graph") and "\n" not in line


def test_pieces_have_at_most_their_size_and_keep_their_order():
    sizes = []

    def network(x, log_snr):
        sizes.append(len(x))
        return x * log_snr.reshape(-1, 1, 1, 1)

    x, log_snr = images(7), torch.arange(7.0)
    assert torch.equal(in_pieces(network, 3)(x, log_snr), x * log_snr.reshape(-1, 1, 1, 1))
    assert sizes == [3, 3, 1]
    assert torch.equal(in_pieces(Graphed(network, FakeRecorder()), 3)(x, log_snr), network(x, log_snr))


# The large presets


@pytest.mark.parametrize("name", ["base", "large"])
def test_the_presets_for_gpus_train(name):
    """One step at 8 x 8: a finite loss, and weights that move."""
    layout = PRESETS[name]
    torch.manual_seed(0)
    network = UNet(layout)
    before = network.head.weight.detach().clone()
    config = TrainConfig(steps=1, batch=2, device="cpu")
    (state,) = train(network, Parametrization(), images(4, layout.channels), config)
    assert state.loss.isfinite() and (state.network.head.weight - before).abs().max() > 0


def test_large_has_the_size_of_ho_et_al():
    """diffusers' UNet2DModel in the layout of Ho et al. 2020 for CIFAR-10 has their 35.7 million parameters; ours 2%
    fewer, having a narrower embedding of the noise level."""
    with torch.device("meta"):
        theirs = parameter_count(DiffusersUNet(PRESETS["large"], 32))
        ours = parameter_count(UNet(PRESETS["large"]))
    assert theirs == pytest.approx(35.7e6, rel=0.002)
    assert ours == pytest.approx(theirs, rel=0.025)


# The check for machines with a GPU


def test_the_check_runs_to_its_end_on_a_cpu(tmp_path, capsys):
    assert gpu_check.main(["--size", "tiny", "--device", "cpu", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    speeds = found["training_images_per_second"]
    assert set(speeds) == {"ours", "ours, compiled", "diffusers", "diffusers, compiled"} and min(speeds.values()) > 0
    assert all(0 < share < 20 for share in found["share_of_matmul_peak"].values())  # milliseconds, on a busy machine
    states = [check["passed"] for check in found["checks"].values()]
    assert states.count(None) == 2 and states.count(True) == 3, "what a CPU cannot show must not pass"
    printed = capsys.readouterr().out
    assert printed.count("not checked, without a GPU:") == 2 and "diffusers, compiled" in printed


def test_the_check_says_that_nothing_was_compiled(tmp_path, monkeypatch, capsys):
    """Figures called compiled would otherwise be those of networks that fell back."""
    monkeypatch.setattr(gpu_check, "compile_network", lambda network, *args: network)
    monkeypatch.setattr(gpu_check, "training_speed", lambda *args: 1.0)
    assert gpu_check.main(["--size", "tiny", "--device", "cpu", "--out", str(tmp_path)]) == 1
    assert "FAILED: both networks are compiled: not ours, diffusers (wanted: both)" in capsys.readouterr().out


def test_a_failed_check_is_an_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "examine", lambda size, device: FOUND)
    assert gpu_check.main(["--size", "tiny", "--device", "cpu", "--out", str(tmp_path)]) == 1
    assert "FAILED: graphs: 0.5 (wanted: at most 0.1)" in capsys.readouterr().out


FOUND = {
    "device": "CPU",
    "precision": "float32",
    "matmul_tflops": 0.1,
    "training_images_per_second": {},
    "ratio_as_usual": 1.0,
    "sampling_images_per_second": {},
    "checks": {"graphs": {"passed": False, "found": 0.5, "wanted": "at most 0.1"}},
}


def test_without_a_gpu_the_full_check_says_that_there_is_nothing_to_measure(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        gpu_check.main(["--device", "cpu", "--out", str(tmp_path)])
    assert exit.value.code == 2 and "no GPU here" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.parametrize("index", [0, 1])
def test_a_cuda_graph_gives_the_networks_answers(gpu, index):
    """Also on a GPU that is not the current one."""
    if index >= torch.cuda.device_count():
        pytest.skip("only one GPU")
    gpu = torch.device("cuda", index)
    network = awake(LAYOUT).eval().to(gpu)
    graphed = Graphed(network)
    for seed in range(3):
        x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).to(gpu)
        log_snr = torch.full((4,), float(seed), device=gpu)
        with torch.no_grad():
            torch.testing.assert_close(graphed(x, log_snr), network(x, log_snr), rtol=1e-3, atol=1e-3)
    assert len(graphed.recordings) == 1


@pytest.mark.gpu
def test_no_step_of_training_waits_for_a_gpu(gpu):
    if reduced_precision(gpu) is torch.float16:
        pytest.skip("float16 has to read whether a gradient overflowed")
    assert gpu_check.waits_for_the_gpu(gpu_check.SIZES["tiny"], gpu) == ""
