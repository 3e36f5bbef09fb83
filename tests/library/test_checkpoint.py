"""Saving and loading: exact, atomic, and never a pickle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import course_lib
from course_lib.checkpoint import Model, load_model, save_model
from course_lib.files import write_atomically
from course_lib.parametrization import Parametrization
from course_lib.unet import UNet, UNetConfig

LAYOUT = UNetConfig(width=8, head_dim=8, multipliers=(1, 2), attn_levels=(0, 1))


def model() -> Model:
    torch.manual_seed(0)
    network = UNet(LAYOUT)
    torch.nn.init.normal_(network.head.weight)
    return Model(network.eval(), Parametrization("v", 0.7), {"seed": 3})


def test_a_saved_model_comes_back_whole(tmp_path: Path):
    saved = model()
    save_model(tmp_path / "run", saved)
    loaded = load_model(tmp_path / "run")
    assert loaded.network.config == LAYOUT and loaded.parametrization == Parametrization("v", 0.7)
    assert loaded.record == {"seed": 3} and json.loads((tmp_path / "run/record.json").read_text())["seed"] == 3
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    marginal = loaded.schedule(0.3)
    torch.testing.assert_close(
        loaded.denoiser()(x, marginal).x0, saved.denoiser()(x, marginal).x0, rtol=1e-4, atol=1e-5
    )


def test_denoisers_clip_by_default_and_carry_no_gradients():
    x = 5 * torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    schedule = model().schedule
    clipped = model().denoiser()(x, schedule(0.5))
    assert clipped.x0.abs().max() <= 1 and not clipped.x0.requires_grad
    assert model().denoiser(clip_x0=False)(x, schedule(0.5)).x0.abs().max() > 1


def test_an_interrupted_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x80\x04\x95."])
def test_broken_files_are_one_sentence(tmp_path: Path, content: bytes):
    """The last one is the start of a pickle: it is refused like any other text, never unpickled."""
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(tmp_path)


def test_unknown_names_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match="no model called 'zebra'"):
        load_model("zebra")


def test_nothing_in_the_library_unpickles():
    files = list(Path(course_lib.__file__).parent.rglob("*.py"))
    source = "\n".join(p.read_text() for p in files)
    assert len(files) > 20 and "safetensors" in source
    for word in ("torch.load(", "pickle.load", "allow_pickle=True"):
        assert word not in source


def test_the_shipped_digits_model_is_small_and_says_how_it_was_made():
    path = Path(course_lib.__file__).parent / "assets/digits.safetensors"
    assert path.stat().st_size <= 6_000_000
    shipped = load_model("digits")
    for key in ("command", "settings", "steps", "images_seen", "seconds", "frechet_distance"):
        assert key in shipped.record, key
    x = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert shipped.denoiser()(x, shipped.schedule(1.0)).x0.shape == x.shape
