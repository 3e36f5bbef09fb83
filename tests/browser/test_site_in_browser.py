"""The built site in a real browser: pages open off line without errors, scrubbers move, a phone is wide enough."""

import functools
import http.server
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from markup import left_over
from playwright.sync_api import Browser, Locator, Page, Request, expect

from course_staff.course import NOBODYS, ROOT, Course, require_launch
from course_staff.site.api import PACKAGES
from course_staff.site.api import modules as modules_of
from course_staff.site.pages import NEEDS_A_KERNEL, VIEW

pytestmark = pytest.mark.xdist_group("site")  # one build, even where tests run in parallel

NOTEBOOKS = [f"notebooks/{name}.html" for name in Course().names()]
DOCUMENTS = sorted(path.relative_to(ROOT).with_suffix(".html").as_posix() for path in ROOT.glob("docs/*.md"))
OWN = sorted(f"{path.stem}.html" for path in (ROOT / "docs/site").glob("*.md"))
MODULE = "api/course_lib.sampling.html"  # stands for the pages of the other modules, which are made alike
PAGES = [*OWN, *NOTEBOOKS, *DOCUMENTS, "CONTRIBUTING.html", "CHANGELOG.html", MODULE]
PHONE = {"width": 390, "height": 844}
# MathJax has set every formula, or there is none on this page.
READY = "() => !document.querySelector('.math') || document.querySelector('mjx-container')"
SET = "() => window.MathJax?.startup?.promise.then(() => true) ?? true"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def site(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The site, built once, behind a local server: its address and its folder."""
    folder = tmp_path_factory.mktemp("build") / "site"
    command = [sys.executable, "-m", "course_staff.site.build", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    print(f"\n{done.stdout}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


@dataclass
class Opened:
    """A page, and what its browser said and asked for while it opened."""

    page: Page
    name: str
    url: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self) -> None:
        self.page.on("pageerror", lambda error: self.errors.append(f"page: {error}"))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("response", lambda r: self.errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.page.on("requestfailed", lambda r: self.errors.append(f"failed: {r.url[:200]}"))
        self.page.on("request", self._asked)
        self.page.goto(f"{self.url}/{self.name}", wait_until="load")
        self.page.wait_for_function(READY)
        self.page.evaluate(SET)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            self.requests.append(request.url)


@pytest.fixture(scope="module", params=PAGES)
def opened(request: pytest.FixtureRequest, browser: Browser, site: tuple[str, Path]) -> Iterator[Opened]:
    """Each page in turn, opened once for all the tests that look at it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    result = Opened(page, request.param, site[0])
    result.open()
    yield result
    page.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


def shown(canvas: Locator) -> str:
    return canvas.evaluate("c => c.toDataURL()")


# ---------------------------------------------------------------- every page


def test_it_opens_without_errors_and_asks_no_other_host(opened):
    expect(opened.page.locator("article h1")).to_have_count(1)
    assert opened.errors == []
    assert len(opened.requests) > 5
    assert [url for url in opened.requests if not url.startswith(f"{opened.url}/")] == []


def test_every_formula_is_set(opened):
    written = opened.page.locator(".math").count()
    assert opened.page.locator("mjx-container").count() == written
    assert opened.page.locator("mjx-merror").count() == 0
    if opened.name == "notebooks/02_gaussians.html":
        assert written > 500


def test_no_markup_is_left_among_the_words(opened):
    of_python = "emphasis of Markdown" if opened.name.startswith("api/") else "none"  # docstrings write powers as x**2
    assert [mark for mark in left_over(opened.page) if not mark.startswith(of_python)] == []
    assert NOBODYS not in opened.page.evaluate("document.body.textContent"), "not even in code"


def test_each_scrubber_moves(opened):
    scrubbers = opened.page.locator(".course-scrubber").all()
    if opened.name in NOTEBOOKS or opened.name == "index.html":
        assert scrubbers, "every notebook has one, and the first page"
    for scrubber in scrubbers:
        scrubber.scroll_into_view_if_needed()
        expect(scrubber).to_have_attribute("data-ready", "")
        slider, canvas = scrubber.locator("input[type=range]"), scrubber.locator("canvas").first
        slider.focus()
        opened.page.keyboard.press("Home")
        expect(slider).to_have_attribute("aria-valuetext", pattern(1))
        first = shown(canvas)
        opened.page.keyboard.press("ArrowRight")
        expect(slider).to_have_attribute("aria-valuetext", pattern(2))
        opened.page.wait_for_timeout(50)
        assert shown(canvas) != first, "the picture is that of the next frame"


def pattern(frame: int) -> re.Pattern[str]:
    return re.compile(rf"\bframe {frame} of \d+")


def test_on_a_phone_the_body_does_not_scroll_sideways(opened):
    opened.page.set_viewport_size(PHONE)
    opened.page.wait_for_timeout(100)
    widths = opened.page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
    assert max(widths) == PHONE["width"]


def test_the_pages_are_those_that_were_looked_at(site):
    built = {path.relative_to(site[1]).as_posix() for path in site[1].rglob("*.html")}
    modules = {f"api/{name}.html" for package in PACKAGES for name, _ in modules_of(import_module(package))}
    assert {name for name in built if not name.startswith("_static/")} - {"search.html"} == modules.union(PAGES)


# ---------------------------------------------------------------- a phone


def test_on_a_phone_navigation_and_scrubber_can_be_used(browser, site):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{site[0]}/index.html")
    link = page.locator(".bd-sidebar-primary").get_by_role("link", name="05 DDPM: predict the noise")
    expect(link).not_to_be_in_viewport()
    page.locator("button.primary-toggle:visible").tap()
    expect(link).to_be_in_viewport()
    link.tap()
    page.wait_for_url("**/05_ddpm.html")
    page.goto(f"{site[0]}/index.html")
    scrubber = page.locator(".course-scrubber[data-ready]")
    slider, canvas = scrubber.locator("input[type=range]"), scrubber.locator("canvas")
    slider.scroll_into_view_if_needed()
    for part in (slider, canvas, scrubber.get_by_role("button")):
        box = part.first.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] and box["height"] >= 32
    before, box = shown(canvas), slider.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(slider).not_to_have_attribute("aria-valuetext", pattern(1))
    page.wait_for_timeout(50)
    assert shown(canvas) != before
    context.close()


