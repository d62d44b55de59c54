"""One worker per device: started, restarted with back-off when it dies, drained on SIGTERM.

A worker that can never start (its first lives end at once, again and again) is given up with what it said last. A
device that another worker holds is waited for. Workers outlive a supervisor that is killed; `tied` ones do not.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from videval.db.session import open_database
from videval.errors import EnvironmentProblem, UsageError
from videval.settings import Settings
from workers import broker
from workers.device import Device
from workers.environs import for_workers
from workers.locks import is_free
from workers.template import Clone, Template

__all__ = ["Fleet", "Seat"]

log = logging.getLogger(__name__)
QUICK_DEATH = 15.0
"""A life shorter than this, in seconds, counts as a failure to start."""
GIVE_UP_AFTER = 5
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


@dataclass(kw_only=True)
class Seat:
    """One device of the fleet and the worker on it now; `gave_up` says why nobody is started any more."""

    device: Device
    text: str
    log_file: Path
    process: subprocess.Popen[bytes] | Clone | None = None
    started_at: float = 0.0
    next_start: float = 0.0
    quick_deaths: int = 0
    restarts: int = -1
    waits: bool = False
    gave_up: str = ""


@dataclass(kw_only=True)
class Fleet:
    """The workers of this host; `tick` it about once a second.

    They are clones of `template`, or, without one, processes that import by themselves what they need.
    """

    settings: Settings
    devices: Sequence[Device]
    template: Template | None = None
    tied: bool = False
    show_logs: bool = False
    loglevel: str = "INFO"
    seats: list[Seat] = field(default_factory=list)
    stopping: bool = False

    def __post_init__(self) -> None:
        if not self.devices:
            raise UsageError("a fleet needs at least one device")
        folder = self.settings.home_path / "logs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(f"cannot write logs to {folder}: {error}", hint="set VIDEVAL_HOME") from error
        for device in self.devices:
            log_file = folder / f"{device.label}.log"
            self.seats.append(Seat(device=device, text=_as_text(device), log_file=log_file))

    def tick(self) -> None:
        """Start who is due, note who died."""
        for seat in self.seats:
            if seat.process is not None and seat.process.poll() is not None:
                self._on_death(seat)
            if seat.process is None and not seat.gave_up and not self.stopping and time.monotonic() >= seat.next_start:
                self._start(seat)

    @property
    def alive(self) -> list[Seat]:
        """Seats with a running worker."""
        return [s for s in self.seats if s.process is not None and s.process.poll() is None]

    @property
    def hopeless(self) -> str:
        """Why no worker can be started on any device; empty while there is hope."""
        if all(s.gave_up for s in self.seats):
            return "\n".join(f"{s.device.label}: {s.gave_up}" for s in self.seats)
        return ""

    def _start(self, seat: Seat) -> None:
        seat.waits = not is_free(self.settings.lock_path, seat.device.id)
        if seat.waits:
            seat.next_start = time.monotonic() + 2.0
            return
        argv = ["workers", "worker", "--loglevel", self.loglevel]
        with nullcontext() if self.show_logs else seat.log_file.open("ab") as log:
            seat.process = self._cloned(seat, argv, log) or self._alone(seat, argv, log)
        seat.started_at = time.monotonic()
        seat.restarts += 1

    def _cloned(self, seat: Seat, argv: list[str], log: IO[bytes] | None) -> Clone | None:
        """A worker that is a clone of the template, if there is one, or was one that could be cloned."""
        if self.template is not None and self.template.is_gone:
            self.template = self.template.successor()
        if self.template is None:
            return None
        files = (log.fileno(),) * 2 if log else (1, 2)
        return self.template.clone(argv, self._environ(seat, self.template.pid), files)

    def _alone(self, seat: Seat, argv: list[str], log: IO[bytes] | None) -> subprocess.Popen[bytes]:
        """A worker that was started by itself."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *argv],
            env=self._environ(seat, os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _environ(self, seat: Seat, parent: int) -> dict[str, str]:
        """What a worker is told: these settings whole, however they were made, and nothing that is not for it."""
        environ = for_workers() | self.settings.as_environ() | {"VIDEVAL_DEVICES": seat.text}
        return environ | ({"VIDEVAL_TIED_TO": str(parent)} if self.tied else {})

    def _on_death(self, seat: Seat) -> None:
        assert seat.process is not None and seat.process.returncode is not None
        code, lived = seat.process.returncode, time.monotonic() - seat.started_at
        seat.process = None
        if self.stopping:
            return
        is_quick = lived < QUICK_DEATH and code != 0
        seat.quick_deaths = seat.quick_deaths + 1 if is_quick and not self._has_outage() else 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = "" if self.show_logs else _last_words(seat.log_file)
        log.warning("the worker on %s ended after %.0f s (%s) %s", seat.device.label, lived, how, last)
        if seat.quick_deaths >= GIVE_UP_AFTER:
            seat.gave_up = f"its worker ended {GIVE_UP_AFTER} times at once ({how}). {last}".strip()
            log.error("%s is given up: %s", seat.device.label, seat.gave_up)
        seat.next_start = time.monotonic() + min(FIRST_PAUSE * 2 ** max(0, seat.quick_deaths - 1), LONGEST_PAUSE)

    def _has_outage(self) -> bool:
        """Whether the database or the broker is away: no worker can start then, and none is to blame."""
        if not self.settings.is_embedded_broker and not broker.ping(self.settings):
            return True
        database = open_database(self.settings, pool_size=1)
        try:
            with database.read():
                return False
        except EnvironmentProblem:
            return True
        finally:
            database.close()

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""
        self.stopping = True
        for seat in self.alive:
            assert seat.process is not None
            seat.process.send_signal(number)

    def drain(self) -> None:
        """Ask every worker to finish what it generates and release the rest."""
        self.signal(signal.SIGTERM)

    def wait(self, patience: float) -> bool:
        """Wait for the workers to end; whether all did. Then the template ends too."""
        deadline = time.monotonic() + patience
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.alive:
            return False
        if self.stopping and self.template is not None:
            self.template.close()
        return True

    def stop(self, *, patience: float = 30.0) -> None:
        """Drain, then end whoever is left."""
        self.drain()
        if not self.wait(patience):
            self.signal(signal.SIGTERM)
            if not self.wait(5.0):
                self.signal(signal.SIGKILL)
                self.wait(5.0)


def _as_text(device: Device) -> str:
    """The device in VIDEVAL_DEVICES, by UUID so that it means the same in every environment."""
    return "+".join(device.keys)


def _last_words(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines[-20:] if line.startswith(("videval worker:", "  -> "))]
    return " ".join(said[-2:] or lines[-1:])
