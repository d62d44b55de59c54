"""Measure what the dashboard costs a fleet: answers per second of two workers with and without 20 people looking.

    python perf/dashboard.py [--pairs 5] [--questions 120] [--clients 20]

The fake model at 200 ms, two workers on the CPU, SQLite. Each pair is one run without and one run with the dashboard
and its websocket clients, in turning order. Prints one markdown row: the median ratio, its spread, and the spread of
the runs without among each other, which is what no effect looks like.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from videval.db import runs, timings
from videval.db.session import open_database
from videval.settings import Settings
from videval.video.encode import write_video

ROOT = Path(__file__).parents[1]
PAGES = ("", "run", "samples", "fleet")


def questions(folder: Path, count: int, mark: str) -> Path:
    """A table of questions about one small clip that take 200 ms each."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "clip.mp4").exists():
        write_video(folder / "clip.mp4", np.zeros((16, 32, 32, 3), np.uint8), 8.0)
    file = folder / f"{mark}.jsonl"
    rows = [
        {"index": i, "video": "clip.mp4", "question": f"{mark} {i}?", "answer": "x", "latency_ms": 200}
        for i in range(count)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


class Installation:
    """A home with two workers that stay for all runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home")
        self.environ = os.environ | {
            "VIDEVAL_HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder),
            "VIDEVAL_LOCK_DIR": str(folder / "locks"),
            "OMP_NUM_THREADS": "1",
        }
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a Python process of this home."""
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command], env=self.environ | environ, cwd=ROOT, stdout=log, stderr=log
            )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End what was started."""
        for process in self.started:
            process.send_signal(signal.SIGTERM)
        for process in self.started:
            process.wait(60)

    def measure(self, count: int, mark: str) -> float:
        """Answers per second between the first and the last answer of a fresh run."""
        file = questions(self.folder / "data", count, mark)
        call = [sys.executable, "-c", "from videval.cli import main; main()", "enqueue", str(file), "fake"]
        subprocess.run([*call, "--frames", "4"], env=self.environ, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        database = open_database(self.settings, read_only=True)
        try:
            while True:
                with database.read() as connection:
                    run = runs.find_run(connection, f"{mark}-4frame")[0]
                    if runs.counts(connection, run.run_id).finished:
                        pace = timings.pace(connection, run.run_id)
                        return (pace.answered - 1) / pace.elapsed_s
                time.sleep(1.0)
        finally:
            database.close()


class Lookers:
    """Websocket clients that open pages and stay."""

    def __init__(self, port: int, clients: int) -> None:
        self._port, self._clients = port, clients
        self.messages = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)

    def start(self) -> None:
        """Open all pages."""
        self._thread.start()

    def stop(self) -> None:
        """Close them."""
        self._stop.set()
        self._thread.join(20)

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._look(PAGES[number % len(PAGES)]))

    async def _look(self, page: str) -> None:
        import websockets
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        url = f"ws://127.0.0.1:{self._port}/_stcore/stream"
        async with websockets.connect(url, max_size=None, subprotocols=["streamlit"]) as connection:  # type: ignore
            first = BackMsg()
            first.rerun_script.query_string = ""
            first.rerun_script.page_name = page
            await connection.send(first.SerializeToString())
            fragments: dict[str, tuple[float, float]] = {}
            while not self._stop.is_set():
                await self._read(connection, fragments, ForwardMsg)
                for name, (every, due) in list(fragments.items()):
                    if time.monotonic() >= due:
                        fragments[name] = (every, time.monotonic() + every)
                        again = BackMsg()
                        again.rerun_script.fragment_id = name
                        again.rerun_script.is_auto_rerun = True
                        again.rerun_script.page_name = page
                        await connection.send(again.SerializeToString())

    async def _read(self, connection: object, fragments: dict[str, tuple[float, float]], kind: type) -> None:
        """Take what comes within a tenth of a second, and note which parts want to be refreshed, as a browser does."""
        try:
            raw = await asyncio.wait_for(connection.recv(), 0.1)  # type: ignore[attr-defined]
        except TimeoutError:
            return
        self.messages += 1
        message = kind()
        message.ParseFromString(raw)
        if message.WhichOneof("type") == "auto_rerun":
            every = message.auto_rerun.interval
            fragments.setdefault(message.auto_rerun.fragment_id, (every, time.monotonic() + every))


@contextmanager
def watched(installation: Installation, clients: int) -> Iterator[Lookers]:
    """The dashboard with people who look at it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    app = str(ROOT / "dashboard" / "app.py")
    process = installation.start("-m", "streamlit", "run", app, "--server.port", str(port))
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
            break
        except OSError:
            time.sleep(0.2)
    lookers = Lookers(port, clients)
    lookers.start()
    time.sleep(8)
    try:
        yield lookers
    finally:
        lookers.stop()
        installation.started.remove(process)
        process.kill()
        process.wait(20)


def main() -> None:
    """Measure the pairs and print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--clients", type=int, default=20)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vd-perf-"))
    installation = Installation(folder)
    try:
        for device in ("cpu:0", "cpu:1"):
            installation.start("-m", "celery", "-A", "workers", "worker", VIDEVAL_DEVICES=device)
        installation.measure(20, "warm")
        alone, watched_rates, messages = [], [], 0
        for pair in range(asked.pairs):
            for with_dashboard in (pair % 2 == 0, pair % 2 == 1):
                if with_dashboard:
                    with watched(installation, asked.clients) as lookers:
                        watched_rates.append(installation.measure(asked.questions, f"seen{pair}"))
                    messages += lookers.messages
                else:
                    alone.append(installation.measure(asked.questions, f"alone{pair}"))
            print(f"pair {pair + 1}: alone {alone[-1]:.2f}/s, watched {watched_rates[-1]:.2f}/s", file=sys.stderr)
        ratios = [w / a for w, a in zip(watched_rates, alone, strict=True)]
        noise = max(alone) / min(alone)
        print(
            f"| {asked.clients} clients | {statistics.median(alone):.2f}/s | {statistics.median(watched_rates):.2f}/s "
            f"| {statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} | {noise:.3f} "
            f"| {messages / asked.pairs:.0f} |"
        )
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
