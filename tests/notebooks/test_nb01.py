"""What notebook 01 rests on beside the library: the recorded experiments, and the exercises' toy inputs."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from course_checks.nb01.e3_pixel_moments import pixel_moments
from course_checks.nb01.e8_all_touched import all_touched
from course_checks.nb01.inputs import drifting, smearing, vanishing
from course_lib.data.recorded import recording
from course_lib.lessons.corruption import steps_to_reach
from course_staff.studies.nb01 import CHAIN, EXPERIMENTS, SEEDS, SIDE, K

EXPERIMENT_NAMES = sorted(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENT_NAMES)
def test_recorded_results_carry_their_command_and_at_least_three_seeds_with_their_spread(name):
    result = recording(f"01_{name}")
    assert result["command"].endswith(f"course_staff.studies.nb01 {name}")
    assert result["settings"].endswith(EXPERIMENTS[name][3])
    for row in result["results"].values():
        assert len(row["values"]) == len(SEEDS) >= 3
        assert row["mean"] == pytest.approx(statistics.mean(row["values"]), abs=1e-3)
        assert row["spread"] == pytest.approx(statistics.stdev(row["values"]), abs=1e-3)


@pytest.mark.parametrize("name", EXPERIMENT_NAMES)
def test_each_verdict_says_what_the_values_say(name):
    """Read the sentences again: "lower for every seed" only where all of one are below all of the other."""
    result = recording(f"01_{name}")
    pairs = EXPERIMENTS[name][2]
    assert len(result["verdicts"]) == len(pairs)
    for sentence, (first, second, unit) in zip(result["verdicts"], pairs, strict=True):
        a, b = (result["results"][row]["values"] for row in (first, second))
        if max(a) < min(b) or max(b) < min(a):
            low, high = (first, second) if max(a) < min(b) else (second, first)
            assert sentence == f"{low}: {unit} lower than {high}, for every seed"
        else:
            assert sentence == f"{first} against {second}: no difference shown (the seeds overlap)"


def test_the_recorded_chain_is_the_notebooks():
    assert steps_to_reach(0.01, K, SIDE**2) == CHAIN == steps_to_reach(0.01, 98, 784)
    curves = recording("01_order")["curves"]
    assert curves["copying"][0] == pytest.approx(2 * K / SIDE**2, rel=0.02)
    assert len(curves["first quarter, random t"]) == len(curves["last quarter, in sequence"])


def test_the_moments_of_an_unfair_coin_by_counting():
    """Walk 200,000 copies of a black and of a white pixel; five standard errors."""
    x_0 = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    mean, variance, alpha = pixel_moments(x_0, 3, 10, 4, 0.8)
    generator = torch.Generator().manual_seed(0)
    x = x_0.expand(200_000, 2)
    for _ in range(4):
        touched = torch.rand(x.shape, generator=generator) < 0.3
        coins = torch.where(torch.rand(x.shape, generator=generator) < 0.8, 1.0, -1.0).double()
        x = torch.where(touched, coins, x)
    assert float((x.mean(0) - mean).abs().max()) < 5 / math.sqrt(200_000)
    assert float((x.var(0) - variance).abs().max()) < 10 / math.sqrt(200_000)
    assert float((x[:, 1] - x[:, 0]).mean() / 2) == pytest.approx(alpha, abs=0.01)


def test_all_touched_by_inclusion_and_exclusion_in_whole_numbers():
    for k, d, t in ((2, 4, 3), (3, 9, 3), (5, 40, 60), (6, 6, 1), (1, 1, 0)):
        ways = sum((-1) ** j * math.comb(d, j) * math.comb(d - j, k) ** t for j in range(d + 1))
        assert all_touched(k, d, t) == pytest.approx(ways / math.comb(d, k) ** t, rel=1e-9, abs=1e-12)


def test_toy_degradations_do_nothing_at_zero():
    x = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for degrade in (smearing(1.5), drifting(torch.ones(1, 1, 3, 4, dtype=torch.float64)), vanishing(2.0)):
        torch.testing.assert_close(degrade(x, 0.0), x)
