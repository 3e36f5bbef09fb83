"""The scrubber where it lives: JupyterLab with a kernel, without one, untrusted, and an exported page off line."""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import Lab
from playwright.sync_api import Browser, Page, expect

expect.set_options(timeout=20_000)  # machines that test may be busy
pytestmark = pytest.mark.xdist_group("jupyterlab")  # one JupyterLab, even where tests run in parallel

# 51 frames of 400 x 400; the middle of frame k has its own grey, k / 50, the rest is a pattern that moves.
LARGE = """
import numpy as np
from course_lib.scrubber import scrub

rows, columns = np.mgrid[:400, :400] / 400
frames = np.stack([0.5 + 0.5 * np.sin(20 * rows * columns + k / 5) for k in range(51)])
frames[:, 180:220, 180:220] = (np.arange(51) / 50)[:, None, None]
t = np.linspace(0, 1, 51)
scrub(frames, t=t, levels=256, curves={"alpha": 1 - t}, alt="A pattern moves", title="Large")
"""
SMALL = """
digits = frames[::5, 160:240:3, 160:240:3]
scrub({"x_t": digits, "again": digits}, t=t[::5], loop=False, fps=30, alt="A small pattern")
"""
PICTURE = """
from course_lib import plotting

plotting.curves({"alpha": 1 - t}, x=t, alt="alpha falls in a straight line")
"""
FRAMES = 51

# Installed in the page: after each key, look at the canvas at every animation frame until it shows the frame asked
# for. Reports which animation frame that was, and the time from the key to the one after it, when it is on screen.
WATCH = """
([selector, wanted]) => new Promise((resolve) => {
  const canvas = document.querySelector(selector);
  const grey = () => canvas.getContext("2d").getImageData(200, 200, 1, 1).data[0];
  document.addEventListener("keydown", (event) => {
    let frames = 0;
    const look = () => {
      frames += 1;
      const right = grey() === wanted;
      if (!right && frames < 30) return requestAnimationFrame(look);
      requestAnimationFrame(() => { window.seen = { frames, right, ms: performance.now() - event.timeStamp }; });
    };
    requestAnimationFrame(look);
  }, { capture: true, once: true });
  window.seen = null;
  resolve();
})
"""

KERNEL_IS = """
(status) => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === status
"""


def grey_of(frame: int) -> int:
    return round(frame / (FRAMES - 1) * 255)


def press_and_watch(page: Page, key: str, wanted: int, canvas: str) -> dict[str, Any]:
    page.evaluate(WATCH, [canvas, grey_of(wanted)])
    page.keyboard.press(key)
    page.wait_for_function("() => window.seen")
    return page.evaluate("() => window.seen")


def check_twenty_steps(page: Page, where: str) -> None:
    """ArrowRight 20 times: the right frame within two animation frames of each key."""
    page.wait_for_selector(".course-scrubber[data-ready]")
    slider = page.locator(".course-scrubber input[type=range]").first
    slider.focus()
    page.keyboard.press("Home")
    seen = [press_and_watch(page, "ArrowRight", step, ".course-scrubber canvas") for step in range(1, 21)]
    assert all(s["right"] and s["frames"] <= 2 for s in seen), seen
    expect(slider).to_have_attribute("aria-valuetext", "t = 0.4, frame 21 of 51")
    expect(slider).to_be_focused()
    print(f"\n{where}: key to paint, median {statistics.median(s['ms'] for s in seen):.0f} ms")


def write_notebook(path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in (LARGE, SMALL, SMALL, PICTURE)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


def command(page: Page, name: str) -> None:
    page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)


