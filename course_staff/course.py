"""Where a course keeps its notebooks and exercises. There is one course; tests have a small second one."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from course_checks.registry import PACKAGE

from .building.launch import Launch, read_launch

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Course:
    """`folder` has `source/NN_name.py`, `NN_name.ipynb` and `solutions/NN_name.ipynb`; `package` has `nbNN.py`."""

    folder: Path = ROOT / "notebooks"
    package: str = PACKAGE

    def names(self) -> list[str]:
        """The notebooks, in order: ["00_start_here", "05_ddpm"]."""
        return sorted(path.stem for path in (self.folder / "source").glob("[0-9][0-9]_*.py"))

    def source(self, name: str) -> Path:
        return self.folder / "source" / f"{name}.py"

    def student(self, name: str) -> Path:
        return self.folder / f"{name}.ipynb"

    def solution(self, name: str) -> Path:
        return self.folder / "solutions" / f"{name}.ipynb"

    def setup_names(self) -> Path:
        """The module that tells `check` what each notebook's setup cell defines; written by the build."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise ValueError(f"there is no package {self.package}")
        return Path(spec.origin).parent / "setup_names.py"

    def launch(self) -> Launch | None:
        """Whose repository this is, from the pyproject.toml beside the notebooks' folder; None where none says so."""
        return read_launch(self.folder.parent / "pyproject.toml")

    def select(self, wanted: list[str]) -> list[str]:
        """Full names for what a person types: "05", "05_ddpm", "05_ddpm.py". ValueError for an unknown one; none
        means all."""
        names, chosen = self.names(), []
        for text in wanted:
            stem = Path(text).stem
            found = [name for name in names if name == stem or name.partition("_")[0] == stem]
            if not found:
                raise ValueError(f"there is no notebook {text!r}; there are {', '.join(names) or 'none'}")
            chosen += found
        return sorted(set(chosen)) if wanted else names
