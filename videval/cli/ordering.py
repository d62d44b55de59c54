"""enqueue: from what the user types to an Order, rows and messages."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.benchmarks.catalog import parse_variant
from videval.benchmarks.table import TableBenchmark, table_variant
from videval.cli.console import console, opened, say, warn
from videval.db.session import Database
from videval.errors import BrokerUnavailable, DataMissing, UsageError
from videval.models.catalog import model_spec
from videval.runs import Enqueued, Order, enqueue
from videval.settings import Settings
from videval.types import FrameSampling, ModelSpec, Variant
from workers.broker import using
from workers.publish import publish_run

__all__ = ["Asked", "add_to", "make_order", "place"]

TABLE_SUFFIXES = (".tsv", ".csv", ".jsonl")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of enqueue and run as the user gave them."""

    what: str | None
    model: str
    data: Path | None = None
    data_root: Path | None = None
    frames: int | None = None
    fps: float | None = None
    pack: bool = False
    max_frames: int | None = None
    max_pixels: int | None = None
    max_new_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    dtype: str = "auto"
    priority: int = 0
    limit: int | None = None
    max_attempts: int | None = None
    allow_missing: bool = False


def _is_table(text: str | None) -> bool:
    return text is not None and text.endswith(TABLE_SUFFIXES)


def _spec(asked: Asked) -> ModelSpec:
    spec = model_spec(asked.model)
    given = {
        name: value for name in ("max_new_tokens", "temperature", "seed") if (value := getattr(asked, name)) is not None
    }
    dtype = asked.dtype if asked.dtype != "auto" else spec.dtype
    return replace(spec, dtype=dtype, generation=replace(spec.generation, **given))


def _table(asked: Asked, file: Path, spec: ModelSpec) -> tuple[Benchmark, Variant, Path]:
    if not file.is_file():
        raise UsageError(f"{file} is not a file", hint="--data questions.tsv")
    frames = asked.frames
    if frames is None and asked.fps is None and spec.frame_counts:
        frames = spec.frame_counts[0]
    if frames is None and asked.fps is None:
        frames = 8
    variant = table_variant(file, num_frames=frames, fps=asked.fps, pack=asked.pack)
    return TableBenchmark(file), variant, (asked.data_root or file.parent)


def _published(asked: Asked, settings: Settings) -> tuple[Benchmark, Variant, Path]:
    from videval.benchmarks.data import locate

    if asked.frames is not None or asked.fps is not None or asked.pack:
        raise UsageError(
            "--frames, --fps and --pack are for --data; a benchmark's variant says them in its name",
            hint="for example MVBench_8frame, Video-MME_1fps, MMBench_Video_8frame_pack",
        )
    assert asked.what is not None
    variant = parse_variant(asked.what)
    bench = find_benchmark(variant.benchmark)
    bench.sampling(variant)
    root = asked.data_root or locate(bench, settings)
    if root is None:
        raise DataMissing(f"the data of {bench.name} is not on this machine", hint=f"videval prepare {bench.name}")
    return bench, variant, root


def make_order(asked: Asked, settings: Settings) -> Order:
    """Read the questions and check all that can be checked before anything is written."""
    spec = _spec(asked)
    file = asked.data or (Path(asked.what) if _is_table(asked.what) and asked.what else None)
    if (file is None) == (asked.what is None or _is_table(asked.what)):
        raise UsageError("name either a variant or a file", hint="videval enqueue MVBench_8frame MODEL, or --data FILE")
    bench, variant, root = _published(asked, settings) if file is None else _table(asked, file, spec)
    if not root.is_dir():
        raise DataMissing(f"{root} is not a folder", hint="--data-root FOLDER")
    return Order(
        benchmark=bench,
        variant=variant,
        samples=bench.load(root, variant),
        root=root,
        spec=spec,
        dtype=spec.dtype,
        generation=spec.generation,
        max_frames=asked.max_frames,
        max_pixels=asked.max_pixels,
        max_attempts=asked.max_attempts or settings.max_attempts,
        priority=asked.priority,
        limit=asked.limit,
        allow_missing=asked.allow_missing,
        allow_symlinks=settings.allow_symlinks,
    )


