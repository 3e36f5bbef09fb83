"""Hostile submissions, always boxed: each attack costs its own exercise and nothing else, and nothing gets out."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from attacks import ATTACKS, Attack
from grading import (
    COURSE,
    FIXTURES,
    FULL,
    RIGHT,
    SEED,
    box_or_skip,
    cell,
    nobody_left,
    points,
    row,
    save_to,
    solved,
)

from course_staff.course import ROOT
from course_staff.grading.grade import Grade, GradingSettings, grade_all
from course_staff.grading.sandbox.box import HIDDEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]  # the first test waits for all submissions
TOGETHER = 3  # attacks in one submission, each on an exercise of its own; the fourth is answered honestly
SECONDS = 15.0  # for a cell
LEFT_BEHIND = ("touched", "conftest.py", "sitecustomize.py", "usercustomize.py", "torch.py", "pytest.ini", "link")


@dataclass
class Host:
    """The machine outside: folders and a port that nobody may touch."""

    canary: Path
    address: str
    port: int
    packets: list[str] = field(default_factory=list)


@dataclass
class Graded:
    """All hostile submissions, graded in one run, and the state of the world before and after it."""

    of_attack: dict[str, tuple[Grade, str, set[str]]]  # attack -> grade, attacked exercise, all attacked there
    of_file: dict[str, Grade]
    host: Host
    before: str
    after: str
    nobody_left: bool


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A canary folder that every user may write to, and listeners on TCP, UDP and two Unix sockets."""
    canary = tmp_path_factory.mktemp("canary")
    for folder in (canary, *list(canary.parents)[:3]):
        folder.chmod(0o777)
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.bind(("0.0.0.0", 0))
    port = tcp.getsockname()[1]
    udp.bind(("0.0.0.0", port))
    by_name, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    by_name.bind(str(canary / "listening"))
    (canary / "listening").chmod(0o777)
    abstract.bind(f"\0course-test-{port}")
    found = Host(canary, _address(), port)
    for listener in (tcp, by_name, abstract):
        listener.listen()
    for listener in (tcp, udp, by_name, abstract):
        threading.Thread(target=_listen, args=(listener, found), daemon=True).start()
    yield found
    for listener in (tcp, udp, by_name, abstract):
        listener.close()


