"""Makes the README's pictures anew: `python -m tools.pictures`, about two minutes; needs Chromium.

A home in a temporary folder, the clips of MovingShapes with a table of questions as a user would write it, a real
model and a fake one that have answered, a run that is going on, and the dashboard over them. Sizes are fixed; times
are those of the machine.
"""

import ast
import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

__all__ = ["main"]

FOLDER = Path(__file__).parents[1] / "docs" / "images"
WIDTH = 1180
COLOURS = 192
LARGEST_BYTES = 200_000
PATIENCE_S = 120.0
TINY, FAKE = "shapes-8frame--video-llava-tiny--1", "shapes-8frame--fake--1"
LATENCY_MS = 90
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
COMMAND = (sys.executable, "-c", "from videval.cli import main; main()")
UNFINISHED = re.compile("^(Reading|Decoding) ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A page, and how much of it is shown."""

    name: str
    link: str
    height: int
    has: str


PICTURES = (
    Picture(name="run", link=f"run?run={FAKE}", height=1010, has="Where the time goes"),
    Picture(name="samples", link=f"samples?run={FAKE}&sample=8", height=1000, has="Response, to the character"),
    Picture(name="compare", link=f"compare?a={FAKE}&b={TINY}", height=900, has="Samples that flipped"),
)
RUNS = Picture(name="runs", link="", height=860, has="Models and benchmarks")


def wait_until(ready: Callable[[], bool], what: str) -> None:
    """Wait until something is so, or end with what it was."""
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S:.0f} s: {what}")
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether the dashboard is there."""
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running(environ: Mapping[str, str], *command: str) -> Iterator[None]:
    """A process beside us, ended with us."""
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def videval(environ: Mapping[str, str], *arguments: str) -> None:
    """A command of ours that must succeed."""
    subprocess.run([*COMMAND, *arguments], env=environ, check=True)


def write_questions(root: Path) -> Path:
    """MovingShapes' questions as a table of one's own; the fake model answers four of five as it should."""
    with (root / "MovingShapes.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    lines = []
    for number, row in enumerate(rows):
        options = ast.literal_eval(row["candidates"])
        letter = "ABCD"[options.index(row["answer"])]
        asked = {name: row[name] for name in ("index", "video", "question", "task_type")}
        said = letter if number * 7 % 10 < 8 else "ABCD"[(options.index(row["answer"]) + 1) % len(options)]
        steered = {"answer": letter, "fake_answer": said, "latency_ms": LATENCY_MS}
        lines.append(json.dumps(asked | dict(zip("ABCD", options, strict=False)) | steered))
    made = root / "clips" / "shapes.jsonl"
    made.write_text("\n".join(lines), encoding="utf-8")
    return made


def take(page: Page, url: str, picture: Picture) -> None:
    """Look at a page until it stands still, and keep it as a small PNG."""
    page.set_viewport_size({"width": WIDTH, "height": picture.height})
    page.goto(f"{url}/{picture.link}")
    page.get_by_text(picture.has).first.wait_for()
    wait_until(lambda: page.get_by_text(UNFINISHED).count() == 0, f"{picture.name} is read")
    page.wait_for_timeout(2000)
    keep(page, picture)


def keep(page: Page, picture: Picture) -> None:
    """Write what a page shows now."""
    file = FOLDER / f"dashboard-{picture.name}.png"
    page.screenshot(path=file)
    with Image.open(file) as image:
        image.convert("RGB").quantize(COLOURS).save(file, optimize=True)
    if file.stat().st_size > LARGEST_BYTES:
        raise SystemExit(f"{file} has {file.stat().st_size:,} bytes, more than {LARGEST_BYTES:,}")
    sys.stdout.write(f"{file}\n")


def take_all(page: Page, url: str, environ: Mapping[str, str], questions: Path) -> None:
    """The pages of finished runs, then all runs while one is going."""
    for picture in PICTURES:
        take(page, url, picture)
    videval(environ, "enqueue", str(questions), "fake", "--frames", "16")
    page.set_viewport_size({"width": WIDTH, "height": RUNS.height})
    page.goto(url)
    page.get_by_text(RUNS.has).wait_for()
    with running(environ, sys.executable, "-m", "celery", "-A", "workers", "worker"):
        wait_until(lambda: is_half_way(page), "a run is half way")
        keep(page, RUNS)


def is_half_way(page: Page) -> bool:
    """Whether the run that is going has been answered to about a half."""
    found = re.search(r"run going: (\d+) % answered.*done in", page.get_by_role("heading").first.inner_text())
    return found is not None and int(found.group(1)) >= 45


def main() -> None:
    """Make the home, answer, and take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="videval-pictures-") as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environ = os.environ | {
            "VIDEVAL_HOME": f"{folder}/home",
            "VIDEVAL_DATA_ROOT": f"{folder}/data",
            "VIDEVAL_LOCK_DIR": f"{folder}/locks",
            "VIDEVAL_HEARTBEAT": "1",
            "OMP_NUM_THREADS": "1",
            "XDG_RUNTIME_DIR": folder,
        }
        videval(environ, "prepare", "MovingShapes")
        file = write_questions(Path(folder) / "data" / "MovingShapes")
        for model in ("Video-LLaVA-tiny", "fake"):
            videval(environ, "run", str(file), model, "--frames", "8", "--devices", "cpu", "--output", f"{folder}/out")
        with running(environ, *COMMAND, "dashboard", "--port", str(port)), sync_playwright() as playwright:
            wait_until(lambda: answers(url), "the dashboard answers")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(color_scheme="light")
            page.set_default_timeout(1000 * PATIENCE_S)
            take_all(page, url, environ, file)
            browser.close()


if __name__ == "__main__":
    main()
