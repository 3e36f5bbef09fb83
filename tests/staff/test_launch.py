"""Every notebook starts anywhere: its badges, and the cell that installs the course where it is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import course_lib
from course_staff.building.launch import (
    BADGES,
    BUTTONS,
    INSTALL,
    badge_files,
    install_code,
    with_launch_cells,
    without_launch_cells,
)
from course_staff.course import ROOT, Course, Launch, read_launch

COURSE = Course()
SETTING = read_launch(ROOT / "pyproject.toml")
assert SETTING is not None
LAUNCH: Launch = SETTING
NOTEBOOKS = [(name, solved) for name in COURSE.names() for solved in (False, True)]
each_notebook = pytest.mark.parametrize(("name", "solved"), NOTEBOOKS)


def load(name: str, solved: bool) -> Any:
    path = COURSE.solution(name) if solved else COURSE.student(name)
    return json.loads(path.read_text(encoding="utf-8"))


def text_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


# The setting


def test_the_release_is_the_version_of_the_library() -> None:
    assert LAUNCH.release == f"v{course_lib.__version__}"


@pytest.mark.parametrize(
    "repository", ["mine", "me/mine/more", "me/", "/mine", "me mine/x", "me/mi ne", "me/m.git", ""]
)
def test_a_repository_is_an_owner_and_a_name(repository: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a repository as owner/name, got '"):
        Launch(repository, "v1")


@pytest.mark.parametrize("release", ["main", "HEAD", "1.0", "v", "v1.0/x"])
def test_a_release_is_a_tag_not_a_branch(release: str) -> None:
    with pytest.raises(ValueError, match="expected a release tag such as v0.1.0"):
        Launch("me/mine", release)


def test_a_setting_that_lacks_something_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    assert read_launch(file) is None
    file.write_text('[tool.course]\nrepository = "me/mine"\n')
    with pytest.raises(ValueError, match="expected repository and release"):
        read_launch(file)


# The two first cells


@each_notebook
def test_every_notebook_begins_with_badges_and_the_install_cell(name: str, solved: bool) -> None:
    cells = load(name, solved)["cells"]
    badges, install = cells[:2]
    assert badges["id"] == BADGES and install["id"] == INSTALL
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code[0] is install and "setup" in code[1]["metadata"]["tags"]
    assert "nbval-skip" in install["metadata"]["tags"] and install["outputs"] == []
    pictures = re.findall(r"\[!\[(.+?)\]\((.+?)\)\]\((.+?)\)", text_of(badges))
    assert [text for text, _, _ in pictures] == ["Open in Binder", "Open in Colab"]
    assert all(source.startswith("data:image/svg+xml;base64,") for _, source, _ in pictures), "needs no network"
    where = f"notebooks/{'solutions/' if solved else ''}{name}.ipynb"
    binder, colab = (link for _, _, link in pictures)
    opened = where if solved else f"my/{name}.ipynb"
    quoted = opened.replace("/", "%2F")
    assert binder == f"https://mybinder.org/v2/gh/{LAUNCH.repository}/{LAUNCH.release}?urlpath=lab%2Ftree%2F{quoted}"
    assert colab == f"https://colab.research.google.com/github/{LAUNCH.repository}/blob/{LAUNCH.release}/{where}"
    assert (ROOT / where).exists()
    assert ("shut down the kernel" in text_of(badges)) == (name[:2] != "00")
    assert BUTTONS[LAUNCH.published] in text_of(badges)


@each_notebook
def test_taking_the_cells_off_and_putting_them_on_again_changes_nothing(name: str, solved: bool) -> None:
    notebook = load(name, solved)
    bare = without_launch_cells(notebook)
    assert len(bare["cells"]) == len(notebook["cells"]) - 2
    assert with_launch_cells(bare, LAUNCH, name, solved) == notebook
    assert without_launch_cells(bare) == bare and with_launch_cells(bare, None, name, solved) == bare


IN_A_KERNEL = """
import socket, sys
from importlib import util

def no_network(*args, **kwargs):
    raise AssertionError("the cell reached for the network")

