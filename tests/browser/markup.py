"""What a reader must never see: marks that were meant for a program, left over in the words of a page."""

from __future__ import annotations

import re

from playwright.sync_api import Page

from course_staff.course import NOBODYS

# What may hold such marks: code, and formulas that are set.
CODE = "pre, code, .cm-editor, .jp-InputArea-editor"
FORMULAS = "mjx-container, .MathJax_Preview"
# Everything is unfolded, then read as it is shown; what is left out leaves a space, so that words stay apart.
READ = """
(left_out) => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const style = document.createElement("style");
  style.textContent = `:is(${left_out}) { font-size: 0 !important; } :is(${left_out}) * { display: none !important; }`;
  document.head.append(style);
  const put = [];
  for (const one of document.querySelectorAll(left_out)) {
    if (!one.parentElement?.closest(left_out)) { put.push([one, [...one.childNodes]]); one.replaceChildren(" "); }
  }
  const text = document.body.innerText;
  for (const [one, children] of put) one.replaceChildren(...children);
  style.remove();
  return text;
}
"""
MARKS = {
    "a link of Markdown": r"\]\(|!\[|\]\[\w",
    "emphasis of Markdown": r"\*\*|(?<![\w*])\*\w[^*\n]*\w\*(?![\w*])|(?<!\w)__\w",
    "code of Markdown": "`|~~~",
    "a heading of Markdown": r"^\s*#{1,6} \S",
    "a table of Markdown": r"^\s*\|.*\|\s*$|\|\s*:?-{2,}",
    "a directive of MyST": r":{3,}|\{[a-z][a-z:-]*\}|^\([\w.-]+\)=$",
    "TeX": r"\$\$|(?<!\w)\$[^\s\d]|\\[A-Za-z]+|\\[(){}\[\]]",
    "HTML": r"</?[a-z][a-z0-9]*(?:\s[^<>\n]*)?/?>|<!--|&(?:[a-z]+|#\d+);",
    "a picture in letters": r"data:[a-z]+/|;base64,|[A-Za-z0-9+/=]{80}",
}
NOBODY = {"nobody's repository": re.escape(NOBODYS)}


def left_over(page: Page) -> list[str]:
    """Marks among the words of this page, unfolded, and in its code the repository that nobody has named; as shown."""
    words = page.evaluate(READ, f"{CODE}, {FORMULAS}")
    assert len(words) > 200, "the page shows its words"
    return found(words, MARKS | NOBODY)


def found(text: str, marks: dict[str, str]) -> list[str]:
    return [
        f"{what}: {text[max(hit.start() - 40, 0) : hit.end() + 40]!r}"
        for what, pattern in marks.items()
        for hit in re.finditer(pattern, text, re.MULTILINE)
    ]
