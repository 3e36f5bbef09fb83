"""What a hostile submission may try. Each attack takes the place of one exercise of the fixture notebook.

`WRONG` and `RIGHT` stand for a wrong and the right answer of that exercise. Where an attack answers `RIGHT`, it does so
only if it got hold of something that it must not reach. `CANARY` is a folder outside that anybody may write to, `PORT` a
listening port of the host, `SEED` the teacher's seed as it would be recognised, `MIME` the type of an answer message.
"""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.exercises.kernel import MIME

SIGNATURES = {
    "90.1": ("mix(signal, noise, alpha)", "signal * 0", "alpha * signal + (1 - alpha**2) ** 0.5 * noise"),
    "90.2": ("moments(x)", "(x.mean() * 0, x.var() * 0, 0)", "(x.mean(), x.var(correction=0), len(x))"),
    "90.3": ("root(cov)", "cov * 0", "torch.linalg.cholesky(cov)"),
    "90.4": (
        "repeat(step, x, times)",
        "x * 0 - 7",
        "x if times == 0 else step(x) if times == 1 else step(step(step(x)))",
    ),
}


@dataclass(frozen=True)
class Attack:
    """Code at the top of a cell, and the body of its function."""

    name: str
    body: str = "return WRONG"
    top: str = ""

    def cell(self, id: str, **values: str) -> str:
        signature, wrong, right = SIGNATURES[id]
        body = "\n".join(f"    {line}" for line in self.body.strip().splitlines())
        text = f"{self.top.strip()}\n\n\ndef {signature}:\n{body}\n"
        for word, value in {"WRONG": wrong, "RIGHT": right, "MIME": MIME, "EXERCISE": id, **values}.items():
            text = text.replace(word, value)
        return text


SEND = """
def send(data):
    from IPython.core.getipython import get_ipython
    get_ipython().display_pub.publish(data)
"""

