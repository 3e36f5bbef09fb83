"""The house has floors: what docs/design.md says about who may import whom, against what the files import."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import course_lib

PACKAGE = Path(course_lib.__file__).parent
DESIGN = PACKAGE.parent / "docs" / "design.md"


def floors() -> dict[str, int]:
    """Module or subpackage -> its floor, 0 at the bottom, as the page lists them."""
    (listed,) = re.findall(
        r"^Floors, bottom up[^:]*: (.*?)\. A digit's way", DESIGN.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return {name.strip(" `\n"): n for n, floor in enumerate(listed.split("|")) for name in floor.split(",")}


def top(path: Path) -> str:
    """The module or subpackage directly below course_lib that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Names directly below course_lib that a file imports, inside functions too; those for type checkers left out."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped |= set(ast.walk(node))
    found: set[str] = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(tree):
        if node in skipped or not isinstance(node, ast.ImportFrom):
            continue
        module = node.module or ""
        if node.level == depth or (node.level == 0 and module.split(".")[0] == "course_lib"):
            path_ = module.split(".")[1:] if node.level == 0 else module.split(".") if module else []
            found |= {path_[0]} if path_ else {alias.name for alias in node.names}
    return {name for name in found if name in modules()}


def modules() -> set[str]:
    return {
        top(path)
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.name != "__init__.py"
    }


def edges() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__init__.py" or path.parent != PACKAGE:
            graph[top(path)] |= imported(path) - {top(path)}
    return graph


def test_every_module_has_a_floor_and_every_floor_its_modules():
    assert set(floors()) - {"vae"} == modules() - {"vae"}  # planned ones may be missing


def test_no_module_imports_from_a_floor_above_its_own():
    placed = floors()
    wrong = {
        f"{name} (floor {placed[name]}) imports {other} (floor {placed[other]})"
        for name, others in edges().items()
        for other in others
        if placed[other] > placed[name]
    }
    assert not wrong


def test_no_two_modules_import_each_other():
    order = list(TopologicalSorter(edges()).static_order())  # raises CycleError
    assert set(order) == modules()


def test_imports_are_seen():
    """The reader of imports itself: a few that are there."""
    graph = edges()
    assert {"gaussian", "schedule"} <= graph["corruption"] and "plotting" in graph["runs"]
    assert "training" not in graph["checkpoint"], "imported for type checkers only"
