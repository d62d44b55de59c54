"""A prompt on its way through a model, what is said, and what is read in that."""

from collections.abc import Mapping
from dataclasses import dataclass

from videval.types.prompts import Prompt
from videval.types.specs import GenerationSettings
from videval.types.states import PredictionState, Verdict

__all__ = [
    "STAGES",
    "Allowance",
    "Answer",
    "Ask",
    "Generation",
    "Prediction",
    "Reading",
    "Response",
    "Said",
    "Score",
    "Seen",
    "Timings",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a model's processor made of one clip, read back from the inputs that the model got.

    `frames`: how many of the clip's frames it used; `timestamps`: the seconds that the model is told of them, by text
    or by position, one for each step of time, or drawn into them, one for each frame (empty: it is told none); `grid`:
    patches in time, height and width; `width`, `height`: of a frame as it is shown, in pixels; `tokens`: how many of
    the prompt's tokens are the clip's.
    """

    frames: int
    width: int
    height: int
    tokens: int
    timestamps: tuple[float, ...] = ()
    grid: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """One answer of a model, raw, with token counts; `truncated`: it ended at max_new_tokens.

    `thinking`: what a reasoning model thought before it, without the marks around it (None: it did not think); `seen`:
    what its processor made of each clip; `rendered`: the prompt as the model got it, special tokens and all, a run of
    the same token written once with its count. `cached_tokens`: of the prompt's tokens, those whose prefix was not
    computed again; `reasoning_tokens`: of the new ones, those of its thinking; `cost`: what it cost, by the price table
    of its endpoint, in that table's currency (None: it has none); `refused`: why a server gave no answer, as it says
    (content_filter, ...; empty: it did not refuse).
    """

    text: str
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    truncated: bool = False
    thinking: str | None = None
    seen: tuple[Seen, ...] = ()
    rendered: str = ""
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    refused: str = ""

    @property
    def cut_thinking(self) -> bool:
        """Whether it ended before its thinking did: there is no answer, and that is not a wrong one."""
        return self.truncated and self.thinking is not None and not self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What predictions are read from: the text of a response, whether it was cut off inside its thinking, and why it
    was refused (empty: it was not)."""

    text: str
    cut_thinking: bool = False
    refused: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What a run may take in all, of tokens and of money (None: as much as it likes), and what its answers that are
    stored took already. `key`: of this run, and of no other in any database."""

    run: str
    key: str
    max_tokens: int | None = None
    max_cost: float | None = None
    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One prompt on its way: `alone` never shares a batch; `together` names its clip, whose prefix it may share;
    `allowance`: of a run that may take only so much."""

    id: int
    prompt: Prompt
    settings: GenerationSettings
    alone: bool = False
    together: str = ""
    allowance: Allowance | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server gives: the generation, and seconds of preparing, waiting for a batch, and generating it."""

    generation: Generation
    prepare_s: float = 0.0
    wait_s: float = 0.0
    generate_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """Seconds a request spent in each stage, on the monotonic clock of its worker; `queue` on the database's."""

    queue: float = 0.0
    decode: float = 0.0
    prepare: float = 0.0
    wait: float = 0.0
    generate: float = 0.0
    store: float = 0.0


STAGES = tuple(Timings.__dataclass_fields__)
"""The stages that are timed, in the order of a request's way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What the model said to a request: raw text, the prompt (its files relative to the data root), timings.

    `decoded`: how many of its clips were decoded for it and not found in the frame cache; None: nobody counted.
    """

    text: str
    prompt: Prompt
    generation: Generation
    timings: Timings
    decoded: int | None = None

    @property
    def said(self) -> Said:
        """What predictions are read from."""
        generation = self.generation
        return Said(text=self.text, cut_thinking=generation.cut_thinking, refused=generation.refused)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The answer of one sample; `how` says how it was read (whole response, pack key, repaired, ...)."""

    sample_id: str
    state: PredictionState
    text: str | None
    how: str = "response"


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What a scorer says of one prediction: a verdict, and a value where the scale is not right/wrong.

    `value` is in 0..1 (1.0 right, 0.0 wrong) and None when unparsed or truncated; `read` is what was read from the
    text; `scorer` who says so, with its version (choice@1).
    """

    verdict: Verdict
    value: float | None
    read: str | None = None
    scorer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read in a response: a prediction for each of its samples, and scores by sample id."""

    predictions: tuple[Prediction, ...]
    scores: Mapping[str, Score]
