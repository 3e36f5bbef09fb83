"""The project as a newcomer gets it: installable, offline, licensed, and careful with a learner's work."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_staff.release.copy_notebooks import copy_notebooks

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = {"torch", "numpy", "matplotlib", "ipywidgets", "pillow", "safetensors", "tqdm", "packaging"}


def run(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def tracked_files() -> list[Path]:
    """Files of the repository; skips the test where this copy is not a git clone."""
    listed = run("git", "ls-files", "-z", cwd=ROOT)
    if listed.returncode:
        pytest.skip("this copy of the course is not a git clone")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# ---------------------------------------------------------------- imports and dependencies


def test_importing_the_package_loads_no_torch():
    code = "import sys, course_lib; print(course_lib.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    assert run(sys.executable, "-c", code, cwd=ROOT).stdout.split()[1:] == ["False", "False"]


def test_eight_libraries_are_needed_at_run_time():
    assert {Requirement(line).name for line in PROJECT["dependencies"]} == RUNTIME


def test_the_library_imports_only_what_it_declares():
    """Imports are the standard library, one of the eight, or ours; only the larger data sets take the extra `data`."""
    allowed = {name.replace("pillow", "PIL") for name in RUNTIME} | {"course_lib", "IPython", "__future__"}
    pattern = re.compile(r"^\s*(?:import|from)\s+([A-Za-z_]\w*)", re.MULTILINE)
    foreign = {}
    for path in sorted((ROOT / "course_lib").rglob("*.py")):
        names = set(pattern.findall(strip_strings(path.read_text(encoding="utf-8"))))
        if extra := names - allowed - sys.stdlib_module_names:
            foreign[path.relative_to(ROOT / "course_lib").as_posix()] = extra
    assert foreign == {"data/datasets.py": {"pooch"}}


def strip_strings(source: str) -> str:
    return re.sub(r'""".*?"""', "", source, flags=re.DOTALL)


def pins(name: str) -> dict[str, Version]:
    """Distribution -> pinned version, from a requirements file and those it includes."""
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(line.split()[1])
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{name}: {line} is not an exact pin"
            found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


@pytest.mark.parametrize(
    ("file", "extras"), [("requirements.txt", ["lab"]), ("requirements-test.txt", ["lab", "data", "staff", "test"])]
)
def test_pins_satisfy_the_ranges_of_pyproject(file, extras):
    pinned = pins(file)
    ranges = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, ranges):
        name = canonicalize_name(requirement.name)
        if name != "course-lib":
            assert name in pinned, f"{name} is not pinned in {file}"
            assert requirement.specifier.contains(pinned[name]), f"{name} {pinned[name]} is outside {requirement}"


def test_torch_is_pinned_first_and_without_a_local_tag():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "torch==2.13.0"
    assert not [line for line in lines if "+" in line]


def test_colabs_versions_are_inside_the_ranges():
    """Colab's pins as the course targets them: torch 2.11, numpy 2.1, ipywidgets 7.7.1."""
    ranges = {requirement.name: requirement.specifier for requirement in map(Requirement, PROJECT["dependencies"])}
    assert ranges["torch"].contains("2.11.0")
    assert ranges["numpy"].contains("2.1.0")
    assert ranges["ipywidgets"].contains("7.7.1")


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the source archive and the wheel made from it, built offline from the committed files."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for path in tracked_files():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), cwd=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_holds_every_file_of_the_three_packages(built):
    """The committed files are the oracle: a forgotten package-data pattern is a missing name here."""
    packages = ("course_lib/", "course_checks/", "course_staff/")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        inside = {name for name in wheel.namelist() if name.startswith(packages)}
        tracked = {path.relative_to(ROOT).as_posix() for path in tracked_files()}
        assert inside == {name for name in tracked if name.startswith(packages)}
        assert "course_lib/assets/mnist10k.npz" in inside
        assert wheel.read("course_lib/assets/mnist10k.npz") == (ROOT / "course_lib/assets/mnist10k.npz").read_bytes()


def test_wheel_and_source_archive_carry_the_three_licences(built):
    wanted = {"LICENSE", "LICENSE-TEXT", "LICENSES.md"}
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        licences = {Path(name).name for name in wheel.namelist() if ".dist-info/licenses/" in name}
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert licences == wanted
    assert wanted <= names


def test_licences_keep_code_text_and_digits_apart():
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert "Creative Commons Attribution 4.0" in (ROOT / "LICENSE-TEXT").read_text()
    assets = (ROOT / "course_lib/assets/LICENSES.md").read_text()
    assert "CC BY-SA 3.0" in assets
    assert all(author in assets for author in ("LeCun", "Cortes", "Burges"))


# ---------------------------------------------------------------- copying the notebooks


