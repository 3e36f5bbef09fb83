"""The site's parts: labels to links, notebooks to pages, and the checks that a finished site has to pass."""

from __future__ import annotations

import copy
import html
import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from course_staff.building.launch import with_launch_cells
from course_staff.course import NOBODYS, ROOT, Course, Launch, require_launch
from course_staff.site import api as site_api
from course_staff.site import check as site_check
from course_staff.site import pages as site_pages
from course_staff.site import text as site_text
from course_staff.site.pages import NEEDS_A_KERNEL, STATE, VIEW
from course_staff.site.text import Labels

TEXT = r"""# 02 A notebook

By (02.1) and `(02.1)` and $(02.1)$ we find

$$a = b. \tag{02.1}$$

### Exercise 02.3: find a (2 points)

Exercise 02.3 needs notebook 01, notebook 02 and (09.9).
"""


def labels(text: str = TEXT) -> Labels:
    found = Labels(notebooks={"01": "01_first", "02": "02_second"}, titles={"01": "01 First", "02": "02 Second"})
    found.read(text)
    return found


# ---------------------------------------------------------------- text


def test_labels_are_read_once_each():
    found = labels()
    assert found.equations == {"02.1": "a = b."} and found.exercises == {"02.3": ("find a", 2)}
    with pytest.raises(ValueError, match="equation 02.1 is defined twice"):
        found.read(TEXT)


def test_references_become_links_outside_code_formulas_and_headings():
    out = site_text.for_site(TEXT, labels(), here="02")
    assert "By [(02.1)](#eq-02.1) and `(02.1)` and $(02.1)$ we find" in out
    assert "(eq-02.1)=\n$$a = b. \\tag{02.1}$$" in out
    assert "(exercise-02.3)=\n### Exercise 02.3: find a (2 points)" in out
    assert (
        "[Exercise 02.3](#exercise-02.3) needs [notebook 01](/notebooks/01_first.ipynb), notebook 02 and (09.9)." in out
    )


@pytest.mark.parametrize(
    "kept",
    [
        "```\n(02.1)\n```",
        "[see (02.1)](other.md)",
        '<a title="(02.1)">x</a>',
        "$$x\n(02.1)$$",
        "``a ` (02.1)``",
        "## By (02.1)",
        "<summary>Proof of (02.1)</summary>",
        "102.1 and 02.15",
    ],
)
def test_what_is_kept(kept):
    assert site_text.link(f"So\n\n{kept}\n\nit is", labels()) == f"So\n\n{kept}\n\nit is"


def test_titles_of_folded_parts_are_html():
    out = site_text.for_site("<details><summary>Why is $x_0$ *not* `x_t`?</summary>", labels())
    assert out == (
        r'<details><summary>Why is <span class="math notranslate nohighlight">\(x_0\)</span> <em>not</em> '
        "<code>x_t</code>?</summary>"
    )


def test_links_to_files_that_the_site_lacks_go_to_the_repository():
    text = "[a](a.md) [b](../b.py#l3) [web](https://x.example) ![p](p.png) [top](#top) `[c](c.py)`"
    out = site_text.outside_links(text, {"a.md"}.__contains__, lambda path: f"https://host.example/{path}")
    assert out == text.replace("../b.py", "https://host.example/../b.py")
    assert site_text.outside_links(text, {"a.md"}.__contains__, lambda path: "") == text.replace("[b](../b.py#l3)", "b")


def test_a_placeholder_without_its_part_is_an_error():
    assert site_text.fill("x <!-- clone -->", {"clone": "git"}) == "x git"
    with pytest.raises(ValueError, match="no part is called 'clone'; there are folder"):
        site_text.fill("x <!-- clone -->", {"folder": ""})


