"""The numbers that command line, dashboard and page share: ETA, intervals, comparisons, a page that stands alone."""

import ast
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from tests.seeding import Seed, add_worker, new_database, seed_run, snapshot_of
from videval import report
from videval.benchmarks.table import TableBenchmark
from videval.db import runs
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.db.stats import FailureGroup
from videval.errors import UsageError
from videval.export.run import run_table
from videval.metrics import AllOfGroup, Detection, GroupMean, Mean, ShareAbove
from videval.report.index import natural
from videval.report.page import run_page
from videval.report.scores import converging
from videval.report.spans import spans
from videval.report.status import eta, seconds_per_request
from videval.report.svg import bars, dots


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path)
    yield made
    made.close()


def info(database: Database, run_id: int) -> RunInfo:
    with database.read() as connection:
        return next(r for r in runs.list_runs(connection) if r.run_id == run_id)


def test_the_eta_is_the_median_cost_of_each_frame_class_times_what_is_left_per_worker() -> None:
    costs = [(8, 1.0), (8, 2.0), (8, 90.0), (32, 10.0)]
    seconds = seconds_per_request(costs)
    assert seconds == pytest.approx((3 * 2.0 + 1 * 10.0) / 4)
    assert eta(100, seconds, 2) == pytest.approx(100 * 4.0 / 2)


def test_nobody_can_tell_an_end_without_workers_or_answers() -> None:
    assert eta(10, 2.0, 0) is None
    assert eta(10, None, 3) is None
    assert eta(0, None, 0) == 0.0


def test_a_run_that_is_faster_than_its_stages_add_up_to_ends_sooner() -> None:
    assert eta(100, 2.0, 1, rate_now=4.0) == pytest.approx(25.0)
    assert eta(100, 2.0, 1, rate_now=0.1) == pytest.approx(200.0)


def test_status_counts_workers_of_this_model_that_still_beat(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=60, failed=4)))
    add_worker(database, "gpu0@host")
    add_worker(database, "gpu1@host", silent_s=500.0)
    add_worker(database, "gpu2@host", load_key="another")
    status = report.run_status(database, run)
    assert (status.live, status.counts.done, status.counts.waiting) == (1, 60, 36)
    assert status.eta_s == pytest.approx(36 * 0.72, rel=0.1)
    assert status.efficiency == pytest.approx(0.91, abs=0.01)
    assert report.run_statuses(database)[0].eta_s == pytest.approx(status.eta_s, rel=0.1)


def test_a_finished_run_is_called_finished(database: Database) -> None:
    assert report.run_status(database, info(database, seed_run(database, Seed(done=100)))).state == "finished"


def test_score_coverage_and_groups_count_what_was_answered(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=60, failed=10)))
    score = report.score_report(database, run)
    assert (score.scored, score.scorable, score.coverage) == (60, 100, 0.6)
    assert score.overall.right + score.overall.wrong + score.overall.unparsed == 60
    groups = score.groups["task_type"]
    assert sum(g.estimate.n for g in groups) == 60


def test_a_run_without_answers_has_no_score(database: Database) -> None:
    score = report.score_report(database, info(database, seed_run(database, Seed(done=0))))
    assert (score.overall.estimate.mean, score.scored, score.coverage) == (None, 0, 0.0)


def test_the_score_converges_to_the_score(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=90)))
    index = report.load_index(database, run.snapshot_id, report.group_columns(run))
    points = converging(run, index, report.load_verdicts(database, run, index, with_time=True))
    assert points[-1].n == 90
    assert points[-1].mean == pytest.approx(report.score_report(database, run).overall.estimate.mean)
    assert [p.at for p in points] == sorted(p.at for p in points)


def test_the_course_of_a_run_ends_at_its_counts(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=80, failed=20)))
    course = report.timeline(database, run)
    assert (course[-1].done, course[-1].failed) == (80, 20)
    assert all(a.done <= b.done for a, b in pairwise(course))


