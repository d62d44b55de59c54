"""What servers behind OpenAI's API take, as data: how frames travel to them, and what they call which setting.

A transport is a row of TRANSPORTS, a server one of SERVERS; an endpoint's entry names both. Sources: vLLM 0.32
(docs/features/multimodal_inputs.md and its protocol), SGLang and LMDeploy (their `protocol.py`), Google's and Alibaba's
pages on their OpenAI-compatible addresses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from videval.types import GenerationSettings, ModelSpec, Remote

__all__ = [
    "SERVERS",
    "TRANSPORTS",
    "Dialect",
    "Transport",
    "dialect_of",
    "goes_on",
    "reads_itself",
    "settings_of",
    "transport_of",
    "untold",
]

_SAMPLING = {"temperature": "temperature", "top_p": "top_p", "seed": "seed", "stop": "stop"}
_ALL_SAMPLING = {
    **_SAMPLING,
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
}
_TEMPLATE_THINKS = {"thinking": "chat_template_kwargs.enable_thinking"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Transport:
    """How a clip travels: `form` as a model is shown it, `exact` if our own frames are sent (else the server reads the
    file and samples it by itself, and cannot be told which part of it), `clips` the most in one prompt.

    `servers`: which take it; the body has the fields of the first where the entry does not say which it is. `said`: in
    words, for the run card.
    """

    form: Literal["video", "frames"]
    servers: tuple[str, ...]
    said: str
    exact: bool = True
    clips: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What a server takes in a body: generation setting -> field (a dot goes down), the field of max_new_tokens.

    `explicit`: whether a setting is sent at its default too, as the server would fill in the checkpoint's own (vLLM:
    generation_config.json) where ours means "off"; `all_tokens`: what it calls a top_k that is off (None: nothing is
    sent). `goes_on`: the fields by which it goes on with an answer whose beginning is the last message, `begun`: those
    of that message; both None: it cannot.
    """

    fields: Mapping[str, str] = field(default_factory=lambda: _SAMPLING)
    longest: str = "max_tokens"
    explicit: bool = False
    all_tokens: int | None = None
    goes_on: Mapping[str, Any] | None = None
    begun: Mapping[str, Any] | None = None

    @property
    def continues(self) -> bool:
        """Whether it can go on with an answer that is begun for it."""
        return self.goes_on is not None or self.begun is not None


TRANSPORTS: Mapping[str, Transport] = {
    "frames": Transport(
        form="frames",
        servers=("openai", "vllm", "sglang", "lmdeploy", "gemini", "dashscope"),
        said="each frame as an image",
    ),
    "video": Transport(
        form="video", servers=("vllm", "lmdeploy"), said="our frames as one video, with their numbers", clips=1
    ),
    "frame_list": Transport(form="video", servers=("dashscope",), said="our frames as a list that is one video"),
    "file": Transport(
        form="video",
        servers=("vllm", "sglang", "lmdeploy"),
        said="the path of the file, which the server samples",
        exact=False,
    ),
    "inline": Transport(
        form="video",
        servers=("vllm", "sglang", "lmdeploy", "dashscope", "openai"),
        said="the file itself, which the server samples",
        exact=False,
    ),
    "gemini": Transport(
        form="video", servers=("gemini", "openai"), said="the file itself, which Gemini samples", exact=False
    ),
}
"""`video`: data:video/jpeg;base64,FRAME,FRAME,... with media_io_kwargs, which are said once for a whole body, so it
can have one clip; vLLM wants --trust-request-mm-kwargs for them, LMDeploy shows all frames and knows no times."""

SERVERS: Mapping[str, Dialect] = {
    "openai": Dialect(
        fields={**_SAMPLING, "presence_penalty": "presence_penalty"},
        longest="max_completion_tokens",
    ),
    "vllm": Dialect(
        fields={**_ALL_SAMPLING, **_TEMPLATE_THINKS},
        explicit=True,
        all_tokens=0,
        goes_on={"continue_final_message": True, "add_generation_prompt": False},
    ),
    "sglang": Dialect(
        fields={**_ALL_SAMPLING, **_TEMPLATE_THINKS},
        explicit=True,
        all_tokens=-1,
        goes_on={"continue_final_message": True},
    ),
    "lmdeploy": Dialect(fields={**_ALL_SAMPLING, **_TEMPLATE_THINKS}, explicit=True, all_tokens=0),
    "gemini": Dialect(fields={**_SAMPLING, "thinking_budget": "extra_body.google.thinking_config.thinking_budget"}),
    "dashscope": Dialect(
        fields={
            **_SAMPLING,
            "top_k": "top_k",
            "presence_penalty": "presence_penalty",
            "repetition_penalty": "repetition_penalty",
            "thinking": "enable_thinking",
            "thinking_budget": "thinking_budget",
        },
        explicit=True,
        begun={"partial": True},
    ),
}
_OF_CHANCE = ("top_p", "seed", "top_k", "min_p")
"""What means nothing where the likeliest token is always taken."""


def transport_of(remote: Remote) -> Transport:
    """How frames travel to this endpoint."""
    return TRANSPORTS[remote.transport]


def dialect_of(remote: Remote) -> Dialect:
    """What its server takes: as the entry says, else as the transport's servers do."""
    return SERVERS[remote.server or transport_of(remote).servers[0]]


def reads_itself(spec: ModelSpec) -> bool:
    """Whether a model is given the files of videos and samples them by itself, so that nothing is decoded for it."""
    if spec.remote is not None:
        return not transport_of(spec.remote).exact
    return spec.told and spec.form == "video"


def goes_on(remote: Remote) -> bool:
    """Whether an answer that is begun is gone on with; else its beginning stands below the question."""
    return dialect_of(remote).continues and remote.prefix != "question"


def settings_of(settings: GenerationSettings, remote: Remote) -> Mapping[str, Any]:
    """The body's fields that say how to generate; those that the entry omits are not among them."""
    dialect, body = dialect_of(remote), dict[str, Any]()
    for name, value in _said(settings, dialect).items():
        if name in dialect.fields:
            _put(body, dialect.fields[name], value)
    body[remote.longest or dialect.longest] = settings.max_new_tokens
    return {name: value for name, value in body.items() if name not in remote.omit}


def untold(settings: GenerationSettings, remote: Remote) -> list[str]:
    """The settings that mean something and cannot be said to this server."""
    mean = _said(settings, Dialect())
    return [name for name in mean if name not in dialect_of(remote).fields]


def _said(settings: GenerationSettings, dialect: Dialect) -> dict[str, Any]:
    """Setting -> value, of those that mean something, and of an explicit dialect those that are off too."""
    usual = GenerationSettings()
    names = [*_ALL_SAMPLING, "thinking", "thinking_budget"]
    values = {name: getattr(settings, name) for name in names}
    said = {name: value for name, value in values.items() if value != getattr(usual, name) or _is_due(name, dialect)}
    if settings.temperature == 0:
        said = {name: value for name, value in said.items() if name not in _OF_CHANCE}
    if said.get("top_k") == 0:
        said["top_k"] = dialect.all_tokens
    if "stop" in said:
        said["stop"] = list(settings.stop)
    return {name: value for name, value in said.items() if value is not None and value != []}


def _is_due(name: str, dialect: Dialect) -> bool:
    """Whether a setting is sent at its default too."""
    return name in ("temperature", "seed") or (dialect.explicit and name in _ALL_SAMPLING)


def _put(body: dict[str, Any], path: str, value: Any) -> None:
    *folders, name = path.split(".")
    for folder in folders:
        body = body.setdefault(folder, {})
    body[name] = value
