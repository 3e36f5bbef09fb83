"""Where a course keeps its notebooks and exercises, and where it is published: its setting in pyproject.toml.

There is one course; tests have a small second one. Standard library only: a fresh clone can be forked by it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
RELEASE = re.compile(r"v\d+(\.\d+)*([a-z]+\d*)?")
NOBODYS = "OWNER/REPO"  # the setting until `make fork` names a repository: no address made from it leads anywhere


@dataclass(frozen=True)
class Launch:
    """Where the course is published: `repository` is owner/name on GitHub, `release` a tag of it. Else ValueError."""

    repository: str
    release: str

    def __post_init__(self) -> None:
        if not REPOSITORY.fullmatch(self.repository) or self.repository.endswith((".git", "/.", "/..")):
            raise ValueError(f"expected a repository as owner/name, got {self.repository!r}")
        if not RELEASE.fullmatch(self.release):
            raise ValueError(f"expected a release tag such as v0.1.0 (a branch moves), got {self.release!r}")

    @property
    def published(self) -> bool:
        """Whether addresses lead anywhere: whether `make fork` has named a repository."""
        return self.repository != NOBODYS

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}"

    @property
    def archive(self) -> str:
        """The tag's files, as pip installs them: no git needed, and smaller than a clone."""
        return f"{self.url}/archive/refs/tags/{self.release}.tar.gz"

    def file(self, path: str) -> str:
        """Shows `path` of the repository, at the release, on GitHub."""
        return f"{self.url}/blob/{self.release}/{path}"

    def binder(self, path: str) -> str:
        """Opens `path` of the repository in JupyterLab on mybinder.org."""
        where = quote(f"lab/tree/{path}", safe="")
        return f"https://mybinder.org/v2/gh/{self.repository}/{self.release}?urlpath={where}"

    def colab(self, path: str) -> str:
        """Opens the notebook `path` of the repository on Colab."""
        return f"https://colab.research.google.com/github/{self.repository}/blob/{self.release}/{path}"


def read_launch(pyproject: Path) -> Launch | None:
    """The setting `[tool.course]` of this file; None where there is no file or no such setting.

    ValueError where it is malformed.
    """
    try:
        setting = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("course")
    except FileNotFoundError:
        return None
    if setting is None:
        return None
    if set(setting) != {"repository", "release"}:
        raise ValueError(f"{pyproject.name}: [tool.course] has {sorted(setting)}, expected repository and release")
    return Launch(**setting)


def require_launch(pyproject: Path) -> Launch:
    """The same, for what cannot do without it. ValueError where there is none."""
    launch = read_launch(pyproject)
    if launch is None:
        raise ValueError(f"{pyproject} has no [tool.course] with repository and release")
    return launch


@dataclass(frozen=True)
class Course:
    """`folder` has `source/NN_name.py`, `NN_name.ipynb` and `solutions/NN_name.ipynb`.

    `package` has a folder `nbNN/` for each notebook with exercises, and `setup_names.json`.
    """

    folder: Path = ROOT / "notebooks"
    package: str = "course_checks"

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
        """The file that tells `check` what each notebook's setup cell defines; written by the build."""
        from course_checks.registry import folder_of

        return folder_of(self.package) / "setup_names.json"

    def launch(self) -> Launch | None:
        """Where this course is published: the setting beside the notebooks' folder; None where none says so."""
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
