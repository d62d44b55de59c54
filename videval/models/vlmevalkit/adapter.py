"""The adapter `vlmevalkit`: a model class of VLMEvalKit's, built and asked as its own `infer_data` does it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videval.errors import ModelFailure, ModelUnavailable, UsageError
from videval.models.messages import FrameFiles, Message, Question, Told, checked, folder_of, message_of, unread
from videval.models.objects import ObjectModel, ObjectServer, shown_as
from videval.models.vlmevalkit.toolkit import PREFIX, require, version
from videval.protocols import Model, Server
from videval.types import Generation, GenerationSettings, ModelSpec, Prompt
from videval.video.cut import as_file

__all__ = ["load"]

AT_ONCE = 4
"""Requests at once of a model that is an endpoint, as VLMEvalKit's --api-nproc has it."""
_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""Variables by which its models take themselves for a part of something larger; each engine has one of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Inputs:
    """What a model is told; the files that were written for it are gone with this."""

    told: Told
    message: Message
    files: FrameFiles


class ToolkitModel:
    """A Model over an object of VLMEvalKit's: `prepare` writes the files, all of the object's methods are called by
    the thread that generates."""

    together = 1

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self._name = name
        self._asked = ObjectModel(model)
        self._is_api = getattr(model, "is_api", False) is True

    def prepare(self, prompt: Prompt, settings: GenerationSettings) -> _Inputs:
        """The message with its files. Raises VideoFailure for a video that cannot be cut."""
        assert isinstance(prompt, Told), "a model of VLMEvalKit's is told messages"
        files = FrameFiles()
        message = [dict(item) for item in prompt.message] or message_of(_with_files(prompt, folder_of(files)), files)
        return _Inputs(told=prompt, message=message, files=files)

    def generate(self, batch: Sequence[_Inputs]) -> list[Generation]:
        """Answer each. Raises ModelFailure for what is no answer; what the model raises passes through."""
        return [self._answer(inputs) for inputs in batch]

    def describe(self) -> Mapping[str, str]:
        """Its class, and whose."""
        return {**self._asked.describe(), "vlmeval": version()}

    def _answer(self, inputs: _Inputs) -> Generation:
        told, question = inputs.told, inputs.told.question
        with _shown(self._model, told, f"{PREFIX}{self._name}", is_api=self._is_api):
            message = self._own_words(inputs) if self._has_own_words(told) else inputs.message
            (generation,) = self._asked.generate([replace(told, message=tuple(message), question=question)])
        return generation

    def _has_own_words(self, told: Told) -> bool:
        if told.question.pack or self._is_api or not hasattr(self._model, "use_custom_prompt"):
            return False
        return bool(self._model.use_custom_prompt(told.dataset))

    def _own_words(self, inputs: _Inputs) -> Message:
        """As the model words the question, of its dataset or of what stands for that."""
        question, kind = inputs.told.question, type(self._model).__name__
        if not question.nframe:
            raise ModelFailure(f"{kind} words {inputs.told.dataset} itself, which needs a number of frames")
        source = question.source.removeprefix(PREFIX)
        dataset = _built(source) if source else DatasetHere(inputs)
        line = _row(dataset.data, question)
        is_video = bool(getattr(self._model, "VIDEO_LLM", False))
        made = self._model.build_prompt(line, dataset=dataset, video_llm=is_video)
        return checked(made, f"{kind}.build_prompt")


class DatasetHere:
    """What a model that words questions itself is given for VLMEvalKit's dataset, where the benchmark is videval's."""

    MODALITY = "VIDEO"

    def __init__(self, inputs: _Inputs) -> None:
        question = inputs.told.question
        self._inputs = inputs
        self.dataset_name = inputs.told.dataset
        self.TYPE = question.kind
        self.nframe, self.fps = question.nframe, question.fps or -1
        self.pack = False
        self.data = _frame(question)
        self.videos = [question.row.get("video")]

    def build_prompt(self, line: Any, video_llm: bool = False, **_: Any) -> Message:
        """The message as the benchmark's page words it."""
        return [dict(item) for item in self._inputs.message]

    def save_video_frames(self, line: Any, *more: Any, **named: Any) -> list[str]:
        """The images that the message has."""
        return [str(item["value"]) for item in self._inputs.message if item["type"] == "image"]


def _row(data: Any, question: Question) -> Any:
    """The question's row in a dataset's table: with all that it has there, not only what is stored of it."""
    index = str(question.row.get("index"))
    place = next((n for n, own in enumerate(data.get("index", ())) if str(own) == index), 0 if len(data) == 1 else None)
    if place is None:
        raise ModelFailure(f"VLMEvalKit's dataset has no question {index} here")
    return data.iloc[place]


def _frame(question: Question) -> Any:
    import pandas as pd

    return pd.DataFrame([dict(question.row)])


def _with_files(told: Told, into: Path) -> Told:
    """Each video that is shown in part, or is a folder, as a file of its own."""
    spans = told.question.spans
    if not spans:
        return told
    cut = [
        unread(str(as_file(Path(clip.path), span, folder_fps=told.question.folder_fps, into=into)))
        for clip, span in zip(told.clips, spans, strict=True)
    ]
    return replace(told, clips=tuple(cut))


@contextmanager
def _shown(model: Any, told: Told, name: str, *, is_api: bool) -> Iterator[None]:
    """The model shown as many frames as its dataset says; an endpoint is asked as it is, by several threads."""
    if is_api:
        yield
        return
    question = told.question
    try:
        with shown_as(model, name, whose=told.dataset, nframe=question.nframe, fps=question.fps):
            yield
    except UsageError as error:  # its frames are counted in another way
        raise ModelFailure(str(error)) from error


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> Model | Server:
    """Build the model by its name in VLMEvalKit's `supported_VLM`, on the devices that this process sees.

    Raises ModelUnavailable with what its libraries say.
    """
    place = require()
    for name in _RANKS:
        os.environ.pop(name, None)
    maker = _supported(place).get(spec.checkpoint)
    if maker is None:
        raise ModelUnavailable(f"VLMEvalKit {version()} here has no model {spec.checkpoint!r}", hint="another version")
    try:
        model = maker()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ModelUnavailable(f"VLMEvalKit cannot build {spec.checkpoint}: {said}", hint=_MANUAL) from error
    if not callable(getattr(model, "generate", None)):
        raise ModelUnavailable(f"{spec.checkpoint} of VLMEvalKit {version()} has no generate")
    asked = ToolkitModel(model, spec.checkpoint)
    return ObjectServer(asked, AT_ONCE) if getattr(model, "is_api", False) is True else asked


_MANUAL = "VLMEvalKit's page of this model says which packages and versions it needs"


def _supported(place: Path) -> Mapping[str, Any]:
    try:
        from vlmeval.config import supported_VLM
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ModelUnavailable(f"vlmeval {version()} at {place} cannot be used: {said}", hint=_MANUAL) from error
    found: Mapping[str, Any] = supported_VLM
    return found


def _built(name: str) -> Any:
    """VLMEvalKit's own dataset, the same object each time."""
    if name not in _datasets:
        from vlmeval.dataset import build_dataset

        _datasets[name] = build_dataset(name)
    return _datasets[name]


_datasets: dict[str, Any] = {}