@pytest.fixture
def course(tmp_path) -> Path:
    """A small course: two notebooks to hand out."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/00_start_here.ipynb").write_text("first release")
    (tmp_path / "notebooks/05_ddpm.ipynb").write_text("first release")
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.ipynb")}


def test_work_in_my_survives_every_later_copy(course):
    source, target = course / "notebooks", course / "my"
    copy_notebooks(source, target)
    (target / "05_ddpm.ipynb").write_text("my work")
    for release in ("first release", "second release", "third release"):
        (source / "05_ddpm.ipynb").write_text(release)
        copy_notebooks(source, target)
        assert (target / "05_ddpm.ipynb").read_text() == "my work"
    assert contents(target) == {
        "00_start_here.ipynb": "first release",
        "05_ddpm.ipynb": "my work",
        "05_ddpm.new.ipynb": "second release",
        "05_ddpm.new2.ipynb": "third release",
    }


def test_a_copy_that_was_renamed_or_deleted_is_handed_out_again(course):
    source, target = course / "notebooks", course / "my"
    copy_notebooks(source, target)
    (target / "05_ddpm.ipynb").rename(target / "old attempt.ipynb")
    assert copy_notebooks(source, target) == [f"copied 05_ddpm.ipynb to {target}/"]
    assert (target / "old attempt.ipynb").exists()


def test_copying_twice_changes_nothing_and_says_nothing(course):
    source, target = course / "notebooks", course / "my"
    copy_notebooks(source, target)
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    assert copy_notebooks(source, target) == []
    assert {path.name: path.stat().st_mtime_ns for path in target.iterdir()} == before


def test_a_notebook_that_was_there_before_the_course_is_kept(course):
    (course / "my").mkdir()
    (course / "my/00_start_here.ipynb").write_text("mine")
    said = copy_notebooks(course / "notebooks", course / "my")
    assert contents(course / "my")["00_start_here.ipynb"] == "mine"
    assert contents(course / "my")["00_start_here.new.ipynb"] == "first release"
    assert any("newer version" in sentence for sentence in said)


@pytest.mark.parametrize("damage", ["", "{", "[]", '"text"'])
def test_a_damaged_record_costs_no_work(course, damage):
    source, target = course / "notebooks", course / "my"
    copy_notebooks(source, target)
    (target / "05_ddpm.ipynb").write_text("my work")
    (target / ".copied.json").write_text(damage)
    copy_notebooks(source, target)
    assert contents(target)["05_ddpm.ipynb"] == "my work"


def test_a_folder_without_notebooks_is_named_in_one_line(tmp_path):
    done = run(sys.executable, "-m", "course_staff.release.copy_notebooks", "--source", "nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: no notebooks in nothing: expected files named NN_name.ipynb\n"
    assert not (tmp_path / "my").exists()


def test_make_my_copies_and_never_overwrites(course):
    """The Makefile's own step, on a copy of the Makefile, with this Python in place of .venv's."""
    (course / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    command = ("make", "my", f"PY={sys.executable}", "REDO=", "--old-file=.venv/.lab")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = run(*command, cwd=course, env=environment)
    assert first.stdout == "copied 00_start_here.ipynb to my/\ncopied 05_ddpm.ipynb to my/\n", first.stderr
    (course / "my/05_ddpm.ipynb").write_text("my work")
    second = run(*command, cwd=course, env=environment)
    assert second.stdout == "my/ already has every notebook; nothing was changed.\n", second.stderr
    assert contents(course / "my")["05_ddpm.ipynb"] == "my work"


def copy_of_what_make_needs(folder: Path) -> None:
    for name in ("Makefile", "scripts/venv.sh", "requirements.txt", "pyproject.toml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())


# A Python that makes copies of itself instead of environments, and writes down what pip is asked for.
PRETENDER = """#!/bin/sh
case "$*" in
--version) echo "Python 3.13.1" ;;
"-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-m pip "*) shift 3; echo "$*" >>asked ;;
esac
"""


@pytest.mark.parametrize("index", ["", "https://wheels.example/cpu"])
def test_make_installs_torch_first_then_the_pins_and_says_so(tmp_path, index):
    copy_of_what_make_needs(tmp_path)
    python = tmp_path / "python3.13"
    python.write_text(PRETENDER)
    python.chmod(0o755)
    command = ("make", ".venv/.lab", f"PYTHON={python}", f"TORCH_INDEX={index}")
    first, second = run(*command, cwd=tmp_path), run(*command, cwd=tmp_path)
    assert first.returncode == 0 and first.stdout.startswith("Making .venv with Python 3.13.1."), first.stderr
    torch = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch=="))
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"install --index-url {index} {torch}" if index else f"install {torch}",
        "install -r requirements.txt",
        "install --no-deps --no-build-isolation --editable .",
    ]
    settings = json.loads((tmp_path / ".venv/share/jupyter/lab/settings/overrides.json").read_text())
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert "up to date" in second.stdout and (tmp_path / "asked").read_text().count("-r requirements") == 1
    (tmp_path / ".venv/.home").write_text("elsewhere\n")  # as after the folder was moved
    third = run(*command, cwd=tmp_path)
    assert third.stdout.startswith("Bringing .venv up to date."), third.stderr
    assert (tmp_path / ".venv/.home").read_text().strip() == str(tmp_path)


def test_make_alone_lists_what_it_can_do_by_who_needs_it():
    listed = run("make", cwd=ROOT).stdout
    heads = [line for line in listed.splitlines() if line.startswith("For ")]
    assert heads == ["For learners", "For teachers", "For contributors"]
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE) == targets
    assert listed.index("make lab") < listed.index("For teachers") < listed.index("make teacher")


def test_make_names_a_python_that_is_too_old(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ntest "$1" = --version && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    copy_of_what_make_needs(tmp_path)
    done = run("make", "my", f"PYTHON={old}", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "needs Python 3.11 or newer" in line and "Python 3.9.2" in line and "PYTHON=" in line
    assert not (tmp_path / ".venv").exists()


# ---------------------------------------------------------------- the wrong kernel


def setup_snippet() -> str:
    """The lines that CONTRIBUTING.md prescribes for the head of every setup cell."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(try:\n.*?)```", text, flags=re.DOTALL)
    return snippet.strip()