def _in_words(sampling: FrameSampling) -> str:
    amount = f"{sampling.num_frames} frames" if sampling.num_frames else f"{sampling.fps:g} frames per second"
    cap = f", at most {sampling.max_frames}" if sampling.max_frames else ""
    return f"{amount}{cap} by the policy '{sampling.policy}'"


def place(database: Database, order: Order, *, new: bool = False) -> Enqueued:
    """Write the rows, say what was done, and what replaced what."""
    with console.status("writing requests"):
        done = enqueue(database, order, new=new)
    sampling, own = order.sampling(), order.benchmark.sampling(order.variant)
    verb = "new run" if done.created else "goes on with run"
    say(f"{verb} {done.run.name}: {done.added} request(s) added")
    replaced = f" (the model's own, in place of '{own.policy}')" if sampling.policy != own.policy else ""
    say(
        f"  {_in_words(sampling)}{replaced}; model {order.spec.name}"
        + (f", {order.spec.note}" if order.spec.note else "")
    )
    if done.run.missing:
        warn(
            f"  {len(done.run.missing)} question(s) are left out, since their videos are missing; coverage will say so"
        )
    return done


def ring_for(database: Database, run_id: int) -> int:
    """Publish what nobody rang for yet; returns how many messages were sent."""
    sent = 0
    for sent in publish_run(database, run_id):  # noqa: B007
        pass
    return sent


def enqueue_command(
    variant: Annotated[str | None, typer.Argument(help="a variant (MVBench_8frame) or a file (questions.tsv)")] = None,
    model: Annotated[str | None, typer.Argument(help="a model (Video-LLaVA-7B) or ADAPTER:PATH")] = None,
    *,
    data: Annotated[Path | None, typer.Option(help="a table of questions: tsv, csv or jsonl")] = None,
    data_root: Annotated[Path | None, typer.Option(help="folder that video paths are relative to")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="frames per video, for --data")] = None,
    fps: Annotated[float | None, typer.Option(min=0.001, help="frames per second, for --data")] = None,
    pack: Annotated[bool, typer.Option(help="ask all questions of a video at once, for --data")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="cap on frames, for variants by rate")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=16, help="cap on pixels per frame")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="length of an answer")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="0 is greedy")] = None,
    seed: Annotated[int | None, typer.Option(help="seed, when the temperature is above 0")] = None,
    dtype: Annotated[str, typer.Option(help="auto, bfloat16, float16 or float32")] = "auto",
    priority: Annotated[int, typer.Option(min=-3, max=3, help="0 is normal, higher is sooner")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="only the first N requests, as a trial that can grow")
    ] = None,
    max_attempts: Annotated[int | None, typer.Option(min=1, help="strikes until a request counts as poison")] = None,
    allow_missing: Annotated[bool, typer.Option(help="go on without the questions whose videos are missing")] = False,
    new: Annotated[bool, typer.Option("--new", help="another run, although one exists")] = False,
) -> None:
    """Enqueue one request per question (per video with packs); the same again resumes the run."""
    given = dict(locals())
    enqueue_it(asked_from(given), new=new)


def asked_from(given: dict[str, object]) -> Asked:
    """The options of a command; with --data the one positional argument is the model."""
    variant, model = given["variant"], given["model"]
    if model is None and given["data"] is not None:
        variant, model = None, variant
    if model is None:
        raise UsageError("which model?", hint="videval enqueue VARIANT MODEL; see: videval list models")
    fields = {name: given[name] for name in Asked.__dataclass_fields__ if name in given}
    return Asked(**{**fields, "what": variant, "model": model})  # type: ignore[arg-type]


def enqueue_it(asked: Asked, *, new: bool) -> None:
    """Rows first; if the broker is gone then, the rows stand and any worker rings for them."""
    settings = Settings()
    order = make_order(asked, settings)
    with opened(settings) as database:
        done = place(database, order, new=new)
        try:
            with using(settings):
                sent = ring_for(database, done.run.run_id)
        except BrokerUnavailable as error:
            warn(f"  the rows stand, but not all messages were sent: {error}")
            warn("  the next enqueue, or any worker, sends the rest")
            raise
        say(f"  {sent} message(s) sent; answer them with: celery -A workers worker   (once per device)")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("enqueue")(enqueue_command)
