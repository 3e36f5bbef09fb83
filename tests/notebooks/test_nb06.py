"""What notebook 06 rests on beside the library: the recorded grid of samplers and the fields of exercise 06.9."""

from __future__ import annotations

import statistics

import pytest
import torch

from course_checks.nb06.inputs import bent_field, parallel_field
from course_lib.checkpoint import load_model
from course_lib.data.recorded import recording
from course_lib.sampling import State, last
from course_staff.studies import nb06 as sampler_grid
from course_staff.studies.nb06 import BUDGETS, REAL, SEEDS, pairs, sample_states, steps_for

SAMPLERS = ("DDPM", "DDIM", "Heun", "Euler-Maruyama")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_budget_is_never_exceeded_and_the_stated_evaluations_are_those_made(sampler, monkeypatch):
    """Counted on a pretend model, for every budget of the grid up to 32."""
    model, calls = load_model("digits"), []
    real = type(model).denoiser

    def counting(self, clip_x0=True, label=None):
        def denoise(x, marginal):
            calls.append(1)
            return real(self, clip_x0)(x, marginal)

        return denoise

    monkeypatch.setattr(type(model), "denoiser", counting)
    for budget in (1, 2, 4, 8, 16):
        calls.clear()
        steps, evaluations = steps_for(sampler, budget)
        last(sample_states(model, sampler, steps, torch.zeros(1, 1, 28, 28), torch.Generator().manual_seed(0)))
        assert len(calls) == evaluations <= budget


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_walks_end_in_samples_at_time_zero(sampler):
    model, generator = load_model("digits"), torch.Generator().manual_seed(0)
    states: list[State] = list(
        sample_states(model, sampler, 3, torch.randn(2, 1, 28, 28, generator=generator), generator)
    )
    assert states[0].t == 1.0 and states[-1].t == 0.0 and len(states) == 4
    assert bool(states[-1].x.isfinite().all())


def test_the_recorded_grid_is_complete_and_carries_command_settings_seeds_and_spread():
    result = recording("06_samplers")
    assert result["command"].endswith("course_staff.studies.nb06") and result["settings"] == sampler_grid.SETTINGS
    expected = {f"{sampler}, {budget}" for sampler in SAMPLERS for budget in BUDGETS} | {REAL}
    assert set(result["results"]) == expected
    for key, row in result["results"].items():
        assert len(row["values"]) == len(SEEDS) >= 3
        assert row["mean"] == pytest.approx(statistics.mean(row["values"]), abs=1e-3)
        assert row["spread"] == pytest.approx(statistics.stdev(row["values"]), abs=1e-3)
        if key != REAL:
            sampler, budget = key.split(", ")
            assert row["evaluations"] == steps_for(sampler, int(budget))[1] <= int(budget)


def test_the_recorded_verdicts_follow_from_the_recorded_values():
    result = recording("06_samplers")
    values = {key: row["values"] for key, row in result["results"].items()}
    wanted = [sampler_grid.verdict(a, b, values, "Fréchet distance") for a, b in pairs()]
    assert result["verdicts"] == wanted


def test_one_field_mixes_coordinates_and_the_other_does_not():
    x = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    bent, parallel = (torch.autograd.functional.jacobian(field, x) for field in (bent_field, parallel_field))
    assert float((bent - torch.diag(bent.diagonal())).abs().max()) > 0.1
    assert float((parallel - torch.diag(parallel.diagonal())).abs().max()) == 0
