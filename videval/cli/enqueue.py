"""enqueue: from what the user types to rows and messages."""

from typing import TYPE_CHECKING

from videval.cli.asked import takes_suite
from videval.cli.busy import busy
from videval.cli.console import explain, opened, say, settings_with, warn
from videval.cli.words import frames_in_words
from videval.options import Suite
from videval.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videval.db.session import Database
    from videval.order import Order
    from videval.settings import Settings
    from videval.suites.orders import Cell
    from workers.desk import Placed

__all__ = ["check_all", "enqueue_command", "one_of_each_model", "ordered", "place"]


@takes_suite
def enqueue_command(suite: Suite) -> None:
    """Write a row and send a message for each question (for each video with packs).

    The same again resumes the run and adds only what it lacks. `--data A B --model X Y` or a suite's file: each pair is
    a run.
    """
    from videval.models.troubles import troubles

    settings = settings_with()
    cells = ordered(suite, settings)
    check_all(cells)
    for order in one_of_each_model(cells):
        for trouble in troubles(order.spec):  # other machines may have what this one has not
            warn(f"{trouble.in_words(order.spec)} (here; its workers may be elsewhere)")
    with opened(settings) as database:
        placed = [place(settings, database, c.order, new=c.asked.new) for c in cells]
    sent = sum(each.rung.sent for each in placed)
    others = ", the others follow as these are heard" if sent < sum(each.enqueued.added for each in placed) else ""
    how = "celery -A workers worker   (once per device)"
    if not any(cell.order.spec.needs_device for cell in cells):
        how = "VIDEVAL_DEVICES=api celery -A workers worker   (it needs no device)"
    say(f"  {plural(sent, 'message')} sent{others}; answer with: {how}")


def ordered(suite: Suite, settings: "Settings") -> "tuple[Cell, ...]":
    """Read the questions and check all that can be checked before anything is written."""
    from videval.suites.orders import ordered_cells

    with busy("reading the questions"):
        return ordered_cells(suite, settings)


def check_all(cells: "Sequence[Cell]") -> None:
    """Check every run before the first one is placed: what is wrong with the last must not be found after hours."""
    from videval.runs import check

    for cell in cells if len(cells) > 1 else ():
        check(cell.order)


def one_of_each_model(cells: "Sequence[Cell]") -> "list[Order]":
    """An order for each thing that must be loaded."""
    from videval.suites.orders import waves

    return [wave[0].order for wave in waves(cells)]


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
    whose = "asked for" if order.sampled else "the model's own"
    replaced = f" ({whose}, in place of '{own.policy}')" if sampling.policy != own.policy else ""
    note = f", {order.spec.note}" if order.spec.note else ""
    explain(f"  {frames_in_words(sampling)}{replaced}; model {order.spec.name}{note}")
    words = "the recipe's words" if order.recipe and order.recipe.wording else f"prompt set {order.prompt_set}"
    explain(f"  {words}; answers {_answer_length(order)}")
    _explain_recipe(order)


def _explain_recipe(order: "Order") -> None:
    """By which recipe it is, and what of it the user asks for otherwise."""
    if order.recipe is None:
        return
    explain(f"  recipe {order.recipe.name} {order.recipe.digest} ({order.recipe.source}, {order.recipe.date})")
    for deviation in order.recipe.deviations:
        warn(f"  not as the recipe says: {deviation}")


def _answer_length(order: "Order") -> str:
    if order.spec.told:
        return "as long as the model has it"
    tokens, own = order.generation.max_new_tokens, order.benchmark.max_new_tokens
    return f"up to {tokens} tokens" + (f" (as {order.benchmark.name} says)" if tokens == own else "")
