"""The explorers in a real browser with a live kernel: JupyterLab runs all four, and each of their controls moves."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from conftest import Lab
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect

pytestmark = pytest.mark.xdist_group("jupyterlab")  # one JupyterLab, even where tests run in parallel

NAMES = ("affine_gaussian", "schedule_designer", "noise_as_convolution", "sampler_bench")
each_explorer = pytest.mark.parametrize("name", NAMES)

# What the kernel's log says at level error goes to a file: of messages from widgets, and of the event loop.
LISTEN = """
import logging

log = logging.FileHandler("errors.txt")
log.setLevel(logging.ERROR)
logging.getLogger().addHandler(log)
get_ipython().kernel.log.addHandler(log)
"""

# The time from a key to the paint of its answer: to the second animation frame after the first change in the views.
TIME_THE_NEXT_KEY = """
(views) => {
  let pressed = null;
  window.took = null;
  document.addEventListener("keydown", (event) => { pressed = event.timeStamp; }, { capture: true, once: true });
  const watcher = new MutationObserver(() => {
    watcher.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => { window.took = performance.now() - pressed; }));
  });
  watcher.observe(views, { childList: true, subtree: true });
}
"""

# Does a picture of this explorer say these words?
SAYS = """
([number, words]) => [...document.querySelectorAll(".course-explorer")[number].querySelectorAll("svg[role=img]")]
  .some((picture) => picture.ariaLabel.includes(words))
"""


def write_notebook(path: Path) -> None:
    show = [f"from course_lib.explorers import {name}\n\n{name}()" for name in NAMES]
    cells = [nbformat.v4.new_code_cell(source) for source in (LISTEN, *show)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


@pytest.fixture(scope="module")
def console_errors() -> list[str]:
    """What the browser's console and the page's scripts report as errors."""
    return []


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab, console_errors: list[str]) -> Iterator[Page]:
    """The notebook, run in JupyterLab; tall enough to render every output."""
    write_notebook(lab.root / "explore.ipynb")
    page = browser.new_page(viewport={"width": 1280, "height": 3600})
    page.on("pageerror", lambda error: console_errors.append(f"page: {error}"))
    page.on("console", lambda message: console_errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{lab.url}/lab/tree/explore.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=60_000,
    )
    console_errors.clear()  # those of JupyterLab's own start
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    expect(page.locator(".course-explorer")).to_have_count(len(NAMES), timeout=90_000)
    yield page
    page.close()


def explorer(page: Page, name: str) -> Locator:
    return page.locator(".course-explorer").nth(NAMES.index(name))


def slider(page: Page, name: str, label: str) -> Locator:
    """The handle of the slider with this description; it takes the keyboard's focus."""
    row = explorer(page, name).locator(".widget-hslider", has=page.get_by_text(label, exact=True))
    return row.locator(".noUi-handle")


def alt_texts(page: Page, name: str) -> list[str]:
    return explorer(page, name).locator("svg[role=img]").evaluate_all("all => all.map(s => s.ariaLabel)")


def pictures(page: Page, name: str) -> str:
    return explorer(page, name).locator(".course-explorer-views").inner_html()


def wait_for_change(page: Page, name: str, before: str, what: str) -> None:
    for _ in range(400):
        if pictures(page, name) != before:
            return
        page.wait_for_timeout(25)
    pytest.fail(f"{name}: the pictures did not follow {what}")


def move_visible_sliders(page: Page, name: str) -> int:
    """One step to the right with each slider; every time a picture has to change."""
    handles = explorer(page, name).locator(".noUi-handle").filter(visible=True).all()
    for number, handle in enumerate(handles):
        before = pictures(page, name)
        handle.focus()
        page.keyboard.press("ArrowRight")
        wait_for_change(page, name, before, f"slider {number}")
    return len(handles)


@each_explorer
def test_every_picture_has_words_and_every_image_pixels(page, name):
    svgs = explorer(page, name).locator("svg[role=img]")
    expect(svgs.first).to_be_visible()
    assert all(alt_texts(page, name))
    for href in explorer(page, name).locator("image").evaluate_all("all => all.map(i => i.href.baseVal)"):
        assert page.evaluate("h => { const i = new Image(); i.src = h; return i.decode().then(() => i.width) }", href)


