"""The training loop: what it averages, what it visits, and that the same seed gives the same weights."""

from __future__ import annotations

import math
from collections import deque

import pytest
import torch
from scipy import stats

import course_lib.training as training
from course_lib.engine import devices
from course_lib.engine.devices import reduced_precision
from course_lib.parametrization import Parametrization
from course_lib.schedule import Linear, log_normal_law, uniform_in_time
from course_lib.training import (
    Ema,
    TrainConfig,
    batch_indices,
    learning_rate_factor,
    train,
    training_tensors,
    warmed_decay,
)
from course_lib.unet import UNet, UNetConfig

SMALL = UNetConfig(width=8, head_dim=8, multipliers=(1, 2))


def network(config: UNetConfig = SMALL) -> UNet:
    torch.manual_seed(0)
    return UNet(config)


def images(n: int = 40) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(5)).clamp(-1, 1)


def end(states):
    return deque(states, maxlen=1).pop()


def test_the_average_follows_the_warmed_recursion_and_forgets_its_start():
    """Against the recursion in float64, for one parameter; after 2,000 steps a millionth of the start is left, where a
    fixed decay of 0.9999 would keep 82% of it."""
    net = network()
    ema, expected = Ema(net, 0.9999), net.stem.weight.detach().double().clone()
    for step in range(1, 6):
        with torch.no_grad():
            net.stem.weight.add_(0.1 * step)
        ema.update(net, step)
        decay = min(0.9999, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * net.stem.weight.double()
    torch.testing.assert_close(ema.average.stem.weight.double(), expected, rtol=1e-5, atol=1e-6)
    start_left = math.prod(warmed_decay(step, 0.9999) for step in range(1, 2001))
    assert start_left < 1e-6 < 0.8 < 0.9999**2000 < 0.83


def test_buffers_are_copied_never_averaged():
    net = network()
    ema = Ema(net, 0.9)
    net.noise_level.frequencies.mul_(2)
    ema.update(net, 1)
    torch.testing.assert_close(ema.average.noise_level.frequencies, net.noise_level.frequencies, rtol=0, atol=0)


def test_every_epoch_shows_every_image_once_and_a_batch_may_span_two():
    seen = torch.cat([batch_indices(step, 7, 10, seed=3) for step in range(10)])
    assert (seen[:10].sort().values == torch.arange(10)).all() and (seen[60:].sort().values == torch.arange(10)).all()
    assert (seen[:10] != seen[10:20]).any()
    assert len(batch_indices(0, 25, 10, seed=0)) == 25


def test_noise_levels_are_spread_as_the_law_says():
    generator = torch.Generator().manual_seed(0)
    marginal = log_normal_law(-0.2, 1.1)(4000, generator)
    assert stats.kstest(marginal.ratio.log().numpy(), stats.norm(-0.2, 1.1).cdf).statistic < 2 / 4000
    torch.testing.assert_close(marginal.alpha**2 + marginal.sigma**2, torch.ones(4000))
    times = Linear().time_at(uniform_in_time(Linear())(4000, generator).log_snr.double())
    assert stats.kstest(times.numpy(), stats.uniform.cdf).statistic < 2e-3


def test_the_learning_rate_warms_up_then_falls_to_nothing():
    assert learning_rate_factor(0, 0.0, 100) == pytest.approx(0.01)
    assert learning_rate_factor(99, 0.0, 100) == 1.0
    assert learning_rate_factor(500, 0.5, 100) == pytest.approx(0.5)
    assert learning_rate_factor(999, 1.0, 100) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_bfloat16_only_where_the_hardware_has_it(monkeypatch, capability, expected):
    """A T4 (7.5) says yes to `is_bf16_supported()` and then emulates; capability decides, not that answer."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: True)
    assert reduced_precision(torch.device("cuda")) is expected
    assert reduced_precision(torch.device("cpu")) is None


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    def weights(seed: int) -> torch.Tensor:
        state = end(train(network(), Parametrization(), images(), TrainConfig(steps=4, batch=8, seed=seed)))
        return torch.cat([p.flatten() for p in state.average.parameters()])

    assert (weights(0) == weights(0)).all()
    assert (weights(0) != weights(1)).any()


def test_a_resumed_run_ends_with_the_same_weights_dropout_included():
    config = TrainConfig(steps=6, batch=8)
    layout = UNetConfig(width=8, head_dim=8, multipliers=(1,), dropout=0.3)
    whole = end(train(network(layout), Parametrization(), images(), config))
    states = train(network(layout), Parametrization(), images(), config)
    for _ in range(3):
        part = next(states)
    saved = training_tensors(part)
    torch.manual_seed(99)  # what a new process has drawn before does not matter
    rest = end(train(UNet(layout), Parametrization(), images(), config, resume=saved))
    assert rest.step == whole.step == 6
    for a, b in zip(whole.network.parameters(), rest.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.average.parameters(), rest.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_dropout_does_not_disturb_the_global_random_state():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with devices.dropout_seed(torch.nn.Sequential(torch.nn.Dropout(0.3)), torch.device("cpu"), 5):
        torch.rand(10)
    torch.testing.assert_close(torch.rand(3), expected)


def test_training_learns():
    """One image, many noises: the loss falls far below that of the zero output, which is the target's variance, 1."""
    one = images(1)
    losses = [float(s.loss) for s in train(network(), Parametrization(), one, TrainConfig(steps=150, batch=16))]
    assert sum(losses[:5]) / 5 > 0.7
    assert sum(losses[-20:]) / 20 < 0.5


def test_seconds_end_a_run_and_progress_reaches_one():
    state = end(train(network(), Parametrization(), images(), TrainConfig(seconds=0.3, batch=8)))
    assert state.step > 1 and state.progress >= 1 and state.seconds >= 0.3


def test_labels_are_learned_and_sometimes_withheld():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10000) % 10
    shown = training.drop_labels(labels, 0.1, 10, generator)
    hidden = shown == 10
    assert (shown[~hidden] == labels[~hidden]).all()
    assert abs(hidden.float().mean().item() - 0.1) < 4 * math.sqrt(0.09 / 10000)
    labelled = UNetConfig(width=8, head_dim=8, multipliers=(1,), classes=2)
    flat = torch.cat([torch.full((20, 1, 8, 8), -0.8), torch.full((20, 1, 8, 8), 0.8)])
    kind = torch.arange(40) // 20
    config = TrainConfig(steps=60, batch=16)
    average = end(train(network(labelled), Parametrization("x0"), flat, config, labels=kind)).average
    noise = torch.randn(2, 1, 8, 8, generator=generator)
    answer = average(noise, torch.full((2,), -8.0), torch.tensor([0, 1])).mean(dim=(1, 2, 3))
    assert answer[0] < -0.3 and answer[1] > 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either steps or seconds"),
        ({"steps": 1, "seconds": 1.0}, "either steps or seconds"),
        ({"steps": 0}, "positive number of steps or seconds, got 0"),
        ({"seconds": float("nan")}, "got nan"),
        ({"seconds": float("inf")}, "got inf"),
        ({"steps": 5, "batch": 0}, "at least 1 image, got 0"),
        ({"steps": 5, "learning_rate": float("inf")}, "learning_rate above 0 and finite, got inf"),
        ({"steps": 5, "muon_rate": -1.0}, "muon_rate above 0 and finite, got -1.0"),
        ({"steps": 5, "muon_rate": float("nan")}, "muon_rate above 0 and finite, got nan"),
        ({"steps": 5, "noise_std": 0.0}, "noise_std above 0 and finite, got 0.0"),
        ({"steps": 5, "noise_mean": float("nan")}, "finite noise_mean, got nan"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="'cuda:77' is not available here"):
        devices.choose_device("cuda:77")
    with pytest.raises(ValueError, match="'toaster' is not available here"):
        devices.choose_device("toaster")
