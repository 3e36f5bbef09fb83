"""What is reported about the machine, against other sources for the same facts."""

import os
import subprocess
import sys

import pytest
import torch

from course_lib.command import machine


def test_report_names_versions_threads_and_the_missing_gpu(monkeypatch):
    monkeypatch.setattr(machine, "_gpu", lambda: None)
    monkeypatch.setattr(machine, "_memory", lambda: 3 * 2**29)
    report = str(machine.machine())
    assert f"Python {sys.version.split()[0]}, PyTorch {torch.__version__}" in report
    assert f"uses {torch.get_num_threads()} thread" in report
    assert "memory:    1.5 GiB" in report and "GPU:       no NVIDIA GPU found" in report


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux'")
def test_memory_without_a_limit_is_what_proc_reports(tmp_path):
    with open("/proc/meminfo") as file:
        total = int(next(line for line in file if line.startswith("MemTotal")).split()[1]) * 1024
    assert machine._memory(tmp_path) == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_containers_limit_is_the_memory_reported(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("1073741824\n")
    assert machine._memory(tmp_path) == 2**30


def test_a_container_without_a_limit_reports_the_machines_memory(tmp_path):
    unlimited = machine._memory(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine._memory(tmp_path) == unlimited


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_cores_are_those_this_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be counted so here")
@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_containers_share_of_the_processor_counts_as_cores(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.cores(tmp_path) == (cores or len(os.sched_getaffinity(0)))


def test_threads_are_told_only_where_the_share_is_smaller_than_the_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    (tmp_path / "cpu.max").write_text("100000 100000")
    assert machine.threads_setting(tmp_path) == "OMP_NUM_THREADS=1"
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert machine.threads_setting(tmp_path) == ""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert machine.threads_setting(tmp_path) == "", "who has set it knows why"


def test_counting_cores_does_not_wait_for_pytorch():
    code = "import sys, course_lib.command.machine as m; m.cores(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
