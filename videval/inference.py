"""One request to one response: clip, prompt, generate. No queue, no SQL."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from videval.benchmarks.base import Shown
from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.db.records import Claim
from videval.errors import DiedInCompany, EnvironmentProblem, ModelFailure, Released
from videval.types import (
    Answer,
    Clip,
    FrameSampling,
    GenerationSettings,
    Part,
    Prompt,
    PromptSet,
    Response,
    Stage,
    Timings,
)
from videval.video.eviction import held
from videval.video.paths import resolve_video

__all__ = ["DiedInCompany", "Engine", "FrameSource", "Released", "infer"]


class FrameSource(Protocol):
    """Gives clips: decoder processes in a worker, the cache itself in a test."""

    def clip(
        self,
        path: Path,
        sampling: FrameSampling,
        span: tuple[float, float] | None,
        *,
        folder_fps: float,
        max_pixels: int | None,
        on_decode: Callable[[], None],
    ) -> Clip:
        """The frames of one video; `on_decode` is called when its turn comes. Raises VideoFailure."""


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
    ) -> Answer:
        """Answer one prompt; blocks. Raises RequestFailure, EnvironmentProblem, Released, DiedInCompany.

        `on_stage` hears from another thread where it is, and must not block.
        """


def infer(
    claim: Claim,
    *,
    root: Path,
    frames: FrameSource,
    engine: Engine,
    on_stage: Callable[[Stage], None],
    allow_symlinks: bool = False,
) -> Response:
    """Answer one claimed request from the videos below `root`; `on_stage` hears what it is doing, from the engine's
    thread too, which must not wait for it.

    Raises RequestFailure (this request's), EnvironmentProblem (this machine's), Released, DiedInCompany.
    """
    if not root.is_dir():
        raise EnvironmentProblem(
            f"{claim.run.benchmark}: no data at {root}", hint="mount it here, or set VIDEVAL_DATA_ROOT on this host"
        )
    _check_protocol(claim)
    began = time.monotonic()
    with held(lambda: _clip(claim, root, frames, lambda: on_stage(Stage.DECODE), allow_symlinks)) as clip:
        decode_s = time.monotonic() - began
        on_stage(Stage.PREPARE)
        return _answered(claim, clip, root, engine, on_stage=on_stage, decode_s=decode_s)


def _answered(
    claim: Claim, clip: Clip, root: Path, engine: Engine, *, on_stage: Callable[[Stage], None], decode_s: float
) -> Response:
    prompt = Prompt(
        parts=_parts(claim, clip, root),
        clip=clip,
        image_root=str(root),
        row=claim.samples[0].sample.row,
        prompts=PromptSet(claim.run.prompts),
    )
    answer = engine.ask(
        prompt,
        claim.run.generation,
        alone=claim.alone,
        together=clip.path,
        load_key=claim.run.load_key,
        on_stage=on_stage,
    )
    timings = Timings(
        queue=claim.queue_s,
        decode=decode_s,
        prepare=answer.prepare_s,
        wait=answer.wait_s,
        generate=answer.generate_s,
    )
    return Response(text=answer.generation.text, prompt=prompt, generation=answer.generation, timings=timings)


def _check_protocol(claim: Claim) -> None:
    """Raise unless this videval words the benchmark as the run does, so that no run is worded in two ways.

    EnvironmentProblem if a newer videval can go on with it, ModelFailure if none will.
    """
    run, page = claim.run, find_benchmark(claim.run.benchmark)
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


def _clip(claim: Claim, root: Path, frames: FrameSource, on_decode: Callable[[], None], allow_symlinks: bool) -> Clip:
    sample = claim.samples[0].sample
    path = resolve_video(root, sample.video, allow_symlinks=allow_symlinks)
    folder_fps = find_benchmark(claim.run.benchmark).folder_fps
    return frames.clip(
        path,
        claim.run.sampling,
        sample.span,
        folder_fps=folder_fps,
        max_pixels=claim.run.max_pixels,
        on_decode=on_decode,
    )


def _parts(claim: Claim, clip: Clip, root: Path) -> tuple[Part, ...]:
    bench = find_benchmark(claim.run.benchmark)
    run = claim.run
    shown = Shown(clip=clip, form=run.form, root=root, subtitles=run.subtitles, prompts=PromptSet(run.prompts))
    samples = [s.sample for s in claim.samples]
    return bench.pack_prompt(samples, shown) if claim.packed else bench.prompt(samples[0], shown)
