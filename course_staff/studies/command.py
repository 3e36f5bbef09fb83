"""The command `bench`. Everything heavy is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from course_lib.command.parser import Parser, typed_path


def main(argv: Sequence[str] | None = None, program: str = "course_staff") -> int:
    """`bench [options]`, a command of `program`; returns the exit code. Raises ValueError for a bad argument."""
    parser = Parser(
        prog=f"{program} bench",
        description="Takes about ten minutes, with nothing else running; measures the processor only; "
        "needs diffusers (`make teacher`).",
    )
    parser.add_argument("--presets", nargs="+", default=["tiny"], help="those of ours to measure (default: tiny)")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long to train each (default: 180)")
    parser.add_argument("--samples", type=int, default=500, help="images for each Fréchet distance (default: 500)")
    parser.add_argument("--no-reference", dest="reference", action="store_false", help="leave diffusers' network out")
    parser.add_argument(
        "--out", type=typed_path, default="runs/bench", metavar="FOLDER", help="where it is saved (default: runs/bench)"
    )
    arguments = parser.parse_args(argv)

    from .bench import bench

    return bench(arguments)


if __name__ == "__main__":
    sys.exit(main())
