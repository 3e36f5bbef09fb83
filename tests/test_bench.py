"""The bench's arithmetic, its files, and what it refuses; its timings are not tested, only that they are there."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib.__main__ import main
from course_lib.machine import peak_memory
from course_lib.staff import bench, recipe
from course_lib.staff.bench import (
    REFERENCE,
    Contender,
    Figures,
    Settings,
    contenders,
    operations,
    ratios,
    run,
    table,
)
from course_lib.staff.theirs import USUAL, Theirs
from course_lib.training import TrainConfig
from course_lib.unet import UNet, UNetConfig, parameter_count

SMALL = UNetConfig(width=8, head_dim=8, multipliers=(1,), patch=4)


def test_operations_are_those_of_a_layer_counted_by_hand():
    class Shaped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 3, 3, padding=1)

        def forward(self, x, log_snr):
            return self.layer(x)

    forward = 2 * 3 * 9 * 28 * 28  # a multiplication and an addition for each weight and place
    assert operations(Shaped()) == 2 * forward  # backward: the weights' gradient; the picture's is not needed


def test_ratios_divide_ours_by_theirs_and_find_when_theirs_was_reached():
    figures = {
        "tiny": Figures(1, 1, 300.0, 90.0, distances={5.0: 80.0, 10.0: 40.0, 20.0: 4.0}),
        REFERENCE: Figures(1, 1, 10.0, 3.0, distances={20.0: 50.0}),
    }
    assert ratios(figures) == {
        "tiny": {"training": 30.0, "sampling": 30.0, "distance": 0.08, "seconds to its distance": 10.0}
    }
    assert ratios({"tiny": figures["tiny"]}) == {}


def test_the_usual_network_has_the_layout_that_the_page_names():
    network = Theirs(USUAL, 28)
    assert parameter_count(network) == pytest.approx(1.7e6, rel=0.05)
    assert [stage.resnets[-1].out_channels for stage in network.unet.down_blocks] == [32, 64, 64]
    assert [hasattr(stage, "attentions") for stage in network.unet.down_blocks] == [False, True, True]
    x = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        answers = [network(x, torch.full((2,), level)) for level in (-5.0, 5.0)]
    assert answers[0].shape == x.shape and not torch.equal(*answers)  # it hears the noise level


def test_peak_memory_sees_a_hundred_megabytes():
    found = peak_memory(lambda: torch.ones(25_000_000))
    if found is None:
        pytest.skip("this system does not tell how much memory a process has used")
    assert 80e6 < found < 200e6


def test_a_small_run_writes_all_its_files_and_says_what_it_measured(tmp_path, capsys):
    config = TrainConfig(steps=1, batch=8)
    entries = [
        Contender("small", partial(UNet, SMALL), config, marks=(0.5, 1.0)),
        Contender(REFERENCE, partial(UNet, SMALL), config),
    ]
    settings = Settings(seconds=1.0, batch=8, rounds=2, samples=70, heun_steps=2, ddim_steps=2, drawn=4)
    result = run(entries, settings, tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text())["ratios"].keys() == {"small"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.png", "diffusers.png", "small.png"]
    row = result["figures"]["small"]
    assert list(row["distances"]) == [0.5, 1.0] and all(d > 0 for d in row["distances"].values())
    assert row["images"] == 8 * row["steps"] > 0 and row["train_rate"] > 0 and row["sample_rate"] > 0
    printed = capsys.readouterr().out
    assert "| small | " in printed and "small against diffusers: trains " in printed
    assert table(result) in printed


def test_the_last_mark_is_judged_though_the_clock_runs_out_between_two_steps(monkeypatch):
    states = [SimpleNamespace(step=n, progress=0.4 * n, average=UNet(SMALL)) for n in (1, 2)]
    monkeypatch.setattr(bench, "train", lambda *arguments: iter(states))
    monkeypatch.setattr(bench, "draw", lambda *arguments: torch.randn(70, 1, 28, 28))
    entry = Contender("small", partial(UNet, SMALL), TrainConfig(steps=1, batch=8), marks=(0.5, 1.0))
    figures, reference = Figures(1, 1), torch.randn(100, 64)
    bench.learn(entry, figures, Settings(seconds=10.0, samples=70), reference, lambda line: None)
    assert list(figures.distances) == [5.0, 10.0] and figures.images == 16


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seconds", "0"], "--seconds 0: expected a time above 0"),
        (["--samples", "10"], "--samples 10: expected at least 65"),
        (["--presets", "large"], "preset 'large': expected one for digits, tiny, small, base"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(arguments, said, tmp_path, capsys):
    assert main(["bench", *arguments, "--no-reference", "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_our_presets_come_with_the_librarys_recipe_and_theirs_with_the_usual_one():
    tiny, usual = contenders(("tiny",), reference=True)
    assert tiny.recipe == TrainConfig(steps=1) and tiny.marks[-1] == 1.0
    assert usual.name == REFERENCE and usual.recipe.optimizer == "adamw" and usual.recipe.learning_rate == 1e-3
    assert usual.parametrization.target == "eps"
    levels = usual.noise_law(1000, torch.Generator().manual_seed(0)).alpha.square()
    steps = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)  # Ho et al. 2020, section 4
    assert (levels.sort().values - steps.flip(0)).abs().max() < 0.01


def test_the_recipes_variants_can_be_built_and_differ_from_the_default():
    rows = list(recipe.VARIANTS.values())
    assert all(a != b for n, a in enumerate(rows) for b in rows[n + 1 :])
    for variant in rows:
        assert parameter_count(UNet(recipe.layout(variant))) > 0
        assert recipe.recipe(variant, 7).steps == 7


def test_ways_of_computing_a_step_are_set_beside_the_first(monkeypatch):
    some = {name: recipe.COMPUTATIONS[name] for name in ("as the library does it", "AdamW not fused", "bfloat16")}
    monkeypatch.setattr(recipe, "COMPUTATIONS", some)
    lines = recipe.computing(rounds=3).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in some]
    assert lines[2].split(" | ")[1] == "1.00"


def test_a_variant_is_measured_and_a_table_made_of_what_is_there(tmp_path, monkeypatch, capsys):
    quick = recipe.Variant({"width": 8, "head_dim": 8, "multipliers": (1,), "patch": 4}, {"batch": 4})
    monkeypatch.setattr(recipe, "VARIANTS", {"quick": quick, "another": quick})
    monkeypatch.setattr(recipe, "SAMPLES", 70)
    threads = torch.get_num_threads()
    try:
        row = recipe.measure(quick, seconds=0.3, samples=70)
    finally:
        torch.set_num_threads(threads)
    assert row["steps"] >= 1 and row["distance"] > 0 and 0 < row["held-back loss"] < 2
    (tmp_path / "00.json").write_text(json.dumps({"name": "quick", "seconds": 0.3, **row}))
    lines = recipe.table(recipe.results(tmp_path)).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| quick | ")


def test_the_performance_page_names_commands_that_exist():
    page = (Path(__file__).parents[1] / "docs" / "performance.md").read_text()
    assert "python -m course_lib bench" in page and "python -m course_lib.staff.recipe" in page
    listed = {line.split("|")[1].strip(" °") for line in page.splitlines() if line.startswith("| ")}
    missing = [name for name in [*recipe.VARIANTS, *recipe.COMPUTATIONS] if name not in listed]
    assert not missing, f"the page has no row for {missing}"