def test_on_a_phone_a_wide_equation_can_be_scrolled_to_its_beginning(page, site):
    page.set_viewport_size(PHONE)
    page.goto(f"{site[0]}/notebooks/03_forward_process.html#eq-03-6")
    page.wait_for_function(READY)
    page.evaluate(SET)
    edges = page.locator("#eq-03-6").evaluate(
        "e => { const box = [e, ...e.querySelectorAll('div.math')].find(x => x.matches('div.math'));"
        " box.scrollLeft = 0; return [box.getBoundingClientRect().left,"
        " box.querySelector('mjx-math').getBoundingClientRect().left, box.scrollWidth > box.clientWidth]; }"
    )
    assert edges[1] >= edges[0] and edges[2]


# ---------------------------------------------------------------- what pages offer


def test_search_finds_a_term(page, site):
    page.goto(f"{site[0]}/search.html?q=variance+preserving")
    found = page.locator("#search-results a[href*='03_forward_process']")
    expect(found.first).to_be_visible(timeout=20_000)
    expect(page.locator("#search-results a[href*='glossary']").first).to_be_visible()


def test_solutions_are_folded_and_open(page, site):
    page.goto(f"{site[0]}/notebooks/03_forward_process.html")
    exercises = page.locator("h3", has_text="Exercise 03.")
    solutions = page.locator("details.hide", has_text="Show a solution")
    assert solutions.count() == exercises.count() >= 8
    assert all(not solution.evaluate("e => e.open") for solution in solutions.all())
    code = solutions.first.locator("pre")
    expect(code).not_to_be_visible()
    solutions.first.locator("summary").click()
    expect(code).to_be_visible()
    assert "return kept * data_variance" in code.inner_text()
    stub = page.locator("div.cell:not(:has(details))", has_text="raise NotImplementedError")
    assert stub.count() == exercises.count()


@pytest.mark.parametrize("name", Course().names())
def test_what_needs_a_kernel_says_so_and_shows_a_picture(page, site, name):
    cells = nbformat.read(Course().solution(name), as_version=4).cells
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    explorers = sum(VIEW in one and one["text/plain"].startswith("Explorer") for one in data)
    views = sum(VIEW in one for one in data)
    page.goto(f"{site[0]}/notebooks/{name}.html")
    still = page.locator(".course-still")
    assert still.count() == views and all(one.inner_text().strip() for one in still.all())
    explained = page.locator(".course-still", has_text=NEEDS_A_KERNEL)
    assert explained.count() == explorers
    for one in explained.all():
        box = one.locator("svg[role=img]").first.bounding_box()
        assert box and box["width"] > 100 and box["height"] > 50


@pytest.mark.parametrize("name", Course().names())
def test_launch_buttons_lead_to_the_unsolved_notebook_of_the_release_or_are_not_there(page, site, name):
    page.goto(f"{site[0]}/notebooks/{name}.html")
    addresses = set(page.locator(".dropdown-launch-buttons a").evaluate_all("all => all.map(a => a.href)"))
    there = require_launch(ROOT / "pyproject.toml")
    path = f"notebooks/{name}.ipynb"
    right = {unquote(there.binder(path)), unquote(there.colab(path))} if there.published else set()
    assert set(map(unquote, addresses)) == right


def test_an_equation_and_an_exercise_can_be_reached_from_their_lists(page, site):
    for listing, words, target in (
        ("equations.html", "(03.6)", "#eq-03-6"),
        ("exercises.html", "03.1", "#exercise-03-1"),
    ):
        page.goto(f"{site[0]}/{listing}")
        page.get_by_role("link", name=words, exact=True).click()
        page.wait_for_url(f"**/03_forward_process.html{target}")
        expect(page.locator(target).first).to_be_attached()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("course_lib.sampling", "sample"),
        ("course_lib.training", "train"),
        ("course_lib.schedule", "bridge"),
        ("course_checks", "check"),
    ],
)
def test_a_function_stands_with_its_signature_on_the_page_of_its_module(page, site, module, name):
    page.goto(f"{site[0]}/api.html")
    page.locator("article").get_by_role("link", name=module.removeprefix("course_lib."), exact=True).click()
    page.wait_for_url(f"**/api/{module}.html#*")
    heading = page.locator(f"dt[id='{module}.{name}']")
    function = getattr(import_module(module), name)
    assert heading.locator(".sig-param > .n:first-child").all_inner_texts() == list(
        inspect.signature(function).parameters
    )
    assert inspect.getdoc(function).split()[0] in heading.locator("+ dd").inner_text()
