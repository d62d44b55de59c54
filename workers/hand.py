"""What a worker has in hand: as many requests as it has places, each with a thread of its own.

A bell claims the request whose turn it is and what waits of the same video, as far as there are places; a clip that
does not fit is taken whole, up to as many as there are places in all. The bell's own thread answers the first of them;
the siblings get threads of the hand at once, so that one bell can fill a server. A bell that comes when one of them is
in hand stands for that, and lasts as long as it does: so there are never more Celery tasks than requests in hand, and
each lasts as long as a request's way through the worker.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from videval.db.records import Claim

__all__ = ["MOST_THREADS", "Hand"]

MOST_THREADS = 1024
"""Requests in hand at most, whatever a server wants; a thread is started when it is needed."""
PATIENCE = 0.5
"""Seconds that a bell waits for a place when more ring than there are (the model was changed for one with fewer
slots): then it claims all the same, since no other worker can hear it. While another bell claims it waits on: how many
places that leaves is not known yet."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class _Begun:
    """A request that was begun without a bell; `over` when it is."""

    claim: Claim
    over: threading.Event = field(default_factory=threading.Event)


class Hand:
    """The places of one worker.

    `places`: how many there are now. `claim(bell, most)`: what is to be answered on hearing a bell, `most` requests at
    most. `unring(bell)`: this one is to be rung again. `answer(claim)`: a request's whole way; never raises.
    """

    def __init__(
        self,
        places: Callable[[], int],
        *,
        claim: Callable[[int, int], Sequence[Claim]],
        unring: Callable[[int], object],
        answer: Callable[[Claim], None],
    ) -> None:
        self._places = places
        self._claim = claim
        self._unring = unring
        self._answer = answer
        self._changed = threading.Condition()
        self._taken = 0
        self._waiting = 0
        self._claiming = 0
        self._has_siblings = False
        """Whether the last claim was of several."""
        self._unheard: dict[int, _Begun] = {}
        self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="sibling")

    def hear(self, request_id: int) -> None:
        """A bell rang: come back when what it stands for is over. Raises what `claim` raises."""
        kept, begun = self._find_place(request_id)
        if begun is not None:
            if begun.claim.request_id != request_id and not begun.claim.rung:
                self._unring(request_id)  # no other bell is on its way that could take the place of this one
            begun.over.wait()
            return
        claims: Sequence[Claim] = ()
        try:
            claims = self._claim(request_id, kept)
        finally:
            siblings = self._claimed(kept, claims)
        for sibling in siblings:
            self._threads.submit(self._answer_unheard, sibling)
        for first in claims[:1]:
            try:
                self._answer(first)
            finally:
                self._leave()

    def welcome(self, claim: Claim) -> None:
        """Answer what no bell stands for; it takes a place, be there one or not."""
        with self._changed:
            self._taken += 1
        self._threads.submit(self._answer_unheard, _Begun(claim=claim))

    def wait_until_empty(self) -> None:
        """Come back when nothing is in hand, siblings for which no bell stands among it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)

    def _find_place(self, request_id: int) -> tuple[int, _Begun | None]:
        """How many places are kept for what this bell claims; or a request that was begun without a bell.

        Of bells that are heard at once the first one gets all places that are free; who waits meanwhile shares those
        that it did not need.
        """
        with self._changed:
            self._waiting += 1
            while not self._changed.wait_for(lambda: self._free() > 0 or bool(self._unheard), PATIENCE):
                if not self._claiming:
                    break
            self._waiting -= 1
            begun = self._unheard.pop(request_id, None)
            if begun is None and self._free() <= 0 and self._unheard:
                _, begun = self._unheard.popitem()
            kept = 0 if begun is not None else self._kept()
            self._taken += kept
            self._claiming += begun is None
            return kept, begun

    def _kept(self) -> int:
        """The places for a claim. Where clips have several questions, these are not parted for want of places: another
        worker would see the clip anew. A whole hand is kept for them until it is known how many there were."""
        share = max(1, self._free() // (1 + self._waiting))
        return max(share, self._places()) if self._has_siblings else share

    def _free(self) -> int:
        return self._places() - self._taken

    def _claimed(self, kept: int, claims: Sequence[Claim]) -> list[_Begun]:
        """Leave the places that were kept in vain; the siblings among the claims."""
        siblings = [_Begun(claim=claim) for claim in claims[1:]]
        with self._changed:
            self._claiming -= 1
            self._taken -= kept - len(claims)
            self._has_siblings = len(claims) > 1 if claims else self._has_siblings
            self._unheard |= {begun.claim.request_id: begun for begun in siblings}
            self._changed.notify_all()
        return siblings

    def _leave(self) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def _answer_unheard(self, begun: _Begun) -> None:
        request_id = begun.claim.request_id
        try:
            self._answer(begun.claim)
        finally:
            with self._changed:
                if self._unheard.get(request_id) is begun:
                    del self._unheard[request_id]
            self._leave()
            begun.over.set()
