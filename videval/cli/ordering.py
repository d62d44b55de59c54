"""enqueue: from what the user types to rows and messages."""

from pathlib import Path
from typing import Annotated

import typer

from videval.cli.console import console, opened, say, warn
from videval.db.session import Database
from videval.errors import BrokerUnavailable, UsageError
from videval.orders import Asked, make_order
from videval.runs import Enqueued, Order, enqueue
from videval.settings import Settings
from videval.types import FrameSampling
from workers.broker import using
from workers.publish import publish_run

__all__ = ["add_to", "asked_from", "place", "ring_for"]


def _in_words(sampling: FrameSampling) -> str:
    amount = f"{sampling.num_frames} frames" if sampling.num_frames else f"{sampling.fps:g} frames per second"
    cap = f", at most {sampling.max_frames}" if sampling.max_frames else ""
    return f"{amount}{cap} by the policy '{sampling.policy}'"


def _answer_length(order: Order) -> str:
    tokens, own = order.generation.max_new_tokens, order.benchmark.answer_length
    return f"{tokens} tokens" + (f" (as {order.benchmark.name} says)" if tokens == own else "")


def place(database: Database, order: Order, *, new: bool = False) -> Enqueued:
    """Write the rows, say what was done, and what replaced what."""
    with console.status("writing requests"):
        done = enqueue(database, order, new=new)
    sampling, own = order.sampling(), order.benchmark.sampling(order.variant, order.prompt_set)
    verb = "new run" if done.created else "goes on with run"
    say(f"{verb} {done.run.name}: {done.added} request(s) added")
    replaced = f" (the model's own, in place of '{own.policy}')" if sampling.policy != own.policy else ""
    say(
        f"  {_in_words(sampling)}{replaced}; model {order.spec.name}"
        + (f", {order.spec.note}" if order.spec.note else "")
    )
    say(f"  prompt set {order.prompt_set}; answers up to {_answer_length(order)}")
    for remark in order.remarks():
        warn(f"  {remark}")
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
    prompts: Annotated[str | None, typer.Option(help="whose wording: paper, vlmevalkit or lmms-eval")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="length of an answer")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="0 is greedy")] = None,
    seed: Annotated[int | None, typer.Option(help="seed, when the temperature is above 0")] = None,
    dtype: Annotated[str, typer.Option(help="auto, bfloat16, float16 or float32")] = "auto",
    priority: Annotated[int, typer.Option(min=-3, max=3, help="0 is normal, higher is sooner")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="only N requests, as a trial that can grow; its videos are a sample")
    ] = None,
    in_order: Annotated[bool, typer.Option("--in-order", help="in the benchmark's order, videos not shuffled")] = False,
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
