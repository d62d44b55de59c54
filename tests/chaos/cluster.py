"""A whole installation in a folder, to break: database, broker, workers, and what one may do to them."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import func, make_url, select, text

from tests.questions import order
from tests.servers import Postgres, TcpRedis
from videval.db import runs
from videval.db.runs import Counts
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.db.tables import AttemptRow, PredictionRow, RequestRow, RequestSampleRow, ResponseRow, SampleRow, WorkerRow
from videval.errors import DatabaseUnavailable
from videval.runs import enqueue
from videval.settings import Settings
from videval.types import Sample

__all__ = ["Cluster", "Process", "new_cluster", "questions"]

ROOT = Path(__file__).parents[2]
FAULTS = Path(__file__).parent / "faults"
QUICK = {
    "VIDEVAL_LEASE": "10",  # outlasts a busy machine's pauses: who lives is not given up, and nothing is repeated
    "VIDEVAL_HEARTBEAT": "0.5",
    "VIDEVAL_RECONCILE": "0.5",
    "VIDEVAL_DISPATCH": "0.3",
    "VIDEVAL_REPUBLISH": "2",
    "VIDEVAL_RETRY_DELAY": "0.3",
    "VIDEVAL_BATCH_SIZE": "4",
    "VIDEVAL_LOOK_AHEAD": "4",
    "VIDEVAL_FRAME_CACHE_GB": "1",
}
KINDS = {
    "workers.engine.process": "engine",
    "workers.decoder_process": "decoder",
    "workers.template_process": "template",
    "workers.spares": "spare",
    "--loglevel": "worker",
    "fleet": "supervisor",
    "guardian.py": "guardian",
    "redis-server": "redis",
}


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of a cluster: `kind` is worker, engine, decoder, spare (neither yet), template, supervisor, redis or
    guardian (of redis)."""

    pid: int
    kind: str


def questions(
    count: int, *, latency_ms: tuple[int, int] = (20, 100), seed: int = 0, videos: int = 8, **rows: Any
) -> list[Sample]:
    """Questions with a latency of their own each; `rows` adds columns to some by their number (r7={...})."""
    chance, made = random.Random(seed), []
    for i in range(count):
        extra = dict(rows.get(f"r{i}", {}))
        video = str(extra.pop("video", f"v{i % videos}.mp4"))
        row = {"index": str(i), "video": video, "question": f"What is {i}?", "latency_ms": chance.randint(*latency_ms)}
        made.append(Sample(id=str(i), video=video, question=f"What is {i}?", answer="A", row=row | extra))
    return made


