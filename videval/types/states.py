"""Where requests, runs, attempts, workers and answers stand."""

from enum import StrEnum

__all__ = [
    "AttemptOutcome",
    "EndpointState",
    "PredictionState",
    "RequestStatus",
    "RunState",
    "Stage",
    "Verdict",
    "WorkerState",
]


class RequestStatus(StrEnum):
    """Where a request stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """What a run wants; whether it is finished follows from its requests."""

    CREATING = "creating"
    ACTIVE = "active"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What an attempt is doing; a process that dies in DECODE or GENERATE is held against the request."""

    CLAIMED = "claimed"
    DECODE = "decode"
    PREPARE = "prepare"
    WAIT = "wait"
    GENERATE = "generate"
    STORE = "store"


class AttemptOutcome(StrEnum):
    """How an attempt ended; RUNNING until then. REPEATED: another one answered the same request first."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REQUEUED = "requeued"
    RELEASED = "released"
    LOST = "lost"
    REPEATED = "repeated"


class WorkerState(StrEnum):
    """What a worker does; whoever holds a model is IDLE, BUSY or PASSING.

    PASSING hears one bell after the other and finds nothing to do: a run was paused, say. STOPPED ended on its own,
    LOST is known to be dead.
    """

    STARTING = "starting"
    IDLE = "idle"
    LOADING = "loading"
    BUSY = "busy"
    PASSING = "passing over messages"
    DRAINING = "draining"
    STOPPED = "stopped"
    LOST = "lost"


class EndpointState(StrEnum):
    """How an endpoint is. CLOSED: it said that there are too many requests; PAUSED: it failed again and again and is
    left alone; PROBING: one request is sent to see; AWAY: the Redis that keeps its budget is away. OPEN: it is asked as
    the budget allows."""

    OPEN = "open"
    CLOSED = "closed"
    PAUSED = "paused"
    PROBING = "probing"
    AWAY = "away"


class PredictionState(StrEnum):
    """Whether a sample's answer could be taken from the response; TRUNCATED: the only one of a response that was cut
    off inside its thinking (of a pack that was, each is UNPARSABLE and can be asked alone); REFUSED: the server gave
    none, by a content filter."""

    ANSWERED = "answered"
    ABSENT = "absent"
    UNPARSABLE = "unparsable"
    TRUNCATED = "truncated"
    REFUSED = "refused"


class Verdict(StrEnum):
    """What a rule-based scorer says of one prediction; UNPARSED, TRUNCATED and REFUSED are classes of their own, not
    wrong.

    TRUNCATED is said of an answer that was cut off inside its thinking, REFUSED of one that a server's content filter
    held back, whatever the scorer.
    """

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"
    REFUSED = "refused"
