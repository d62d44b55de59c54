"""The pipe of JSON messages between a worker and a child of it, and what a child does at its end."""

import ctypes
import json
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any, NoReturn

__all__ = ["Message", "die_with_parent", "end_session", "parent_connection", "receive", "send"]

Message = dict[str, Any]


def send(connection: Connection, message: Message) -> None:
    """Send one message as JSON."""
    connection.send_bytes(json.dumps(message).encode())


def receive(connection: Connection) -> Message:
    """Wait for one message."""
    message: Message = json.loads(connection.recv_bytes())
    return message


def die_with_parent(parent_pid: int) -> None:
    """In a child: be killed by the kernel when the parent dies, also if that has happened already."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def parent_connection() -> Connection:
    """In a child that `Child` started: tie its life to the parent's and give the pipe."""
    die_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return Connection(int(sys.argv[1]))


def end_session() -> NoReturn:
    """In a child that `Child` started: end it, with all that it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
