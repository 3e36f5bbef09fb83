"""What Sphinx reads: copies of the executed notebooks and of the documents, and lists made from them.

The notebooks themselves are never touched. In the copies solutions and imports are folded, what needs a kernel stands
still with a sentence that says so, and labels become links (see text).
"""

from __future__ import annotations

import html
import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically

from ..building.launch import LEFT_OUT
from ..building.source import BEGIN, END, stub
from ..course import ROOT, Course, Launch, require_launch
from . import api
from . import text as site_text
from .text import Labels

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
NEEDS_A_KERNEL = "This one needs a running notebook: its controls compute anew. Here it stands still, as it opens."
# Documents that docs/site/index.md lists itself; any other of docs/ comes after them.
LISTED = {"teaching", "performance", "authoring", "design"}
# The files of MathJax 3.2.2 that a page loads, out of the package that carries them.
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")


def prepare(target: Path, root: Path = ROOT) -> None:
    """Write all that Sphinx needs into `target`, replacing what is there."""
    import nbformat

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "docs" / "site", target)
    launch, course, labels = require_launch(root / "pyproject.toml"), Course(root / "notebooks"), Labels()
    notebooks = {name: nbformat.read(course.solution(name), as_version=4) for name in course.names()}
    labels.notebooks = {name[:2]: name for name in notebooks}
    for name, notebook in notebooks.items():
        text = _markdown(notebook)
        heading = re.search(r"^# (.+)$", text, re.MULTILINE)
        labels.titles[name[:2]] = heading[1] if heading else name
        labels.read(text)
    parts = _parts(notebooks, labels, launch, root) | {"api": api.write_pages(target)}
    for name, notebook in notebooks.items():
        text = nbformat.writes(for_site(notebook, labels, name[:2])) + "\n"
        write_atomically(target / "notebooks" / f"{name}.ipynb", text)
    shutil.copy2(root / "pyproject.toml", target)  # conf.py reads the setting
    for page in target.glob("*.md"):
        text = site_text.for_site(page.read_text(encoding="utf-8"), labels)
        write_atomically(page, site_text.fill(text, parts))
    _documents(target, root, launch)
    _mathjax(target / "_static" / "mathjax")


def _documents(target: Path, root: Path, launch: Launch) -> None:
    """docs/*.md, their pictures and the two pages of the root, at the places that their links to each other expect."""
    pages = [*root.glob("docs/*.md"), root / "CONTRIBUTING.md", root / "CHANGELOG.md"]
    shutil.copytree(root / "docs" / "images", target / "docs" / "images")
    for page in pages:
        folder = page.parent

        def known(path: str, folder: Path = folder) -> bool:
            return (folder / path).resolve() in pages or not (folder / path).exists()  # Sphinx complains of the latter

        def address(path: str, folder: Path = folder) -> str:
            return launch.file((folder / path).resolve().relative_to(root).as_posix()) if launch.published else ""

        text = site_text.outside_links(page.read_text(encoding="utf-8"), known, address)
        write_atomically(target / page.relative_to(root), text)


def _mathjax(target: Path) -> None:
    """Copy MathJax out of its package. ValueError where that is not installed."""
    try:
        source = Path(str(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")))
    except PackageNotFoundError:
        raise ValueError("sphinx-mathjax-offline is not installed: run `make site`, which installs it") from None
    for name in MATHJAX:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy2
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source / name, target / name)


# ---------------------------------------------------------------- notebooks


def for_site(notebook: Any, labels: Labels, number: str) -> Any:
    """A solved notebook as the site shows it; `notebook` itself is left alone."""
    import nbformat

    states = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if LEFT_OUT in tags:
            continue
        if cell.cell_type == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(site_text.for_site(cell.source, labels, number)))
            continue
        if cell.cell_type != "code":
            continue
        outputs = [_freeze(output, states) for output in cell.outputs]
        metadata: dict[str, Any] = {}
        source = cell.source
        if any(tag.startswith("exercise-") for tag in tags):
            cells.append(nbformat.v4.new_code_cell(stub(source)))
            source = "\n".join(line for line in source.splitlines() if line.strip() not in (BEGIN, END))
            metadata = _fold("a solution")
        elif "setup" in tags:
            metadata = _fold("the imports")
        cells.append(nbformat.v4.new_code_cell(source, outputs=outputs, metadata=metadata))
    for position, cell in enumerate(cells):
        cell.id = f"cell-{position}"  # the copy's own, the same in every build
    kept = {key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata}
    return nbformat.v4.new_notebook(cells=cells, metadata=kept)


def _fold(what: str) -> dict[str, Any]:
    prompts = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}
    return {"tags": ["hide-input"], "mystnb": prompts}


def _freeze(output: Any, states: dict[str, Any]) -> Any:
    """An output that needs a kernel, as HTML that needs none; every other output as it is."""
    import nbformat

    if VIEW not in output.get("data", {}):
        return output
    text = still_view(output.data[VIEW]["model_id"], states) or f"<p>{html.escape(output.data['text/plain'])}</p>"
    if "course-bar" not in text:
        text = f'<p class="course-needs-kernel">{NEEDS_A_KERNEL}</p>{text}'
    return nbformat.v4.new_output("display_data", data={"text/html": f'<div class="course-still">{text}</div>'})