socket.socket.connect = no_network
for name in sys.argv[2:]:
    sys.modules[name] = None  # find_spec finds nothing then
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
called = []
shell.register_magic_function(lambda line: called.append(line), "line", "pip")
result = shell.run_cell(sys.argv[1])
result.raise_error()
sys.stderr.write("".join(called))
"""


def run_install_cell(code: str, *missing: str) -> tuple[str, str]:
    """What the cell prints, and what it asks pip for, where these packages are missing."""
    command = [sys.executable, "-c", IN_A_KERNEL, code, *missing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_install_cell_asks_for_the_release_only_where_the_course_alone_is_missing() -> None:
    code = install_code(LAUNCH)
    assert run_install_cell(code) == ("", "")
    assert run_install_cell(code, "torch", "course_lib") == ("", ""), "the setup cell names the wrong kernel"
    printed, asked = run_install_cell(code, "course_lib")
    archive = f"https://github.com/{LAUNCH.repository}/archive/refs/tags/{LAUNCH.release}.tar.gz"
    assert printed == "" and asked == f'install --quiet --no-deps "course_lib @ {archive}"'


WITHOUT_THE_COURSE = """
import sys

sys.modules["course_lib"] = None
from IPython.core.interactiveshell import InteractiveShell

InteractiveShell.instance().run_cell(sys.argv[1]).raise_error()
"""


@pytest.mark.slow
def test_the_install_cell_installs_the_course_from_the_releases_archive(tmp_path: Path) -> None:
    """A server in GitHub's place gives the committed files as GitHub's archives hold them; real pip, no index."""
    served = tmp_path / "served" / LAUNCH.repository / "archive/refs/tags"
    served.mkdir(parents=True)
    with tarfile.open(served / f"{LAUNCH.release}.tar.gz", "w:gz") as archive:
        for path in tracked():
            if "notebooks" not in path.parts and "tests" not in path.parts:
                archive.add(path, f"course-{course_lib.__version__}/{path.relative_to(ROOT)}")
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        here = f"http://127.0.0.1:{server.server_port}"
        code = install_code(LAUNCH).replace("https://github.com", here).replace("%pip", f"!{sys.executable} -m pip")
        target = tmp_path / "installed"
        settings = {
            "PIP_TARGET": str(target),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_NO_CACHE_DIR": "1",
        }
        script = (
            "import sys; sys.modules['course_lib'] = None\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        )
        script += "InteractiveShell.instance().run_cell(sys.argv[1]).raise_error()"
        command = [sys.executable, "-c", script, code]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=os.environ | settings
        )
    finally:
        server.shutdown()
        server.server_close()
    assert (target / "course_lib/assets/mnist10k.npz").exists(), done.stdout + done.stderr
    assert not (target / "torch").exists() and not (target / "numpy").exists()
    code = "import course_lib; print(course_lib.__version__, course_lib.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(target)}, timeout=60,
    ).stdout.split()  # fmt: skip
    assert found == [course_lib.__version__, str(target / "course_lib/__init__.py")]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this copy of the course is not a git clone")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# Links and pictures outside the notebooks


def test_no_source_of_a_notebook_links_to_the_repository() -> None:
    """It would change the source's hash, and so ask for an execution, with every fork."""
    assert not [p.name for p in (ROOT / "notebooks/source").glob("*.py") if LAUNCH.url in p.read_text(encoding="utf-8")]


def test_the_readmes_badges_are_the_settings() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = dict(re.findall(r"\[!\[.+?\]\(docs/images/(badge_.+?)\)\]\((.+?)\)", text))
    first = COURSE.names()[0]
    assert links == {
        "badge_binder.svg": LAUNCH.binder(f"my/{first}.ipynb"),
        "badge_colab.svg": LAUNCH.colab(f"notebooks/{first}.ipynb"),
    }
    assert BUTTONS[LAUNCH.published] in text
    assert {n: (ROOT / "docs/images" / n).read_text(encoding="utf-8") for n in badge_files()} == badge_files()


def test_every_link_to_a_file_in_the_readme_leads_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)}
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert len(links) > 8 and not missing
