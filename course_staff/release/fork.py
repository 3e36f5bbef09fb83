"""Makes the course yours: `make fork REPO=me/mine`, or `python -m course_staff fork me/mine [--release v0.2.0]`.

Every link to the course's own repository, every badge and the cell that installs the course are made from the setting
`[tool.course]` of pyproject.toml. This changes the setting and all of them, in every text file of the course. Nothing
is run and no output is lost; a second run changes nothing, and an interrupted one is finished by the next.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from course_lib.command.parser import typed_path
from course_lib.files import write_atomically

from ..building.launch import BUTTONS, badge_files
from ..course import Launch, read_launch, require_launch

TEXT = {".cff", ".cfg", ".html", ".ipynb", ".js", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}
PLACES = ("github.com", "raw.githubusercontent.com", "mybinder.org/v2/gh", "colab.research.google.com/github")
LEFT_OUT = {".git", ".venv", ".venv-latest", "my", "runs", "grades", "build", "dist", "node_modules"}


def fork(folder: Path, new: Launch) -> list[str]:
    """Change `folder` from its present setting to `new`; the changed files, relative. ValueError without a setting."""
    setting = folder / "pyproject.toml"
    old = require_launch(setting)
    changed = {}
    for path in text_files(folder):
        before = path.read_bytes().decode("utf-8", "surrogateescape")
        after = restamp(before, old, new)
        if path.suffix in (".md", ".ipynb"):
            after = after.replace(BUTTONS[old.published], BUTTONS[new.published])
        if path == setting:
            after = set_setting(after, new)
        if after != before:
            changed[path] = after
    # The setting comes last: until then, a run that was interrupted still knows what to look for.
    for path in sorted(changed, key=lambda path: (path == setting, path)):
        write_as_it_was(path, changed[path])
    for name, svg in badge_files().items():
        picture = folder / "docs" / "images" / name
        if not picture.exists() or picture.read_text(encoding="utf-8") != svg:
            write_atomically(picture, svg)
            changed[picture] = svg
    return sorted(path.relative_to(folder).as_posix() for path in changed)


def restamp(text: str, old: Launch, new: Launch) -> str:
    """`text` with every link to the old repository leading to the new one, and there to the new release."""
    places = "|".join(map(re.escape, PLACES))
    # A longer name that begins like ours is another repository; ".git" and a sentence's full stop are no part of it.
    end = r"(?=\.git\b|\.(?!\w)|[^\w.-]|$)"
    link = re.compile(rf"((?:{places})/){re.escape(old.repository)}{end}([^\s\"'<>()\[\]\\]*)")
    tag = re.compile(rf"(?<![\w.-]){re.escape(old.release)}(?=\.tar\.gz|\.zip|[^\w.-]|\.?$)")
    text = link.sub(lambda found: found[1] + new.repository + tag.sub(new.release, found[2]), text)
    return re.sub(rf"\b{re.escape(pages(old))}{end}", pages(new), text)


def pages(launch: Launch) -> str:
    """Where GitHub shows the course's site."""
    owner, name = launch.repository.split("/")
    return f"{owner.lower()}.github.io/{name}"


def set_setting(text: str, new: Launch) -> str:
    """pyproject.toml's text with this setting, its comments kept."""
    head, mark, tail = text.partition("[tool.course]\n")
    section, gap, rest = tail.partition("\n[")
    section = re.sub(r'^repository = ".*"', f'repository = "{new.repository}"', section, flags=re.MULTILINE)
    section = re.sub(r'^release = ".*"', f'release = "{new.release}"', section, flags=re.MULTILINE)
    return head + mark + section + gap + rest


def write_as_it_was(path: Path, text: str) -> None:
    """Write atomically, with the permissions the file had."""
    mode = path.stat().st_mode
    write_atomically(path, text)
    path.chmod(mode)


def text_files(folder: Path) -> list[Path]:
    """The course's own text files: what git tracks or would add; without git, all but builds and a learner's work."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        paths = [folder / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in folder.rglob("*") if not LEFT_OUT & set(path.relative_to(folder).parts)]
    return sorted(path for path in set(paths) if path.suffix in TEXT and path.is_file() and not path.is_symlink())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course_staff fork", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("repository", help="owner/name of your repository on GitHub")
    parser.add_argument("--release", help="the tag to install from (default: as it is)")
    parser.add_argument("--folder", type=typed_path, default=Path("."), help="the course (default: here)")
    options = parser.parse_args(arguments)
    try:
        old = read_launch(options.folder / "pyproject.toml")
        new = Launch(options.repository, options.release or (old.release if old else "v0"))
        changed = fork(options.folder, new)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join([f"changed {path}" for path in changed] or ["Nothing to change."]))
    print(f"Badges and the install cell need the tag {new.release} at {new.url}: commit this, then")
    print(f"  git tag {new.release} && git push origin HEAD {new.release}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