def still_view(model: str, states: dict[str, Any]) -> str:
    """What a widget shows in its saved state, as HTML: the pictures of an explorer, the end of a progress bar."""
    views = list(_views(model, states))
    words = [value for kind, value in views if kind == "html"]
    if any(kind == "bar" for kind, _ in views):
        return f'<p class="course-bar">{" ".join(words)}</p>'
    return "".join(f"<div>{value}</div>" for value in words)


def _views(model: str, states: dict[str, Any]) -> Any:
    """(kind, value) of the widgets below `model`, in order; those that are not displayed are left out."""
    saved = states.get(model, {"model_name": "", "state": {}})
    name, state = saved["model_name"], saved["state"]
    layout = states.get(state.get("layout", "").removeprefix("IPY_MODEL_"), {"state": {}})["state"]
    if layout.get("display") == "none":
        return
    if name == "HTMLModel":
        yield "html", state.get("value", "")
    elif name.endswith("ProgressModel"):
        yield "bar", ""
    for child in state.get("children", ()):
        yield from _views(child.removeprefix("IPY_MODEL_"), states)


# ---------------------------------------------------------------- generated parts of pages


def _parts(notebooks: dict[str, Any], labels: Labels, launch: Launch, root: Path) -> dict[str, str]:
    first, start = next(iter(notebooks.items()))
    documents = sorted(page.stem for page in root.glob("docs/*.md"))
    return {
        "scrubber": f"```{{raw}} html\n{first_scrubber(start)}\n```",
        "notebooks": notebook_table(start, labels),
        "symbols": _table_from(_markdown(start), "| formula | in code |"),
        "rosetta": _table_from((root / "docs" / "design.md").read_text(encoding="utf-8"), "| here | Ho et al. 2020 |"),
        "equations": equation_list(labels),
        "exercises": exercise_list(labels),
        "performance": "docs/performance" if "performance" in documents else "",
        "others": "\n".join(f"docs/{name}" for name in documents if name not in LISTED),
        **ways_to_start(f"notebooks/{first}.ipynb", launch),
    }


def ways_to_start(path: str, launch: Launch) -> dict[str, str]:
    """The parts of the first page that lead to the course's repository; before it has one, words in their place."""
    if not launch.published:
        return {
            "hosted": "",
            "no-install": "**Without installing anything**: not yet. `make fork` names the course's repository, and "
            "with that come the buttons that open each notebook on Binder or Colab.",
            "clone": "cd course    # wherever your copy of it is",
            "readme": "the file `README.md` of the course",
            "rocket": "",
        }
    return {
        "hosted": f"[Binder]({launch.binder(path)})\n[Colab]({launch.colab(path)})",
        "no-install": "**Without installing anything**: the rocket at the top of each notebook's page opens it, "
        "unsolved, on Binder or Colab.",
        "clone": f"git clone {launch.url}\ncd {launch.repository.partition('/')[2]}",
        "readme": f"[{launch.repository}]({launch.url})",
        "rocket": ", or with the rocket at the top of its page",
    }


def first_scrubber(notebook: Any) -> str:
    """HTML of the first scrubber among the outputs. ValueError where there is none."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            content = output.get("data", {}).get("text/html", "")
            if content.startswith('<div class="course-scrubber"'):
                return str(content)
    raise ValueError("the first notebook shows no scrubber, which the landing page needs")


def notebook_table(start: Any, labels: Labels) -> str:
    """The notebooks with their questions and minutes, out of the first notebook's table of the way ahead."""
    rows = re.findall(r"^\| (\d\d) (.+?) \| (.+?) \| (\d+) \| (\d+) \|$", _markdown(start), re.MULTILINE)
    if [row[0] for row in rows] != list(labels.notebooks):
        found = ", ".join(row[0] for row in rows)
        raise ValueError(f"the first notebook's table has rows for {found}, not for {', '.join(labels.notebooks)}")
    lines = ["| notebook | its question | minutes to read |", "|---|---|--:|"]
    for number, title, question, minutes, _ in rows:
        lines.append(f"| [{number} {title}](/notebooks/{labels.notebooks[number]}.ipynb) | {question} | {minutes} |")
    return "\n".join(lines)


def equation_list(labels: Labels) -> str:
    """Every labelled equation with a link to where it stands, a section for each notebook."""
    lines = []
    for number in labels.notebooks:
        mine = {label: formula for label, formula in labels.equations.items() if label.startswith(number)}
        if mine:
            lines.append(f"## {labels.titles[number]}")
        for label, formula in mine.items():
            lines.append(f"{{.course-number}}\n[({label})](#eq-{label})\n\n$${formula.rstrip('.,;: ')}$$")
    return "\n\n".join(lines)


def exercise_list(labels: Labels) -> str:
    """Every exercise with its points and a link."""
    rows = [
        f"| [{id}](#exercise-{id}) | {title} | {points} |" for id, (title, points) in sorted(labels.exercises.items())
    ]
    return "\n".join(["| exercise | what it asks for | points |", "|---|---|--:|", *rows])


def _markdown(notebook: Any) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def _table_from(text: str, head: str) -> str:
    """The Markdown table whose first line begins with `head`, without indentation. ValueError where it is not there."""
    lines = [line.strip() for line in text.splitlines()]
    starts = [i for i, line in enumerate(lines) if line.startswith(head)]
    if not starts:
        raise ValueError(f"no table begins with {head!r}")
    end = next((i for i in range(starts[0], len(lines)) if not lines[i].startswith("|")), len(lines))
    return "\n".join(lines[starts[0] : end])
