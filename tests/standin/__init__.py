"""A stand-in for an OpenAI-compatible server at its worst: a process on loopback that ends when its owner does.

`with stand_in(tmp_path) as server:` gives its URL and what arrived there. Which request meets which fault is said by a
mark in its text (`[[500 x2]] What is shown?`) or by chance (`tests/standin/plan.py`).
"""

import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.servers import missing
from tests.standin.plan import FAULTS, Plan
from videval.plain import restored

__all__ = ["FAULTS", "Arrival", "Plan", "StandIn", "most_within", "stand_in"]

ROOT = Path(__file__).parents[2]
_names = itertools.count()


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One request for a completion. `key`: which body, `tries`: how often that had come by then, `outcome`: "ok", a
    status, a fault, "gone" if nobody waited for its end; None while it lasts. Times are of time.time()."""

    id: int
    at: float
    key: str
    tries: int
    until: float | None = None
    outcome: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """Where it is (`url` ends in /v1), and its log."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    def arrivals(self) -> list[Arrival]:
        """All requests so far, in order."""
        values: dict[int, dict[str, Any]] = {}
        for line in self.log.read_text().splitlines():
            one = json.loads(line)
            values.setdefault(one["id"], {}).update(one)
        return [restored(Arrival, one) for one in values.values()]

    def outcomes(self) -> Counter[str | None]:
        """How many ended how."""
        return Counter(arrival.outcome for arrival in self.arrivals())

    def sent_again(self) -> list[Arrival]:
        """Requests that came although their body had been answered before."""
        answered: dict[str, float] = {}
        for arrival in self.arrivals():
            if arrival.outcome == "ok" and arrival.until is not None:
                answered.setdefault(arrival.key, arrival.until)
        return [one for one in self.arrivals() if one.at > answered.get(one.key, one.at)]


def most_within(seconds: float, arrivals: list[Arrival]) -> int:
    """The most requests that arrived within any stretch of so many seconds."""
    times = sorted(arrival.at for arrival in arrivals)
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


@contextmanager
def stand_in(folder: Path, plan: Plan = Plan(), *, tls: bool = False) -> Iterator[StandIn]:  # noqa: B008 (frozen)
    """A stand-in with its log in this folder; `tls`: with a certificate that it signed itself."""
    log = folder / f"stand-in-{next(_names)}.jsonl"
    log.write_text("")
    plan = replace(plan, tls=str(_certificate(folder))) if tls else plan
    command = [sys.executable, "-m", "tests.standin", plan.to_json(), str(log)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield StandIn(url=f"http{'s' * tls}://127.0.0.1:{port}/v1", log=log, process=process)


def _certificate(folder: Path) -> Path:
    """A key and a certificate that no authority signed."""
    openssl = shutil.which("openssl") or missing("openssl")
    out = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-subj", "/CN=127.0.0.1"]
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *out]
    subprocess.run(command, check=True, capture_output=True)
    return folder
