"""The built site, looked through file by file: links that lead nowhere, loads from other hosts, and its weight."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes by which a page makes the browser fetch something; a link fetches nothing until it is clicked.
LOADS = {"src", "srcset", "poster", "data", "background"}
LOADING_LINKS = {"stylesheet", "icon", "shortcut", "preload", "prefetch", "modulepreload", "preconnect", "manifest"}
STYLE_LOADS = re.compile(r"(?:@import\s+(?:url\()?|url\()\s*[\"']?(?P<address>[^\"')\s]+)")


@dataclass
class Page(HTMLParser):
    """What one HTML page defines and uses."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if values.get(name) and (name == "id" or tag == "a")}
        loads = [values[name] for name in LOADS if values.get(name)]
        loads += [match["address"] for match in STYLE_LOADS.finditer(values.get("style", ""))]
        if href := values.get("href") or values.get("xlink:href"):
            loading = tag in ("image", "use") or LOADING_LINKS & set(values.get("rel", "").split())
            (loads if loading else self.links).append(href)
        self.loads += [address for address in loads if not address.startswith("data:")]


def problems(site: Path) -> list[str]:
    """One line for each broken link, missing file and thing that would be loaded from another host."""
    _page.cache_clear()  # a site may have been built again into the same folder
    found: set[str] = set()
    for path in sorted(site.rglob("*.html")):
        if path.relative_to(site).parts[0] == "_static":
            continue
        page, name = _page(path), path.relative_to(site).as_posix()
        for address in page.loads:
            if _elsewhere(address):
                found.add(f"{name} loads {address} from another host")
            elif not _target(path, address).is_file():
                found.add(f"{name} loads {address}, which is not there")
        found |= {f"{name}: {line}" for address in page.links if (line := _defect(path, address))}
    for path in sorted(site.rglob("*.css")):
        for match in STYLE_LOADS.finditer(path.read_text(encoding="utf-8")):
            if _elsewhere(match["address"]):
                found.add(f"{path.relative_to(site).as_posix()} loads {match['address']} from another host")
    return sorted(found)


def _defect(path: Path, address: str) -> str:
    """Why a link of the page at `path` is broken; empty where it is not. Other hosts are only looked at, not asked."""
    try:
        parts = urlsplit(address)
        bad = parts.scheme in ("http", "https") and not re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.hostname or "")
    except ValueError:
        bad = True
    if bad or re.search(r"\s", address):
        return f"{address!r} is not an address"
    if _elsewhere(address) or parts.scheme:
        return "" if parts.scheme in ("http", "https", "mailto") else f"{address!r} is not an address"
    target = _target(path, address)
    if not target.is_file():
        return f"link to {address}, which is not there"
    if parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in _page(target).ids:
        return f"link to {address}, but that page has no #{unquote(parts.fragment)}"
    return ""


def _elsewhere(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https", "ftp") or address.startswith("//")


def _target(path: Path, address: str) -> Path:
    """The file that a relative address on the page at `path` names."""
    name = unquote(urlsplit(address).path)
    target = path.parent / name if name else path
    return target / "index.html" if target.is_dir() else target


@cache
def _page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def weight(site: Path) -> str:
    """Megabytes of the whole site and of its largest pages, one a line."""
    sizes = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    pages = sorted((size, path) for path, size in sizes.items() if path.suffix == ".html")[::-1]
    total = sum(sizes.values()) / 1e6
    lines = [f"{total:.1f} MB in {len(sizes)} files, {len(pages)} of them pages; the largest pages:"]
    lines += [f"  {size / 1e6:5.2f} MB  {path.relative_to(site).as_posix()}" for size, path in pages[:5]]
    return "\n".join(lines)
