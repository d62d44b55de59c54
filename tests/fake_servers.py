"""Servers that only ever say one error: what a real one would say on a bad day, through the real drivers."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["postgresql_that_says", "redis_that_says"]

NO_ENCRYPTION = (80877103, 80877104)
"""What libpq asks for before it says who it is: TLS, GSSAPI."""


def _answer_postgresql(client: socket.socket, state: str, message: str) -> None:
    while True:
        length, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
        if code not in NO_ENCRYPTION:
            break
        client.sendall(b"N")
    client.recv(length - 8, socket.MSG_WAITALL)
    body = b"".join(f"{key}{value}\0".encode() for key, value in (("S", "FATAL"), ("C", state), ("M", message))) + b"\0"
    client.sendall(b"E" + struct.pack("!i", len(body) + 4) + body)


def _answer_redis(client: socket.socket, line: str) -> None:
    while received := client.recv(65536):
        for _ in range(received.count(b"\r\n*") + 1):
            client.sendall(f"-{line}\r\n".encode())


@contextmanager
def _listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, contextlib.suppress(OSError, struct.error):
                        answer(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@contextmanager
def postgresql_that_says(state: str, message: str) -> Iterator[str]:
    """A PostgreSQL that lets nobody in; gives its URL."""
    with _listening(lambda client: _answer_postgresql(client, state, message)) as port:
        yield f"postgresql://me:s3kr1t@127.0.0.1:{port}/x"


@contextmanager
def redis_that_says(line: str) -> Iterator[str]:
    """A Redis that answers every command with an error; gives its URL."""
    with _listening(lambda client: _answer_redis(client, line)) as port:
        yield f"redis://:s3kr1t@127.0.0.1:{port}/0"
