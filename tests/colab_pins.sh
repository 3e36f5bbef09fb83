#!/usr/bin/env bash
# Every notebook, and the explorers' tests, with versions of Google Colab: ipywidgets 7.7.1, IPython 7.34.0, ipykernel
# 6.17.1 and numpy 2.1.3, in a virtual environment of their own inside .venv; everything else comes from .venv itself.
#
# What this cannot test, because it exists only at Colab: its front end (which draws the widgets), its other libraries
# (torch and matplotlib are those of .venv here), its GPU, and how the course gets installed there.
#
# Usage: tests/colab_pins.sh [.venv [NOTEBOOK.ipynb...]]
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1:-.venv}
pins=$base/colab-pins
notebooks=("${@:2}")
[ ${#notebooks[@]} -gt 0 ] || notebooks=(notebooks/*.ipynb)

"$base/bin/python" -m venv --clear "$pins"
# Without their dependencies: those are in .venv, but for four that newer versions no longer need.
"$pins/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps \
    ipywidgets==7.7.1 ipython==7.34.0 ipykernel==6.17.1 ipython-genutils==0.2.0 backcall==0.2.0 pickleshare==0.7.5 \
    decorator==4.4.2 numpy==2.1.3
where='import sysconfig; print(sysconfig.get_path("purelib"))'
"$base/bin/python" -c "$where" >"$("$pins/bin/python" -c "$where")/everything-else.pth"

export OMP_NUM_THREADS=1 JUPYTER_PREFER_ENV_PATH=1 PYDEVD_DISABLE_FILE_VALIDATION=1
"$pins/bin/python" -m pytest --quiet -p no:cacheprovider tests/library/test_explorers.py
"$pins/bin/python" - "${notebooks[@]}" <<'PYTHON'
import json
import sys
import time
from pathlib import Path

import nbformat

sys.path.insert(0, ".")
from course_staff.building.execute import execute

PINS = """import IPython, ipykernel, ipywidgets, numpy
assert (ipywidgets.__version__, IPython.__version__, ipykernel.__version__) == ("7.7.1", "7.34.0", "6.17.1")
assert numpy.__version__ == "2.1.3" """

for path in map(Path, sys.argv[1:]):
    notebook = json.loads(path.read_text())
    notebook["cells"].insert(0, json.loads(json.dumps(nbformat.v4.new_code_cell(PINS, id="pins"))))
    start = time.monotonic()
    execute(notebook)
    print(f"{path}: runs to its end with Colab's versions, {time.monotonic() - start:.0f} s")
PYTHON
