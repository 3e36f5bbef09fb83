#!/bin/sh
# Makes the environment that the course runs in, or brings it up to date: what `make lab` and `make test` do first.
#
# Usage, in the course's folder: VENV=.venv TORCH_INDEX=... scripts/venv.sh PYTHON...
# The first PYTHON that is 3.11 or newer makes it. TORCH_INDEX, which may be empty, is where PyTorch is installed from.
set -eu
python=$VENV/bin/python

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

install() {
    echo "$python -m pip install $*"
    "$python" -m pip --disable-pip-version-check install "$@"
}

if new_enough "$python" && "$python" -c 'import pip' 2>/dev/null; then
    echo "Bringing $VENV up to date."
else
    found=
    for name in "$@"; do
        if new_enough "$name"; then found=$name; break; fi
    done
    if [ -z "$found" ]; then
        echo "error: the course needs Python 3.11 or newer, but $1 is $("$1" --version 2>&1 | tail -n 1); install one, or name it: make lab PYTHON=/path/to/python3.12" >&2
        exit 1
    fi
    echo "Making $VENV with $("$found" --version)."
    "$found" -m venv --clear "$VENV" || {
        echo "error: $found cannot make a virtual environment (on Debian or Ubuntu: apt-get install python3-venv)" >&2
        exit 1
    }
fi

echo "Installing the course into $VENV. PyTorch comes first and is the largest part; nothing is downloaded afterwards."
install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' requirements.txt)"
install -r requirements.txt
install --no-deps --no-build-isolation --editable .

settings=$VENV/share/jupyter/lab/settings
mkdir -p "$settings"
echo '{"@jupyterlab/apputils-extension:notification": {"checkForUpdates": false, "fetchNews": "false"}}' \
    >"$settings/overrides.json"
pwd >"$VENV/.home" # for the Makefile, which sees by it whether the folder has been moved
