"""The engine process: loads one model and serves it until it is killed; the main thread runs the server.

Started by `workers.engine`. Messages are JSON objects with an `op`: load (once), ask, forget, and close (of one that
asks an endpoint) come in; loaded or load_failed, then entered, answered, failed, forgotten and waits (a sign of life of
one where all that is in hand waits) go out.
"""

import os
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

from videval.errors import VidevalError, as_failure
from videval.models.catalog import load_model
from videval.protocols import Caller, Gate, Gated, Server
from videval.types import Answer, ModelSpec, Stage
from workers.engine.batcher import Batcher
from workers.pipes import Message, end_session, parent_connection, receive, send
from workers.wire import answer_message, ask_from, error_message

__all__ = ["main"]


class _Pipe:
    """The way to the worker, for many threads. What was said is on its way when `say` comes back: if this process
    dies of what it does next, the worker knows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def say(self, op: str, **values: object) -> None:
        with self._lock:
            send(self._connection, {"op": op, **values})

    def hear(self) -> Message:
        return receive(self._connection)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asker(Caller):
    """The request thread of the worker that asked."""

    id: int
    pipe: _Pipe

    def entered(self, stage: Stage) -> None:
        self.pipe.say("entered", id=self.id, stage=stage)

    def answered(self, answer: Answer) -> None:
        self.pipe.say("answered", id=self.id, answer=answer_message(answer))

    def failed(self, error: VidevalError) -> None:
        self.pipe.say("failed", id=self.id, **error_message(error))


def _load(message: Message, pipe: _Pipe) -> Server:
    """The server; a Model that says so takes at most as many `together`, one that asks an endpoint gets its gate."""
    spec = ModelSpec.from_json(message["spec"])
    loaded = load_model(spec, devices=message["devices"], dtype=message["dtype"], prefix_gb=message["prefix_gb"])
    if isinstance(loaded, Gated):
        loaded.gate = _gate(spec, message["broker"], pipe)
    if isinstance(loaded, Server):
        return loaded
    return Batcher(loaded, min(message["batch_size"], getattr(loaded, "together", message["batch_size"])))


def _gate(spec: ModelSpec, broker: str, pipe: _Pipe) -> Gate:
    """What the whole fleet shares before this model's endpoint."""
    from videval.models.endpoints import endpoint_of  # these load settings and Redis' client, which no other needs
    from workers.endpoint_gate import RedisGate

    return RedisGate(endpoint_of(spec), broker, alive=lambda: pipe.say("waits"))


def _serve(message: Message, pipe: _Pipe) -> None:
    """Load, say so, and serve for as long as the device works."""
    try:
        server = _load(message, pipe)
    except Exception as error:  # noqa: BLE001 - whatever a library raises at load is the worker's failure
        pipe.say("load_failed", **_why(error))
        return
    about: Mapping[str, str] = server.describe()
    pipe.say("loaded", slots=server.slots, about=dict(about))
    threading.Thread(target=_listen, args=(server, pipe), name="listen", daemon=True).start()
    server.run()


def _why(error: Exception) -> Message:
    if isinstance(error, VidevalError):
        return {"message": str(error), "hint": error.hint}
    traceback.print_exc()
    return {"message": f"{type(error).__name__}: {error}", "hint": ""}


def _listen(server: Server, pipe: _Pipe) -> None:
    """Hear what is asked; the end of the pipe ends this process and all that it started, whatever they do."""
    while True:
        try:
            message = pipe.hear()
        except (EOFError, OSError):
            end_session()
        if message["op"] == "close" and isinstance(server, Gated):
            server.close()
        elif message["op"] == "forget":
            pipe.say("forgotten", ids=[id_ for id_ in message["ids"] if server.forget(id_)])
        else:
            _ask(server, message, _Asker(id=message["id"], pipe=pipe))


def _ask(server: Server, message: Message, asker: _Asker) -> None:
    try:
        server.ask(ask_from(message), asker)
    except Exception as error:  # noqa: BLE001 - a prompt that cannot even be taken on is that request's failure
        asker.failed(as_failure(error))


def main() -> None:
    """Serve one worker until it closes the pipe; a server that comes to an end takes the process with it."""
    pipe = _Pipe(parent_connection())
    try:
        message = pipe.hear()
    except (EOFError, OSError):  # it was started ahead, and never needed
        end_session()
    try:
        _serve(message, pipe)
    except Exception:  # noqa: BLE001 - a broken device, or a server's own fault: only a new process mends either
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    main()
