"""What the answers of a run took and cost, and why it does not go on, in words."""

from videval.db.records import RunInfo
from videval.db.usage import Usage
from videval.errors import RunHalted
from videval.report.status import RunStatus
from videval.words import percent, price

__all__ = ["halted_in_words", "is_paid", "refuse_halted", "used_in_words"]


def is_paid(status: RunStatus) -> bool:
    """Whether a run's answers have a price, or a limit of what they may take."""
    return status.usage.cost is not None or status.run.max_cost is not None or status.run.max_tokens is not None


def used_in_words(usage: Usage, run: RunInfo) -> str:
    """What answers took and cost, beside what the run may take in all; empty where nothing is known."""
    reused = f" ({percent(usage.reused, 0)} reused)" if usage.reused is not None else ""
    thought = f" ({usage.reasoning:,} of thinking)" if usage.reasoning else ""
    limit = f", of {run.max_tokens:,} that it may take" if run.max_tokens is not None else ""
    most = f" of {price(run.max_cost, run.currency)} that it may cost" if run.max_cost is not None else ""
    spent = f"; {price(usage.cost or 0.0, run.currency)}{most}" if most or usage.cost is not None else ""
    if not usage.prompt and not usage.new and not spent:
        return ""
    return f"{usage.prompt:,} tokens in{reused}, {usage.new:,} out{thought}{limit}{spent}"


def halted_in_words(status: RunStatus) -> str:
    """Why a run was paused that nobody paused, and what lets it go on; empty if it goes on."""
    if not status.halted:
        return ""
    said = " ".join(status.halted.split())
    if "videval resume" in said or "videval cancel" in said:
        return f"halted: {said}"
    return f"halted: {said}{'; then' if '->' in said else ' -> mend that, then'} videval resume {status.run.name}"


def refuse_halted(status: RunStatus) -> None:
    """Raise RunHalted, with its reason and what mends that, if the run was halted."""
    if status.halted:
        why, _, hint = status.halted.rpartition(" -> ")
        resume = f"videval resume {status.run.name}"
        raise RunHalted(f"{status.run.name} is halted: {why or status.halted}", hint=hint if why else resume)
