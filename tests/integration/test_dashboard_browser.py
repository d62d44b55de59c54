"""The dashboard in a real browser beside a run that is going on: what a user sees, clicks, plays and downloads."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.servers import dashboard_answers, free_port
from videval.db import browse, runs
from videval.db.runs import Counts
from videval.db.session import open_database
from videval.export import read_export
from videval.settings import Settings
from videval.video.encode import write_video

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.flaky(reruns=1)]

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "screenshots"
PATIENCE_MS = 25_000
CLIPS, QUESTIONS = 6, 300
BROKEN = 23
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
    (data / "broken.mp4").write_bytes((data / "clip0.mp4").read_bytes()[:700])


def _write_questions(data: Path) -> Path:
    rows = []
    for i in range(QUESTIONS):
        clip = i // 4 % CLIPS
        row: dict[str, Any] = {
            "index": i,
            "video": "broken.mp4" if i == BROKEN else f"clip{clip}.mp4",
            "question": "Which way does the *square* move? <b>Look!</b>",
            **dict(zip("ABCD", ("to the left", "to the right", "up", "it stays"), strict=True)),
            "answer": "AB"[clip % 2],
            "task_type": TASKS[i % 4],
            "latency_ms": 150 + 37 * i % 300,
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
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


@pytest.fixture
def page(browser: Browser, installation: Installation) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield opened
    context.close()


def figure(page: Page, label: str) -> str:
    metric = page.get_by_test_id("stMetric").filter(has_text=label).first
    return metric.get_by_test_id("stMetricValue").inner_text()


def answered(page: Page) -> int:
    return int(figure(page, "Answered").split("/")[0].replace(",", ""))


def shown_sample(page: Page) -> str:
    """The id of the sample that a page shows."""
    return page.get_by_text(re.compile(r"^sample \d+$")).first.inner_text().split()[1]


def test_progress_moves_while_one_watches(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/run?run={RUN}")
    page.get_by_test_id("stMetric").first.wait_for()
    wait_until(lambda: answered(page) > 0, "a first answer")
    before = answered(page)
    wait_until(lambda: answered(page) > before, "more answers without a reload")
    expect(page.get_by_role("heading", name=re.compile("answered, done in about"))).to_be_visible()


def test_pause_and_resume_from_the_page(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/run?run={RUN}")
    page.get_by_test_id("stMetric").first.wait_for()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name=re.compile("^Paused:"))).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", name=re.compile("^Paused:"))).not_to_be_visible()


def test_the_first_page_names_every_run_and_links_to_it(page: Page, installation: Installation) -> None:
    page.goto(installation.url)
    page.get_by_role("link", name=RUN).click()
    page.wait_for_url(f"**/run?run={RUN}")
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()


def test_a_video_plays_beside_the_frames_that_the_model_saw(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/samples?run={RUN}&sample=6")
    video = page.locator("video")
    video.wait_for()
    video.evaluate("v => v.play()")
    wait_until(lambda: bool(video.evaluate("v => v.readyState >= 2 && v.currentTime > 0.3")), "the video plays")
    first = video.evaluate("v => v.currentTime")
    wait_until(lambda: bool(video.evaluate("v => v.currentTime") > first), "the video goes on")
    expect(page.get_by_text("8 frames of 36, as the model")).to_be_visible()
    expect(page.get_by_text(re.compile(r"frame 4, 0\.33 s"))).to_be_visible()


def test_text_of_the_dataset_is_shown_as_text(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/samples?run={RUN}&sample=7")
    expect(page.get_by_text("Which way does the *square* move? <b>Look!</b>").first).to_be_visible()
    assert page.locator("b", has_text="Look!").count() == 0


def test_wrong_answers_are_filtered_and_stepped_through_by_key(page: Page, installation: Installation) -> None:
    wait_until(lambda: installation.counts(RUN).done > 60, "some answers")
    page.goto(f"{installation.url}/samples?run={RUN}")
    page.get_by_role("combobox", name=re.compile("Show")).click()
    page.get_by_role("option", name="wrong", exact=True).click()
    page.wait_for_url(re.compile("outcome=wrong"))
    expect(page.get_by_text("Samples: wrong")).to_be_visible()
    is_wrong = "what is shown is wrong"
    wait_until(lambda: installation.outcome(shown_sample(page)) == "wrong", is_wrong)  # until then, the first of all
    page.get_by_role("heading", name="Video").click()  # out of the box: a key that is typed there is text
    seen = [shown_sample(page)]
    for _ in range(3):
        page.get_by_role("button", name=re.compile("Next")).wait_for()
        page.keyboard.press("n")
        wait_until(lambda: shown_sample(page) not in seen, "the next sample")
        seen.append(shown_sample(page))
    assert [installation.outcome(key) for key in seen] == ["wrong"] * 4
    assert sorted(seen, key=int) == seen


def test_a_failed_sample_shows_its_reason_and_where_it_happened(page: Page, installation: Installation) -> None:
    wait_until(lambda: installation.counts(RUN).failed > 0, "the broken video failed")
    page.goto(f"{installation.url}/run?run={RUN}")
    page.get_by_role("link", name=f"sample {BROKEN}").click()
    page.wait_for_url(re.compile(f"sample={BROKEN}"))
    expect(page.get_by_text("video failure")).to_be_visible()
    expect(page.get_by_text("Traceback (most recent call last)")).to_be_visible()


def test_two_runs_are_compared(page: Page, installation: Installation) -> None:
    wait_until(lambda: installation.counts(SMALL).done >= 38, "the small run", 120)
    page.goto(f"{installation.url}/compare?a={RUN}&b={SMALL}")
    expect(page.get_by_text("Samples that flipped")).to_be_visible()
    expect(page.get_by_text(re.compile("is better by|No clear difference|No difference:"))).to_be_visible()
    assert figure(page, "Difference").endswith("pts")


def test_the_fleet_page_names_both_workers(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/fleet")
    expect(page.get_by_role("heading", name=re.compile(r"^2 workers"))).to_be_visible()


def test_the_xlsx_downloads_and_reads_back(page: Page, installation: Installation, tmp_path: Path) -> None:
    page.goto(f"{installation.url}/run?run={SMALL}")
    page.get_by_role("button", name="Build xlsx").click()
    with page.expect_download(timeout=PATIENCE_MS) as started:
        page.get_by_role("button", name=re.compile("Download xlsx")).click()
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    rows = read_export(file)
    assert len(rows) == 40
    assert sum(1 for row in rows if row["prediction"]) >= 38


LINKS = {
    "runs": "",
    "run": f"run?run={RUN}",
    "samples": f"samples?run={RUN}&sample=6",
    "failed": f"samples?run={RUN}&outcome=failed",
    "compare": f"compare?a={RUN}&b={SMALL}",
    "fleet": "fleet",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "wide"), [(1280, True), (390, False)])
def test_screenshots_of_every_page(
    browser: Browser, installation: Installation, theme: Any, width: int, wide: bool
) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900 if wide else 844})
    for name, link in LINKS.items():
        opened = context.new_page()
        opened.goto(f"{installation.url}/{link}")
        opened.locator("[data-testid=stHeading]").first.wait_for(timeout=PATIENCE_MS)
        for unfinished in (opened.get_by_test_id("stSkeleton"), opened.get_by_text(re.compile("^(Reading|Decoding) "))):
            expect(unfinished).to_have_count(0, timeout=PATIENCE_MS)
        opened.wait_for_timeout(2500)
        size = "wide" if wide else "phone"
        opened.screenshot(path=SCREENSHOTS / f"{name}-{theme}-{size}.png")
        scrolled = opened.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert scrolled <= 1, f"{name} is wider than a {size} screen"
        opened.close()
    context.close()


def test_a_failure_is_tried_again_and_succeeds(page: Page, installation: Installation) -> None:
    wait_until(lambda: installation.counts(RUN).failed > 0, "the broken video failed")
    data = installation.folder / "data"
    shutil.copy(data / "clip1.mp4", data / "broken.mp4")
    page.goto(f"{installation.url}/run?run={RUN}")
    page.get_by_role("button", name=re.compile("Retry these")).first.click()
    wait_until(lambda: installation.counts(RUN).failed == 0, "nothing has failed any more", 90)
    page.goto(f"{installation.url}/samples?run={RUN}&sample={BROKEN}")
    wait_until(
        lambda: page.get_by_text("Response, to the character").count() > 0 or not page.reload(), "its answer", 90
    )


def test_killing_the_dashboard_changes_nothing_for_the_run(installation: Installation) -> None:
    dashboard = installation.started[0]
    os.killpg(dashboard.pid, signal.SIGKILL)
    dashboard.wait(20)
    wait_until(lambda: installation.counts(RUN).finished, "the run ends", 150)
    counts = installation.counts(RUN)
    assert counts.done + counts.failed == QUESTIONS
    assert counts.failed <= 1
