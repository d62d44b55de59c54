"""Endpoints in tests: a Server driven by a thread, callers that note what they hear, and a clip in a file."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from videval.errors import VidevalError
from videval.models.endpoint_file import Endpoint
from videval.models.openai_api.addresses import addresses_of
from videval.models.openai_api.server import ApiServer
from videval.types import Answer, Ask, Clip, GenerationSettings, Part, Prompt, Remote, Stage, Text, Video

__all__ = ["ENDED", "Driven", "Heard", "clip_at", "endpoint_at"]

ENDED = "ended"
PATIENCE = 60.0
"""Seconds until a test gives up, on a machine under load."""


class Heard:
    """A caller that notes what it hears; `log` has what all of them heard, in order."""

    def __init__(self, number: int, log: list[tuple[int, str]]) -> None:
        self.stages: list[Stage] = []
        self.outcome: Future[Answer] = Future()
        self._number, self._log = number, log

    def entered(self, stage: Stage) -> None:
        self._log.append((self._number, stage))
        self.stages.append(stage)

    def answered(self, answer: Answer) -> None:
        self._log.append((self._number, ENDED))
        self.outcome.set_result(answer)

    def failed(self, error: VidevalError) -> None:
        self._log.append((self._number, ENDED))
        self.outcome.set_exception(error)

    @property
    def answer(self) -> Answer:
        """What came; raises what failed."""
        return self.outcome.result(PATIENCE)

    @property
    def error(self) -> BaseException:
        """What failed."""
        found = self.outcome.exception(PATIENCE)
        assert found is not None, self.outcome.result()
        return found


class Driven:
    """A Server of an endpoint, driven by a thread until the block ends."""

    def __init__(self, endpoint: Endpoint, *, before: Callable[[ApiServer], None] = lambda server: None) -> None:
        self.server = ApiServer(endpoint, addresses_of(endpoint), {})
        before(self.server)
        self._asked = 0
        self.log: list[tuple[int, str]] = []
        """What the callers heard, by the number of their question from 1."""
        self._thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> "Driven":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def ask(self, text: str = "What is shown?", *clips: Clip, **how: Any) -> Heard:
        """Ask one question about clips; `how` are fields of the Ask."""
        self._asked += 1
        shown: list[Part] = [Video(clip=number) for number in range(len(clips))]
        prompt = Prompt(parts=(*shown, Text(text=text)), clips=clips)
        heard, how = Heard(self._asked, self.log), {"settings": GenerationSettings(max_new_tokens=8)} | how
        self.server.ask(Ask(id=self._asked, prompt=prompt, **how), heard)
        return heard

    def forget(self, number: int) -> bool:
        """Forget the question that was asked as number so many, from 1; whether it was not under way."""
        return self.server.forget(number)


def endpoint_at(*urls: str, model: str = "stand-in", **more: Any) -> Endpoint:
    """An entry; what is of `Remote` goes there."""
    asked = {name: more.pop(name) for name in list(more) if name in Remote.__dataclass_fields__}
    return Endpoint(name="lab", model=model, base_urls=urls, remote=Remote(endpoint="lab", **asked), **more)


def clip_at(path: Path, frames: int = 3, *, size: tuple[int, int] = (32, 24), seed: int = 0) -> Clip:
    """A clip of noise in a file, every tenth frame of a video of 10 frames per second."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    np.save(path, pixels)
    numbers = tuple(range(0, 10 * frames, 10))
    return Clip(
        path=str(path), frame_numbers=numbers, timestamps=tuple(n / 10 for n in numbers), total_frames=10 * frames,
        fps=10.0, width=width, height=height, decoder="pyav 1", policy="uniform",
    )  # fmt: skip
