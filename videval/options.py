"""What a user may ask for: every option written once, for `enqueue`, `run` and the dashboard's form.

The command line makes its options of these fields, the dashboard its form, and `videval/orders.py` takes the record: a
new option is a new field, and what `make_order` does with it.
"""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

__all__ = ["TEXTS", "Asked", "Option", "OptionField", "Suite", "options"]

TEXTS = tuple[str, ...]
MOST = 10**9
"""Of a number that becomes a column of a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """What people are told of an option: its help, its least and its largest value; a `switch` can only be put on."""

    help: str
    least: float | None = None
    most: float | None = None
    is_switch: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a value lies in the range; whatever is no number does."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        least, most = (-math.inf if self.least is None else self.least), (math.inf if self.most is None else self.most)
        return math.isfinite(value) and least <= value <= most

    def in_words(self) -> str:
        """The range; empty if it has no ends."""
        if self.least is None:
            return ""
        return f"{self.least:,.10g} or more" if self.most is None else f"{self.least:,.10g} to {self.most:,.10g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a user asks for: a variant or a table of questions, a model, and options; None: what the recipe, the model
    or the benchmark says."""

    what: str | None
    model: str | None
    recipe: Annotated[str | None, Option(help="a published setting: its name, or ./mine.toml")] = None
    data: Annotated[Path | None, Option(help="a table of questions: tsv, csv or jsonl")] = None
    data_root: Annotated[Path | None, Option(help="folder that video paths are relative to")] = None
    frames: Annotated[int | None, Option(least=1, help="frames per video, where no variant says it")] = None
    fps: Annotated[float | None, Option(least=0.001, help="frames per second, where no variant says it")] = None
    pack: Annotated[bool, Option(help="ask all questions of a video at once, for --data")] = False
    policy: Annotated[str | None, Option(help="which frames: qwen3_vl, rate, ...; see the README")] = None
    min_frames: Annotated[int | None, Option(least=1, help="fewest frames, for variants by rate")] = None
    max_frames: Annotated[int | None, Option(least=1, help="cap on frames, for variants by rate")] = None
    multiple: Annotated[int | None, Option(least=1, help="the frames are a multiple of this, for rates")] = None
    max_pixels: Annotated[int | None, Option(least=16, most=MOST, help="cap on pixels per frame")] = None
    min_pixels: Annotated[int | None, Option(least=16, help="least pixels per frame, if the model resizes")] = None
    total_pixels: Annotated[int | None, Option(least=16, help="cap on pixels of a video, if the model resizes")] = None
    prompts: Annotated[str | None, Option(help="wording of paper, vlmevalkit or lmms-eval")] = None
    max_new_tokens: Annotated[int | None, Option(least=1, help="length of an answer")] = None
    temperature: Annotated[float | None, Option(least=0.0, help="0 is greedy")] = None
    seed: Annotated[int | None, Option(help="seed, when the temperature is above 0")] = None
    top_p: Annotated[float | None, Option(least=0.0, most=1.0, help="from the likeliest tokens of this share")] = None
    top_k: Annotated[int | None, Option(least=0, help="from so many likeliest tokens; 0 is all")] = None
    min_p: Annotated[float | None, Option(least=0.0, most=1.0, help="from tokens at least so likely")] = None
    repetition_penalty: Annotated[float | None, Option(least=0.001, help="1 is none")] = None
    presence_penalty: Annotated[float | None, Option(least=-2.0, most=2.0, help="0 is none")] = None
    stop: Annotated[TEXTS | None, Option(help="text that ends an answer; may be given several times")] = None
    thinking: Annotated[bool | None, Option(help="whether a reasoning model thinks first")] = None
    thinking_budget: Annotated[int | None, Option(least=1, help="its thinking is ended after so many tokens")] = None
    attention: Annotated[str | None, Option(help="how it is computed: sdpa, ...; by vLLM FLASH_ATTN, ...")] = None
    trust_remote_code: Annotated[bool, Option(is_switch=True, help="let code of the checkpoint run")] = False
    use_vllm: Annotated[bool, Option(is_switch=True, help="answer by vLLM in place of transformers")] = False
    dtype: Annotated[str, Option(help="auto, bfloat16, float16 or float32")] = "auto"
    priority: Annotated[int, Option(least=-3, most=3, help="0 is normal, higher is sooner")] = 0
    limit: Annotated[
        int | None,
        Option(least=1, most=MOST, help="only N requests, as a trial that can grow; its videos are a sample"),
    ] = None
    in_order: Annotated[bool, Option(is_switch=True, help="in the benchmark's order, not longest first")] = False
    race_tail: Annotated[bool, Option(is_switch=True, help="idle workers try what others take long for too")] = False
    max_attempts: Annotated[int | None, Option(least=1, most=MOST, help="strikes until a request counts as poison")] = (
        None
    )
    max_cost: Annotated[float | None, Option(least=0.000001, help="all answers may cost so much, at an endpoint")] = (
        None
    )
    max_tokens_total: Annotated[
        int | None, Option(least=1, help="all prompts and answers may take so many tokens, at an endpoint")
    ] = None
    allow_missing: Annotated[bool, Option(help="go on without the questions whose videos are missing")] = False
    new: Annotated[bool, Option(is_switch=True, help="another run, although one exists")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """Runs that belong together, each as it is asked for; `name` is its file's, empty for what the command line names
    itself."""

    cells: tuple[Asked, ...]
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptionField:
    """A field of `Asked` that is an option: its name, the type of its values, the default (None: is left open).

    The type of an option that may be given several times is `TEXTS`.
    """

    name: str
    type: Any
    default: Any
    told: Option


def options() -> list[OptionField]:
    """Every option of `Asked`, in the order in which people are shown them."""
    hints = get_type_hints(Asked, include_extras=True)
    return [
        OptionField(name=f.name, type=_without_none(hints[f.name].__origin__), default=f.default, told=told)
        for f in fields(Asked)
        for told in getattr(hints[f.name], "__metadata__", ())
    ]


def _without_none(hint: Any) -> Any:
    """`int` of `int | None`."""
    return next(kind for kind in get_args(hint) or (hint,) if kind is not NoneType)
