"""Models that are objects of their user's: anything with `generate(message, dataset=...)`, as VLMEvalKit's have it."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from videval.errors import GaveUp, ModelFailure, UsageError, as_failure
from videval.models.messages import Told
from videval.protocols import Caller, Model
from videval.types import Answer, Ask, Generation, GenerationSettings, Prompt, Stage
from videval.words import FAIL_MSG

__all__ = ["LARGEST", "ObjectModel", "ObjectServer", "shown_as"]

LARGEST = 16_000_000
"""Characters of an answer at most: what is longer is none."""


@contextmanager
def shown_as(model: Any, name: str, *, whose: str, nframe: float, fps: float) -> Iterator[None]:
    """The object shown so many frames, or so many in a second, where it has `nframe` or `fps`; as it was afterwards.

    0: its dataset, `whose`, says none. UsageError if it can only be shown frames in the other way.
    """
    before = {key: getattr(model, key) for key in ("nframe", "fps") if hasattr(model, key)}
    asked = {"nframe": nframe, "fps": fps}
    try:
        for key, other in (("nframe", "fps"), ("fps", "nframe")):
            if (getattr(model, key, None) or 0) > 0:
                if asked[key] <= 0 and getattr(model, other, 0) == 0:
                    raise UsageError(f"{name} is shown frames by {key}, and {whose} says none")
                setattr(model, key, asked[key] if asked[key] > 0 else None)
        yield
    finally:
        for key, value in before.items():
            setattr(model, key, value)


class ObjectModel:
    """A Model over an object: it makes its own inputs when it generates, and is asked one message at a time."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> Told:
        """The message."""
        assert isinstance(prompt, Told), "an object is told messages"
        return prompt

    def generate(self, batch: Sequence[Told]) -> list[Generation]:
        """Answer each. Raises ModelFailure for what is no answer; what the object raises passes through."""
        return [self._answer(told) for told in batch]

    def describe(self) -> Mapping[str, str]:
        """What it is."""
        return {"model": f"{type(self._model).__module__}.{type(self._model).__qualname__}"}

    def _answer(self, told: Told) -> Generation:
        said = self._model.generate(message=told.copied(), dataset=told.dataset)
        if not isinstance(said, str):
            kind = "None" if said is None else f"a {type(said).__name__}"
            raise ModelFailure(f"generate returned {kind}, not a text")
        if len(said) > LARGEST:
            raise ModelFailure(f"generate returned {len(said):,} characters, more than {LARGEST:,}: that is no answer")
        if fail := next((words for words in self._fail_words() if words in said), None):
            raise GaveUp(said if len(said) < 2000 else fail)
        return Generation(text=said)

    def _fail_words(self) -> Sequence[str]:
        """What it says when it got no answer; never an answer."""
        own = getattr(self._model, "fail_msg", None)
        return [FAIL_MSG, *([own] if isinstance(own, str) and own else [])]


class ObjectServer:
    """A Server over the Model of an endpoint (`is_api`): `slots` messages at once, each in a thread."""

    def __init__(self, model: Model, slots: int) -> None:
        self.slots = max(1, slots)
        self._model = model
        self._changed = threading.Condition()
        self._line: deque[tuple[Ask, Caller]] = deque()
        self._closed = False

    def ask(self, ask: Ask, caller: Caller) -> None:
        """Take a message on."""
        with self._changed:
            self._line.append((ask, caller))
            self._changed.notify_all()

    def forget(self, id: int) -> bool:
        """Drop one that has not begun, and say whether it was."""
        with self._changed:
            left = deque(pair for pair in self._line if pair[0].id != id)
            is_dropped = len(left) < len(self._line)
            self._line = left
            return is_dropped

    def run(self) -> None:
        """Answer until `close`; what is on its way then goes on in threads that hold nobody."""
        for number in range(self.slots):
            threading.Thread(target=self._answer_all, name=f"api-{number}", daemon=True).start()
        with self._changed:
            while not self._closed:
                self._changed.wait(1.0)  # in short waits, which Ctrl-C ends

    def close(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def describe(self) -> Mapping[str, str]:
        """What it is."""
        return self._model.describe()

    def _answer_all(self) -> None:
        while (pair := self._next()) is not None:
            self._answer(*pair)

    def _next(self) -> tuple[Ask, Caller] | None:
        with self._changed:
            while not self._closed:
                if self._line:
                    return self._line.popleft()
                self._changed.wait()
        return None

    def _answer(self, ask: Ask, caller: Caller) -> None:
        caller.entered(Stage.GENERATE)
        try:
            (generation,) = self._model.generate([self._model.prepare(ask.prompt, ask.settings)])
        except Exception as error:  # noqa: BLE001 - whatever an object raises is this request's failure
            caller.failed(as_failure(error))
        else:
            caller.answered(Answer(generation=generation))
