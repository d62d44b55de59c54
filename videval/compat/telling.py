"""From a request to a message, where dataset or model is an object, and from the message to a response."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from videval.asking import is_pack
from videval.compat.datasets import Dataset
from videval.db.records import RunConfig
from videval.errors import EnvironmentProblem, ModelFailure, RequestFailure, VideoFailure
from videval.holding import FrameSource, Holder
from videval.inference import Engine, response_of
from videval.models.messages import Message, below, checked, parts_of, told, worded
from videval.telling import question_of
from videval.types import Prompt, Response, Sample, Stage

__all__ = ["Telling"]

FOLDER_FPS = 3.0
"""Images a second of a video that is a folder, as VLMEvalKit takes them."""


class Telling:
    """How a request becomes a response where dataset or model is an object: as the message that they make of it.

    `model` None: the model is one of ours, and is shown the message's videos as clips. An object's methods are called
    by one thread at a time.
    """

    def __init__(self, dataset: Any, model: Any | None) -> None:
        self._dataset = dataset
        self._model = model
        self._lock = threading.Lock()
        index = [str(i) for i in dataset.data["index"]]
        self._places = {sample_id: place for place, sample_id in enumerate(index)}

    def __call__(
        self,
        key: str,
        samples: Sequence[Sample],
        run: RunConfig,
        *,
        root: Path,
        frames: FrameSource,
        engine: Engine,
        on_stage: Callable[[Stage], None],
        alone: bool = False,
        queue_s: float = 0.0,
        allow_symlinks: bool = False,
    ) -> Response:
        """Answer a request; raises as `videval.inference.infer` does."""
        began = time.monotonic()
        on_stage(Stage.PREPARE)
        with ExitStack() as holding:
            holder = Holder(frames, holding, run, FOLDER_FPS, on_decode=lambda: None)
            prompt = self._prompt(key, samples, run, frames, holder)
            decode_s = time.monotonic() - began
            answer = engine.ask(
                prompt,
                run.generation,
                alone=alone,
                together="\n".join(clip.path for clip in prompt.clips),
                load_key=run.load_key,
                on_stage=on_stage,
            )
        stored = replace(prompt, parts=tuple(below(root, part) for part in prompt.parts))
        return response_of(answer, stored, queue_s=queue_s, decode_s=decode_s, decoded=holder.decoded)

    def _prompt(
        self, key: str, samples: Sequence[Sample], run: RunConfig, frames: FrameSource, holder: Holder
    ) -> Prompt:
        """What the model is given."""
        video_llm = run.form == "video"
        name = str(samples[0].row.get("SUB_DATASET") or self._dataset.dataset_name)
        place = self._places[samples[0].id]
        if self._has_own_words(name, key):
            return told(self._own_words(place, name, video_llm), dataset=name)
        if isinstance(self._dataset, Dataset):
            prompt = self._dataset.prompt(key, samples, video_llm=video_llm, frames=frames)
            return told(self._dataset.message(prompt, samples), dataset=name, prompt=prompt)
        message = self._dataset_s(samples[0].row["video"] if is_pack(key) else place, video_llm)
        if self._model is not None or run.spec.told:
            return replace(told(message, dataset=name), question=question_of(samples, key, run))
        parts, clips = parts_of(message, lambda path: holder.clip(Path(path)))
        return Prompt(parts=parts, clips=clips, pixels=(run.spec.pixels,) * len(clips) if run.spec.resizes else ())

    def _dataset_s(self, line: Any, video_llm: bool) -> Message:
        """As the dataset words it."""
        whose = f"{type(self._dataset).__name__}.build_prompt"
        with self._lock, _failing(whose, VideoFailure):
            return checked(worded(self._dataset, line, video_llm=video_llm), whose)

    def _has_own_words(self, name: str, key: str) -> bool:
        model = self._model
        if model is None or is_pack(key) or getattr(model, "is_api", False) or not hasattr(model, "use_custom_prompt"):
            return False
        with self._lock, _failing(f"{type(model).__name__}.use_custom_prompt", ModelFailure):
            return bool(model.use_custom_prompt(name))

    def _own_words(self, place: int, name: str, video_llm: bool) -> Message:
        """As the model words it."""
        if getattr(self._dataset, "nframe", None) == 0:
            raise ModelFailure(f"{type(self._model).__name__} words {name} itself, which needs a number of frames")
        model: Any = self._model
        whose, line = f"{type(model).__name__}.build_prompt", self._dataset.data.iloc[place]
        with self._lock, _failing(whose, ModelFailure):
            return checked(model.build_prompt(line, dataset=self._dataset, video_llm=video_llm), whose)


@contextmanager
def _failing(whose: str, kind: type[RequestFailure]) -> Iterator[None]:
    """What an object raises is the request's failure, with who raised it."""
    try:
        yield
    except (RequestFailure, EnvironmentProblem):
        raise
    except Exception as error:
        raise kind(f"{whose}: {type(error).__name__}: {error}") from error
