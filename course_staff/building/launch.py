"""What every notebook begins with, so that it starts anywhere: badges, and a cell that gets the missing course.

Both are made from the setting `[tool.course]` of pyproject.toml: whose repository this is, and the tag to install from.
They are put on when a notebook is written, and taken off before it is compared or carried over: sources and grading
know nothing of them. `python -m course_staff fork` changes the setting and everything made from it.
"""

from __future__ import annotations

from base64 import b64encode

from ..course import Launch
from .source import Json

BADGES, INSTALL = "launch-badges", "launch-install"  # ids of the two cells
LEFT_OUT = "remove-cell"  # their tag: the site shows neither, it has buttons of its own
COLOURS = {"Open in Binder": "#b4530a", "Open in Colab": "#3b5b92"}  # white text on them has a contrast above 4.5
SHUT_DOWN = (
    "*Memory is for one notebook at a time: before you run this one, shut down the kernel of the one before it "
    "(Kernel > Shut Down Kernel, over there).*"
)
BUTTONS = {  # by whether they lead anywhere; `fork` puts one in the place of the other
    True: "*The two buttons open it on Binder or Colab.*",
    False: "*The two buttons lead nowhere until `make fork` has named the course's repository.*",
}
INSTALL_CODE = """\
#@title Get the course where it is missing (Colab). Elsewhere this does nothing.
from importlib.util import find_spec

if find_spec("course_lib") is None and find_spec("torch") is not None:
    %pip install --quiet --no-deps "course_lib @ {archive}"
"""


def with_launch_cells(notebook: Json, launch: Launch | None, name: str, solved: bool) -> Json:
    """The notebook with its two first cells: badges, and the cell that gets the course where it is missing."""
    if launch is None:
        return notebook
    here = f"notebooks/{'solutions/' if solved else ''}{name}.ipynb"
    # On Binder learners work in my/, as they do at home; binder/postBuild puts the notebooks there.
    links = {
        "Open in Binder": launch.binder(here if solved else f"my/{name}.ipynb"),
        "Open in Colab": launch.colab(here),
    }
    badges = " ".join(f"[![{text}]({data_uri(badge(text))})]({link})" for text, link in links.items())
    words = "\n\n".join([badges, BUTTONS[launch.published], *([] if name.startswith("00") else [SHUT_DOWN])])
    top: list[Json] = [
        {
            "cell_type": "markdown",
            "id": BADGES,
            "metadata": {"tags": [LEFT_OUT]},
            "source": words.splitlines(keepends=True),
        },
        {
            "cell_type": "code",
            "id": INSTALL,
            # Folded: by Colab into a form with its title, by JupyterLab into a bar.
            "metadata": {
                "cellView": "form",
                "jupyter": {"source_hidden": True},
                "tags": ["nbval-skip", LEFT_OUT],
            },
            "source": install_code(launch).splitlines(keepends=True),
            "execution_count": None,
            "outputs": [],
        },
    ]
    return {**notebook, "cells": [*top, *notebook["cells"]]}


def without_launch_cells(notebook: Json) -> Json:
    """The notebook without these cells; as it is where it has none."""
    return {**notebook, "cells": [cell for cell in notebook["cells"] if cell.get("id") not in (BADGES, INSTALL)]}


def install_code(launch: Launch) -> str:
    """Runs at the top of every notebook. Silent without torch too: then the setup cell names the wrong kernel."""
    return INSTALL_CODE.format(archive=launch.archive).rstrip("\n")


def badge(text: str) -> str:
    """A badge as SVG: white words on a colour."""
    width = 13 + round(6.6 * len(text))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{text}">'
        f'<rect width="{width}" height="20" rx="3" fill="{COLOURS[text]}"/>'
        f'<text x="{width / 2}" y="14" fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,sans-serif" '
        f'font-size="11" textLength="{width - 14}">{text}</text></svg>\n'
    )


def data_uri(svg: str) -> str:
    """The picture inside the link itself: a notebook that is opened offline, or fetches nothing, shows it too."""
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()


def badge_files() -> dict[str, str]:
    """Name and content of the README's pictures in docs/images: badge_binder.svg, badge_colab.svg."""
    return {f"badge_{text.split()[-1].lower()}.svg": badge(text) for text in COLOURS}
