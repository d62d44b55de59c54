"""One question about one video, asked without a run: what the model is shown and told, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from videval.asking import one_key
from videval.benchmarks.catalog import parse_variant
from videval.db.records import RunConfig
from videval.errors import UsageError
from videval.inference import Engine, infer
from videval.models.dialects import reads_itself
from videval.options import Asked
from videval.order import Order
from videval.orders import order_unread, refuse_both
from videval.recipes import find_recipe
from videval.types import Answer, Clip, GenerationSettings, Prompt, Response, Sample
from videval.video.cache import FrameCache, FramesHere
from videval.video.clips import load_frames
from videval.video.paths import is_there
from videval.video.sampling import Span
from videval.video.sheet import contact_sheet

__all__ = ["Tried", "answered", "order_about", "try_it"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What came of a question: the clip's record (its frames are gone), the response, where the contact sheet lies."""

    clip: Clip
    response: Response
    sheet: Path


def order_about(asked: Asked, video: Path, question: str, *, options: Sequence[str] = (), span: Span | None) -> Order:
    """The order of one question that stands in no file, put and sampled as the recipe says, else as a table's are.

    UsageError if the video is not there or cannot be asked about so.
    """
    if not is_there(video):
        raise UsageError(f"{video}: there is no such video", hint="is the path right, seen from this folder?")
    start, end = span or (None, None)
    sample = Sample(id="0", video=video.name, question=question, candidates=tuple(options), start=start, end=end)
    variant = find_recipe(asked.recipe).variant if asked.recipe else ""
    order = _variant_s(asked, variant) if variant else _table_s(asked)
    order = replace(order, root=video.absolute().parent, samples=(sample,), allow_symlinks=True)
    order.sampling()  # raises what the order cannot have
    order.refused()
    return order


def try_it(order: Order, *, engine: Engine, sheet: Path) -> Tried:
    """Decode, write the contact sheet, ask the engine. Raises RequestFailure, EnvironmentProblem; UsageError for a
    model that reads videos by itself."""
    if (order.spec.told and order.form == "video") or reads_itself(order.spec):
        raise UsageError(
            f"{order.spec.name} reads videos by itself: which frames it sees cannot be shown",
            hint="ask it in a run: videval run --data questions.tsv MODEL",
        )
    response = answered(order, engine=_Drawing(engine, sheet))
    return Tried(clip=response.prompt.clips[0], response=response, sheet=sheet)


def answered(order: Order, *, engine: Engine) -> Response:
    """Ask the engine an order's one question. Raises RequestFailure, EnvironmentProblem."""
    (sample,) = order.samples
    with TemporaryDirectory(prefix="videval-try-") as folder:
        return infer(
            one_key(sample.id),
            [sample],
            _config(order),
            root=order.root,
            frames=FramesHere(FrameCache(Path(folder), budget_gb=_ANY)),
            engine=engine,
            on_stage=lambda stage: None,
            alone=True,
            allow_symlinks=order.allow_symlinks,
        )


_ANY = 1e6
"""GB: the cache of one clip throws nothing out."""


@dataclass(frozen=True, slots=True)
class _Drawing:
    """An engine that is asked once the clip is drawn: the sheet is there also if the model fails."""

    engine: Engine
    sheet: Path

    def ask(self, prompt: Prompt, settings: GenerationSettings, **how: Any) -> Answer:
        clip = prompt.clips[0]
        captions = [f"{n}  {time:.2f} s" for n, time in zip(clip.frame_numbers, clip.timestamps, strict=True)]
        self.sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(load_frames(clip), captions).save(self.sheet, format="PNG")
        return self.engine.ask(prompt, settings, **how)


def _variant_s(asked: Asked, name: str) -> Order:
    """As the benchmark of a recipe's variant asks, in that variant or with another amount of frames; without subtitles,
    which a video of one's own has none of."""
    variant = parse_variant(name)
    if asked.frames is None and asked.fps is None and not variant.subtitles:
        return order_unread(asked)
    refuse_both(asked)
    frames, fps = (asked.frames, asked.fps) if asked.frames or asked.fps else (variant.num_frames, variant.fps)
    amount = f"{frames}frame" if frames is not None else f"{fps:g}fps"
    return order_unread(replace(asked, what=f"{variant.benchmark}_{amount}", frames=None, fps=None))


def _table_s(asked: Asked) -> Order:
    """As the questions of a table are asked, of one that is made for it: a table's variant is named after its file."""
    with TemporaryDirectory(prefix="videval-try-") as folder:
        table = Path(folder) / "question.jsonl"
        table.touch()
        return order_unread(replace(asked, data=table))


def _config(order: Order) -> RunConfig:
    """What a worker would know of the run of this order."""
    return RunConfig(
        run_id=0,
        name="this question",
        benchmark=order.benchmark.name,
        variant=order.variant.name,
        spec=order.spec,
        load_key=order.load_key,
        sampling=order.sampling(),
        generation=order.generation,
        pack=order.variant.pack,
        subtitles=order.variant.subtitles,
        form=order.form,
        data_root=str(order.root),
        max_pixels=order.max_pixels,
        prompts=order.prompt_set,
        protocol=order.benchmark.protocol_version,
        recipe=order.recipe,
    )