def _address() -> str:
    """This machine's own address, as far as it has one."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _listen(listener: socket.socket, host: Host) -> None:
    while True:
        try:
            said = listener.recv(100) if listener.type == socket.SOCK_DGRAM else listener.accept()[1]
        except OSError:
            return
        host.packets.append(f"{listener.family.name}: {said!r}")


def state_of(host: Host) -> str:
    """A digest of everything that attacks aim at: canary, package, fixtures, and what they would leave elsewhere."""
    digest = hashlib.sha256()
    folders = (host.canary, *(ROOT / name for name in (*HIDDEN, "notebooks")), FIXTURES)
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    for folder in (host.canary.parent, host.canary.parent.parent, Path.home(), Path.home().parent, Path("/tmp"), ROOT):
        paths += [folder / name for name in LEFT_BEHIND if (folder / name).exists()]
    for path in paths:
        digest.update(str(path).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def graded(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """Grade everything, two submissions at a time, an honest one at the end."""
    box, folder = box_or_skip(), tmp_path_factory.mktemp("hostile")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("PYTHONPATH", str(FIXTURES))
    own = Path(tempfile.mkdtemp(prefix="hostile-", dir="/tmp"))  # which all of this run's processes name
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    values = {"CANARY": str(host.canary), "ADDRESS": host.address, "PORT": str(host.port), "SEED": SEED}
    plan = dict(_planned(ATTACKS))
    paths = {}
    for number, attacks in plan.items():
        notebook = solved()
        for id, attack in attacks.items():
            cell(notebook, id)["source"] = attack.cell(id, **values)
        paths[number] = save_to(folder / f"{number}.ipynb", notebook)
    files = _hostile_files(folder)
    before = state_of(host)
    settings = GradingSettings(COURSE, SEED, box, SECONDS)
    try:
        order = [*paths.values(), *files.values()]
        grades = {Path(grade.submission): grade for grade in grade_all(order, settings, jobs=2)}
    finally:
        monkeypatch.undo()
        shutil.rmtree(own, ignore_errors=True)
    of_attack = {
        attack.name: (grades[paths[number]], id, set(attacks))
        for number, attacks in plan.items()
        for id, attack in attacks.items()
    }
    of_file = {name: grades[path] for name, path in files.items()}
    return Graded(of_attack, of_file, host, before, state_of(host), nobody_left(own))


def _planned(attacks: tuple[Attack, ...]) -> Iterator[tuple[int, dict[str, Attack]]]:
    """Submissions: attacks on exercises, moving on from submission to submission so that each exercise has its turn."""
    ids = list(RIGHT)
    for number, start in enumerate(range(0, len(attacks), TOGETHER)):
        own = attacks[start : start + TOGETHER]
        turned = [*ids[number % 4 :], *ids[: number % 4]]
        yield number, dict(zip(turned, own, strict=False))


def _hostile_files(folder: Path) -> dict[str, Path]:
    """Attacks by the file, not by its code; the last one is honest."""
    deep, attached, hidden = solved(), solved(), solved()
    outputs = [{"output_type": "stream", "name": "stdout", "text": "exercise 90.1: right\nExercise 90.1: right.\n"}]
    edited = solved(**{f"e{k}": "def nothing():\n    return 0" for k in range(1, 5)})
    for part in edited["cells"]:
        if part["cell_type"] == "code":
            part |= {"outputs": outputs, "execution_count": 1}
            part["metadata"] |= {"tags": ["raises-exception", "nbval-skip", "nbval-ignore-output"], "points": 99}
    cell(attached, "90.1")["attachments"] = {"a.png": {"image/png": "A" * 30 * 10**6}}
    cell(hidden, "90.1")["source"] = "x" * 300_000
    cell(hidden, "90.2")["source"] = "\ud800" + RIGHT["90.2"]
    cell(hidden, "90.3")["source"] = RIGHT["90.3"] + "\0"
    deep_text = json.dumps(deep).replace('"nbformat": 4', '"extra": ' + "[" * 90_000 + "]" * 90_000 + ', "nbformat": 4')
    files = {
        "edited outputs and tags": save_to(folder / "edited.ipynb", edited),
        "huge attachment": save_to(folder / "attached.ipynb", attached),
        "odd cells": save_to(folder / "odd.ipynb", hidden),
        "bidi and zero-width name": save_to(folder / "anna\u202e\u200bbypi.ipynb", solved()),
        "formula as a name": save_to(folder / "=cmd|' -C calc'!A0.ipynb", solved()),
        "deep JSON": folder / "deep.ipynb",
        "millions of lists": folder / "lists.ipynb",
        "link to a secret": folder / "link.ipynb",
        "200 MB": folder / "large.ipynb",
        "honest": save_to(folder / "honest.ipynb", solved()),
    }
    files["deep JSON"].write_text(deep_text)
    files["millions of lists"].write_text("[" + "[]," * 16_000_000 + "[]]")
    files["link to a secret"].symlink_to("/etc/passwd")
    with files["200 MB"].open("wb") as file:
        file.truncate(200 * 10**6)
    return files


def test_there_are_enough_attacks_and_the_listeners_would_hear_a_packet(host: Host) -> None:
    assert len(ATTACKS) >= 30 and len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    for connection in (socket.create_connection(("127.0.0.1", host.port)), socket.socket(socket.AF_UNIX)):
        if connection.family == socket.AF_UNIX:
            connection.connect(str(host.canary / "listening"))
        connection.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"x", ("127.0.0.1", host.port))
    for _ in range(1000):
        if len(host.packets) >= 3:
            break
        threading.Event().wait(0.01)
    assert len(host.packets) == 3
    host.packets.clear()


@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS])
def test_an_attack_gains_nothing_and_harms_nobody(name: str, graded: Graded, record_property: Any) -> None:
    result, attacked, all_attacked = graded.of_attack[name]
    record_property("row", str(row(result, attacked)))
    record_property("seconds of the submission", round(result.seconds, 1))
    assert result.reason == "" and not result.failed
    assert row(result, attacked).points == 0, row(result, attacked)
    honest = {id: worth for id, worth in FULL.items() if id not in all_attacked}
    assert {id: worth for id, worth in points(result).items() if id not in all_attacked} == honest, result
    assert _untouched(graded)


def _untouched(graded: Graded) -> bool:
    """Nothing outside has changed, no packet arrived, nobody is left running, and the graders still grade."""
    assert graded.before == graded.after, "files outside the box have changed"
    assert graded.host.packets == [], "packets got out of the box"
    assert graded.nobody_left, "programs outlived the grading"
    return points(graded.of_file["honest"]) == FULL


def test_edited_outputs_tags_and_metadata_are_worth_nothing(graded: Graded) -> None:
    assert graded.of_file["edited outputs and tags"].points == 0 and _untouched(graded)


def test_odd_files_are_graded_or_get_a_row_with_the_reason(graded: Graded) -> None:
    found = graded.of_file
    assert found["huge attachment"].points == found["bidi and zero-width name"].points == 10
    assert found["formula as a name"].points == 10
    assert points(found["odd cells"]) == {"90.1": 0, "90.2": 0, "90.3": 0, "90.4": 4}
    assert row(found["odd cells"], "90.1").feedback == "the cell has more than 200,000 characters"
    assert "not JSON" in found["deep JSON"].reason
    assert "not a notebook" in found["millions of lists"].reason or "memory" in found["millions of lists"].reason
    assert found["link to a secret"].reason == "a symbolic link, not a file"
    assert "200 MB" in found["200 MB"].reason
    assert not any(grade.failed for grade in found.values()), "no file makes itself `not graded`, the grader's fault"
    assert _untouched(graded)


def test_feedback_of_an_attack_tells_no_secret(graded: Graded) -> None:
    text = json.dumps([[vars(item) for item in grade.rows] for grade, _, _ in graded.of_attack.values()])
    assert SEED not in text and "CANARY" not in text and str(graded.host.canary) not in text


def test_reports_of_hostile_names_stay_inside_the_folder(graded: Graded, tmp_path: Path) -> None:
    from course_staff.grading.class_report import save_class_report
    from course_staff.grading.reports import save

    grades: list[Any] = [*graded.of_file.values(), Grade("../../../up.ipynb"), Grade("x" * 300 + ".ipynb"), Grade("x")]
    for format in ("table", "csv", "json", "gradescope"):
        save(grades, tmp_path / "out", format)
    save_class_report(grades, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    texts = {path.name: path.read_text() for path in tmp_path.rglob("*.txt")}
    assert not any(character in text for text in texts.values() for character in "\u202e\u200b")
    assert len(list((tmp_path / "out" / "feedback").rglob("*.txt"))) == len(grades)
    cells = [
        line.split(",")[0] for line in (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8-sig").splitlines()
    ]
    assert not any(text.startswith(("=", "+", "-", "@")) for text in cells)
