"""enqueue: from what the user types to rows and messages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videval.cli import complete
from videval.cli.busy import busy
from videval.cli.console import explain, opened, say, settings_with, warn
from videval.errors import BrokerUnavailable, UsageError
from videval.words import plural

if TYPE_CHECKING:
    from videval.db.session import Database
    from videval.order import Order
    from videval.orders import Asked
    from videval.runs import Enqueued
    from videval.settings import Settings
    from videval.types import FrameSampling

__all__ = ["ModelArgument", "WhatArgument", "asked_from", "enqueue_command", "ordered", "place", "ring_for"]

WhatArgument = Annotated[
    str | None,
    typer.Argument(help="a variant (MVBench_8frame) or a file (questions.tsv)", autocompletion=complete.variants),
]
ModelArgument = Annotated[
    str | None, typer.Argument(help="a model (Video-LLaVA-7B) or ADAPTER:PATH", autocompletion=complete.models)
]


def _in_words(sampling: "FrameSampling") -> str:
    amount = f"{sampling.num_frames} frames" if sampling.num_frames else f"{sampling.fps:g} frames per second"
    cap = f", at most {sampling.max_frames}" if sampling.max_frames else ""
    return f"{amount}{cap} by the policy '{sampling.policy}'"


def ordered(asked: "Asked", settings: "Settings") -> "Order":
    """Read the questions and check all that can be checked before anything is written."""
    from videval.orders import make_order

    with busy("reading the questions"):
        return make_order(asked, settings)


def _length(order: "Order") -> str:
    tokens, own = order.generation.max_new_tokens, order.benchmark.max_new_tokens
    return f"{tokens} tokens" + (f" (as {order.benchmark.name} says)" if tokens == own else "")


def place(database: "Database", order: "Order", *, new: bool = False) -> "Enqueued":
    """Write the rows, say what was done, and what replaced what."""
    from videval.runs import enqueue

    with busy("writing requests") as tell:
        done = enqueue(database, order, new=new, on_progress=tell)
    sampling, own = order.sampling(), order.benchmark.sampling(order.variant, order.prompt_set)
    verb = "new run" if done.created else "goes on with run"
    explain(f"{verb} {done.run.name}: {plural(done.added, 'request')} added")
    replaced = f" (the model's own, in place of '{own.policy}')" if sampling.policy != own.policy else ""
    explain(
        f"  {_in_words(sampling)}{replaced}; model {order.spec.name}"
        + (f", {order.spec.note}" if order.spec.note else "")
    )
    explain(f"  prompt set {order.prompt_set}; answers up to {_length(order)}")
    for remark in order.remarks():
        warn(f"  {remark}")
    if done.run.missing:
        left_out = plural(len(done.run.missing), "question")
        warn(f"  {left_out} left out, since their videos are missing; coverage will say so")
    return done


def ring_for(settings: "Settings", database: "Database", run_id: int) -> int:
    """Publish what nobody rang for yet; returns how many messages were sent."""
    from workers.publish import publish_run

    sent = 0
    with busy("sending messages") as tell:
        for sent in publish_run(settings, database, run_id):
            tell(sent, 0)
    return sent


def enqueue_command(
    variant: WhatArgument = None,
    model: ModelArgument = None,
    *,
    data: Annotated[Path | None, typer.Option(help="a table of questions: tsv, csv or jsonl")] = None,
    data_root: Annotated[Path | None, typer.Option(help="folder that video paths are relative to")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="frames per video, for --data")] = None,
    fps: Annotated[float | None, typer.Option(min=0.001, help="frames per second, for --data")] = None,
    pack: Annotated[bool, typer.Option(help="ask all questions of a video at once, for --data")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="cap on frames, for variants by rate")] = None,
    max_pixels: Annotated[int | None, typer.Option(min=16, help="cap on pixels per frame")] = None,
    prompts: Annotated[str | None, typer.Option(help="wording of paper, vlmevalkit or lmms-eval")] = None,
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
    """Write a row and send a message for each question (for each video with packs).

    The same again resumes the run and adds only what it lacks.
    """
    given = dict(locals())
    enqueue_it(asked_from(given), new=new)


def asked_from(given: dict[str, object]) -> "Asked":
    """The options of a command; with --data the one positional argument is the model."""
    from videval.orders import Asked

    variant, model = given["variant"], given["model"]
    if model is None and given["data"] is not None:
        variant, model = None, variant
    if model is None:
        raise UsageError("which model?", hint="it stands after the variant; see: videval list models")
    fields = {name: given[name] for name in Asked.__dataclass_fields__ if name in given}
    return Asked(**{**fields, "what": variant, "model": model})  # type: ignore[arg-type]


def enqueue_it(asked: "Asked", *, new: bool) -> None:
    """Rows first; if the broker is gone then, the rows stand and any worker rings for them."""
    from workers.broker import using

    settings = settings_with()
    order = ordered(asked, settings)
    with opened(settings) as database:
        done = place(database, order, new=new)
        try:
            with using(settings):
                sent = ring_for(settings, database, done.run.run_id)
        except BrokerUnavailable as error:
            warn(f"  the rows stand, but not all messages were sent: {error}")
            warn("  the next enqueue, or any worker, sends the rest")
            raise
        how = "celery -A workers worker   (once per device)"
        if not order.spec.needs_device:
            how = "VIDEVAL_DEVICES=api celery -A workers worker   (it needs no device)"
        say(f"  {plural(sent, 'message')} sent; answer with: {how}")