def test_the_time_spent_is_a_mean_and_the_slowest_come_first(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=80)))
    spent = report.time_spent(database, run)
    assert spent.n == 80
    assert spent.seconds["queue"] == pytest.approx(1.5)
    costs = [s.decode_s + s.generate_s for s in spent.slowest]
    assert costs == sorted(costs, reverse=True)
    assert len(costs) == 10


def test_failures_are_grouped_with_examples(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=50, failed=9)))
    found = report.failures(database, run)
    assert sum(g.count for g in found) == 9
    assert all(g.kind == "video" and len(g.examples) == 3 for g in found)


def test_the_card_lists_what_answered_once(database: Database) -> None:
    card = report.run_card(database, info(database, seed_run(database, Seed(done=50))))
    assert card["answered_on"] == [{"gpu": "NVIDIA H100", "torch": "2.14.1"}]


def test_two_runs_are_compared_over_what_both_answered(database: Database) -> None:
    first = seed_run(database, Seed(done=100, right=90, model="alpha"))
    second = seed_run(database, Seed(done=60, right=40, model="beta"), snapshot=snapshot_of(database, first))
    a, b = info(database, first), info(database, second)
    index = report.load_index(database, a.snapshot_id, report.group_columns(a))
    found = report.compare(database, a, b, index)
    assert found.difference.n == 60
    assert found.mean_a is not None and found.mean_b is not None
    assert found.difference.mean == pytest.approx(found.mean_a - found.mean_b)
    assert found.num_only_a - found.num_only_b == round(60 * found.difference.mean)
    assert found.p < 0.01
    assert [d.what for d in report.card_differences(a, b)] == ["model.name"]


def test_what_one_card_leaves_empty_and_the_other_out_is_no_difference(database: Database) -> None:
    first = seed_run(database, Seed(card={"model": {"family": "", "revision": None}}))
    second = seed_run(database, Seed(card={"model": {"revision": "main"}}), snapshot=snapshot_of(database, first))
    (found,) = report.card_differences(info(database, first), info(database, second))
    assert (found.what, found.a, found.b) == ("model.revision", "-", "main")


def test_further_metrics_are_compared_where_they_have_a_difference(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    detection = Detection(column="task_type", negative="Action Sequence")
    monkeypatch.setattr(TableBenchmark, "metrics", (Mean(), GroupMean(), ShareAbove(0.5), AllOfGroup(), detection))
    first = seed_run(database, Seed(done=100, right=90))
    second = seed_run(database, Seed(done=60, right=40), snapshot=snapshot_of(database, first))
    a, b = info(database, first), info(database, second)
    found = report.compare(database, a, b, report.load_index(database, a.snapshot_id, report.index_columns(a)))
    assert [m.a.name for m in found.metrics] == [
        "mean of the task_type scores", "share of at least 0.5", "by video: all right",
    ]  # fmt: skip
    for m in found.metrics:
        assert m.a.estimate.mean is not None and m.b.estimate.mean is not None
        assert m.difference.mean == pytest.approx(m.a.estimate.mean - m.b.estimate.mean)
    assert (found.metrics[2].difference.n, found.metrics[1].difference) == (15, found.difference)


def test_an_export_has_the_metrics_in_its_card(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=60)))
    score = report.score_report(database, run)
    headline, mean = run_table(database, run).card["metrics"]
    assert (headline["name"], headline["value"], headline["n"]) == ("score", score.overall.estimate.mean, 60)
    assert (mean["name"], mean["low"]) == ("mean of the task_type scores", score.metrics[0].estimate.low)


def test_the_order_of_the_runs_only_turns_the_sign(database: Database) -> None:
    first = seed_run(database, Seed(done=100, right=90))
    second = seed_run(database, Seed(done=100, right=40), snapshot=snapshot_of(database, first))
    a, b = info(database, first), info(database, second)
    index = report.load_index(database, a.snapshot_id, ())
    there, back = report.compare(database, a, b, index), report.compare(database, b, a, index)
    assert there.difference.mean == pytest.approx(-(back.difference.mean or 0.0))
    assert (there.only_a, there.p) == (back.only_b, back.p)