def test_every_label_of_the_course_is_found():
    """The oracle counts lines of the sources: tags of formulas, tags of exercise cells."""
    found = Labels()
    course = Course()
    for name in course.names():
        cells = nbformat.read(course.solution(name), as_version=4).cells
        found.read("\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))
    sources = "".join(course.source(name).read_text(encoding="utf-8") for name in course.names())
    assert set(found.equations) == set(re.findall(r"\\tag\{(.+?)\}", sources))
    assert set(found.exercises) == set(re.findall(r'tags=\["exercise-(.+?)"', sources))


# ---------------------------------------------------------------- notebooks


def widget(name: str, **state) -> dict:
    return {"model_name": name, "state": state}


STATES = {
    "box": widget("VBoxModel", children=["IPY_MODEL_slider", "IPY_MODEL_view", "IPY_MODEL_off"]),
    "slider": widget("FloatSliderModel", description="sigma"),
    "view": widget("HTMLModel", value="<svg></svg>", layout="IPY_MODEL_plain"),
    "off": widget("HTMLModel", value="hidden", layout="IPY_MODEL_none"),
    "plain": widget("LayoutModel"),
    "none": widget("LayoutModel", display="none"),
    "bar": widget("HBoxModel", children=["IPY_MODEL_left", "IPY_MODEL_middle", "IPY_MODEL_right"]),
    "left": widget("HTMLModel", value="train: 100%"),
    "middle": widget("FloatProgressModel", value=80.0),
    "right": widget("HTMLModel", value="80/80 [00:14&lt;00:00]"),
}


def test_explorers_stand_still_and_bars_have_ended():
    assert site_pages.still_view("box", STATES) == "<div><svg></svg></div>"
    assert site_pages.still_view("bar", STATES) == '<p class="course-bar">train: 100% 80/80 [00:14&lt;00:00]</p>'
    assert site_pages.still_view("lost", STATES) == ""


SOLVED = 'def f(x):\n    """Double."""\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION'


@pytest.fixture
def notebook():
    def view(model: str) -> list:
        data = {VIEW: {"model_id": model}, "text/plain": "Explorer <1>"}
        return [nbformat.v4.new_output("display_data", data=data)]

    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    cells = [
        text(TEXT),
        code("import torch", metadata={"tags": ["setup"]}),
        code(SOLVED, metadata={"tags": ["exercise-02.3"]}),
        code("explore()", outputs=view("box")),
        code("train()", outputs=view("bar")),
        code("lost()", outputs=view("lost")),
    ]
    metadata = {"widgets": {STATE: {"state": STATES}}, "kernelspec": {"name": "python3", "display_name": "Python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def test_the_page_of_a_notebook(notebook):
    launched = with_launch_cells(notebook, Launch("me/mine", "v2"), "02_second", solved=True)
    notebook = nbformat.reads(json.dumps(launched), as_version=4)
    assert "data:" in notebook.cells[0].source and "pip install" in notebook.cells[1].source
    before = copy.deepcopy(notebook)
    page = site_pages.for_site(notebook, labels(), "02")
    assert notebook == before, "the notebook itself is left alone"
    text, setup, stub, solution, explorer, bar, lost = page.cells
    assert "(eq-02.1)=" in text.source
    assert setup.metadata["tags"] == ["hide-input"]
    assert "raise NotImplementedError" in stub.source and "tags" not in stub.metadata
    assert solution.source == 'def f(x):\n    """Double."""\n    return 2 * x'
    assert solution.metadata["tags"] == ["hide-input"]
    assert solution.metadata["mystnb"]["code_prompt_show"] == "Show a solution"
    shown = [cell.outputs[0].data["text/html"] for cell in (explorer, bar, lost)]
    assert "<svg></svg>" in shown[0] and NEEDS_A_KERNEL in shown[0]
    assert "80/80" in shown[1] and NEEDS_A_KERNEL not in shown[1]
    assert "Explorer &lt;1&gt;" in shown[2] and NEEDS_A_KERNEL in shown[2]
    assert VIEW not in str(page) and "widgets" not in page.metadata


def test_the_tables_of_the_first_page():
    rows = "| 01 First | why? | 20 | 10 |\n| 02 Second | how? | 90 | 60 |\n"
    start = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(rows)])
    assert "| [01 First](/notebooks/01_first.ipynb) | why? | 20 |" in site_pages.notebook_table(start, labels())
    start.cells[0].source = rows.splitlines()[0]
    with pytest.raises(ValueError, match="rows for 01, not for 01, 02"):
        site_pages.notebook_table(start, labels())
    with pytest.raises(ValueError, match="shows no scrubber"):
        site_pages.first_scrubber(start)


def test_lists_of_equations_and_exercises():
    listed = site_pages.equation_list(labels())
    assert "## 02 Second" in listed and "01 First" not in listed
    assert "[(02.1)](#eq-02.1)\n\n$$a = b$$" in listed
    assert "| [02.3](#exercise-02.3) | find a | 2 |" in site_pages.exercise_list(labels())


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("", r"pyproject.toml has no \[tool.course\] with repository and release"),
        ('[tool.course]\nrepository = "https://host/me"\nrelease = "v1"', "expected a repository as owner/name"),
        ('[tool.course]\nrepository = "me/mine"\nrelease = "main"', r"a release tag such as .*, got 'main'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, table, complaint):
    (tmp_path / "pyproject.toml").write_text(table)
    with pytest.raises(ValueError, match=complaint):
        require_launch(tmp_path / "pyproject.toml")


def test_every_address_is_made_from_the_settings():
    there = Launch("me/mine", "v2")
    assert there.file("a/b.py") == "https://github.com/me/mine/blob/v2/a/b.py"
    assert there.binder("n.ipynb") == "https://mybinder.org/v2/gh/me/mine/v2?urlpath=lab%2Ftree%2Fn.ipynb"
    assert there.colab("n.ipynb") == "https://colab.research.google.com/github/me/mine/blob/v2/n.ipynb"
    assert require_launch(ROOT / "pyproject.toml").repository.count("/") == 1


# ---------------------------------------------------------------- the finished site


GOOD = """<link rel="stylesheet" href="s.css"><h1 id="top">x</h1><img src="data:image/png;base64,AA">
<a href="#top">1</a><a href="sub/">2</a><a href="sub/index.html#there">3</a><a href="https://host.example/x">4</a>
<svg><image href="data:image/png;base64,AA"></image></svg><a href="mailto:a@host.example">5</a>"""


@pytest.fixture
def site(tmp_path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "sub" / "index.html").write_text('<p id="there"></p><a href="../index.html">up</a>')
    (tmp_path / "s.css").write_text("p { background: url(data:image/png;base64,AA) }")
    return tmp_path


def test_a_good_site_has_no_problems(site):
    assert site_check.problems(site) == []
    assert "3 files, 2 of them pages" in site_check.weight(site)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ('<a href="gone.html">x</a>', "link to gone.html, which is not there"),
        ('<a href="#nowhere">x</a>', "that page has no #nowhere"),
        ('<a href="sub/index.html#nowhere">x</a>', "that page has no #nowhere"),
        ('<a href="http://no host/x">x</a>', "is not an address"),
        ('<a href="https://localhost/x">x</a>', "is not an address"),
        ('<a href="javascript:x()">x</a>', "is not an address"),
        ('<img src="gone.png">', "loads gone.png, which is not there"),
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js from another host"),
        ('<link rel="preconnect" href="//fonts.example">', "loads //fonts.example from another host"),
        ('<svg><image href="https://cdn.example/x.png"></svg>', "from another host"),
        ('<p style="background: url(https://cdn.example/x.png)">', "from another host"),
    ],
)
def test_each_kind_of_defect_is_reported(site, bad, complaint):
    (site / "index.html").write_text(GOOD + bad)
    (found,) = site_check.problems(site)
    assert found.startswith("index.html") and complaint in found


