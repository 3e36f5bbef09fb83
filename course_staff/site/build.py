"""Builds the site, offline: `make site`. `pages` writes what Sphinx reads, `check` looks through what it made."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from course_lib.command.parser import typed_path

from ..course import ROOT
from .check import problems, weight
from .pages import prepare


def build(out: Path) -> list[str]:
    """Build the site into `out`, which is replaced; one line for each thing that is wrong with it.

    Two folders beside it, OUT-source and OUT-doctrees, hold what Sphinx reads and what it remembers.
    """
    source = out.with_name(f"{out.name}-source")
    if out.exists() and not (out / "searchindex.js").exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no site; name another folder")
    prepare(source)
    shutil.rmtree(out, ignore_errors=True)
    return problems(out) if sphinx(source, out) else ["Sphinx found the problems above"]


def sphinx(source: Path, out: Path) -> bool:
    """Let Sphinx make `out` of `source`; False where it had to warn of anything, which it has then printed."""
    from sphinx.cmd.build import build_main

    doctrees = out.with_name(f"{out.name}-doctrees")
    options = ["-b", "html", "-d", str(doctrees), "-E", "-W", "--keep-going", "-q"]
    return build_main([*options, str(source), str(out)]) == 0


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, 1 where the site is not as it should be, 2 for a bad argument or setting."""
    parser = argparse.ArgumentParser(prog="course_staff site", description="Build the site, offline.")
    default = ROOT / "build" / "site"
    parser.add_argument("--out", type=typed_path, default=default, help="folder to write (default: build/site)")
    out = parser.parse_args(arguments).out.resolve()
    try:
        found = build(out)
    except ValueError as error:
        print(f"site: {error}", file=sys.stderr)
        return 2
    for line in found:
        print(f"site: {line}", file=sys.stderr)
    if not found:
        print(f"{out / 'index.html'} is the first page. {weight(out)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
