"""Text of the course made ready for the site: anchors for equations and exercises, and links to them.

A label is what a reader sees: equation (02.3), exercise 02.3, notebook 02. Here each becomes a MyST target (`eq-02.3`,
`exercise-02.3`) or a link to one, so that Sphinx itself tells which of them lead nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
TAGGED = re.compile(
    r"\$\$(?P<formula>(?:(?!\$\$).)*?)\\tag\{(?P<label>\d\d\.\d+)\}(?P<rest>(?:(?!\$\$).)*?)\$\$", re.DOTALL
)
EXERCISE = re.compile(r"^#+ Exercise (?P<label>\d\d\.\d+): (?P<title>.*?) \((?P<points>\d+) points?\)$", re.MULTILINE)
# What is passed on as it is: fenced code, displayed formulas, headings, targets, code, formulas, links, pictures, HTML.
KEPT = re.compile(
    r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)$|\$\$.*?\$\$|^#+ .*?$|^\([\w.-]+\)=$|(?P<ticks>`+).+?(?P=ticks)"
    r"|<summary>.*?</summary>|(?<![\\\w])\$(?!\s)(?:\\.|[^$\\])+\$|!?\[[^\]]*\]\([^)]*\)|</?[A-Za-z][^>]*>",
    re.DOTALL | re.MULTILINE,
)
REFERENCE = re.compile(
    r"\((?P<equation>\d\d\.\d+)\)|(?P<exercise>\b(?:[Ee]xercises? )?(?P<id>\d\d\.\d+)\b)"
    r"|(?P<notebook>\b[Nn]otebooks? (?P<number>\d\d)\b)"
)
SUMMARY = re.compile(r"<summary>.*?</summary>", re.DOTALL)


@dataclass
class Labels:
    """What can be named: equations (label -> TeX), exercises (id -> title, points), notebooks by number."""

    equations: dict[str, str] = field(default_factory=dict)
    exercises: dict[str, tuple[str, int]] = field(default_factory=dict)
    notebooks: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Add the labels that `text` defines. ValueError for one that was there already."""
        for match in TAGGED.finditer(text):
            formula = (match["formula"] + match["rest"]).strip()
            _add(self.equations, match["label"], formula, "equation")
        for match in EXERCISE.finditer(text):
            _add(self.exercises, match["label"], (match["title"], int(match["points"])), "exercise")


def _add(table: dict[str, T], label: str, value: T, what: str) -> None:
    if label in table:
        raise ValueError(f"{what} {label} is defined twice")
    table[label] = value


def for_site(text: str, labels: Labels, here: str = "") -> str:
    """Markdown with anchors and links; `here` is the number of the notebook it is from, which is not linked."""
    text = SUMMARY.sub(lambda match: _summary(match[0]), text)
    return link(anchors(text), labels, here)


def anchors(text: str) -> str:
    """A MyST target before each labelled equation and each heading of an exercise."""
    text = TAGGED.sub(lambda match: f"(eq-{match['label']})=\n{match[0]}", text)
    return EXERCISE.sub(lambda match: f"(exercise-{match['label']})=\n{match[0]}", text)


def link(text: str, labels: Labels, here: str = "") -> str:
    """`text` with its references to equations, exercises and notebooks as links, outside of what KEPT names."""

    def replace(match: re.Match[str]) -> str:
        if (label := match["equation"]) in labels.equations:
            return f"[({label})](#eq-{label})"
        if (label := match["id"]) in labels.exercises:
            return f"[{match['exercise']}](#exercise-{label})"
        if (number := match["number"]) in labels.notebooks and number != here:
            return f"[{match['notebook']}](/notebooks/{labels.notebooks[number]}.ipynb)"
        return match[0]

    return _change_outside(KEPT, text, lambda part: REFERENCE.sub(replace, part))


def outside_links(text: str, known: Callable[[str], bool], address: Callable[[str], str]) -> str:
    """`text` with relative links to files that the site has not (`known` tells) as `address` of the file.

    Where a file has no address, the link's words stay, alone.
    """

    def replace(match: re.Match[str]) -> str:
        path, _, anchor = match["target"].partition("#")
        if not path or ":" in path or known(path):
            return match[0]
        if not (there := address(path)):
            return match["words"][1:-1]
        return f"{match['words']}({there}{'#' + anchor if anchor else ''})"

    fences = re.compile(r"^(`{3,}).*?^\1$|`[^`\n]+`(?!\])", re.DOTALL | re.MULTILINE)
    links = re.compile(r"(?P<words>(?<!!)\[[^\]]*\])\((?P<target>[^)\s]+)\)")
    return _change_outside(fences, text, lambda part: links.sub(replace, part))


def fill(text: str, parts: Mapping[str, str]) -> str:
    """`text` with each line `<!-- name -->` replaced by parts[name]. ValueError for a name that is not there."""

    def replace(match: re.Match[str]) -> str:
        if match[1] not in parts:
            raise ValueError(f"no part is called {match[1]!r}; there are {', '.join(sorted(parts))}")
        return parts[match[1]]

    return re.sub(r"<!-- ([a-z-]+) -->", replace, text)


def _summary(text: str) -> str:
    """The title of a folded part is HTML, where Markdown's formulas and emphasis mean nothing: write them as HTML."""
    text = re.sub(r"\$([^$]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', text)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


def _change_outside(pattern: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """`text` with `change` applied to what lies between the matches of `pattern`."""
    parts, end = [], 0
    for match in pattern.finditer(text):
        parts += [change(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, change(text[end:])])
