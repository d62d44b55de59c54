"""One request to one response: clips, prompt, answer. No queue, no SQL."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from videval.asking import asking
from videval.benchmarks.base import Benchmark, Shown
from videval.benchmarks.catalog import find_benchmark
from videval.db.records import RunConfig
from videval.errors import (
    DiedInCompany,
    EnvironmentProblem,
    ModelFailure,
    Released,
    VideoFailure,
)
from videval.holding import FrameSource, Holder
from videval.models.dialects import reads_itself
from videval.models.fitting import fit_of
from videval.models.messages import below
from videval.telling import foreign_prompt, told_prompt, unread_clip
from videval.types import (
    Allowance,
    Answer,
    Clip,
    ClipRef,
    Frame,
    GenerationSettings,
    Image,
    Part,
    Pixels,
    Prompt,
    PromptSet,
    Response,
    Sample,
    Sound,
    Stage,
    Timings,
    Video,
)
from videval.video.paths import resolve_video
from videval.video.sampling import pixels_for, seconds_shown

__all__ = ["DiedInCompany", "Engine", "FrameSource", "Released", "get_clips", "infer", "response_of"]


class Engine(Protocol):
    """Answers prompts: the engine process in a worker, a fake in a test."""

    def ask(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        alone: bool,
        together: str,
        load_key: str,
        on_stage: Callable[[Stage], None],
        allowance: Allowance | None = None,
    ) -> Answer:
        """Answer one prompt; blocks. Raises RequestFailure, EnvironmentProblem, RunHalted, Released, DiedInCompany.

        `allowance`: of a run that may take only so much. `on_stage` hears from another thread where it is, and must
        not block.
        """


def infer(
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
    """Answer a run's request about these samples from the files below `root`; `on_stage` hears what it is doing, from
    the engine's thread too, which must not wait for it.

    `key` says how they are asked (see `videval.asking`); `alone`: never in a batch with others; `queue_s`: how long it
    waited before. Raises RequestFailure (this request's), EnvironmentProblem (this machine's), Released, DiedInCompany.
    """
    bench = find_benchmark(run.benchmark)
    if not root.is_dir():
        hint = "mount it here, or set VIDEVAL_DATA_ROOT on this host"
        raise EnvironmentProblem(f"{run.benchmark}: no data at {root}", hint=hint)
    _check_protocol(run, bench)
    files = partial(resolve_video, root, allow_symlinks=allow_symlinks)

    began = time.monotonic()
    with ExitStack() as holding:
        holder = _holder(run, bench, frames, holding, partial(on_stage, Stage.DECODE))
        if bench.is_foreign:
            on_stage(Stage.DECODE)
            asked = foreign_prompt(key, samples, run, bench, holder.clip)
            prompt = replace(asked, parts=tuple(below(root, part) for part in asked.parts))
        elif reads_itself(run.spec):
            clips = tuple(unread_clip(files, ref) for ref in samples[0].shown)
        else:
            clips = holder.clips(samples[0].shown, files)
        decode_s = time.monotonic() - began
        on_stage(Stage.PREPARE)
        if not bench.is_foreign:
            prompt = _prompt(key, samples, run, bench, clips, root)
            if any(isinstance(part, Frame) and prompt.clips[part.clip].source_width for part in prompt.parts):
                clips = holder.whole(samples[0].shown, files)  # single frames are images, which have another size
                prompt = _prompt(key, samples, run, bench, clips, root)
            asked = replace(prompt, parts=tuple(_found(part, samples[0].shown, files) for part in prompt.parts))
            asked = told_prompt(asked, samples, key, run, bench) if run.spec.told else asked
        answer = engine.ask(
            asked,
            run.generation,
            alone=alone,
            together="\n".join(clip.path for clip in prompt.clips),
            load_key=run.load_key,
            on_stage=on_stage,
            allowance=run.allowance,
        )
    return response_of(answer, prompt, queue_s=queue_s, decode_s=decode_s, decoded=holder.decoded)


def response_of(answer: Answer, prompt: Prompt, *, queue_s: float, decode_s: float, decoded: int | None) -> Response:
    """An answer as it is stored: with its prompt, the seconds of each stage, and how many clips were decoded for it."""
    timings = Timings(
        queue=queue_s, decode=decode_s, prepare=answer.prepare_s, wait=answer.wait_s, generate=answer.generate_s
    )
    generation = answer.generation
    return Response(text=generation.text, prompt=prompt, generation=generation, timings=timings, decoded=decoded)


def get_clips(
    samples: Sequence[Sample], run: RunConfig, *, root: Path, frames: FrameSource, allow_symlinks: bool = False
) -> None:
    """Have the clips of a run's request where `infer` will find them; raises as that does. Nothing is done for models
    that read videos themselves, and benchmarks whose own toolkit says what is shown."""
    bench = find_benchmark(run.benchmark)
    if bench.is_foreign or reads_itself(run.spec):
        return
    with ExitStack() as holding:
        holder = _holder(run, bench, frames, holding, lambda: None)
        holder.clips(samples[0].shown, partial(resolve_video, root, allow_symlinks=allow_symlinks))


def _holder(
    run: RunConfig, bench: Benchmark, frames: FrameSource, holding: ExitStack, on_decode: Callable[[], None]
) -> Holder:
    fit = fit_of(run.spec) if run.form == "video" and not bench.is_foreign else None
    return Holder(frames, holding, run, bench.folder_fps, on_decode=on_decode, fit=fit)


def _check_protocol(run: RunConfig, page: Benchmark) -> None:
    """Raise unless this videval words the benchmark as the run does, so that no run is worded in two ways.

    EnvironmentProblem if a newer videval can go on with it, ModelFailure if none will.
    """
    known = page.protocol_version
    said = f"{run.name} asks {run.benchmark} by protocol {run.protocol}, this videval by {known}"
    if run.protocol > known:
        raise EnvironmentProblem(said, hint="upgrade videval on this host")
    if run.prompts not in page.prompt_sets:
        raise EnvironmentProblem(
            f"{run.name} asks {run.benchmark} with prompt set {run.prompts}, which this videval does not have",
            hint="upgrade videval on this host",
        )
    if run.protocol < known:
        raise ModelFailure(f"{said}: enqueue it anew for a run by protocol {known}")


def _prompt(
    key: str, samples: Sequence[Sample], run: RunConfig, bench: Benchmark, clips: tuple[Clip, ...], root: Path
) -> Prompt:
    """The prompt as it is stored: its files relative to the data root."""
    prompts = PromptSet(run.prompts)
    shown = Shown(clips=clips, form=run.form, root=root, subtitles=run.subtitles, prompts=prompts)
    parts = asking(key, bench, run.wording).prompt(samples, shown)
    for part in parts:
        if isinstance(part, Video | Frame | Sound) and part.clip not in range(len(clips)):
            raise ModelFailure(f"{bench.name}: its prompt shows clip {part.clip}, there are {len(clips)} (from 0)")
    steering = samples[0].row if run.spec.steered else {}
    pixels = _pixels(run, samples[0].shown, clips) if run.spec.resizes else ()
    return Prompt(parts=parts, clips=clips, prompts=prompts, pixels=pixels, steering=steering)


def _pixels(run: RunConfig, refs: Sequence[ClipRef], clips: Sequence[Clip]) -> tuple[Pixels, ...]:
    """How large the model's processor may make the frames of each clip."""
    return tuple(_pixels_of(run, ref, clip) for ref, clip in zip(refs, clips, strict=True))


def _pixels_of(run: RunConfig, ref: ClipRef, clip: Clip) -> Pixels:
    """As the run says, and its rule for clips of that length where it says otherwise."""
    seconds = seconds_shown(clip.total_frames, clip.fps, clip.span_frames)
    return pixels_for(run.spec.pixels, run.sampling_of(ref), seconds)


def _found(part: Part, clips: Sequence[ClipRef], files: Callable[[str], Path]) -> Part:
    """The part as a model needs it: with the absolute path of its file. VideoFailure if the file is not there."""
    match part:
        case Image():
            return replace(part, path=_file(part.path, "image", files))
        case Sound(path=""):
            ref = clips[part.clip]
            return replace(part, path=_file(ref.video, "sound", files), start=ref.start, end=ref.end)
        case Sound():
            return replace(part, path=_file(part.path, "sound", files))
    return part


def _file(relative: str, what: str, files: Callable[[str], Path]) -> str:
    path = files(relative)
    if not path.is_file():
        raise VideoFailure(f"{path}: the {what} is not there")
    return str(path)
