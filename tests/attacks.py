"""The attacks of `fixtures/attacks.txt`, made into cells of the fixture notebook."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from grading import needed

from course_checks.in_kernel import MIME

SIGNATURES = {  # signature, a wrong answer, the right one
    "90.1": ("mix(signal, noise, alpha)", "signal * 0", "alpha * signal + (1 - alpha**2) ** 0.5 * noise"),
    "90.2": ("moments(x)", "(x.mean() * 0, x.var() * 0, 0)", "(x.mean(), x.var(correction=0), len(x))"),
    "90.3": ("root(cov)", "cov * 0", "torch.linalg.cholesky(cov)"),
    "90.4": ("repeat(step, x, times)", "x * 0 - 7", "step(step(step(x))) if times == 3 else step(x) if times else x"),
}
SEND = """
def send(data):  # past everything that captures output
    kernel = get_ipython().kernel
    content, parent = {"data": data, "metadata": {}, "transient": {}}, kernel.get_parent("shell")
    kernel.session.send(kernel.iopub_socket, "display_data", content, parent=parent, ident=b"display_data")
"""
HIDDEN = {
    "BIDI": "\u202e\u2066 return RIGHT \u2069\u2066 \u200b\u200d",
    "LOOKALIKE_M": "\u043c",
    "LOOKALIKE_O": "\u043e",
}


@dataclass(frozen=True)
class Attack:
    """Code at the top of a cell, and the body of its function."""

    name: str
    top: str
    body: str

    def cell(self, id: str, **values: str) -> str:
        """The source of a cell that attacks exercise `id`; `values` are what the words in capitals stand for."""
        signature, wrong, right = SIGNATURES[id]
        body = "\n".join(f"    {line}" for line in self.body.splitlines())
        text = f"{self.top}\n\n\ndef {signature}:\n{body}\n"
        words = {"SEND": SEND, "WRONG": wrong, "RIGHT": right, "MIME": MIME, "EXERCISE": id, **HIDDEN, **values}
        return needed(re.sub("|".join(words), lambda match: words[match[0]], text))


def read_attacks(path: Path) -> tuple[Attack, ...]:
    """All attacks in the file, in order."""
    _, *parts = re.split(r"^== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = []
    for part in parts:
        name, _, code = part.partition("\n")
        top, _, body = (code if "--\n" in code else f"{code}--\n").partition("--\n")
        found.append(Attack(name, top.strip(), body.strip() or "return WRONG"))
    return tuple(found)


ATTACKS = read_attacks(Path(__file__).parent / "fixtures" / "attacks.txt")