@dataclass(kw_only=True)
class Cluster:
    """One home with its database and broker; all of its processes carry the home in their environment."""

    folder: Path
    runtime: Path
    environ: dict[str, str]
    settings: Settings
    database: Database
    postgres: Postgres | None = None
    redis: TcpRedis | None = None
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def redis_client(self) -> Redis:
        """A client of this cluster's broker."""
        url = self.redis.url if self.redis else f"unix://{next(self.runtime.glob('*/redis.sock'))}"
        return Redis.from_url(url)

    @property
    def database_name(self) -> str:
        """PostgreSQL's name of this cluster's database."""
        return make_url(self.settings.database).database or ""

    # what runs

    def enqueue(self, asked: Sequence[Sample], **values: Any) -> int:
        """Rows only: the workers ring for them. Returns the run's id."""
        return enqueue(self.database, order(self.folder / "data", asked, **values)).run.run_id

    def command(self, *arguments: str) -> str:
        """Run a command of the user's and return what it says."""
        done = subprocess.run(
            [sys.executable, "-c", "from videval.cli import main; main()", *arguments],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _start(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=self.environ | dict(environ),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def start_worker(self, device: str = "cpu*8", **environ: str) -> subprocess.Popen[bytes]:
        """`celery -A workers worker`, which takes the first free device."""
        command = ("-m", "celery", "-A", "workers", "worker", "--loglevel", "INFO")
        return self._start(f"worker{len(self.started)}", command, {"VIDEVAL_DEVICES": device} | environ)

    def start_fleet(self, size: int) -> subprocess.Popen[bytes]:
        """`videval fleet`."""
        code = "from videval.cli import main; main()"
        return self._start("fleet", ("-c", code, "fleet", "--devices", f"cpu*{size}"), {})

    def processes(self, kind: str | None = None) -> list[Process]:
        """All processes of this home that live now (a zombie does not)."""
        found = [p for p in map(self._look, Path("/proc").glob("[0-9]*")) if p is not None]
        return [p for p in found if kind in (None, p.kind)]

    def _look(self, entry: Path) -> Process | None:
        try:
            if f"VIDEVAL_HOME={self.settings.home}\0".encode() not in (entry / "environ").read_bytes() + b"\0":
                return None
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return None
        kind = next((k for word, k in KINDS.items() if any(word in w for w in words)), "other")
        return Process(pid=int(entry.name), kind=kind)

    def reap(self) -> None:
        """Let processes that ended be gone."""
        for process in self.started:
            process.poll()

    def kill(self, process: Process) -> bool:
        """kill -9; False if it was gone already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
            self.reap()
            return True
        return False

    # what is so

    def counts(self, run_id: int) -> Counts:
        with self.database.read() as connection:
            return runs.counts(connection, run_id)

    def wait(self, what: str, ready: Callable[[], bool], patience: float = 120.0) -> None:
        """Wait until something is so, also over an outage of the database; else fail and say what is known."""
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(DatabaseUnavailable):
                if ready():
                    return
            self.reap()
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {patience:.0f} s for {what}\n{self.story()}")
            time.sleep(0.05)

    def wait_done(self, run_id: int, patience: float = 120.0) -> None:
        self.wait("the run to be finished", lambda: self.counts(run_id).finished, patience)

    def wait_answers(self, run_id: int, at_least: int, patience: float = 120.0) -> None:
        self.wait(f"{at_least} answers", lambda: self.counts(run_id).done >= at_least, patience)

    def rows(self, query: Any) -> list[Any]:
        query = text(query) if isinstance(query, str) else query
        with self.database.read() as connection:
            return list(connection.execute(query).all())

    def failed(self, run_id: int) -> dict[str, str]:
        """The kind of failure by sample id."""
        query = (
            select(SampleRow.key, RequestRow.error_kind)
            .join(RequestSampleRow, RequestSampleRow.sample_id == SampleRow.id)
            .join(RequestRow, RequestRow.id == RequestSampleRow.request_id)
            .where(RequestRow.run_id == run_id, RequestRow.status == "failed")
        )
        return {row.key: row.error_kind for row in self.rows(query)}

    def generations(self) -> Counter[str]:
        """How often generate() was begun for each question (by its index)."""
        log = Path(self.environ["VIDEVAL_FAKE_LOG"])
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter(str(json.loads(line)["index"]) for line in lines)

    def runs(self) -> list[str]:
        """The names of all runs."""
        return [row.name for row in self.rows("SELECT name FROM runs ORDER BY id")]

    def workers(self) -> list[Any]:
        return self.rows(select(*WorkerRow.__table__.c))

    def assert_single(self, run_id: int) -> None:
        """The promise: each answered request has one response and one prediction, by the attempt that won."""
        done = self.counts(run_id).done
        where = [ResponseRow.run_id == run_id]
        for table in (ResponseRow, PredictionRow):
            (found,) = self.rows(select(func.count()).select_from(table).where(table.run_id == run_id))
            assert found[0] == done, f"{found[0]} rows in {table.__tablename__} for {done} answers"
        odd = self.rows(
            select(RequestRow.id)
            .join(ResponseRow, ResponseRow.request_id == RequestRow.id)
            .where(*where, (RequestRow.status != "done") | (ResponseRow.attempt > RequestRow.attempt))
        )
        assert not odd, "answers of requests that are not done"
        twice = self.rows(
            select(AttemptRow.request_id)
            .join(RequestRow, RequestRow.id == AttemptRow.request_id)
            .where(RequestRow.run_id == run_id, AttemptRow.outcome == "done")
            .group_by(AttemptRow.request_id)
            .having(func.count() > 1)
        )
        assert not twice, "requests that two attempts completed"

    def story(self) -> str:
        """What is known when something did not happen: rows by state, processes, the ends of the logs."""
        lines = [f"processes: {[(p.kind, p.pid) for p in self.processes()]}"]
        with contextlib.suppress(DatabaseUnavailable):
            states = select(RequestRow.status, RequestRow.error_kind, func.count())
            lines.append(f"requests: {self.rows(states.group_by(RequestRow.status, RequestRow.error_kind))}")
            lines += [f"worker {w.name}: {w.state}, {w.message}" for w in self.workers()]
        for log in sorted([*self.folder.glob("*.log"), *self.folder.glob("home/logs/*.log")]):
            lines += [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-25:]]
        return "\n".join(lines)

    # the end

    def drain(self, patience: float = 60.0) -> None:
        """SIGTERM to supervisors and workers, until all processes are gone."""
        for process in [*self.processes("supervisor"), *self.processes("worker")]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while self.processes() and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.05)

    def close(self) -> list[Process]:
        """End everything; returns the processes that had to be forced."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
        self.drain()
        left = self.processes()
        for process in left:
            self.kill(process)
        for started in self.started:
            started.wait()
        self.database.close()
        for server in (self.redis,):
            if server is not None:
                server.kill()
        if self.postgres is not None:
            self.postgres.close()
        shutil.rmtree(self.runtime, ignore_errors=True)
        return left


def new_cluster(backend: str, folder: Path) -> Cluster:
    """SQLite and the embedded Redis, or a PostgreSQL and a Redis of its own; no worker yet."""
    runtime = Path(tempfile.mkdtemp(prefix="vv-"))
    postgres = Postgres(options={"fsync": "off", "max_connections": "100"}) if backend == "postgresql" else None
    redis = TcpRedis() if backend == "postgresql" else None
    own = {
        "VIDEVAL_HOME": str(folder / "home"),
        "VIDEVAL_LOCK_DIR": str(folder / "locks"),
        "VIDEVAL_FAKE_LOG": str(folder / "generations.jsonl"),
        "XDG_RUNTIME_DIR": str(runtime),
        "PYTHONPATH": f"{FAULTS}{os.pathsep}{ROOT}",
        "VV_TEST_FOLDER": str(folder),
    }
    if postgres is not None and redis is not None:
        own |= {"VIDEVAL_DATABASE_URL": postgres.new_database(), "VIDEVAL_BROKER_URL": redis.url}
    base = {k: v for k, v in os.environ.items() if not k.startswith(("VIDEVAL_", "CUDA_", "PYTEST_"))}
    values = {k.removeprefix("VIDEVAL_").lower(): v for k, v in (QUICK | own).items() if k.startswith("VIDEVAL_")}
    settings = Settings(**{k: v for k, v in values.items() if k in Settings.model_fields})
    database = open_database(settings, pool_size=2)
    ensure_schema(database)
    return Cluster(
        folder=folder,
        runtime=runtime,
        environ=base | QUICK | own,
        settings=settings,
        database=database,
        postgres=postgres,
        redis=redis,
    )