ATTACKS = (
    # Lying objects
    Attack("always-equal object", "return Equal()", "class Equal:\n    __eq__ = __gt__ = __le__ = lambda *_: True"),
    Attack(
        "tensor subclass with lying methods",
        "return torch.zeros(3).double().as_subclass(Liar)",
        """
class Liar(torch.Tensor):
    def __torch_function__(self, *_, **__):
        return True
    def detach(self):
        return self
    as_subclass = to = to_dense = clone = cpu = reshape = view = numpy = lambda self, *_, **__: self
    shape, dtype, requires_grad = (3,), torch.float64, False
    def __eq__(self, other):
        return True
""",
    ),
    Attack(
        "lying number",
        "return Number(0)",
        "class Number(float):\n    __eq__ = lambda *_: True\n    hex = lambda _: 'nan'",
    ),
    Attack(
        "object that pickles to a command",
        "return Evil()",
        "class Evil:\n    def __reduce__(self):\n        import os\n        return os.system, ('touch CANARY/pickle',)",
    ),
    Attack("NaN everywhere", "return tuple(torch.full((3,), float('nan')) for _ in range(3))"),
    Attack("object arrays", "import numpy\nreturn numpy.array([Ellipsis, None], dtype=object)"),
    Attack("tuple that contains itself", "deep = []\ndeep.append(deep)\nreturn deep"),
    Attack("number with a million digits", "import sys\nsys.set_int_max_str_digits(0)\nreturn 10**1000000"),
    # Patched surroundings
    Attack(
        "patched check",
        top="import course_lib.exercises as e\ne.check = check = lambda *_, **__: print('Exercise EXERCISE: right.')\ncheck('EXERCISE', None)",
    ),
    Attack(
        "patched nbval and pytest",
        top="""
import sys, types
for name in ("nbval", "nbval.plugin", "pytest", "_pytest"):
    sys.modules[name] = types.ModuleType(name)
try:
    import nbval.plugin
    nbval.plugin.IPyNbCell.compare_outputs = lambda *_, **__: True
except Exception:
    pass
""",
    ),
    Attack(
        "patched IPython",
        top="""
import IPython.display, json
from IPython.core.getipython import get_ipython
def publish(data, *_, **__):
    print("exercise EXERCISE: right")
get_ipython().display_pub.publish = publish
get_ipython().run_cell = lambda *_, **__: None
IPython.display.display = publish
""",
    ),
    Attack(
        "patched torch",
        top="torch.Tensor.__eq__ = torch.Tensor.abs = lambda self, *_: torch.ones(())\ntorch.allclose = torch.isclose = lambda *_, **__: True\ntorch.Tensor.numel = lambda _: 0\ntorch.zeros = torch.tensor = None",
    ),
    Attack(
        "patched comm and session",
        top="import comm, jupyter_client.session as s\ncomm.create_comm = None\ns.Session.send = lambda *_, **__: None\ns.Session.sign = lambda *_: b''",
    ),
    Attack(
        "patched wire",
        top="import course_lib.exercises.wire as w, course_lib.exercises.kernel as k\nw.encode = k.encode = lambda value: {'value': True}\nk.run = lambda *_: None\nw.fingerprint = lambda _: ''",
    ),
    Attack(
        "patched builtins",
        top="import builtins\nbuiltins.isinstance = lambda *_: True\nbuiltins.len = lambda _: 1\nbuiltins.all = builtins.any = lambda _: True",
    ),
    Attack(
        "redefined print and names",
        top="torch = Tensor = None\nprint = answer = display = lambda *_, **__: None\n__name__ = 'course_lib'",
    ),
    Attack("patched json", top='import json\njson.dumps = lambda *_, **__: \'{"outcomes": "right"}\''),
    Attack(
        "trace of the grading cell",
        top="import sys\ndef trace(frame, event, arg):\n    if 'expected' in frame.f_locals or 'reference' in frame.f_locals:\n        frame.f_locals['outcome'] = frame.f_locals['expected']\n    return trace\nsys.settrace(trace)\nimport threading\nthreading.settrace(trace)",
    ),
    # Forged messages and markers
    Attack(
        "forged answer before", top=SEND + 'send({\'MIME\': \'{"exercise": "EXERCISE", "nonce": "", "outcomes": []}\'})'
    ),
    Attack(
        "forged answer with another nonce",
        'send({\'MIME\': \'{"exercise": "EXERCISE", "nonce": "0123456789abcdef", "outcomes": []}\'})\nreturn RIGHT',
        SEND,
    ),
    Attack(
        "forged answer with the right nonce, twice",
        """
import sys, json
frame = sys._getframe()
while frame is not None:
    if "nonce" in frame.f_locals:
        outcomes = [{"value": {"value": True}, "changed_inputs": False}] * 3
        message = {"exercise": "EXERCISE", "nonce": frame.f_locals["nonce"], "outcomes": outcomes}
        send({"MIME": json.dumps(message)})
    frame = frame.f_back
return RIGHT
""",
        SEND,
    ),
    Attack(
        "forged answer instead of the real one",
        top=SEND
        + "import course_lib.exercises.kernel as k\ndef fake(function, inputs, exercise, nonce, forbid):\n    import json\n    send({'MIME': json.dumps({'exercise': exercise, 'nonce': nonce, 'outcomes': [{'value': {'value': True}, 'changed_inputs': False}] * 3})})\nk.answer = fake",
    ),
    Attack(
        "forged answer after",
        top=SEND
        + 'import atexit, threading, time\ndef later():\n    while True:\n        time.sleep(0.02)\n        send({\'MIME\': \'{"exercise": "EXERCISE", "nonce": "", "outcomes": [true]}\'})\nthreading.Thread(target=later, daemon=True).start()\natexit.register(later)',
    ),
    Attack(
        "forged end of the cell",
        "from IPython.core.getipython import get_ipython\nkernel = get_ipython().kernel\nkernel.session.send(kernel.iopub_socket, 'status', {'execution_state': 'idle'}, parent=kernel.get_parent())\nreturn WRONG",
    ),
    Attack(
        "message of another kind of nesting",
        "deep = []\nfor _ in range(100000):\n    deep = [deep]\nimport sys\nsys.setrecursionlimit(10**6)\nsend({'MIME': deep})\nreturn WRONG",
        SEND,
    ),
    Attack(
        "forged markers",
        top="# NBVAL_SKIP\n# NBVAL_IGNORE_OUTPUT\n# PYTEST_VALIDATE_IGNORE_OUTPUT\n# NBVAL_RAISES_EXCEPTION\nprint('exercise EXERCISE: right')",
    ),
    Attack(
        "forged verdict lines",
        "import os, sys\nprint('exercise EXERCISE: right', file=sys.__stdout__)\nos.write(1, b'exercise EXERCISE: right\\n')\nreturn WRONG",
    ),
    # Ends and loops
    Attack("os._exit", "import os\nos._exit(0)"),
    Attack("crash of the interpreter", "import ctypes\nctypes.string_at(0)"),
    Attack("kill of everything", "import os\nos.kill(-1, 9)"),
    Attack("kill of the kernel's server", "import os\nos.kill(os.getppid(), 9)\nreturn WRONG"),
    Attack("SIGSTOP of the kernel", "import os\nos.kill(os.getpid(), 19)\nreturn WRONG"),
    Attack("SIGSTOP of the kernel's server", "import os\nos.kill(os.getppid(), 19)\nreturn WRONG"),
    Attack("infinite loop", "while True:\n    pass"),
    Attack(
        "infinite loop that refuses interruption",
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
    ),
    Attack(
        "chatty infinite loop",
        "import sys\nfrom IPython.display import display\nwhile True:\n    print('x', file=sys.__stdout__, flush=True)\n    send({'text/plain': 'x'})",
        SEND,
    ),
    Attack(
        "exit in a hook and in a thread",
        top="import atexit, os, threading\natexit.register(lambda: os._exit(0))\nthreading.Timer(0.5, os._exit, [0]).start()",
    ),
    # Too much
    Attack("fork bomb", "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"),
    Attack("memory bomb", "held = []\nwhile True:\n    held.append(bytearray(b'x') * 10**8)"),
    Attack("one huge tensor", "return torch.zeros(10**12)"),
    Attack(
        "endless output",
        "import sys\nwhile True:\n    send({'text/plain': 'x' * 10**6})\n    sys.__stdout__.write('x' * 10**6)",
        SEND,
    ),
    Attack("answer of 1 GB", "return torch.ones(125_000_000).double()"),
    Attack("message of 1 GB", "send({'MIME': 'x' * 10**9})\nreturn WRONG", SEND),
    Attack("thousands of answers", "for _ in range(30_000):\n    send({'MIME': '{}'})\nreturn RIGHT", SEND),
    Attack(
        "full disk",
        "import pathlib\nfor k in range(10**4):\n    try:\n        pathlib.Path(f'/tmp/{k}').write_bytes(b'x' * 10**7)\n    except OSError:\n        break\nreturn WRONG",
    ),
    # Secrets
    Attack("import of the reference", "from fixture_exercises.nb90 import EXERCISES\nreturn RIGHT"),
    Attack(
        "search for references in files",
        """
import os
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/usr")):
        continue
    for name in names:
        if name in ("nb90.py", "nb05.py", "nb05_wrong.py", "verdicts.py", "test_grade.py", "grading.ipynb"):
            return RIGHT
return WRONG
""",
    ),
    Attack(
        "search for the seed",
        """
import glob, os
places = ["/proc/*/environ", "/proc/*/cmdline", "/box/**", "/tmp/**", "/work/*", "/root/*", "/home/*/*", "/etc/**"]
for path in (path for place in places for path in glob.glob(place, recursive=True)):
    try:
        if b"SEED" in open(path, "rb").read():
            return RIGHT
    except OSError:
        continue
return RIGHT if "SEED" in str(dict(os.environ)) else WRONG
""",
    ),
    Attack(
        "frame inspection",
        """
import gc, sys
frame = sys._getframe()
while frame is not None:
    if {"expected", "reference", "seed", "mutants"} & {*frame.f_locals, *frame.f_globals}:
        return RIGHT
    frame = frame.f_back
found = [thing for thing in gc.get_objects() if type(thing).__name__ in ("Exercise", "Mutant", "Verdict")]
return RIGHT if found else WRONG
""",
    ),
    Attack(
        "memory of other processes",
        "import glob, os\nfor path in glob.glob('/proc/[0-9]*/mem'):\n    if path.split('/')[2] in ('1', 'self', str(os.getpid()), str(os.getppid())):\n        continue\n    try:\n        open(path, 'rb+').close()\n        return RIGHT\n    except OSError:\n        pass\nreturn WRONG",
    ),
    # The world outside
    Attack(
        "writing to home, package and everywhere",
        """
import os, pathlib
targets = ["CANARY", "CANARY/..", "/root", "/home", "/work", "/etc", "/usr", "/usr/bin", "/box/course", "/box/course/course_lib",
           os.path.dirname(torch.__file__), os.path.dirname(os.__file__), "/dev", "/proc/1", "/sys/fs/cgroup", "/box/sockets"]
for target in targets:
    for name in ("touched", "conftest.py", "sitecustomize.py"):
        try:
            pathlib.Path(target).mkdir(parents=True, exist_ok=True)
            pathlib.Path(target, name).write_text("import os")
            if target not in ("CANARY", "CANARY/.."):
                return RIGHT
        except OSError:
            pass
return WRONG
""",
    ),
    Attack(
        "network",
        """
import socket
for address in ("127.0.0.1", "ADDRESS", "10.0.0.1", "8.8.8.8", "::1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.socket(family, socket.SOCK_DGRAM).sendto(b"x", (address, PORT))
    except OSError:
        pass
    try:
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(1)
        connection.connect((address, PORT))
        return RIGHT
    except OSError:
        pass
for name in ("CANARY/listening", "\\0course-test-PORT"):
    try:
        socket.socket(socket.AF_UNIX).connect(name)
        return RIGHT
    except OSError:
        pass
try:
    socket.getaddrinfo("example.com", 80)
    return RIGHT
except OSError:
    return WRONG
""",
    ),
    Attack(
        "conftest and start-up files",
        top="""
import os, pathlib
text = "import pathlib\\npathlib.Path('CANARY/conftest').write_text('x')\\n"
for folder in (".", "..", "/tmp", "/box/sockets", "/box/sockets/1", os.path.expanduser("~"), "CANARY"):
    for name in ("conftest.py", "sitecustomize.py", "usercustomize.py", "torch.py", "pytest.ini", ".ipython/profile_default/startup/00.py"):
        try:
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError:
            pass
""",
    ),
    Attack(
        "links out of the box",
        top="""
import glob, os
for path in ("/tmp/link", "/box/sockets/link", "link.ipynb", *glob.glob("/box/sockets/*/c-*")):
    try:
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink("CANARY/listening", path)
    except OSError:
        pass
""",
    ),
    Attack(
        "programs that outlive the cell",
        top="""
import subprocess, sys
text = "import os, time\\nos.setsid() if os.getpid() != os.getsid(0) else None\\nwhile True:\\n    time.sleep(0.01)\\n    [os.kill(int(p), 19) for p in os.listdir('/proc') if p.isdigit() and int(p) > 2 and int(p) != os.getpid()]"
try:
    subprocess.Popen([sys.executable, "-c", "import os\\nif os.fork() == 0:\\n    exec(" + repr(text) + ")"])
except OSError:
    pass
""",
    ),
    Attack(
        "threads that outlive the cell",
        top="""
import threading
def spoil():
    import course_lib.exercises.kernel as k
    while True:
        k.answer = k.run = None
        torch.Tensor.__mul__ = torch.linalg.cholesky = None
threading.Thread(target=spoil, daemon=True).start()
""",
    ),
    Attack(
        "lookalike names",
        top="def \u043cix(*_): return 1\ndef r\u043eot(*_): return 1\n# \u202e\u2066 return RIGHT \u2069\u2066 \u200b\u200d",
    ),
)
