"""The course's own pictures are those its scripts make, and say the same as the notebooks."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_staff.course import ROOT
from course_staff.release import pictures

NOTEBOOK = (ROOT / "notebooks/source/00_start_here.py").read_text(encoding="utf-8")


def test_the_shipped_map_is_what_the_script_draws(tmp_path):
    """Up to what another version of the drawing library may change: the mean grey of blocks of 16 x 16 pixels."""
    assert pictures.main(["map", "--out", str(tmp_path / "map.png")]) == 0
    drawn, shipped = (blocks(path) for path in (tmp_path / "map.png", pictures.ASSETS / "course_map.png"))
    assert drawn.shape == shipped.shape and abs(drawn - shipped).max() < 10


def blocks(path: Path) -> np.ndarray:
    grey = np.asarray(Image.open(path).convert("L"), dtype=float)
    height, width = (side // 16 for side in grey.shape)
    return grey[: height * 16, : width * 16].reshape(height, 16, width, 16).mean(axis=(1, 3))


@pytest.mark.parametrize(("number", "name"), [(number, name) for number, name, _ in pictures.STATIONS])
def test_the_notebooks_of_the_map_have_the_names_of_the_tables(number, name):
    assert re.search(rf"^# \| {number} {name} \|", NOTEBOOK, re.MULTILINE)
    assert re.search(rf"^\| {number} {name} \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"{number} {name}" in pictures.MAP_ALT


def test_an_unknown_model_is_refused_in_one_line(capsys):
    assert pictures.main(["strip", "--model", "nonsense"]) == 2
    assert re.fullmatch(r"error: no model called 'nonsense'.*\n", capsys.readouterr().err)
