"""The notebooks as people meet them, opened in JupyterLab and exported by nbconvert: no mark-up among the words."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import nbformat
import pytest
from conftest import Lab
from markup import MARKS, found, left_over
from playwright.sync_api import Browser, Page, expect

from course_staff.course import Course

pytestmark = pytest.mark.xdist_group("jupyterlab")  # one JupyterLab, even where tests run in parallel

COURSE = Course()
ALL_CELLS = """
() => {
  const notebook = window.jupyterapp.shell.currentWidget?.content;
  if (!notebook?.notebookConfig) return false;
  notebook.notebookConfig = { ...notebook.notebookConfig, windowingMode: "none" };
  return true;
}
"""
# The release that an exported page asks for is 2.7; this one, of the site, sets the same formulas.
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-chtml.js"
SETTING = """
window.MathJax = { options: { enableMenu: false }, tex: { tags: "ams", processEscapes: true,
  inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], displayMath: [["$$", "$$"], ["\\\\[", "\\\\]"]] } };
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    yield page
    page.close()


def words_of(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("name", COURSE.names())
def test_opened_in_jupyterlab(page: Page, lab: Lab, name: str) -> None:
    shutil.copy(COURSE.student(name), lab.root)
    page.goto(f"{lab.url}/lab/tree/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(ALL_CELLS)
    rendered = page.locator(".jp-MarkdownCell .jp-RenderedMarkdown")
    expect(rendered).to_have_count(len(words_of(COURSE.student(name))), timeout=60_000)
    if any("$" in text for text in words_of(COURSE.student(name))):
        page.wait_for_selector("mjx-container", timeout=60_000, state="attached")
    page.wait_for_timeout(1000)
    assert rendered.first.get_by_role("img").evaluate_all("all => all.map(one => one.naturalWidth > 50)") == [True] * 2
    assert left_over(page) == []


@pytest.mark.parametrize("name", COURSE.names())
def test_exported(page: Page, tmp_path: Path, name: str) -> None:
    """The solved notebook, with its outputs. The export asks the network for MathJax, which a file stands in for."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path)]
    subprocess.run([*command, str(COURSE.solution(name))], check=True, capture_output=True, timeout=120)
    mathjax = Path(str(distribution("sphinx-mathjax-offline").locate_file(MATHJAX)))
    page.add_init_script(SETTING)
    page.route("http*://**", lambda route: route.abort())
    page.route("**/mathjax/**", lambda route: route.fulfill(path=mathjax, content_type="text/javascript"))
    page.goto((tmp_path / f"{name}.html").as_uri(), wait_until="load", timeout=60_000)
    page.evaluate("() => window.MathJax.startup.promise.then(() => true)")
    assert left_over(page) == []


@pytest.mark.parametrize(
    "bad",
    [
        "[![Open](data:image/svg+xml;base64,PHN2)](https://host.example)",
        "a **bold** word",
        "an *odd* word",
        "with `code` in it",
        "## A heading",
        "| a | b |",
        r"x = 1. \tag{02.1}",
        r"$\sigma$ and",
        r"\begin{aligned}",
        "see {math}`x`",
        "<summary>Why</summary>",
        "git clone https://github.com/OWNER/REPO",
    ],
)
def test_each_kind_is_found_among_words_and_not_in_code_or_set_formulas(page: Page, bad: str) -> None:
    rest = "So it goes on, with words. " * 20
    page.set_content(f"<main><p>{rest}</p><details><summary>More</summary><p id='here'></p></details></main>")
    page.locator("#here").evaluate("(one, text) => { one.textContent = text; }", bad)
    assert left_over(page)
    page.locator("#here").evaluate("one => { one.innerHTML = `<code>${one.innerHTML}</code>`; }")
    assert left_over(page) == []


def test_good_prose_is_let_be() -> None:
    good = "It costs $5 (or 2 * 3 * 4); the data: ten digits, a|b, q(x | y), a < b > c, [1, 2] (see 02.1), x_t_ and C#."
    assert found(good, MARKS) == []