@pytest.mark.parametrize("missing", ["torch", "course_lib"])
def test_a_wrong_kernel_is_told_in_one_sentence(missing):
    """The prescribed lines, run in a kernel that cannot import `missing`: one line of output, and the cell fails."""
    cells = [f"import sys; sys.modules[{missing!r}] = None", setup_snippet()]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=60).execute()
    (output,) = notebook.cells[1].outputs
    assert output.output_type == "error"
    (sentence,) = output.traceback
    assert f"`{missing}`" in sentence and "make lab" in sentence and "\n" not in sentence


def test_every_notebook_begins_with_the_wrong_kernel_lines():
    sources = sorted((ROOT / "notebooks/source").glob("*.py"))
    built = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks/solutions").glob("*.ipynb")]
    assert sources and built
    for path in sources:
        assert setup_snippet() in path.read_text(encoding="utf-8"), f"{path.name} lacks the lines of CONTRIBUTING.md"
    for path in built:
        code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert any(setup_snippet() in source for source in code[:2]), f"{path.name}: not in its first two code cells"


# ---------------------------------------------------------------- the repository


def test_no_file_names_a_machine_or_a_registry():
    """No home or work folder of whoever wrote a file, no address of a package registry."""
    forbidden = re.compile(rb"/home/\w|/Users/\w|/root/|/work/|/tmp/\w|C:\\\\?Users|file:///|pypi\.|registry\.npmjs")
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192] and path != Path(__file__):
            found += [f"{path.relative_to(ROOT)}: {hit.group().decode()}" for hit in forbidden.finditer(content)]
    assert not found


def test_generated_folders_are_ignored_by_git():
    folders = ["my/x.ipynb", "runs/a/x", "grades/x", ".venv/x", "build/x", "dist/x"]
    if run("git", "rev-parse", cwd=ROOT).returncode:
        pytest.skip("this copy of the course is not a git clone")
    assert run("git", "check-ignore", "--no-index", *folders, cwd=ROOT).stdout.split() == folders


def test_the_playwright_driver_ships_inside_its_wheel():
    """Browser tests must need no download: the driver is a file of the installed package."""
    spec = find_spec("playwright")
    assert spec and spec.submodule_search_locations
    assert (Path(spec.submodule_search_locations[0]) / "driver").is_dir()


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_a_missing_browser_is_a_named_skip_and_a_failure_under_ci(tmp_path, ci, outcome):
    """The suite's own conftest, beside a test that asks for a browser that is not there."""
    (tmp_path / "conftest.py").write_bytes((ROOT / "tests/conftest.py").read_bytes())
    (tmp_path / "test_page.py").write_text("def test_page(browser):\n    pass\n")
    environment = os.environ | {"CI": ci, "COURSE_BROWSER": "no-such-browser"}
    done = run(sys.executable, "-m", "pytest", "-rs", str(tmp_path), cwd=tmp_path, env=environment)
    assert outcome in done.stdout.splitlines()[-1]
    assert "no browser: install Chromium" in done.stdout and "no-such-browser" in done.stdout


def test_continuous_integration_fails_when_one_part_fails(tmp_path):
    """`.ci/run` with a `make` that fails on `lint` only: both parts are run, and the whole fails."""
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "make $1 CI=$CI"\ntest "$1" != "$BROKEN"\n')
    make.chmod(0o755)
    for name in ("chromium", "apt-get"):
        (tmp_path / name).symlink_to("/bin/true")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for broken, expected in (("lint", 1), ("test", 1), ("nothing", 0)):
        done = run("bash", str(ROOT / ".ci/run"), env=os.environ | {"PATH": path, "BROKEN": broken})
        assert (done.returncode, done.stdout) == (expected, "make lint CI=true\nmake test CI=true\n")


def test_jupyterlab_of_the_environment_never_asks_for_news():
    """Written by `make lab`: nothing is fetched after the install. Skipped in an environment not made by make."""
    settings = Path(sys.prefix) / "share/jupyter/lab/settings/overrides.json"
    if not (Path(sys.prefix) / ".lab").exists():
        pytest.skip("this environment was not made by `make lab` or `make test`")
    notification = json.loads(settings.read_text())["@jupyterlab/apputils-extension:notification"]
    assert notification == {"checkForUpdates": False, "fetchNews": "false"}
