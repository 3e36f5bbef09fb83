"""What is reported about the machine, against other sources for the same facts."""

import os
import subprocess
import sys

import pytest
import torch

from course_lib.command import machine


def fake_process(folder, files, v1=False):
    """A /proc/self whose process is in the topmost group of a tree that holds `files`; returns it."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    (folder / "cgroup").write_text("4:memory:/\n1:cpu,cpuacct:/\n" if v1 else "0::/\n")
    lines = [f"{n} 23 0:{n} / {folder}/{n} rw shared:3 - cgroup none rw,{n}" for n in ("cpu", "memory")]
    (folder / "mountinfo").write_text("\n".join(lines if v1 else [f"31 23 0:28 / {folder} rw - cgroup2 none rw"]))
    return folder


def nested(folder, version, limits, own, root="/", mount="mounted here"):
    """A /proc/self in group `own` of a tree; `limits`: group -> (quota, memory), as its version writes "none" too."""
    top, process = folder / mount, folder / "proc"
    process.mkdir()
    for group, (quota, memory) in limits.items():
        inside = f".{group.removeprefix(root.rstrip('/'))}"
        if version == 2:
            files = {f"{inside}/cpu.max": f"{quota or 'max'} 100000", f"{inside}/memory.max": memory or "max"}
        else:
            files = {
                f"cpu,cpuacct/{inside}/cpu.cfs_quota_us": quota or -1,
                f"cpu,cpuacct/{inside}/cpu.cfs_period_us": 100000,
                f"memory/{inside}/memory.limit_in_bytes": memory or 9223372036854771712,
            }
        for name, text in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(f"{text}\n")
    shown = str(top).replace(" ", r"\040")
    if version == 2:
        (process / "cgroup").write_text(f"0::{own}\n")
        (process / "mountinfo").write_text(f"31 23 0:28 {root} {shown} rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    else:
        (process / "cgroup").write_text(f"9:name=systemd:/\n4:memory:{own}\n1:cpu,cpuacct:{own}\n0::/\n")
        lines = [f"31 23 0:28 {root} {shown}/{n} rw - cgroup cgroup rw,{n}" for n in ("cpu,cpuacct", "memory")]
        (process / "mountinfo").write_text("\n".join(["22 1 8:1 / / rw - ext4 /dev/sda rw", *lines]) + "\n")
    return process


JOB = "/slurm/uid_7/job 1/step"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be counted so here")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("limits", "cores", "memory"),
    [
        ({JOB: (50_000, 3 * 2**29)}, 0.5, 3 * 2**29),  # the process's own group
        ({"/slurm": (None, 2**31), "/slurm/uid_7/job 1": (75_000, None), JOB: (100_000, 2**32)}, 0.75, 2**31),
        ({"/": (50_000, 2**30), JOB: (None, None)}, 0.5, 2**30),
        ({JOB: (None, None), "/another": (1_000, 2**20)}, None, None),  # not on the path
    ],
)
def test_the_least_limit_along_the_processes_own_path_counts(tmp_path, version, limits, cores, memory):
    process = nested(tmp_path, version, limits, JOB)
    assert machine.share(process) == (cores or len(os.sched_getaffinity(0)))
    assert machine.cores(process) == (1 if cores else len(os.sched_getaffinity(0)))
    assert machine._memory(process) == (memory or machine._memory(tmp_path / "nothing"))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("own", "root"), [("/docker/a/b", "/docker/a"), ("/docker/a", "/docker/a"), ("/x", "/docker/a")]
)
def test_a_container_that_is_shown_only_its_own_group_reads_it(tmp_path, version, own, root):
    limits = {"/docker/a": (50_000, 2**30)}
    process = nested(tmp_path, version, limits, own, root)
    assert machine.share(process) == 0.5 and machine._memory(process) == 2**30


def test_half_a_core_is_reported_as_such(tmp_path, monkeypatch):
    process = nested(tmp_path, 2, {JOB: (50_000, 3 * 2**29)}, JOB)
    share, memory = machine.share(process), machine._memory(process)
    monkeypatch.setattr(machine, "share", lambda: share)
    monkeypatch.setattr(machine, "_memory", lambda: memory)
    report = str(machine.machine())
    assert "processor: 0.5 cores for us" in report and "memory:    1.5 GiB" in report


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
    assert machine._memory(fake_process(tmp_path, {name: "1073741824"}, v1="/" in name)) == 2**30


def test_a_container_without_a_limit_reports_the_machines_memory(tmp_path):
    unlimited = machine._memory(tmp_path)
    assert machine._memory(fake_process(tmp_path, {"memory.max": "max"})) == unlimited


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
    fake_process(tmp_path, files, v1=any("/" in name for name in files))
    assert machine.cores(tmp_path) == (cores or len(os.sched_getaffinity(0)))


def test_threads_are_told_only_where_the_share_is_smaller_than_the_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    fake_process(tmp_path, {"cpu.max": "100000 100000"})
    assert machine.threads_setting(tmp_path) == "OMP_NUM_THREADS=1"
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert machine.threads_setting(tmp_path) == ""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert machine.threads_setting(tmp_path) == "", "who has set it knows why"


def test_counting_cores_does_not_wait_for_pytorch():
    code = "import sys, course_lib.command.machine as m; m.cores(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
