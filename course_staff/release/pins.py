"""Writes requirements.txt and requirements-test.txt from the versions installed here: `make pins`.

requirements.txt is the course with its `lab` extra, requirements-test.txt what the other extras add, each with all that
they depend on, so that a fresh machine gets exactly what was tested. The local part of a version (`+cpu`) is left out:
it names where a wheel came from, not what is in it.
"""

import argparse
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib.files import write_atomically

HEAD = "# Exact versions that were tested, with all that they depend on. Written by `make pins`.\n"


def closure(name: str, extras: frozenset[str]) -> set[str]:
    """Names of the installed distributions that `name[extras]` needs, itself left out."""
    wanted = [(canonicalize_name(name), extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        current = wanted.pop()
        if current in seen:
            continue
        seen.add(current)
        try:
            lines = requires(current[0]) or []
        except PackageNotFoundError:
            raise ValueError(f"{current[0]} is not installed: run `make test` once, then `make pins`") from None
        for line in lines:
            requirement = Requirement(line)
            environments = [{"extra": extra} for extra in sorted(current[1]) or [""]]
            if requirement.marker is None or any(requirement.marker.evaluate(e) for e in environments):
                wanted.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {distribution for distribution, _ in seen} - {canonicalize_name(name)}


def pin(name: str) -> str:
    """`name==version` of the installed distribution, without the version's local part."""
    return f"{name}=={Version(version(name)).public}"


def write_pins(folder: Path) -> None:
    """Write both requirement files into `folder`; torch stands first, because it is installed first."""
    lab = closure("course_lib", frozenset({"lab"}))
    rest = closure("course_lib", frozenset({"lab", "staff", "test"})) - lab
    ordered = ["torch", *sorted(lab - {"torch"})]
    write_atomically(folder / "requirements.txt", HEAD + "\n".join(map(pin, ordered)) + "\n")
    test = HEAD + "-r requirements.txt\n" + "\n".join(map(pin, sorted(rest))) + "\n"
    write_atomically(folder / "requirements-test.txt", test)


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="course_staff pins", description=(__doc__ or "").split("\n")[0]).parse_args(arguments)
    write_pins(Path.cwd())
    print("wrote requirements.txt and requirements-test.txt")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
