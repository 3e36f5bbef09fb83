"""The bench's arithmetic, its files, and what it refuses; its timings are not tested, only that they are there."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib.__main__ import main
from course_lib.training import TrainConfig
from course_lib.unet import PRESETS, UNet, UNetConfig, parameter_count
from course_staff.course import ROOT
from course_staff.studies import bench, recipe
from course_staff.studies.bench import (
    REFERENCE,
    BenchSettings,
    Contender,
    Figures,
    contenders,
    markdown_table,
    operations,
    ratios,
    run,
)
from course_staff.studies.diffusers_unet import USUAL, DiffusersUNet

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


def test_operations_of_attention_are_counted_too():
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.places = nn.Parameter(torch.randn(1, 2, 49, 16))  # (B, heads, places, channels of a head)

        def forward(self, x, log_snr):
            return nn.functional.scaled_dot_product_attention(self.places, self.places, self.places)

    product = 2 * 2 * 49 * 49 * 16  # heads; a multiplication and an addition; places by places by channels
    assert operations(Attending()) == 6 * product  # two forward, each with two gradients


@pytest.mark.parametrize("stage", ["speeds", "learn"])
def test_everything_is_measured_on_the_processor_though_there_is_a_gpu(monkeypatch, stage):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(bench, "draw_images", lambda *arguments, **named: torch.randn(70, 1, 28, 28))
    entry = Contender("small", partial(UNet, SMALL), TrainConfig(steps=1, batch=8))
    settings = BenchSettings(seconds=0.2, batch=8, rounds=1, samples=70)
    if stage == "speeds":
        assert bench.speeds([entry], settings, lambda line: None)["small"].train_rate > 0
    else:
        figures = Figures(1, 1)
        bench.learn(entry, figures, settings, torch.randn(100, 64), lambda line: None)
        assert figures.steps > 0


def test_ratios_divide_ours_by_theirs_and_find_when_theirs_was_reached():
    figures = {
        "tiny": Figures(1, 1, 300.0, 90.0, distances={5.0: 80.0, 10.0: 40.0, 20.0: 4.0}),
        REFERENCE: Figures(1, 1, 10.0, 3.0, distances={20.0: 50.0}),
    }
    assert ratios(figures) == {
        "tiny": {"training": 30.0, "sampling": 30.0, "distance": 0.08, "seconds to its distance": 10.0}
    }
    assert ratios({"tiny": figures["tiny"]}) == {}


@pytest.mark.parametrize(
    ("distances", "said"),
    [
        ({10.0: 50.0, 20.0: 4.0}, "1/12.5 of its Fréchet distance; as near as that within 10 s"),
        ({10.0: 200.0, 20.0: 160.0}, "3.2 x its Fréchet distance; never as near as that"),
        ({10.0: 40.0, 20.0: 60.0}, "1.2 x its Fréchet distance; as near as that within 10 s"),
    ],
)
def test_ratios_are_said_whoever_wins(distances, said):
    figures = {
        "tiny": Figures(1, 1, 300.0, 90.0, distances=distances),
        REFERENCE: Figures(1, 1, 10.0, 3.0, distances={20.0: 50.0}),
    }
    result = {
        "settings": {"seconds": 20.0, "samples": 70},
        "matmul peak, GFLOP/s": 1.0,
        "real digits": 1.0,
        "figures": {name: asdict(row) for name, row in figures.items()},
        "ratios": ratios(figures),
    }
    json.dumps(result["ratios"], allow_nan=False)
    assert markdown_table(result).endswith(f"; after 20 s each, {said}")


def test_the_usual_network_has_the_layout_that_the_page_names():
    network = DiffusersUNet(USUAL, 28)
    assert parameter_count(network) == pytest.approx(1.7e6, rel=0.05)
    assert [stage.resnets[-1].out_channels for stage in network.unet.down_blocks] == [32, 64, 64]
    assert [hasattr(stage, "attentions") for stage in network.unet.down_blocks] == [False, True, True]
    x = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        answers = [network(x, torch.full((2,), level)) for level in (-5.0, 5.0)]
    assert answers[0].shape == x.shape and not torch.equal(*answers)  # it hears the noise level


def test_peak_memory_sees_a_hundred_megabytes():
    """In a process of its own: in this one, memory that other tests left behind may be used again, or be freed."""
    code = (
        "import torch; from course_lib.command.machine import peak_memory; "
        "print(peak_memory(lambda: torch.ones(25_000_000)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    if done.stdout.strip() == "None":
        pytest.skip("this system does not tell how much memory a process has used")
    assert 80e6 < float(done.stdout) < 200e6


def test_a_small_run_writes_all_its_files_and_says_what_it_measured(tmp_path, capsys):
    config = TrainConfig(steps=1, batch=8)
    entries = [
        Contender("small", partial(UNet, SMALL), config, marks=(0.5, 1.0)),
        Contender(REFERENCE, partial(UNet, SMALL), config),
    ]
    settings = BenchSettings(seconds=1.0, batch=8, rounds=2, samples=70, heun_steps=2, ddim_steps=2, drawn=4)
    result = run(entries, settings, tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text())["ratios"].keys() == {"small"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.png", "diffusers.png", "small.png"]
    row = result["figures"]["small"]
    assert list(row["distances"]) == [0.5, 1.0] and all(d > 0 for d in row["distances"].values())
    assert row["images"] == 8 * row["steps"] > 0 and row["train_rate"] > 0 and row["sample_rate"] > 0
    printed = capsys.readouterr().out
    assert "| small | " in printed and "small against diffusers: trains " in printed
    assert markdown_table(result) in printed


def test_the_last_mark_is_judged_though_the_clock_runs_out_between_two_steps(monkeypatch):
    states = [SimpleNamespace(step=n, progress=0.4 * n, average=UNet(SMALL)) for n in (1, 2)]
    monkeypatch.setattr(bench, "train", lambda *arguments: iter(states))
    monkeypatch.setattr(bench, "draw_images", lambda *arguments: torch.randn(70, 1, 28, 28))
    entry = Contender("small", partial(UNet, SMALL), TrainConfig(steps=1, batch=8), marks=(0.5, 1.0))
    figures, reference = Figures(1, 1), torch.randn(100, 64)
    bench.learn(entry, figures, BenchSettings(seconds=10.0, samples=70), reference, lambda line: None)
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
    recipe.row_path(tmp_path, "quick").write_text(json.dumps({"name": "quick", "seconds": 0.3, **row}))
    lines = recipe.markdown_table(recipe.read_rows(tmp_path, 0.3)).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| quick | ")


def test_a_variant_is_done_only_where_its_own_row_with_the_same_seconds_is_there(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(variant, seconds):
        measured.append((variant.target, seconds))
        return {"parameters": 1, "images a second": 1.0, "steps": 1, "distance": seconds, "held-back loss": 0.5}

    def main(seconds):
        measured.clear()
        monkeypatch.setattr(sys, "argv", ["recipe", "--out", str(tmp_path), "--seconds", str(seconds)])
        recipe.main()
        return [line.split(" | ")[0].strip("| ") for line in capsys.readouterr().out.splitlines()[2:]]

    first, second, third = (recipe.Variant(target=target) for target in ("edm", "v", "eps"))
    monkeypatch.setattr(recipe, "measure", measure)
    monkeypatch.setattr(recipe, "VARIANTS", {"first": first, "second": second})
    (tmp_path / "bench.json").write_text("{}")  # somebody else's
    assert main(7) == ["first", "second"] and measured == [("edm", 7), ("v", 7)]
    assert main(7) == ["first", "second"] and measured == []
    monkeypatch.setattr(recipe, "VARIANTS", {"third": third, "first": first})  # a new one, in front
    assert main(7) == ["third", "first"] and measured == [("eps", 7)]
    assert main(9) == ["third", "first"] and measured == [("eps", 9), ("edm", 9)]


def test_every_variant_has_a_file_of_its_own():
    assert len({recipe.row_path(Path(), name) for name in recipe.VARIANTS}) == len(recipe.VARIANTS)


def test_the_performance_pages_operations_and_shares_follow_from_each_other():
    page = (ROOT / "docs" / "performance.md").read_text()
    rows = {line.split("|")[1].split(",")[0].strip(): line.split("|")[2:4] for line in page.splitlines() if "|" in line}
    peak = float(re.search(r"matrices\s+reached (\d+) GFLOP/s", page)[1]) * 1e9
    for column, network in enumerate((UNet(PRESETS["tiny"]), DiffusersUNet(USUAL, 28))):

        def number(row, column=column):
            return rows[row][column].strip().replace(",", "")

        assert number("operations of a training step") == f"{operations(network) / 1e6:.0f}"
        assert number("parameters") == str(parameter_count(network))
        share = float(number("trained images/s")) * operations(network) / peak
        assert number("share of the matrix product's speed") == f"{share:.0%}"


def test_the_performance_page_names_commands_that_exist():
    page = (ROOT / "docs" / "performance.md").read_text()
    assert "python -m course_lib bench" in page and "python -m course_staff recipe" in page
    listed = {line.split("|")[1].strip(" °") for line in page.splitlines() if line.startswith("| ")}
    missing = [name for name in [*recipe.VARIANTS, *recipe.COMPUTATIONS] if name not in listed]
    assert not missing, f"the page has no row for {missing}"
