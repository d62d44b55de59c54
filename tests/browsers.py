"""A dashboard in a real browser, beside a run that is going on; what a page must not do, wherever it is looked at."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.servers import dashboard_answers, free_port
from videval.db import browse, runs
from videval.db.runs import Counts
from videval.db.session import open_database
from videval.settings import Settings
from videval.video.encode import write_video

__all__ = [
    "BROKEN",
    "HEVC",
    "PATIENCE_MS",
    "QUESTIONS",
    "ROOT",
    "RUN",
    "SCREENSHOTS",
    "SMALL",
    "UNREADABLE",
    "Installation",
    "a_browser",
    "an_installation",
    "an_open_page",
    "nobody_else",
    "wait_until",
]

ROOT = Path(__file__).parents[1]
SCREENSHOTS = ROOT / "screenshots"
PATIENCE_MS = 25_000
CLIPS, QUESTIONS = 6, 300
BROKEN, HEVC = 23, 1
TASKS = ("Action Sequence", "Moving Direction", "State Change", "Object Existence")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@dataclass(kw_only=True)
class Installation:
    """A home with a run that is being answered, and the dashboard beside it."""

    folder: Path
    url: str
    environ: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=self.environ | environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def command(self, *arguments: str) -> None:
        call = [sys.executable, "-c", "from videval.cli import main; main()", *arguments]
        done = subprocess.run(
            call, env=self.environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def outcome(self, key: str) -> str:
        """What became of a sample of the large run."""
        database = open_database(Settings(home=self.folder / "home"), read_only=True)
        try:
            with database.read() as connection:
                line = browse.sample_line(connection, runs.find_run(connection, RUN)[0], key)
        finally:
            database.close()
        return line.outcome if line else ""

    def counts(self, name: str) -> Counts:
        database = open_database(Settings(home=self.folder / "home"), read_only=True)
        try:
            with database.read() as connection:
                return runs.counts(connection, runs.find_run(connection, name)[0].run_id)
        finally:
            database.close()


def _write_clips(data: Path) -> None:
    for clip in range(CLIPS):
        frames = np.full((36, 180, 320, 3), (40 + 25 * clip, 70, 150 - 20 * clip), np.uint8)
        for t in range(36):
            left = t * 7 if clip % 2 else (35 - t) * 7
            frames[t, 60:120, left : left + 60] = (240, 200, 60)
        write_video(data / f"clip{clip}.mp4", frames, 12.0)
    write_hevc(data / "hevc.mp4")
    (data / "broken.mp4").write_bytes((data / "clip0.mp4").read_bytes()[:700])


def write_hevc(path: Path) -> None:
    """A video that is sound, and that Debian's Chromium has no decoder for."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=12, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for t in range(24):
            image = np.full((96, 160, 3), 8 * t, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def _write_questions(data: Path) -> Path:
    rows = []
    for i in range(QUESTIONS):
        clip = i // 4 % CLIPS
        row: dict[str, Any] = {
            "index": i,
            "video": {BROKEN: "broken.mp4", HEVC: "hevc.mp4"}.get(i, f"clip{clip}.mp4"),
            "question": "Which way does the *square* move? <b>Look!</b>",
            **dict(zip("ABCD", ("to the left", "to the right", "up", "it stays"), strict=True)),
            "answer": "AB"[clip % 2],
            "task_type": TASKS[i % 4],
            "latency_ms": 300 + 37 * i % 500,
        }
        if i % 5 < 3:
            row["fake_answer"] = row["answer"]
        rows.append(json.dumps(row))
    file = data / "squares.jsonl"
    file.write_text("\n".join(rows))
    return file


def wait_until(look: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module", name="browser")
def a_browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", name="installation")
def an_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("browser")
    data, port = folder / "data", free_port()
    environ = os.environ | {
        "VIDEVAL_HOME": str(folder / "home"),
        "XDG_RUNTIME_DIR": str(folder),
        "VIDEVAL_LOCK_DIR": str(folder / "locks"),
        "VIDEVAL_HEARTBEAT": "1",
        "OMP_NUM_THREADS": "1",
    }
    made = Installation(folder=folder, url=f"http://127.0.0.1:{port}", environ=environ)
    _write_clips(data)
    file = _write_questions(data)
    made.command("enqueue", str(file), "fake", "--frames", "4", "--limit", "40")
    made.command("enqueue", str(file), "fake", "--frames", "8")
    dashboard = "from videval.cli import main; main()"
    made.start("dashboard", "-c", dashboard, "dashboard", "--port", str(port), "--allow-actions")
    for device in ("cpu:0", "cpu:1"):
        made.start(device.replace(":", ""), "-m", "celery", "-A", "workers", "worker", VIDEVAL_DEVICES=device)
    wait_until(lambda: dashboard_answers(made.url), "the dashboard answers")
    yield made
    for process in made.started:
        process.send_signal(signal.SIGTERM)
    for process in made.started:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


RUN, SMALL = "squares-8frame--fake--1", "squares-4frame--fake--1"


@contextmanager
def nobody_else(context: BrowserContext, url: str) -> Iterator[None]:
    """While these pages are looked at, they ask nobody but the dashboard for anything."""
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    yield
    assert asked
    ours = (url, url.replace("http", "ws"), "data:", "blob:", "about:", "file:")
    assert [other for other in asked if not other.startswith(ours)] == []


@pytest.fixture(name="page")
def an_open_page(browser: Browser, installation: Installation) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    with nobody_else(context, installation.url):
        yield from opened_in(context)


def opened_in(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield opened
    context.close()


UNREADABLE = """() => {
  const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1] };
  const over = (top, under) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * under[i]).concat(1);
  const light = (c) => [0, 1, 2].map((i) => c[i] / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const bad = [];
  for (const place of document.querySelectorAll("[data-testid=stCaptionContainer] p")) {
    const chain = [];
    for (let e = place; e; e = e.parentElement) chain.push(getComputedStyle(e));
    let ground = [255, 255, 255, 1];
    for (const style of [...chain].reverse()) ground = over(rgba(style.backgroundColor), ground);
    const ink = rgba(chain[0].color);
    ink[3] *= chain.reduce((all, style) => all * Number(style.opacity), 1);
    const [a, b] = [light(over(ink, ground)), light(ground)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(place.textContent.slice(0, 40));
  }
  return bad;
}"""
"""The captions of less than 4.5:1 contrast with what lies below them."""
