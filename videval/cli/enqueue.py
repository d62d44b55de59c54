"""enqueue: from what the user types to rows and messages."""

from typing import TYPE_CHECKING

from videval.cli.asked import takes_asked
from videval.cli.busy import busy
from videval.cli.console import explain, opened, say, settings_with, warn
from videval.options import Asked
from videval.words import plural

if TYPE_CHECKING:
    from videval.db.session import Database
    from videval.order import Order
    from videval.settings import Settings
    from videval.types import FrameSampling
    from workers.desk import Placed

__all__ = ["enqueue_command", "ordered", "place"]


@takes_asked
def enqueue_command(asked: Asked) -> None:
    """Write a row and send a message for each question (for each video with packs).

    The same again resumes the run and adds only what it lacks.
    """
    settings = settings_with()
    order = ordered(asked, settings)
    with opened(settings) as database:
        placed = place(settings, database, order, new=asked.new)
    sent = plural(placed.rung.sent, "message")
    how = "celery -A workers worker   (once per device)"
    if not order.spec.needs_device:
        how = "VIDEVAL_DEVICES=api celery -A workers worker   (it needs no device)"
    say(f"  {sent} sent; answer with: {how}")


def ordered(asked: Asked, settings: "Settings") -> "Order":
    """Read the questions and check all that can be checked before anything is written."""
    from videval.orders import make_order

    with busy("reading the questions"):
        return make_order(asked, settings)


def place(settings: "Settings", database: "Database", order: "Order", *, new: bool) -> "Placed":
    """Write the rows, ring for them, and say what was done; BrokerUnavailable if not all messages could be sent."""
    from workers import desk

    placed = desk.enqueue(settings, database, order, new=new, busy=busy)
    explain(placed.said)
    _explain_order(order)
    for remark in placed.remarks:
        warn(f"  {remark}")
    if placed.rung.away:
        warn(f"  {placed.rung.said}")
        raise placed.rung.away
    return placed


def _explain_order(order: "Order") -> None:
    """What the model will be shown and told, and what of it is the model's own and not the benchmark's."""
    sampling, own = order.sampling(), order.benchmark.sampling(order.variant, order.prompt_set)
    replaced = f" (the model's own, in place of '{own.policy}')" if sampling.policy != own.policy else ""
    note = f", {order.spec.note}" if order.spec.note else ""
    explain(f"  {_in_words(sampling)}{replaced}; model {order.spec.name}{note}")
    explain(f"  prompt set {order.prompt_set}; answers up to {_answer_length(order)}")


def _in_words(sampling: "FrameSampling") -> str:
    said = [
        f"{sampling.num_frames} frames" if sampling.num_frames else "",
        f"{sampling.fps:g} frames per second" if sampling.fps else "",
        f"{plural(len(sampling.by_length), 'rule')} by length" if sampling.by_length else "",
        f"at least {sampling.min_frames}" if sampling.min_frames else "",
        f"at most {sampling.max_frames}" if sampling.max_frames else "",
        f"a multiple of {sampling.multiple}" if sampling.multiple else "",
    ]
    return f"{', '.join(filter(None, said))} by the policy '{sampling.policy}'"


def _answer_length(order: "Order") -> str:
    tokens, own = order.generation.max_new_tokens, order.benchmark.max_new_tokens
    return f"{tokens} tokens" + (f" (as {order.benchmark.name} says)" if tokens == own else "")
