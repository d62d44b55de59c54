"""Where each request in hand is, and who goes on with it."""

import threading
import time

from videval.db import requests
from videval.errors import Released
from videval.types import Stage
from workers.ledger import Held, Ledger

__all__ = ["Stages"]

ASKED = (Stage.CLAIMED, Stage.DECODE)
"""Stages of a request that the engine does not have yet."""
NOTED = (Stage.DECODE, Stage.GENERATE, Stage.STORE)
"""Stages that the row must tell, as it must that one of them is over: a death in the first two is a strike."""


class Stages:
    """Moves requests on from stage to stage, or lets go of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._moving = threading.Lock()

    def enter(self, held: Held, stage: Stage) -> None:
        """A request moves on; called from the engine's thread too, so it only has a note written some time.

        Raises Released before the engine has the request, if it is not wanted any more.
        """
        with self._moving:
            if held.stage in ASKED and stage in (Stage.DECODE, Stage.PREPARE):
                self._check_wanted(held)
            left, held.stage, held.since = held.stage, stage, time.monotonic()
        if stage in NOTED or left in NOTED:
            self._ledger.later(requests.enter_stage, [held.pair], stage)

    def _check_wanted(self, held: Held) -> None:
        if self._ledger.draining.is_set() or held.lost:
            raise Released("its lease was lost" if held.lost else "the worker is draining")

    def let_go(self, most: int) -> list[Held]:
        """Up to `most` requests that the engine does not have yet, newest first: nobody goes on with them. None that is
        raced: there is nothing to give back."""
        with self._moving:
            early = [h for h in self._ledger.held() if h.stage in ASKED and not h.lost and not h.claim.is_race]
            chosen = early[::-1][:most]
            for held in chosen:
                held.lost = True
        return chosen
