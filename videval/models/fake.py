"""A model without a model: deterministic answers, and faults on demand. For tests, chaos and performance scripts.

A sample's own columns steer it:

- `latency_ms`: a batch takes as long as its slowest request asks for;
- `fake_answer`: what is said, to the character (an empty cell says nothing about it);
- `fake_fault`: `error` (ModelFailure), `oom` (OutOfMemory), `crash` (SIGKILL to itself), `hang` (never returns),
  `stall` (never ends; a server goes on with its others), `device` (ProcessDied, as of a broken CUDA context),
  `memory` (grows by 64 MiB every 50 ms up to 4 GiB, then OutOfMemory).

So does the environment, read when the model is loaded: VIDEVAL_FAKE_LOG is a file that gets one JSON line for each
request that is started on, VIDEVAL_FAKE_LOAD_S the seconds that loading takes, VIDEVAL_FAKE_LOAD_FAULT a fault of
loading (`error`, `crash`, `hang`).

Its second face, `fake_server:64`, answers many at once in any order: `videval/models/fake_server.py`.
"""

import hashlib
import json
import math
import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import NoReturn

from videval.errors import ModelFailure, ModelUnavailable, OutOfMemory, ProcessDied
from videval.types import Clip, Generation, GenerationSettings, ModelSpec, Prompt, Scalar
from videval.video.cache import load_frames

__all__ = ["FakeInputs", "FakeModel", "load"]

OPTION = re.compile(r"^\s*\(?([A-Z])[).:;]\s", re.MULTILINE)
MEMORY_STEP = 64 * 2**20
MEMORY_LIMIT = 4 * 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeInputs:
    """One request: its answer, made beforehand, and the columns that steer it; nobody else reads these."""

    answer: str
    prompt_tokens: int
    row: Mapping[str, Scalar]

    @property
    def fault(self) -> str:
        """Its fault by name; "" if it has none."""
        fault = self.row.get("fake_fault")
        return fault.strip() if isinstance(fault, str) else ""

    def act_out(self) -> None:
        """Do what its fault says."""
        _act_out(self.fault)

    @property
    def latency_s(self) -> float:
        """How long it takes, seconds; a cell that is empty is none. Raises ModelFailure for one that is no number."""
        said = self.row.get("latency_ms") or 0
        try:
            seconds = float(said) / 1000
        except ValueError as error:
            raise ModelFailure(f"latency_ms is {said!r}, not a number") from error
        return seconds if math.isfinite(seconds) and seconds > 0 else 0.0

    @property
    def generation(self) -> Generation:
        """Its answer with token counts."""
        return Generation(text=self.answer, prompt_tokens=self.prompt_tokens, new_tokens=len(self.answer.split()))


class FakeModel:
    """Says the prepared answer, after the faults and the latency that the rows ask for."""

    def __init__(self, about: Mapping[str, str], *, log: str = "") -> None:
        self._about = about
        self._log = log

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> FakeInputs:
        """Make the answer from the prompt's text and, if there is a clip, its frames."""
        row = prompt.row
        said = row.get("fake_answer")
        text = "\n".join(prompt.text(role) for role in ("system", "user", "assistant"))
        answer = str(said) if said not in (None, "") else _answer(text, prompt.clip)
        return FakeInputs(answer=answer, prompt_tokens=len(text.split()), row=row)

    def generate(self, batch: Sequence[FakeInputs]) -> list[Generation]:
        """Answer a batch; a fault of one request is the whole batch's, as it is on a GPU."""
        self.record(batch)
        for inputs in batch:
            inputs.act_out()
        time.sleep(max((inputs.latency_s for inputs in batch), default=0.0))
        return [inputs.generation for inputs in batch]

    def describe(self) -> Mapping[str, str]:
        """Which fake this is; there is nothing else that answers depend on."""
        return dict(self._about)

    def record(self, batch: Sequence[FakeInputs]) -> None:
        """Append a line for each request in one write, so that lines of several processes do not mix."""
        if not self._log:
            return
        lines = [{"index": i.row.get("index"), "pid": os.getpid(), "time": time.time()} for i in batch]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        file = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> FakeModel:
    """Make the fake, as slowly or as badly as the environment asks for."""
    time.sleep(float(os.environ.get("VIDEVAL_FAKE_LOAD_S") or 0))
    fault = os.environ.get("VIDEVAL_FAKE_LOAD_FAULT", "").strip()
    if fault == "error":
        raise ModelUnavailable("the fake model was asked not to load", hint="unset VIDEVAL_FAKE_LOAD_FAULT")
    _act_out(fault)
    about = {"adapter": spec.adapter, "checkpoint": spec.checkpoint, "device": ",".join(devices), "dtype": dtype}
    return FakeModel(about, log=os.environ.get("VIDEVAL_FAKE_LOG", ""))


def _answer(text: str, clip: Clip | None) -> str:
    """One of the options in the text, if it has any, else a phrase; picked by a hash of text and frames."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    if clip is not None:
        digest.update(load_frames(clip)[:, ::16, ::16].tobytes())
    options: list[str] = sorted(set(OPTION.findall(text)))
    if options:
        return options[digest.digest()[0] % len(options)]
    return f"fake answer {digest.hexdigest()[:8]}"


def _act_out(name: str) -> None:
    if not name:
        return
    act = FAULTS.get(name)
    if act is None:
        raise ModelFailure(f"unknown fake_fault {name!r}", hint=f"one of {', '.join(FAULTS)}")
    act()


def _error() -> NoReturn:
    raise ModelFailure("the fake model was asked to fail")


def _oom() -> NoReturn:
    raise OutOfMemory("the fake model was asked to run out of memory")


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    Event().wait()


def _device() -> NoReturn:
    raise ProcessDied("the fake model was asked to break its device")


def _memory() -> NoReturn:
    held: list[bytes] = []
    while len(held) * MEMORY_STEP < MEMORY_LIMIT:
        held.append(b"\x01" * MEMORY_STEP)
        time.sleep(0.05)
    raise OutOfMemory(f"the fake model filled {MEMORY_LIMIT // 2**20} MiB")


FAULTS: Mapping[str, Callable[[], None]] = {
    "error": _error,
    "oom": _oom,
    "crash": _crash,
    "hang": _hang,
    "stall": _hang,
    "device": _device,
    "memory": _memory,
}
