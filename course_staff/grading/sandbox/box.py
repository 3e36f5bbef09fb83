"""The box that a kernel runs in: bubblewrap, a user of its own, and limits on everything.

Inside there is no network, the system is read-only, the home is empty and vanishes, and of the course only the staged
package is there. Started as root, mounts are made first and the user is dropped inside, before the process limit is
set, which does not bind root. Otherwise a user namespace does it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ...course import ROOT
from .cgroups import Groups

MB = 10**6
INSIDE = "/box"
HIDDEN = ("course_lib", "course_checks", "course_staff")  # packages that a kernel may see only as staged
ENTER = 'for file in $COURSE_GROUPS; do echo $$ > "$file"; done; unset COURSE_GROUPS; exec "$@"'
INSTALL = "on Debian or Ubuntu: apt-get install bubblewrap"
REFUSED = "this machine lets its users make no such box: docs/teaching.md, 'Where bubblewrap is refused', has ways out"


class NoBox(RuntimeError):
    """There is no box on this machine; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What one submission's kernels may use, all in bytes except where the name says otherwise."""

    memory: int = 3_000 * MB  # beyond the libraries', for each process
    total_memory: int = 4_000 * MB  # of all processes and temporary files, where control groups are to be had
    file: int = 50 * MB
    temporary: int = 200 * MB
    processes: int = 128


@dataclass(frozen=True)
class Box:
    """How to confine a command on this machine; made by `find_box`, told to grading processes as plain data."""

    bwrap: str
    as_root: bool
    masked: tuple[str, ...]  # folders of packages that are hidden

    def command(self, stage: Path, sockets: Path, limits: Limits, arguments: list[str]) -> list[str]:
        """`arguments` in the box: `stage` is /box/course in it, read-only, and `sockets` is /box/sockets."""
        user = _user() if self.as_root else None
        return [
            *(self.bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
            *(("--cap-drop", "ALL") if user else ("--unshare-user", "--uid", "1000", "--gid", "1000")),
            *(("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP") if user else ()),
            *("--die-with-parent", "--new-session", "--hostname", "box", "--clearenv"),
            *(word for name, value in environment(f"{INSIDE}/course").items() for word in ("--setenv", name, value)),
            *("--size", str(limits.temporary), "--perms", "1777", "--tmpfs", "/tmp"),  # first: Python may lie below it
            *_system(),
            *(word for path in self.masked for word in ("--tmpfs", path)),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--size", str(32 * MB), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),
            *_parents(f"{INSIDE}/course"),
            *("--ro-bind", str(stage), f"{INSIDE}/course", "--bind", str(sockets), f"{INSIDE}/sockets"),
            *("--remount-ro", "/", "--chdir", "/tmp"),
            *(_drop_to(user) if user else ()),
            *("/usr/bin/prlimit", f"--nproc={_processes(limits, user)}", f"--fsize={limits.file}", "--core=0", "--"),
            *arguments,
        ]

    def start(
        self, command: list[str], groups: Groups | None, stdin: int, stdout: int, stderr: int
    ) -> subprocess.Popen[bytes]:
        """Run a `command` made by this box, in its control groups where there are any. It ends with this process."""
        told = {"PATH": "/usr/bin:/bin", "COURSE_GROUPS": " ".join(groups.doors) if groups else ""}
        return subprocess.Popen(
            ["/bin/sh", "-c", ENTER, "sh", *command],
            env=told,
            start_new_session=True,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


def environment(path: str) -> dict[str, str]:
    """All of a kernel's environment, boxed or not: nothing of the teacher's."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return threads | {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
    }


def find_box(packages: tuple[str, ...]) -> Box:
    """This machine's box, tried out once; `packages` are hidden in it. NoBox, with the reason, where none works."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise NoBox(f"bubblewrap is not installed ({INSTALL})")
    shown = [folder for folder in ("/usr", sys.base_prefix, sys.prefix, *_libraries()) if ROOT.is_relative_to(folder)]
    if shown:
        raise NoBox(f"the course lies in {shown[0]}, which the box shows, references and all; move it elsewhere")
    missing = [name for name in ("prlimit", "setpriv", "sh") if not Path("/usr/bin", name).exists()]
    if missing:
        raise NoBox(f"/usr/bin/{missing[0]} is not there (on Debian or Ubuntu: apt-get install util-linux)")
    masked = (str(Path(path, name)) for path in _libraries() for name in packages if Path(path, name).is_dir())
    box = Box(bwrap, os.geteuid() == 0, tuple(masked))
    here = Path(__file__).parent
    command = box.command(here, here, Limits(), [sys.executable, "-c", "import json"])
    process = box.start(command, None, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, said = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise NoBox("bubblewrap did not start within two minutes") from None
    if process.returncode:
        reason = (said.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        refused = re.search("namespace|uid map|RTM_NEWADDR|Operation not permitted|Permission denied", reason)
        raise NoBox(f"bubblewrap does not work here: {reason.rstrip('.')}" + (f"; {REFUSED}" if refused else ""))
    return box


def _libraries() -> list[str]:
    """Folders that Python imports installed packages from."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages") and Path(path).is_dir()]


def _system() -> list[str]:
    """Read-only: programs and shared libraries, Python, installed packages, and the few settings that these read."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    settings = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "fonts", "localtime", "alternatives")
    words += ["--perms", "0755", "--dir", "/etc"]
    for path in (Path("/etc", name) for name in settings):
        words += ["--ro-bind-try", str(path), str(path)]
    for folder in dict.fromkeys((sys.base_prefix, sys.prefix, *_libraries())):
        if not Path(folder).is_relative_to("/usr"):
            words += [*_parents(folder), "--ro-bind", folder, folder]
    return words


def _parents(folder: str) -> list[str]:
    """The folders that lead to one, which anybody may pass: otherwise they would be closed as they are outside."""
    names = [str(path) for path in reversed(Path(folder).parents) if path != Path("/")]
    return [word for name in names for word in ("--perms", "0755", "--dir", name)]


def _drop_to(user: int) -> list[str]:
    identity = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
    return ["/usr/bin/setpriv", *identity, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]


def _user() -> int:
    """A user id that nobody has, different for every grading process."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        most = max(int(first) + int(count) for first, _, count in map(str.split, file))
    return 200_000_000 + os.getpid() if most > 300_000_000 else 60_100 + os.getpid() % 1000


def _processes(limits: Limits, user: int | None) -> int:
    """The limit counts everything a user runs: as a user with other processes, these come on top."""
    if user:
        return limits.processes
    import psutil  # type: ignore[import-untyped]  # comes with ipykernel

    mine = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        if process.info["uids"] and process.info["uids"].real == os.getuid():
            mine += process.info["num_threads"] or 1
    return limits.processes + mine
