"""The engine process: owns torch and the model, prepares on a side thread, generates on the main one.

Started by `workers.engine`; ends with it. Messages are JSON objects with an `op`.
"""

import os
import queue
import threading
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from videval.errors import EnvironmentProblem, ModelFailure, OutOfMemory, ProcessDied, VidevalError
from videval.models.catalog import load_model
from videval.protocols import Inputs, Model
from videval.types import Generation, ModelSpec
from workers.child import Message, parent_connection, receive, send
from workers.wire import error_message, prompt_from, settings_from

__all__ = ["main"]


class _Engine:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._send_lock = threading.Lock()
        self._work: queue.Queue[Message] = queue.Queue()
        self._to_prepare: queue.Queue[Message] = queue.Queue()
        self._inputs: dict[int, Inputs] = {}
        self._model: Model | None = None

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._prepare_all, daemon=True).start()
        while True:
            message = self._work.get()
            if message["op"] == "load":
                self._load(message)
            else:
                self._generate(message["ids"])

    def _reply(self, message: Message) -> None:
        with self._send_lock:
            send(self._connection, message)

    def _listen(self) -> None:
        """Read commands; the end of the pipe ends this process, whatever the model is doing."""
        while True:
            try:
                message = receive(self._connection)
            except (EOFError, OSError):
                os._exit(0)
            if message["op"] == "prepare":
                self._to_prepare.put(message)
            elif message["op"] == "drop":
                for id_ in message["ids"]:
                    self._inputs.pop(id_, None)
            else:
                self._work.put(message)

    def _load(self, message: Message) -> None:
        try:
            self._model = load_model(
                ModelSpec.from_json(message["spec"]), device=message["device"], dtype=message["dtype"]
            )
        except VidevalError as error:
            self._reply({"op": "load_failed", "message": str(error), "hint": error.hint})
        except Exception as error:  # noqa: BLE001 - whatever a library raises at load is the worker's failure
            text = f"{type(error).__name__}: {error}"
            self._reply({"op": "load_failed", "message": text, "hint": "", "traceback": traceback.format_exc()})
        else:
            self._reply({"op": "loaded", "about": dict(self._model.describe())})

    def _prepare_all(self) -> None:
        while True:
            message = self._to_prepare.get()
            began = time.monotonic()
            try:
                self._inputs[message["id"]] = self._prepare(message)
            except EnvironmentProblem as error:
                self._reply({"op": "not_here", "id": message["id"], "message": str(error), "hint": error.hint})
            except Exception as error:  # noqa: BLE001 - a request's failure, reported as such
                failed = error_message(error, traceback.format_exc())
                self._reply({"op": "failed", "ids": [message["id"]], **failed})
            else:
                self._reply({"op": "prepared", "id": message["id"], "seconds": time.monotonic() - began})

    def _prepare(self, message: Message) -> Inputs:
        if self._model is None:
            raise ModelFailure("no model is loaded")
        return self._model.prepare(prompt_from(message["prompt"]), settings_from(message["settings"]))

    def _generate(self, ids: Sequence[int]) -> None:
        try:
            batch = [self._inputs.pop(i) for i in ids]
        except KeyError as error:
            failed = error_message(ModelFailure(f"nothing was prepared under {error}"), "")
            self._reply({"op": "failed", "ids": list(ids), **failed})
            return
        try:
            self._try(ids, batch)
        except ProcessDied:
            traceback.print_exc()
            os._exit(1)  # the device's context is broken: only a new process mends it

    def _try(self, ids: Sequence[int], batch: Sequence[Inputs]) -> None:
        """Answer a batch, or say why not; ProcessDied ends this process."""
        try:
            self._answer(ids, batch)
        except ProcessDied:
            raise
        except Exception as error:  # noqa: BLE001 - a request's failure, reported as such
            if len(ids) > 1 and not isinstance(error, OutOfMemory | MemoryError):
                self._one_by_one(ids, batch)
            else:
                failed = error_message(error, traceback.format_exc())
                self._reply({"op": "failed", "ids": list(ids), **failed})

    def _one_by_one(self, ids: Sequence[int], batch: Sequence[Inputs]) -> None:
        """A batch failed: find out who is guilty. Who is tried is said first: if this process dies, it was that one."""
        for id_, inputs in zip(ids, batch, strict=True):
            self._reply({"op": "trying", "id": id_})
            self._try([id_], [inputs])

    def _answer(self, ids: Sequence[int], batch: Sequence[Inputs]) -> None:
        assert self._model is not None
        began = time.monotonic()
        generations = self._model.generate(batch)
        if len(generations) != len(batch):
            raise ModelFailure(f"the model gave {len(generations)} answers to {len(batch)} prompts")
        seconds = time.monotonic() - began
        answers: list[dict[str, Any]] = [_as_message(g) for g in generations]
        self._reply({"op": "generated", "ids": list(ids), "generations": answers, "seconds": seconds})


def _as_message(generation: Generation) -> dict[str, Any]:
    return {name: getattr(generation, name) for name in Generation.__dataclass_fields__}


def main() -> None:
    """Serve one worker until it closes the pipe."""
    _Engine(parent_connection()).run()


if __name__ == "__main__":
    main()