def test_style_sheets_must_not_load_from_elsewhere(site):
    (site / "s.css").write_text('@import url("https://fonts.example/f.css");')
    assert site_check.problems(site) == ["s.css loads https://fonts.example/f.css from another host"]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, cwd=ROOT)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run("-m", "course_staff", "site", "--out", str(tmp_path))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "is not empty and holds no site" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def small_site(folder: Path, text: str, launch: Launch) -> tuple[bool, str]:
    """A site of one page and one notebook in folder/out: whether Sphinx was content, and what it said."""
    source = folder / "source"
    shutil.copytree(ROOT / "docs/site/_static", source / "_static")
    shutil.copy(ROOT / "docs/site/conf.py", source)
    setting = f'[tool.course]\nrepository = "{launch.repository}"\nrelease = "{launch.release}"\n'
    (source / "pyproject.toml").write_text(setting)
    (source / "index.md").write_text(f"(top)=\n# Page\n\n{text}\n\n```{{toctree}}\nnotebooks/02_second\n```\n")
    (source / "notebooks").mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    cells = [nbformat.v4.new_markdown_cell("# Second")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), source / "notebooks/02_second.ipynb")
    code = "import sys; from pathlib import Path; from course_staff.site.build import sphinx\n"
    code += "print(sphinx(*map(Path, sys.argv[1:])))"
    done = run("-c", code, str(source), str(folder / "out"))
    assert done.stdout.strip().endswith(("True", "False")), done.stdout + done.stderr
    return done.stdout.strip().endswith("True"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("link", "good"), [("#top", True), ("#eq-99.9", False), ("gone.md", False)])
