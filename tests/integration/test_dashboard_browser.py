"""The dashboard in a real browser beside a run that is going on: what a user sees, clicks, plays and downloads."""

import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import (
    BROKEN,
    HEVC,
    PATIENCE_MS,
    QUESTIONS,
    RUN,
    SCREENSHOTS,
    SMALL,
    UNREADABLE,
    Installation,
    nobody_else,
    wait_until,
)
from tests.browsers import a_browser as a_browser
from tests.browsers import an_installation as an_installation
from tests.browsers import an_open_page as an_open_page
from tests.servers import dashboard_answers, free_port
from videval.export import read_export

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.flaky(reruns=1)]


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
    expect(page.get_by_role("heading", name=re.compile("answered, done in "))).to_be_visible()


def test_pause_and_resume_from_the_page(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/run?run={RUN}")
    page.get_by_test_id("stMetric").first.wait_for()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name=re.compile("^Paused:"))).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", name=re.compile("^Paused:"))).not_to_be_visible()


def test_the_first_page_names_every_run_and_links_to_it(page: Page, installation: Installation) -> None:
    page.goto(installation.url)
    page.get_by_role("table", name="All runs").get_by_role("link", name=RUN).click()
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
    expect(page.get_by_role("heading", name="Samples that flipped")).to_be_visible()
    expect(page.get_by_text(re.compile("is better by|No clear difference|No difference:"))).to_be_visible()
    assert figure(page, "Difference").endswith("pts")
    flipped = page.get_by_role("table", name="Samples that flipped").get_by_role("row")
    if flipped.count() > 1:
        flipped.nth(1).click()
        expect(page.get_by_role("heading", name=re.compile("^Sample "))).to_be_visible()
        expect(page.get_by_text("Response, to the character")).to_have_count(2)
        expect(page.locator("video")).to_have_count(1)


def test_a_row_opens_by_a_click_on_its_name_and_by_enter(page: Page, installation: Installation) -> None:
    page.goto(installation.url)
    page.get_by_role("table", name="All runs").get_by_role("cell", name="fake", exact=True).first.click()
    page.wait_for_url(re.compile(r"/run\?run="))
    page.get_by_role("link", name="Runs").first.click()
    expect(page.get_by_role("heading", name="All runs")).to_be_visible()
    assert page.url == f"{installation.url}/"
    page.get_by_role("table", name="All runs").get_by_role("link", name=SMALL).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/run?run={SMALL}")
    slowest = page.get_by_role("table", name="Slowest requests").get_by_role("link").first
    key = slowest.inner_text()
    slowest.click()
    page.wait_for_url(re.compile(f"samples.run={SMALL}&sample={key}$"))
    assert shown_sample(page) == key


