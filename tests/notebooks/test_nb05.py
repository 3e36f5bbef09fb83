"""What notebook 05 rests on beside the library: the broken set-ups of 05.8, and the recorded experiments."""

from __future__ import annotations

import statistics

import pytest
import torch

from course_checks.nb05.e8_diagnose import readings
from course_checks.nb05.inputs import broken_set_ups, set_up
from course_lib.data.recorded import recording
from course_lib.oracle import gaussian_denoiser
from course_lib.sampling import ddpm
from course_lib.schedule import Linear, Table
from course_staff.studies.nb05 import EXPERIMENTS, SEEDS, bound_weight, settings, verdict

EXPERIMENT_NAMES = sorted(EXPERIMENTS)


def test_a_sound_set_up_reads_zero_everywhere_but_for_the_little_signal_left_at_the_end():
    sound = readings([set_up(100, 0.5)], 0.5)[0]
    assert float(sound[1]) == pytest.approx(float(Linear()(1.0).alpha))
    assert float(sound[[0, 2, 3, 4, 5]].max()) < 1e-12


@pytest.mark.parametrize("steps", [60, 100, 200])
def test_each_broken_set_up_shows_its_own_symptom_and_no_other(steps):
    table = readings(broken_set_ups(range(6), steps, 0.5), 0.5)  # (set-up, symptom)
    own = table.diagonal()
    others = table - torch.diag(own)
    others[:, 1] -= Linear()(1.0).alpha * (torch.arange(6) != 1)  # what every sound end leaves
    assert bool((own > 1e-3).all())
    assert float(others.abs().max()) < 1e-12


def test_a_sound_set_up_steps_like_the_library():
    sound, table = set_up(50, 0.4), Table.of(Linear(), 50)
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    for t in (1, 2, 25, 50):
        expected, _ = ddpm("bridge")(x, table(t - 1), table(t), gaussian_denoiser(0.0, 0.4), noise)
        torch.testing.assert_close(sound.step(x, t, noise), expected, rtol=1e-12, atol=1e-12)


def test_the_bound_weight_is_the_limit_of_the_kl_terms():
    """T (snr_s - snr_t), the discrete bound's weight for many steps, up to the factor that scales both losses alike."""
    t = torch.linspace(0.05, 1, 20, dtype=torch.float64)
    h = 1e-5
    discrete = (Linear()(t - h).snr - Linear()(t).snr) / h
    ratio = bound_weight(t) / discrete
    assert float((ratio / ratio.mean() - 1).abs().max()) < 1e-3


def test_a_verdict_is_given_only_where_seeds_do_not_overlap():
    values = {"a": [1.0, 2.0, 3.0], "b": [2.5, 4.0, 5.0], "c": [3.5, 4.0, 6.0]}
    assert "no difference shown" in verdict("a", "b", values, "distance")
    assert verdict("a", "c", values, "distance") == verdict("c", "a", values, "distance")
    assert verdict("c", "a", values, "distance").startswith("a: distance lower than c")


@pytest.mark.parametrize("name", EXPERIMENT_NAMES)
def test_recorded_results_carry_their_command_and_at_least_three_seeds_with_their_spread(name):
    result = recording(f"05_{name}")
    assert result["command"].endswith(f"course_staff.studies.nb05 {name}")
    assert result["settings"] == settings(name) and result["verdicts"]
    for row in result["results"].values():
        assert len(row["values"]) == len(SEEDS) >= 3
        assert row["mean"] == pytest.approx(statistics.mean(row["values"]), abs=1e-3)
        assert row["spread"] == pytest.approx(statistics.stdev(row["values"]), abs=1e-3)


def test_an_unknown_recorded_result_is_refused_by_name():
    with pytest.raises(ValueError, match="no recorded result '05_nothing'"):
        recording("05_nothing")