def test_for_sphinx_a_warning_is_an_error(tmp_path, link, good):
    content, said = small_site(tmp_path, f"[x]({link})", Launch("me/mine", "v2"))
    assert content == good, said
    assert good or link.removeprefix("#") in said


@pytest.mark.slow
@pytest.mark.parametrize("repository", ["me/mine", NOBODYS])
def test_buttons_lead_to_the_repository_and_are_not_there_before_it_has_a_name(tmp_path, repository):
    launch = Launch(repository, "v2")
    parts = site_pages.ways_to_start("notebooks/02_second.ipynb", launch)
    content, said = small_site(tmp_path, "\n\n".join(parts.values()), launch)
    assert content, said
    first, second = ((tmp_path / "out" / name).read_text() for name in ("index.html", "notebooks/02_second.html"))
    if launch.published:
        links = {unquote(html.unescape(link)) for link in re.findall(r'href="(https://[^"]+)"', second)}
        there = {launch.url, launch.binder("notebooks/02_second.ipynb"), launch.colab("notebooks/02_second.ipynb")}
        assert {unquote(link) for link in there} <= links
        assert all(html.escape(link) in first for link in there) and f"git clone {launch.url}\ncd mine" in first
    else:
        lost = re.compile(r"OWNER|REPO\b|mybinder\.org|colab\.research|github\.com")
        assert not lost.findall(first) and not lost.findall(second)
        assert "Without installing anything</strong>: not yet" in first


# ---------------------------------------------------------------- the API


@pytest.mark.parametrize(
    ("docstring", "read"),
    [
        ("An x_ and a **2 | b* of `Marginal`s.", r"An x\_ and a \*\*2 \| b\* of \ :py:obj:`Marginal`\ s."),
        ("Give `f(x_t)` *one* try.", r"Give \ ``f(x_t)``\  \ *one*\  try."),
        ("-log p(x), in nats", r"\-log p(x), in nats"),
        ("With v:\n    x = 2 * y_\nand so on", "With v:\n\n::\n\n    x = 2 * y_\n\nand so on"),
        ("t     when\nlong  what it is,\n      in two lines", "t\n   when\nlong\n   what it is,\n   in two lines"),
    ],
)
def test_docstrings_are_prose_code_formulas_and_lists_of_names(docstring, read):
    assert "\n".join(site_api.as_rst(docstring.splitlines())).strip() == read


def test_every_public_function_and_class_stands_on_one_page():
    """The oracle walks through the files; a page shows what its package exports, or what its module has left."""
    package, shown = importlib.import_module("course_lib"), []
    for name, elsewhere in site_api.modules(package):
        module = importlib.import_module(name)
        names = set(getattr(module, "__all__", site_api.public(module))) - set(elsewhere)
        shown += [getattr(module, name) for name in names if callable(getattr(module, name))]
    files = [file.name for file in pkgutil.walk_packages(package.__path__, "course_lib.")]
    for module in (importlib.import_module(name) for name in files if not name.startswith("course_lib.command")):
        for name in site_api.public(module):
            assert sum(one is getattr(module, name) for one in shown) == 1, f"{module.__name__}.{name}"


def test_modules_stand_in_the_order_of_the_map():
    names = [name for name, _ in site_api.modules(importlib.import_module("course_lib"))]
    path = ["gaussian", "schedule", "parametrization", "sampling", "objective", "unet", "muon", "training", "data"]
    assert [name for name in names if name.removeprefix("course_lib.") in path] == [
        f"course_lib.{name}" for name in path
    ]
    assert not any("command" in name for name in names)


def test_signatures_keep_the_names_of_long_types():
    aliases = site_api.aliases()
    assert aliases["Denoiser"] == "course_lib.parametrization.Denoiser" and aliases["NoiseLaw"] == "NoiseLaw"
