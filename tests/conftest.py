"""What the whole test suite shares: the browser, and the rule for machines without one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Headless, no sandbox (tests may run as root in a container), and nothing that talks to the network by itself.
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Files that take minutes go first, so that two processes end at about the same time (see `make test-library`).
LONGEST = ("test_unsolved.py", "test_notebooks.py", "test_grade.py", "test_hostile.py", "test_parallel.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/browser/ carries the marker `browser`; the longest files come first."""
    folder = Path(__file__).parent / "browser"
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def gpu_is_there() -> Iterator[bool]:
    """Whether PyTorch sees an NVIDIA GPU; hides it from all tests and from what they start: they are about the CPU."""
    import torch

    there = torch.cuda.is_available()
    if there:  # what this process sees is settled before the variable changes
        torch.cuda.init()
        torch.cuda.device_count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield there


@pytest.fixture
def gpu(gpu_is_there: bool, monkeypatch: pytest.MonkeyPatch) -> "torch.device":
    """An NVIDIA GPU, for a test marked `gpu`; without one, a skip that says so."""
    import torch

    if not gpu_is_there:
        pytest.skip("no NVIDIA GPU that PyTorch can use")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return torch.device("cuda", 0)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of an installed Chromium. Without one: a failure under CI, a skip that says so elsewhere."""
    named = os.environ.get("COURSE_BROWSER")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return found
    reason = f"no browser: install Chromium, or name one in COURSE_BROWSER (looked for {named or ', '.join(BROWSERS)})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser(chromium: str) -> "Iterator[Browser]":
    """One headless Chromium for the session; each test opens its own page or context in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(BROWSER_FLAGS))
        yield running
        running.close()
