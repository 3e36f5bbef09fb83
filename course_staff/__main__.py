"""What authors and teachers run: `python -m course_staff COMMAND ...`; without one, the list of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from course_lib.command.parser import STAFF, exit_code, print_anything, refuse

COMMANDS = {  # name -> module, whose `main` takes the words after the name; what it does
    "build": ("building.command", STAFF["build"]),
    "grade": ("grading.command", STAFF["grade"]),
    "bench": ("studies.command", STAFF["bench"]),
    "site": ("site.build", "build the site, offline, into build/site"),
    "small-machine": ("studies.small_machine", "run every notebook on one core with 2 GB of memory"),
    "fork": ("release.fork", "make the course yours: every link, badge and install cell"),
    "pins": ("release.pins", "write requirements*.txt from the versions installed here"),
    "copy-notebooks": ("release.copy_notebooks", "copy the notebooks to my/, never over a learner's work"),
    "ship": ("release.ship", "judge a finished run and ship its weights as the digits model"),
    "features": ("release.features", "train the feature network behind the Fréchet distance"),
    "pictures": ("release.pictures", "draw the pictures of the README and of notebook 00"),
    "letter": ("release.letter", "draw the letter T of the demos"),
    "gpu-check": ("studies.gpu_check", "check and measure what a GPU gets"),
    "recipe": ("studies.recipe", "measure what each part of the training recipe is worth"),
    "record 01": ("studies.nb01", "record an experiment of notebook 01"),
    "record 05": ("studies.nb05", "record an experiment of notebook 05"),
    "record 06": ("studies.nb06", "record notebook 06's grid of samplers"),
}
HELP = "\n".join(f"  {name:15} {text}" for name, (_, text) in COMMANDS.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Nothing of the others is imported."""
    print_anything()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: course_staff COMMAND ...\n\nWhat authors and teachers run:\n{HELP}")
        return 0 if words else 2
    length = 2 if words[0] == "record" else 1
    name = " ".join(words[:length])
    if name not in COMMANDS:
        return refuse("course_staff", f"there is no command {name!r}; there are {', '.join(COMMANDS)}")
    module = f"course_staff.{COMMANDS[name][0]}"
    return exit_code(f"course_staff {name}", lambda: import_module(module).main(words[length:]))


if __name__ == "__main__":
    sys.exit(main())
