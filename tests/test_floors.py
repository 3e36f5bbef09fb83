"""The house has floors: `floors.toml` says who may import whom; the files say who does."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = tomllib.loads((Path(__file__).parent / "floors.toml").read_text(encoding="utf-8"))
PACKAGES = list(FLOORS)

each_package = pytest.mark.parametrize("package", PACKAGES)


def rooms(package: str) -> set[str]:
    """Modules and subpackages directly below a package."""
    inside = (ROOT / package).iterdir()
    found = {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()}
    return found - {"__init__", "__main__"}


def imported(path: Path) -> set[tuple[str, ...]]:
    """What a file imports from the three packages, in functions too: ("course_lib", "schedule")."""
    here = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else ()
            module = (*start, *(node.module.split(".") if node.module else ()))
            found |= {(*module, alias.name) for alias in node.names}
    return {(name[0], name[1]) if len(name) > 1 else name for name in found if name[0] in PACKAGES}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def files(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if room_of(path) not in ("__init__", "__main__")]


@each_package
def test_every_room_has_its_place(package: str) -> None:
    assert set(FLOORS[package]["rooms"]) == rooms(package)


@each_package
def test_a_room_imports_only_from_rooms_before_it(package: str) -> None:
    order = FLOORS[package]["rooms"]
    wrong = {
        f"{path.relative_to(ROOT)} imports {name[1]}"
        for path in files(package)
        for name in imported(path)
        if name[0] == package and name[1:2] and name[1] in order and order.index(name[1]) > order.index(room_of(path))
    }
    assert not wrong


@each_package
def test_a_package_imports_only_packages_below_it(package: str) -> None:
    allowed = {package, *FLOORS[package]["may_import"]}
    wrong = {f"{path.relative_to(ROOT)}: {name}" for path in files(package) for name in imported(path)}
    assert not {line for line in wrong if not any(f"('{name}'" in line for name in allowed)}


def test_exercises_of_one_notebook_do_not_use_anothers() -> None:
    for path in files("course_checks"):
        if re.fullmatch(r"nb\d\d", room_of(path)):
            others = {name[1] for name in imported(path) if name[0] == "course_checks" and name[1].startswith("nb")}
            assert others <= {room_of(path)}, path


def test_only_lessons_and_explorers_know_a_notebook() -> None:
    """A module of the library that names a notebook belongs to a lesson; docstrings of others speak of the subject."""
    knows = re.compile(r"\b[Nn]otebook (\d\d|[\d.]+)")
    allowed = {"lessons"}
    found = {
        str(path.relative_to(ROOT))
        for path in files("course_lib")
        if room_of(path) not in allowed and knows.search(path.read_text("utf-8"))
    }
    assert not found


@each_package
def test_the_map_names_every_room_in_reading_order(package: str) -> None:
    """The package's docstring is its map."""
    text = importlib.import_module(package).__doc__ or ""
    named = [name for name in FLOORS[package]["rooms"] if not re.fullmatch(r"nb\d\d", name)]
    missing = [name for name in named if not re.search(rf"\b{name}\b", text)]
    assert not missing
    if package == "course_lib":
        starts = [re.search(rf"^(\w+, )?{name}\b", text, re.MULTILINE) for name in named]
        assert all(starts) and [m.start() for m in starts if m] == sorted(m.start() for m in starts if m)


def test_imports_are_seen() -> None:
    """The reader of imports itself: a few that are there."""
    assert ("course_lib", "schedule") in imported(ROOT / "course_lib/sampling.py")
    assert ("course_lib", "plotting") in imported(ROOT / "course_lib/command/sample.py")
    assert ("course_lib", "gaussian") in imported(ROOT / "course_lib/schedule/marginal.py")