def test_a_link_of_the_navigation_keeps_the_run(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/run?run={SMALL}")
    page.get_by_role("link", name="Samples").first.click()
    page.wait_for_url(f"**/samples?run={SMALL}")
    wait_until(lambda: page.title().endswith("squares_4frame · videval"), "the tab's title")


def test_a_video_that_the_browser_cannot_play_is_a_flip_book(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/samples?run={RUN}&sample={HEVC}")
    expect(page.get_by_text("This browser cannot play HEVC (H.265).")).to_be_visible()
    expect(page.locator("video")).to_have_count(0)
    large = page.locator("[data-testid=stImage] img[alt]").first
    before = large.get_attribute("alt")

    def turns() -> bool:  # a key that is pressed while the page is being drawn anew is lost
        page.get_by_role("slider", name="Frame").press("ArrowRight")
        return large.get_attribute("alt") != before

    wait_until(turns, "the next frame")


def test_only_what_can_be_focused_has_a_ring(page: Page, installation: Installation) -> None:
    page.goto(installation.url)
    page.get_by_role("heading", name="All runs").wait_for()
    ring = "(e => [e.dataset.testid, getComputedStyle(e).outlineStyle, getComputedStyle(e).boxShadow])"
    page.mouse.click(640, 880)
    assert page.evaluate(f"{ring}(document.activeElement)")[1:] == ["none", "none"]

    def shows_a_ring() -> bool:
        page.get_by_test_id("stTopNavLink").first.focus()
        page.keyboard.press("Tab")
        return page.evaluate(f"{ring}(document.activeElement)")[:2] == ["stTopNavLink", "solid"]

    wait_until(shows_a_ring, "the ring of a link that was reached by key")


def test_the_fleet_page_names_both_workers(page: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/fleet")
    expect(page.get_by_role("heading", name=re.compile(r"^2 workers"))).to_be_visible()


def test_the_xlsx_downloads_and_reads_back(page: Page, installation: Installation, tmp_path: Path) -> None:
    page.goto(f"{installation.url}/run?run={SMALL}")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Build xlsx").click()
    with page.expect_download(timeout=PATIENCE_MS) as started:
        page.get_by_role("button", name=re.compile("Download xlsx")).click()
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    rows = read_export(file)
    assert len(rows) == 40
    assert sum(1 for row in rows if row["prediction"]) >= 38


def test_the_report_stands_on_its_own(page: Page, installation: Installation, tmp_path: Path) -> None:
    page.goto(f"{installation.url}/run?run={SMALL}")
    page.get_by_role("button", name="Report").click()
    page.get_by_role("button", name="Build html").click()
    with page.expect_download(timeout=PATIENCE_MS) as started:
        page.get_by_role("button", name=re.compile("Download html")).click()
    file = tmp_path / "report.html"
    started.value.save_as(file)
    page.goto(file.as_uri())
    expect(page.get_by_role("main").get_by_role("heading", name=SMALL)).to_be_visible()


def test_the_password_is_asked_for_once_and_leads_to_the_page_that_was_asked_for(
    browser: Browser, installation: Installation
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ("-c", "from videval.cli import main; main()", "dashboard", "--host", "0.0.0.0", "--port", str(port))
    installation.start("locked", *command, VIDEVAL_DASHBOARD_PASSWORD="open sesame")
    wait_until(lambda: dashboard_answers(url), "the locked dashboard answers")
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{url}/run?run={SMALL}")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button").click()
    expect(page.get_by_text("That is not the password.")).to_be_visible()
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()
    assert page.url == f"{url}/run?run={SMALL}"
    for opened in (page, context.new_page()):  # a reload, another tab
        opened.goto(f"{url}/fleet")
        expect(opened.get_by_role("heading", name=re.compile("worker"))).to_be_visible(timeout=PATIENCE_MS)
    assert [c["httpOnly"] for c in context.cookies() if c["name"] == f"videval-session-{port}"] == [True]
    context.close()


LINKS = {
    "runs": "",
    "run": f"run?run={RUN}",
    "samples": f"samples?run={RUN}&sample=6",
    "failed": f"samples?run={RUN}&outcome=failed",
    "compare": f"compare?a={RUN}&b={SMALL}",
    "fleet": "fleet",
}


@pytest.mark.parametrize(("theme", "size"), [("light", "wide"), ("dark", "phone")])
def test_every_page_fits_its_screen_and_can_be_read(
    browser: Browser, installation: Installation, theme: Any, size: str
) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    width, height = (1280, 900) if size == "wide" else (390, 844)
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": height})
    with nobody_else(context, installation.url):
        for name, link in LINKS.items():
            _photograph(context.new_page(), f"{installation.url}/{link}", f"{name}-{theme}-{size}")
    context.close()


def _photograph(opened: Page, url: str, name: str) -> None:
    """Look at a page until nothing of it is being read, and hold it against what everybody needs."""
    opened.goto(url)
    opened.locator("[data-testid=stHeading]").first.wait_for(timeout=PATIENCE_MS)
    for unfinished in (opened.get_by_test_id("stSkeleton"), opened.get_by_text(re.compile("^(Reading|Decoding) "))):
        expect(unfinished).to_have_count(0, timeout=PATIENCE_MS)
    opened.wait_for_timeout(1000)
    opened.screenshot(path=SCREENSHOTS / f"{name}.png")
    scrolled = opened.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert scrolled <= 1, f"{name} is wider than its screen"
    assert opened.evaluate(UNREADABLE) == [], name
    assert opened.locator("img:not([alt]), img[alt='']").count() == 0, name
    assert opened.locator("th").filter(has_not_text=re.compile(r"\S")).count() == 0, name
    assert opened.get_by_role("main").count() == 1, name
    opened.close()


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
