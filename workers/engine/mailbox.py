"""What is asked of a model and not answered yet: request threads wait here, whichever process answers them."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from videval.errors import DiedInCompany, Released, RequestFailure
from videval.types import Answer, Stage
from workers.child import Child
from workers.engine.flight import Flight, Guilt
from workers.pipes import Message
from workers.wire import answer_from, error_from

__all__ = ["Mailbox"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One request in hand; its thread waits for `answer`."""

    message: Message
    on_stage: Callable[[Stage], None]
    answer: Future[Answer] = field(default_factory=Future)

    def tell(self, stage: Stage) -> None:
        """Tell the request's owner where it is; what goes wrong there must not cost the engine its life."""
        try:
            self.on_stage(stage)
        except Exception:
            log.exception("a request's stage could not be noted")


class Mailbox:
    """What is in hand, and its flight through the process that serves now; `limit`: seconds for each of its stages."""

    def __init__(self, limit: float) -> None:
        self._changed = threading.Condition()
        self._hand: dict[int, _Asked] = {}
        self._ids = itertools.count(1)
        self._flight = Flight(limit)
        self._server: Child | None = None
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """Whether it takes more."""
        return self._is_open

    def busy_s(self) -> float:
        """Seconds in which something was being generated."""
        with self._changed:
            return self._flight.busy_s(time.monotonic())

    # for those who ask

    def ask(self, message: Message, on_stage: Callable[[Stage], None]) -> Answer:
        """Have a prompt answered; blocks. Raises what the process or its death says, Released, DiedInCompany."""
        asked = _Asked(message=message, on_stage=on_stage)
        with self._changed:
            if not self._is_open:
                raise Released("the engine takes nothing more")
            id_ = next(self._ids)
            self._hand[id_] = asked
            self._tell(id_)
        return asked.answer.result()

    def give_back(self, most: int | None = None) -> int:
        """Let go of the newest that are not being generated, `most` of them or all; returns how many there were.

        The process that has them has the last word: what it began, and was not heard of yet, is answered.
        """
        with self._changed:
            free = [id_ for id_ in self._hand if not self._flight.is_generated(id_)]
            chosen = sorted(free, reverse=True)[:most]
            if self._server is None:
                self._release(chosen)
            elif chosen:
                self._server.send({"op": "forget", "ids": chosen})
        return len(chosen)

    def close(self) -> None:
        """Take nothing more, let go of what is not being generated."""
        with self._changed:
            self._is_open = False
        self.give_back()

    def wait_until_empty(self) -> None:
        """Come back when nothing is in hand."""
        with self._changed:
            self._changed.wait_for(lambda: not self._hand)

    def empty(self, why: str) -> None:
        """Take nothing more and let go of everything."""
        with self._changed:
            self._is_open = False
            asked = self._pop(list(self._hand))
        for one in asked:
            one.answer.set_exception(Released(why))

    # for who owns the process

    def serve(self, child: Child) -> None:
        """This process answers from now on: it is told of all that is in hand."""
        with self._changed:
            self._server = child
            for id_ in self._hand:
                self._tell(id_)

    def hear(self, message: Message) -> None:
        """The process says something."""
        with self._changed:
            self._flight.heard(time.monotonic())
        match message["op"]:
            case "entered":
                self._enter(message["id"], Stage(message["stage"]))
            case "answered":
                for one in self._land(message["id"]):
                    one.answer.set_result(answer_from(message["answer"]))
            case "failed":
                for one in self._land(message["id"]):
                    one.answer.set_exception(error_from(message))
            case "forgotten":
                with self._changed:
                    self._release(message["ids"])

    def deadline(self) -> float | None:
        """When the process will have taken too long for something, of time.monotonic()."""
        with self._changed:
            return self._flight.deadline()

    def guilt_of_death(self) -> Guilt:
        """Whose fault it is that the process died."""
        with self._changed:
            return self._flight.guilt_of_death()

    def guilt_of_delay(self) -> Guilt | None:
        """Whose fault it is that it must be ended now; None if it need not."""
        with self._changed:
            return self._flight.guilt_of_delay(time.monotonic())

    def lose(self, error: RequestFailure, guilt: Guilt) -> None:
        """The process is gone: the guilty hear of it, all others wait for the next one."""
        with self._changed:
            self._server = None
            struck, company = self._pop(guilt.struck), self._pop(guilt.company)
            self._flight.lost(time.monotonic())
        for one in struck:
            one.answer.set_exception(error)
        for one in company:
            one.answer.set_exception(DiedInCompany(str(error)))

    def _tell(self, id_: int) -> None:
        if self._server is not None:
            self._flight.told(id_, time.monotonic())
            self._server.send({"op": "ask", "id": id_, **self._hand[id_].message})

    def _enter(self, id_: int, stage: Stage) -> None:
        with self._changed:
            self._flight.entered(id_, stage, time.monotonic())
            asked = self._hand.get(id_)
        if asked is not None:
            asked.tell(stage)

    def _land(self, id_: int) -> list[_Asked]:
        with self._changed:
            return self._pop([id_])

    def _release(self, ids: Iterable[int]) -> None:
        """Nobody begins these any more; called with the lock."""
        for one in self._pop(ids):
            one.answer.set_exception(Released("given back before it was generated"))

    def _pop(self, ids: Iterable[int]) -> list[_Asked]:
        """Take these out of the hand, as far as they are in it; called with the lock."""
        now, asked = time.monotonic(), []
        for id_ in ids:
            self._flight.landed(id_, now)
            if id_ in self._hand:
                asked.append(self._hand.pop(id_))
        self._changed.notify_all()
        return asked