def open_in_lab(browser: Browser, lab: Lab, name: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.goto(f"{lab.url}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    return page


@pytest.fixture(scope="module")
def lab_page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """The notebook, run and saved in JupyterLab."""
    write_notebook(lab.root / "scrub.ipynb")
    page = open_in_lab(browser, lab, "scrub.ipynb")
    page.wait_for_function(KERNEL_IS, arg="idle", timeout=60_000)
    command(page, "notebook:run-all-cells")
    expect(page.locator(".course-scrubber .cs-player")).to_have_count(3, timeout=60_000)
    expect(page.get_by_alt_text("alpha falls in a straight line")).to_have_count(1)
    command(page, "docmanager:save")
    yield page
    page.close()


@pytest.fixture(scope="module")
def exported(lab_page: Page, lab: Lab) -> Path:
    """The notebook as JupyterLab saved it, exported by `jupyter nbconvert --to html`; its dark twin lies beside it."""
    for theme, name in (("light", "scrub"), ("dark", "dark")):
        nbconvert = [
            sys.executable,
            "-m",
            "nbconvert",
            "--to",
            "html",
            "--theme",
            theme,
            "--output",
            name,
            "scrub.ipynb",
        ]
        subprocess.run(nbconvert, cwd=lab.root, env=lab.environment, check=True, capture_output=True)
    return lab.root / "scrub.html"


@pytest.fixture
def offline_page(browser: Browser, exported: Path) -> Iterator[Page]:
    """The exported page, opened from disk with the network off; fails on errors that are ours."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_offline(True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"page: {error}"))
    # The export template itself asks the network for MathJax and the like; those failures are not the scrubber's.
    page.on(
        "console",
        lambda m: errors.append(m.text) if m.type == "error" and not m.location["url"].startswith("http") else None,
    )
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    yield page
    context.close()
    assert not errors


def active_cell(page: Page) -> int:
    cells = page.locator(".jp-Notebook .jp-Cell")
    return cells.evaluate_all("cells => cells.findIndex(cell => cell.classList.contains('jp-mod-active'))")


def test_in_jupyterlab_every_arrow_paints_its_frame(lab_page):
    check_twenty_steps(lab_page, "JupyterLab")


def test_jupyterlab_leaves_the_keys_to_the_slider(lab_page):
    """Arrows would select other cells, B would add one, Enter would edit: none may happen while the slider listens."""
    slider = lab_page.locator(".course-scrubber input[type=range]").first
    slider.focus()
    before = active_cell(lab_page), lab_page.locator(".jp-Notebook .jp-Cell").count()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "b", "j", "Enter"):
        lab_page.keyboard.press(key)
        expect(slider).to_be_focused()
    assert (active_cell(lab_page), lab_page.locator(".jp-Notebook .jp-Cell").count()) == before


def test_a_pointed_pixel_shows_its_path(lab_page):
    player = lab_page.locator(".course-scrubber").first
    player.locator("canvas").hover(position={"x": 5, "y": 5})
    expect(player.locator(".cs-hint")).to_have_text(
        re.compile(r"^Brightness \(0 to 1\) of the pixel in row \d+, column \d+:$")
    )
    before = player.locator(".cs-probe path").first.get_attribute("d")
    player.locator("canvas").focus()
    lab_page.keyboard.press("ArrowDown")
    assert player.locator(".cs-probe path").first.get_attribute("d") != before
    # In the middle, where frame k has grey k / 50, the path rises from 0 to 1: from 4 above the plot's floor to 4 below
    # its ceiling, 36 units up.
    player.locator("canvas").hover()
    path = player.locator(".cs-probe path").first.get_attribute("d")
    heights = [float(pair.split()[1]) for pair in re.split("[ML]", path)[1:]]
    assert heights == pytest.approx([32 - 28 * grey_of(k) / 255 for k in range(FRAMES)], abs=0.051)


def test_with_the_kernel_shut_down_every_arrow_paints_its_frame(lab_page, exported):
    command(lab_page, "kernelmenu:shutdown")
    lab_page.wait_for_selector("text=No Kernel")
    check_twenty_steps(lab_page, "JupyterLab, kernel shut down")


def test_untrusted_notebook_shows_a_still_sheet(browser, lab, exported):
    """A notebook that this machine has not signed: no script runs, the sheet of frames is there and visible."""
    stranger = (lab.root / "scrub.ipynb").read_text().replace("Large", "Other")
    (lab.root / "stranger.ipynb").write_text(stranger)
    page = open_in_lab(browser, lab, "stranger.ipynb")
    sheet = page.locator(".jp-OutputArea-output img").first
    expect(sheet).to_be_visible()
    assert sheet.evaluate("image => image.decode().then(() => image.naturalWidth)") > 2000
    assert sheet.get_attribute("alt") == "A pattern moves. All 51 frames, from t = 0 to t = 1."
    expect(page.locator("canvas.cs-pixels")).to_have_count(0)
    expect(page.get_by_text("Trust the notebook, or allow scripts").first).to_be_visible()
    expect(page.get_by_alt_text("alpha falls in a straight line")).to_have_count(1)
    page.close()


def test_exported_page_off_line_every_arrow_paints_its_frame(offline_page):
    check_twenty_steps(offline_page, "exported page, off line")


def test_exported_page_keeps_the_words_of_a_figure(offline_page):
    figure = offline_page.get_by_alt_text("alpha falls in a straight line")
    assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") == 2 * 640


def test_identical_scrubbers_move_apart(offline_page):
    players = offline_page.locator(".course-scrubber")
    names = [players.nth(n).get_attribute("data-scrubber") for n in range(3)]
    assert names[1] == names[2] != names[0]
    second, third = (players.nth(n).locator("input[type=range]") for n in (1, 2))
    second.scroll_into_view_if_needed()
    second.focus()
    for _ in range(3):
        offline_page.keyboard.press("ArrowRight")
    expect(second).to_have_attribute("aria-valuetext", "t = 0.3, frame 4 of 11")
    expect(third).to_have_attribute("aria-valuetext", "t = 0, frame 1 of 11")
    offline_page.wait_for_function("() => document.querySelectorAll('.course-scrubber[data-ready]').length === 3")
    canvases = players.nth(1).locator("canvas")
    greys = [c.evaluate("c => c.getContext('2d').getImageData(13, 13, 1, 1).data[0]") for c in canvases.all()]
    assert greys == pytest.approx([0.3 * 255] * 2, abs=255 / 63 / 2 + 1)  # 64 grey levels
    assert canvases.first.get_attribute("aria-label") == "x_t: A small pattern, t = 0.3, frame 4 of 11"


def test_keys_reach_the_ends_and_leap(offline_page):
    slider = offline_page.locator("input[type=range]").first
    slider.focus()
    for key, frame in [
        ("End", 51),
        ("ArrowRight", 51),
        ("PageDown", 46),
        ("Home", 1),
        ("ArrowLeft", 1),
        ("PageUp", 6),
        ("ArrowUp", 7),
    ]:
        offline_page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuetext", re.compile(rf"frame {frame} of 51$"))


def test_play_runs_to_the_end_stops_and_loops_when_asked(offline_page):
    player = offline_page.locator(".course-scrubber").nth(1)
    player.scroll_into_view_if_needed()
    button, slider = player.locator("button"), player.locator("input[type=range]")
    player.locator("select").select_option("4")
    button.click()
    expect(button).to_have_text("⏸ Pause")
    expect(slider).to_have_attribute("aria-valuetext", "t = 1, frame 11 of 11")
    expect(button).to_have_text("▶ Play")
    player.locator("input[type=checkbox]").check()
    slider.focus()
    offline_page.keyboard.press("Space")  # from the end: starts again at the first frame
    offline_page.wait_for_timeout(700)
    expect(button).to_have_text("⏸ Pause")
    offline_page.keyboard.press("Space")
    expect(button).to_have_text("▶ Play")


def test_dragging_lands_on_the_frame_under_the_pointer(offline_page):
    slider = offline_page.locator("input[type=range]").first
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    offline_page.mouse.move(box["x"] + 10, middle)
    offline_page.mouse.down()
    offline_page.mouse.move(box["x"] + 10 + (box["width"] - 20) * 0.5, middle, steps=10)
    expect(slider).to_have_attribute("aria-valuetext", "t = 0.5, frame 26 of 51")
    offline_page.mouse.up()


def test_reduced_motion_plays_slowly(browser, exported):
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    player = page.locator(".course-scrubber").nth(1)
    slider = player.locator("input[type=range]")
    began = time.monotonic()
    player.locator("button").click()  # 30 frames a second were asked for: at most 2 are shown
    expect(slider).to_have_attribute("aria-valuetext", re.compile("frame [34] of 11"))
    assert time.monotonic() - began >= 0.9
    context.close()


def test_a_finger_moves_the_slider(browser, exported):
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 420, "height": 800})
    page = context.new_page()
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    slider = page.locator("input[type=range]").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(slider).to_have_attribute("aria-valuetext", "t = 0.5, frame 26 of 51")
    context.close()


@pytest.mark.parametrize("width", [1280, 420])
def test_players_fit_the_page(browser, exported, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    for player in page.locator(".cs-player").all():
        for part in [*player.locator("canvas").all(), player.locator("input[type=range]"), player.locator("select")]:
            box = part.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] >= 32  # large enough for a finger
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_accessibility_violation(browser, exported, theme):
    """axe-core over the exported page; left out are nbconvert's own code listings and cell numbers (pale colours)."""
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(exported.with_stem({"light": "scrub", "dark": "dark"}[theme]).as_uri(), wait_until="domcontentloaded")
    page.wait_for_selector(".course-scrubber[data-ready]")
    elsewhere = [".highlight", ".jp-InputPrompt", ".jp-OutputPrompt"]
    found = Axe().run(page, context={"exclude": elsewhere}).response["violations"]
    page.close()
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert not [(v["id"], v["help"], [node["target"] for node in v["nodes"]]) for v in serious]
