#!/usr/bin/env bash
# What nbgrader makes of the course: a small assignment generated, validated and autograded by nbgrader itself, in a
# virtual environment of its own inside .venv; everything else comes from .venv. It is no part of `make test` because
# nbgrader adds buttons and menus to every JupyterLab that it is installed beside.
#
# Usage: tests/nbgrader.sh [.venv]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
base=${1:-.venv}
own=$base/nbgrader

"$base/bin/python" -m venv --clear "$own"
where='import sysconfig; print(sysconfig.get_path("purelib"))'
"$base/bin/python" -c "$where" >"$("$own/bin/python" -c "$where")/everything-else.pth"
"$own/bin/python" -m pip --disable-pip-version-check install --quiet nbgrader==0.9.6 \
    --constraint requirements.txt --constraint requirements-test.txt

export OMP_NUM_THREADS=1 JUPYTER_PREFER_ENV_PATH=1 PYDEVD_DISABLE_FILE_VALIDATION=1
export PYTHONPATH=$root:$root/tests/fixtures:$root/tests PATH=$(cd "$own/bin" && pwd):$PATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"/source/ps1 "$folder"/submitted/{blank,full,part}/ps1
cd "$folder"
echo 'get_config().CourseDirectory.course_id = "course"' >nbgrader_config.py
python - <<'PYTHON'
import json
from pathlib import Path

from grading import COURSE, NAME, blank, cell, solved

from course_staff.building import assemble
from course_staff.building.source import read_source

part = solved(e1="def mix(signal, noise, alpha):\n    return signal", e3=cell(blank(), "90.3")["source"])
solution = assemble.solution(read_source(COURSE.source(NAME)), COURSE.package)
for who, notebook in (("source", solution), ("submitted/blank", blank()), ("submitted/full", solved()), ("submitted/part", part)):
    Path(who, "ps1", "90_fixture.ipynb").write_text(json.dumps(notebook))
PYTHON
nbgrader generate_assignment ps1 --log-level=ERROR
nbgrader validate submitted/full/ps1/90_fixture.ipynb >full.txt 2>log.txt
nbgrader validate submitted/blank/ps1/90_fixture.ipynb >blank.txt 2>>log.txt
grep -q "passes all the tests" full.txt && grep -q "VALIDATION FAILED ON 4 CELL" blank.txt
nbgrader autograde ps1 --log-level=ERROR
python - <<'PYTHON'
from nbgrader.api import Gradebook

with Gradebook("sqlite:///gradebook.db") as book:
    scores = {found.student.id: (found.score, found.max_score) for found in book.assignment_submissions("ps1")}
assert scores == {"blank": (0, 10), "part": (5, 10), "full": (10, 10)}, scores
print(f"nbgrader generates, validates and autogrades: {scores}")
PYTHON
