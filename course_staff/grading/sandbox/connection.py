"""Messages of a kernel that may send anything: read one by one, counted, and cut down to what grading needs."""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

import zmq
from jupyter_client.session import Session

from course_checks.in_kernel import MIME

from ...printable import printable

LARGEST_MESSAGE = 20 * 10**6  # bytes; the connection breaks on a larger one, before it is read
MOST_BYTES = 60 * 10**6  # of one kernel
MOST_MESSAGES = 20_000


class Garbled(RuntimeError):
    """The kernel sent something that is no message, or far too much."""


class KernelConnection:
    """The sockets of one kernel. Connected to once: nothing that takes the kernel's place later is connected to."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.session = Session(key=connection["key"].encode(), signature_scheme=connection["signature_scheme"])
        self.context = zmq.Context()
        for option, value in ((zmq.MAXMSGSIZE, LARGEST_MESSAGE), (zmq.RECONNECT_IVL, -1), (zmq.LINGER, 0)):
            self.context.setsockopt(option, value)
        self.context.setsockopt(zmq.RCVHWM, 100)
        self.sockets = {"shell": self.context.socket(zmq.DEALER), "iopub": self.context.socket(zmq.SUB)}
        self.sockets["iopub"].setsockopt(zmq.SUBSCRIBE, b"")
        for name, socket in self.sockets.items():
            socket.connect(f"ipc://{connection['ip']}-{connection[f'{name}_port']}")
        self.waiting: list[dict[str, Any]] = []  # of iopub
        self.bytes = self.messages = 0

    def send(self, kind: str, content: dict[str, Any]) -> str:
        """Send a request on the shell channel; its id."""
        message = self.session.msg(kind, content)
        self.session.send(self.sockets["shell"], message)
        return str(message["header"]["msg_id"])

    def receive(self, name: str, seconds: float) -> dict[str, Any]:
        """The next message of a channel. Empty where none comes within `seconds`, Garbled where it is none."""
        if name == "iopub" and self.waiting:
            return self.waiting.pop(0)
        deadline = time.monotonic() + seconds
        while self.sockets[name].poll(max(0, int(1000 * (deadline - time.monotonic())))):
            message = self._read(name)
            if message is not None:
                return message
        raise Empty

    def drain(self) -> None:
        """Take what waits on iopub, so that a chatty kernel fills nobody's memory."""
        while self.sockets["iopub"].poll(0):
            message = self._read("iopub")
            if message is not None:
                self.waiting.append(message)

    def close(self) -> None:
        self.context.destroy(linger=0)

    def _read(self, name: str) -> dict[str, Any] | None:
        frames = self.sockets[name].recv_multipart()
        self.bytes += sum(map(len, frames))
        self.messages += 1
        if self.bytes > MOST_BYTES or self.messages > MOST_MESSAGES:
            raise Garbled("the kernel sends too much")
        if name == "iopub" and len(frames) == 1:  # a subscription's echo
            return None
        try:
            message = self.session.deserialize(self.session.feed_identities(frames)[1])
            return _strip(str(message["msg_type"]), message["parent_header"].get("msg_id"), message["content"])
        except Exception as error:
            raise Garbled("the kernel sent something that is no message") from error


def _strip(kind: str, parent: Any, content: dict[str, Any]) -> dict[str, Any] | None:
    """The message in the one form that nbval gets to see; None for prints and everything else it need not see."""
    found: dict[str, Any] = {}
    if kind == "status":
        found = {"execution_state": content["execution_state"]}
    elif kind in ("execute_reply", "kernel_info_reply"):
        found = {"status": content["status"]}
    elif kind == "error":
        name = content["ename"]
        named = isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 60
        said = printable(str(content["evalue"])[:300])
        found = {"ename": name if named else "an error", "evalue": said, "traceback": []}
    elif kind == "display_data" and MIME in content["data"]:
        found = {"data": {MIME: content["data"][MIME]}, "metadata": {}}
    else:
        return None
    return {"msg_type": kind, "parent_header": {"msg_id": parent}, "content": found}
