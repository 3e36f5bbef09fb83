"""What people really hand the library: whole numbers, other types, times a rounding too late."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from course_lib import oracle
from course_lib.checkpoint import load_model
from course_lib.gaussian import Mixture
from course_lib.generate import generate
from course_lib.lessons.corruption import blur, fade
from course_lib.parametrization import Parametrization, Prediction
from course_lib.sampling import ddim, last, sample, standard_noise
from course_lib.schedule import Cosine, Linear, Marginal, Table, bridge, jump, kernel, log_normal_law
from course_lib.training import TrainConfig, train
from course_lib.unet import UNet, UNetConfig

LEVELS = torch.randint(0, 256, (3, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
NOISE = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
HALF, LATE = Linear()(0.4), Linear()(0.7)
POINTS = Mixture(torch.tensor([1.0]), torch.zeros(1, 1, 4, 4), torch.tensor([0.5]))
SMALL = UNetConfig(width=8, head_dim=8, multipliers=(1,))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: jump(x, HALF, x),
        lambda x: kernel(HALF, LATE)(x),
        lambda x: bridge(HALF, LATE, x, x),
        lambda x: blur(x, 1.0),
        lambda x: fade(x, x, 0.5),
        lambda x: oracle.gaussian_denoiser(0.4, 0.3)(x, HALF),
        lambda x: oracle.mixture_denoiser(POINTS)(x, HALF),
        lambda x: oracle.empirical_denoiser(NOISE)(x, HALF),
        lambda x: Prediction.from_eps(x, x, HALF),
        lambda x: last(sample(oracle.gaussian_denoiser(0.4, 0.3), Linear(), Linear().times(2), x, ddim)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_whole_numbers_for_images_are_refused_in_one_sentence(
    call: Callable[[torch.Tensor], object], dtype: torch.dtype
) -> None:
    """alpha would be rounded to 0 or 1, and the answer would be wrong in silence."""
    with pytest.raises(ValueError, match=rf"expected floating-point numbers.*got {dtype}"):
        call(LEVELS.to(dtype))


def network() -> UNet:
    torch.manual_seed(0)
    return UNet(SMALL)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (LEVELS, "got torch.uint8"),
        (NOISE.double(), "got torch.float64"),
        (NOISE.half(), "got torch.float16"),
        (NOISE.numpy(), "got a numpy array"),
        (NOISE[:, 0], r"got shape \(3, 4, 4\)"),
        (NOISE[:0], r"got shape \(0, 1, 4, 4\)"),
        (list(NOISE), "got a list"),
        (NOISE.clone().fill_(math.nan), "numbers that are not finite"),
    ],
)
def test_what_cannot_be_trained_on_is_named(images: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^expected images \(N, C, H, W\), float32 in \[-1, 1\].*{words}"):
        next(train(network(), Parametrization(), images, TrainConfig(steps=1, batch=2)))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.tensor([1, 2, 10]), "labels from 0 to 9, got 10"),
        (torch.tensor([-1, 2, 3]), "labels from 0 to 9, got -1"),
        (torch.tensor([1, 2]), r"one label for each of 3 images, got shape \(2,\)"),
        (torch.tensor([1.0, 2.0, 3.0]), "whole numbers, got torch.float32"),
    ],
)
def test_labels_that_the_network_does_not_have_are_named(labels: torch.Tensor, words: str) -> None:
    """Label 10 of ten classes stands for "not told": a data set that counts from 1 would teach that, in silence."""
    labelled = UNet(UNetConfig(width=8, head_dim=8, multipliers=(1,), classes=10))
    with pytest.raises(ValueError, match=words):
        next(train(labelled, Parametrization(), NOISE, TrainConfig(steps=1, batch=2), labels=labels))


def test_labels_for_a_network_without_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="a network with classes"):
        next(train(network(), Parametrization(), NOISE, TrainConfig(steps=1, batch=2), labels=torch.arange(3)))


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Table.of(Cosine(), 20)])
def test_a_time_that_rounding_pushed_past_an_end_is_that_end(schedule: Linear | Table) -> None:
    walked = 0.0
    for _ in range(20):
        walked += 0.05
    assert walked != 1.0
    late, early = schedule.end * walked, -4e-16
    for exact in (False, True):
        time = torch.tensor([late, early], dtype=torch.float64) if exact else late
        found = schedule(time)
        assert found.alpha.flatten()[0] == schedule(schedule.end).alpha
    assert schedule(early).sigma == 0
    for outside in (schedule.end * (1 + 1e-9), -1e-9, math.nan):
        with pytest.raises(ValueError, match="outside"):
            schedule(outside)


@pytest.fixture
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def meta_by_default() -> Iterator[None]:
    """A device that holds no numbers: whatever is made on it in place of the CPU shows."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def test_a_default_of_float64_changes_no_model_and_no_sample(float64_by_default: None) -> None:
    model = load_model("digits")
    assert {value.dtype for value in model.network.state_dict().values()} == {torch.float32}
    assert {value.dtype for value in model.network.buffers()} == {torch.float32}
    found = generate(model, 1, "ddim", 2, seed=3)
    torch.set_default_dtype(torch.float32)
    assert torch.equal(found, generate(load_model("digits"), 1, "ddim", 2, seed=3))


def test_another_default_device_leaves_models_and_samples_on_the_cpu(meta_by_default: None) -> None:
    found = generate(load_model("digits"), 1, "ddpm", 2, seed=3)
    torch.set_default_device(None)
    assert torch.equal(found, generate(load_model("digits"), 1, "ddpm", 2, seed=3))


def test_noise_is_drawn_on_the_cpu_whatever_the_default_device(meta_by_default: None) -> None:
    x = torch.zeros(2, 3, device="cpu")
    noise = standard_noise(x, torch.Generator("cpu").manual_seed(0))()
    torch.set_default_device(None)
    assert torch.equal(noise, torch.randn(2, 3, generator=torch.Generator().manual_seed(0)))


def test_a_device_without_float64_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs, "mps", have none; the law of noise levels asks for none there."""
    asked = []
    real = torch.rand

    class Pretender:
        device = torch.device("mps")

    monkeypatch.setattr(torch, "randperm", lambda n, generator=None, device=None: torch.arange(n))
    monkeypatch.setattr(
        torch, "rand", lambda *shape, generator=None, device=None, dtype=None: asked.append(dtype) or real(*shape)
    )
    level = log_normal_law()(4, Pretender())  # type: ignore[arg-type]
    assert asked == [torch.float32] and isinstance(level, Marginal)


def test_numpy_images_are_told_how_to_become_tensors() -> None:
    with pytest.raises(ValueError, match="torch.from_numpy"):
        next(train(network(), Parametrization(), np.zeros((2, 1, 4, 4)), TrainConfig(steps=1)))  # type: ignore[arg-type]
