"""Run a solution notebook once, in an empty folder, and keep what it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from typing import Any

from ..course import ROOT
from .assemble import COMPARED, Json, code_cells, dump

SECONDS = 900
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"


def execute(notebook: Json, seconds: int = SECONDS) -> Json:
    """The notebook with outputs. RuntimeError where a cell fails or takes longer than `seconds`."""
    import nbclient
    import nbformat

    node = nbformat.reads(dump(notebook), as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            node,
            timeout=seconds,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
            store_widget_state=True,
        )
        try:
            client.execute(env=kernel_environment(), stderr=subprocess.DEVNULL)
        except nbclient.exceptions.CellExecutionError as error:
            print(re.sub(r"\x1b\[[0-9;]*m", "", error.traceback), file=sys.stderr)
            raise RuntimeError(f"{error.ename}: {(error.evalue.strip().splitlines() or [''])[0]}") from error
        except (nbclient.exceptions.CellTimeoutError, nbclient.exceptions.DeadKernelError) as error:
            raise RuntimeError(str(error).strip().splitlines()[0]) from error
    return tidy(json.loads(nbformat.writes(node)))


def kernel_environment() -> dict[str, str]:
    """This process's environment, in which a kernel finds the course package, installed or not."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def tidy(notebook: Json) -> Json:
    """Without what differs from run to run and tells nothing: timings, random names of widgets and of outputs."""
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
    notebook["metadata"]["language_info"] = {"name": "python"}
    states: Any = notebook["metadata"].get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    if not states:
        notebook["metadata"].pop("widgets", None)
        return notebook
    text = json.dumps(notebook)
    for number, model in enumerate(_in_order(states, json.dumps(notebook["cells"]))):
        text = text.replace(model, f"{number:032x}")
    return dict(json.loads(text))


def _in_order(states: Json, cells: str) -> list[str]:
    """The widgets in an order that repeats: as the outputs show them, each followed by those it refers to."""
    mentioned = "|".join(map(re.escape, states))
    order: list[str] = []
    waiting = re.findall(mentioned, cells)
    waiting += sorted(states, key=lambda model: re.sub(mentioned, "", json.dumps(states[model], sort_keys=True)))
    while waiting:
        model = waiting.pop(0)
        if model not in order:
            order.append(model)
            waiting = re.findall(mentioned, json.dumps(states[model], sort_keys=True)) + waiting
    return order


def output_problems(notebook: Json) -> list[str]:
    """What nbval could not compare: a compared cell that did not run, shows nothing, or shows more than text."""
    found = []
    for cell in code_cells(notebook):
        name = cell["id"]
        if COMPARED not in cell["metadata"].get("tags", []):
            continue
        if cell["execution_count"] is None or not cell["outputs"]:
            found.append(f"compared cell {name} shows nothing to compare")
        for output in cell["outputs"]:
            if output["output_type"] != "stream" and set(output.get("data", {})) - {"text/plain"}:
                found.append(f"compared cell {name} shows more than text")
            if output.get("name") == "stderr":
                found.append(f"compared cell {name} writes to stderr")
    return found
