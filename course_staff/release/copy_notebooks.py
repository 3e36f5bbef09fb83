"""Copies the student notebooks to the folder a learner works in, and never touches a file that is already there.

A record beside the copies (`.copied.json`: notebook name -> SHA-256 of the release last handed out) tells a notebook
that the learner has changed from one that the course has changed. A newer release is put beside the old copy as
`NAME.new.ipynb` (`NAME.new2.ipynb` if that is taken), never over it. Nothing heavy is imported: it starts at once.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from course_lib.command.parser import typed_path
from course_lib.files import write_atomically

RECORD = ".copied.json"


def copy_notebooks(source: Path, target: Path) -> list[str]:
    """Hand out every notebook of `source` to `target`; return one sentence for each thing done.

    Raises ValueError where `source` holds no notebook.
    """
    notebooks = sorted(source.glob("*.ipynb"))
    if not notebooks:
        raise ValueError(f"no notebooks in {source}: expected files named NN_name.ipynb")
    target.mkdir(parents=True, exist_ok=True)
    record = _read_record(target / RECORD)
    said = []
    for notebook in notebooks:
        release = notebook.read_bytes()
        digest = hashlib.sha256(release).hexdigest()
        copy = target / notebook.name
        if not copy.exists():
            write_atomically(copy, release, new=True)
            said.append(f"copied {notebook.name} to {target}/")
        elif copy.read_bytes() != release and record.get(notebook.name) != digest:
            beside = _free_name(copy)
            write_atomically(beside, release, new=True)
            said.append(f"{copy} is kept; the course has a newer version, now beside it as {beside.name}")
        if record.get(notebook.name) != digest:
            record[notebook.name] = digest
            write_atomically(target / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
    return said


def _free_name(copy: Path) -> Path:
    """`NAME.new.ipynb`, or the first `NAME.newN.ipynb` that does not exist."""
    number = 1
    while True:
        beside = copy.with_suffix(f".new{number if number > 1 else ''}.ipynb")
        if not beside.exists():
            return beside
        number += 1


def _read_record(path: Path) -> dict[str, str]:
    """The record of earlier runs; empty where there is none or a damaged one (newer releases are offered again)."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course_staff copy-notebooks", description=__doc__)
    parser.add_argument("--source", type=typed_path, default=Path("notebooks"), help="folder of the course's notebooks")
    parser.add_argument("--target", type=typed_path, default=Path("my"), help="folder to work in")
    options = parser.parse_args(arguments)
    try:
        said = copy_notebooks(options.source, options.target)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    print("\n".join(said) or f"{options.target}/ already has every notebook; nothing was changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