def test_spans_cover_every_id_once() -> None:
    assert list(spans(3, 12, 4)) == [(3, 6), (7, 10), (11, 12)]


def test_a_page_stands_alone_and_its_text_is_text(database: Database) -> None:
    evil = "<script>alert(1)</script>"
    run = info(database, seed_run(database, Seed(done=80, failed=5, model=evil)))
    page = run_page(database, run)
    assert evil not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)\s*=|@import|url\(", page)
    assert set(re.findall(r"https?://[^\s\"]+", page)) == {"http://www.w3.org/2000/svg"}
    for heading in ("Progress", "Score", "Where the time went", "Failures", "Run card"):
        assert f"<h2>{heading}" in page


@pytest.mark.parametrize("seed", [Seed(done=0), Seed(done=0, failed=100), Seed(done=1, questions=1), Seed(pack=True)])
def test_a_page_is_written_of_every_kind_of_run(database: Database, seed: Seed) -> None:
    assert run_page(database, info(database, seed_run(database, seed))).endswith("</html>\n")


def test_charts_escape_names() -> None:
    assert "<b>" not in dots([("<b>x", 0.5, 0.4, 0.6)], label="<b>")
    assert "<b>" not in bars([("<b>x", 1.0, "<b>")], label="<b>")


@pytest.mark.parametrize(
    "names",
    [
        ["task 0", "task 1", "task 2", "task 10", "task 12"],
        ["15", "60", "600", "3600"],
        ["1-2min", "2-4min", "10-20min", "<1min", ">8min"],
        ["a", "a1", "a2", "a10b", "a10c", "b"],
        ["v1.2", "v1.10", "v" + "9" * 5000],
    ],
)
def test_groups_stand_in_natural_order(names: list[str]) -> None:
    mixed = [*names[1:], names[0]]
    assert sorted(mixed, key=natural) == names


def test_a_question_counts_in_each_of_its_groups(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    action = Mean(column="task_type", name="Action", only=("Action",))
    monkeypatch.setattr(TableBenchmark, "metrics", (Mean(), GroupMean(), action))
    monkeypatch.setattr(TableBenchmark, "groups_of", lambda _, column, value: (value, value.split()[0]))
    first = seed_run(database, Seed(done=60, right=80))
    run, other = (
        info(database, first),
        info(database, seed_run(database, Seed(done=60), snapshot=snapshot_of(database, first))),
    )
    score = report.score_report(database, run)
    groups = {g.group: g for g in score.groups["task_type"]}
    assert groups["Action"].estimate == groups["Action Sequence"].estimate
    assert sum(g.estimate.n for g in groups.values()) == 120
    assert [(m.name, m.estimate) for m in score.metrics] == [("Action", groups["Action"].estimate)]
    index = report.load_index(database, run.snapshot_id, report.group_columns(run))
    compared = report.compare(database, run, other, index).groups["task_type"]
    assert [g.group for g in compared] == list(groups)


def test_the_mean_of_the_groups_is_a_metric_of_every_page_that_says_nothing_else(database: Database) -> None:
    score = report.score_report(database, info(database, seed_run(database, Seed(done=60))))
    groups = [g.estimate.mean or 0.0 for g in score.groups["task_type"]]
    (mean,) = score.metrics
    assert (mean.name, mean.estimate.mean) == ("mean of the task_type scores", pytest.approx(sum(groups) / 4))


@pytest.mark.parametrize(("done", "said"), [(0, ""), (4, "1 video"), (20, "5 videos"), (36, "9 videos"), (40, "")])
def test_a_score_says_of_how_many_videos_it_is_and_why_few_make_it_wide(
    database: Database, done: int, said: str
) -> None:
    run = info(database, seed_run(database, Seed(done=done)))
    score = report.score_report(database, run)
    assert (score.overall.videos, score.videos) == (done // 4, 25)
    assert score.caution.endswith(said) and bool(score.caution) is bool(said)
    assert score.caution in run_page(database, run)


def fail(database: Database, run: RunInfo, errors: Mapping[str, tuple[int, str]]) -> None:
    """Make the run's first requests fail: so many of each video, with its message."""
    rows = [(video, message) for video, (count, message) in errors.items() for _ in range(count)]
    with database.read() as connection:
        found = connection.exec_driver_sql(f"SELECT id FROM requests WHERE run_id = {run.run_id} ORDER BY id")
        ids = [row[0] for row in found]
    query = "UPDATE requests SET status = 'failed', error_kind = 'video', video = ?, error = ? WHERE id = ?"
    values = [(*row, number) for number, row in zip(ids, rows, strict=False)]
    database.write(lambda c: c.exec_driver_sql(query, values))
    database.write(runs.recount, run.run_id)


def test_two_broken_videos_are_one_failure_that_names_both(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=0)))
    said = "{}: cannot be decoded (frame 7 of {})"
    fail(database, run, {
        "clips/notvideo.mp4": (15, said.format("/my data/clips/notvideo.mp4", 9)),
        "clips/broken.mp4": (17, said.format("/my data/clips/broken.mp4", 300)),
        "clips/gone.mp4": (2, "/my data/clips/gone.mp4: no such file"),
    })  # fmt: skip
    first, second = report.failures(database, run)
    assert (first.count, first.videos) == (32, (("clips/broken.mp4", 17), ("clips/notvideo.mp4", 15)))
    assert report.failed_videos(first) == "2 videos: broken.mp4 (17), notvideo.mp4 (15)"
    assert "mp4" not in first.message and "cannot be decoded" in first.message
    assert (second.message, report.failed_videos(second)) == ("/my data/clips/gone.mp4: no such file", "gone.mp4")
    assert "2 videos: broken.mp4 (17)" in run_page(database, run)


def test_videos_of_one_name_are_told_apart_by_their_folders_and_many_are_cut() -> None:
    group = FailureGroup(kind="video", message="", count=3, examples=(), videos=(("a/v.mp4", 2), ("b/v.mp4", 1)))
    assert report.failed_videos(group) == "2 videos: a/v.mp4 (2), b/v.mp4 (1)"
    many = tuple((f"{i}.mp4", 9 - i) for i in range(5))
    group = FailureGroup(kind="video", message="", count=35, examples=(), videos=many)
    assert report.failed_videos(group) == "5 videos: 0.mp4 (9), 1.mp4 (8), 2.mp4 (7) and 2 more"


def test_a_run_has_no_eta_long_after_its_last_answer(database: Database) -> None:
    run = info(database, seed_run(database, Seed(done=60, seconds=600)))
    add_worker(database, "gpu0@host")
    assert report.run_status(database, run).eta_s is not None
    database.write(lambda c: c.exec_driver_sql("UPDATE responses SET created_at = created_at - 3600"))
    assert report.run_status(database, run).eta_s is None
    database.write(lambda c: c.exec_driver_sql("UPDATE responses SET generate_s = 3000"))
    assert report.run_status(database, run).eta_s is not None


def test_vlmevalkits_rating_leaves_out_what_is_not_answered_yet(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = info(database, seed_run(database, Seed(done=60, failed=10)))
    with pytest.raises(UsageError, match="no rule for table without a judge") as caught:
        report.vlmevalkit_rating(database, run)
    assert caught.value.hint == f"videval score {run.name}"
    monkeypatch.setattr(TableBenchmark, "vlmevalkit", "mvbench")
    assert report.vlmevalkit_rating(database, run)["overall"][1] == 70


def test_every_name_of_the_package_is_found_where_its_types_say() -> None:
    stub = ast.parse(Path(report.__file__).with_suffix(".pyi").read_text())
    said = {name.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert sorted(said) == report.__all__
    for name, module in said.items():
        assert getattr(report, name) is getattr(import_module(str(module)), name)