@pytest.mark.parametrize(
    ("name", "sliders"), [("affine_gaussian", 7), ("noise_as_convolution", 2), ("sampler_bench", 3)]
)
def test_the_pictures_follow_every_slider(page, name, sliders):
    assert move_visible_sliders(page, name) == sliders


def test_the_pictures_follow_every_family_and_each_of_its_parameters(page):
    menu = explorer(page, "schedule_designer").locator("select")
    for family, parameters in enumerate((1, 2, 3, 1, 1, 0)):
        before = pictures(page, "schedule_designer")
        if family:
            menu.select_option(index=family)
            wait_for_change(page, "schedule_designer", before, f"family {family}")
        handles = explorer(page, "schedule_designer").locator(".noUi-handle").filter(visible=True)
        expect(handles).to_have_count(parameters + 3)
        move_visible_sliders(page, "schedule_designer")
    menu.select_option(index=0)


@pytest.mark.parametrize(("name", "menus"), [("noise_as_convolution", 1), ("sampler_bench", 2)])
def test_the_pictures_follow_every_menu_and_box(page, name, menus):
    found = explorer(page, name).locator("select").all()
    assert len(found) == menus
    for menu in found:
        for index in (*range(1, menu.locator("option").count()), 0):
            before = pictures(page, name)
            menu.select_option(index=index)
            wait_for_change(page, name, before, f"entry {index}")
    for box in explorer(page, name).locator("input[type=checkbox]").all():
        before = pictures(page, name)
        box.check()
        wait_for_change(page, name, before, "the box")


@pytest.mark.parametrize(
    ("name", "label", "words"),
    [
        ("affine_gaussian", "turn the noise, °", "turned by 30 degrees"),
        ("schedule_designer", "t", "at t = 0.30 "),
        ("noise_as_convolution", "height of the cut", "x2 = 0.00:"),
        ("sampler_bench", "steps", "walks of 31 steps"),
    ],
)
def test_thirty_fast_moves_end_in_the_last_state_and_leave_no_queue(page, name, label, words):
    handle = slider(page, name, label)
    handle.focus()
    for key in ("End", "Home"):
        before = pictures(page, name)
        page.keyboard.press(key)
        wait_for_change(page, name, before, f"the key {key}")
    page.wait_for_timeout(500)
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    try:
        page.wait_for_function(SAYS, arg=[NAMES.index(name), words], timeout=30_000)
    except TimeoutError:
        pytest.fail(f"{name}: no picture says {words!r}, but {alt_texts(page, name)}")
    now = pictures(page, name)
    for _ in range(10):  # the views of one drawing arrive one after the other; a queue of thirty would go on changing
        page.wait_for_timeout(500)
        before, now = now, pictures(page, name)
        if now == before:
            break
    assert now == before
    page.wait_for_function(SAYS, arg=[NAMES.index(name), words], timeout=1000)


@each_explorer
def test_from_key_to_paint(page, name):
    label = {
        "affine_gaussian": "A₁₁",
        "schedule_designer": "t",
        "noise_as_convolution": "σ",
        "sampler_bench": "η (0 DDIM, 1 DDPM)",
    }
    handle, took = slider(page, name, label[name]), []
    handle.focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(500)
    for _ in range(11):
        explorer(page, name).locator(".course-explorer-views").evaluate(TIME_THE_NEXT_KEY)
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => window.took", timeout=30_000)
        took.append(page.evaluate("() => window.took"))
        page.wait_for_timeout(100)
    print(f"\n{name}: key to paint, median {statistics.median(took):.0f} ms")
    assert statistics.median(took) < 5000  # milliseconds; a hang, not speed, is what a busy machine can be tested for


def test_no_error_in_the_kernel_or_the_console(page, lab, console_errors):
    assert (lab.root / "errors.txt").read_text() == ""
    assert console_errors == []
