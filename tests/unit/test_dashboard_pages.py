"""Every page on every kind of database: empty, going, half finished, failed, packed, very large."""

import time
from pathlib import Path
from typing import Any

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard.store import Fetched
from tests.dashboards import APP, PAGES, Open, said, settled, table
from tests.dashboards import its_database as its_database
from tests.dashboards import opens_pages as opens_pages
from tests.dashboards import settings_of_this_test as settings_of_this_test
from tests.seeding import Seed, add_worker, seed_run, snapshot_of
from videval.db import runs
from videval.db.session import Database
from videval.options import Asked, options
from videval.types import Published, RecipeUsed

BROKEN_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(64)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_an_empty_database_says_what_to_do_next(database: Database, opened: Open, page: str) -> None:
    text = said(opened(page))
    assert "videval" in text
    assert "enqueue" in text or "videval fleet" in text


def test_without_a_database_the_first_command_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Open
) -> None:
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path / "nowhere"))
    at = AppTest.from_file(APP, default_timeout=30).run()
    assert not at.exception
    assert "videval enqueue" in said(at)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "seed",
    [
        Seed(done=60, failed=4, running=2),
        Seed(done=0, running=0),
        Seed(done=90, failed=10),
        Seed(done=0, failed=100),
        Seed(done=40, pack=True, variant="table_8frame_pack"),
        Seed(done=0, questions=1, state="creating"),
        Seed(done=50, state="paused"),
        Seed(done=50, state="cancelled"),
    ],
    ids=["half", "new", "finished", "all-failed", "pack", "creating", "paused", "cancelled"],
)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_every_kind_of_run(database: Database, opened: Open, seed: Seed, page: str) -> None:
    seed_run(database, seed)
    add_worker(database, "gpu0@host")
    at = opened(page)
    assert said(at)


def test_the_runs_page_says_in_a_sentence_what_is_going_on(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=60, failed=4, seconds=600))
    add_worker(database, "gpu0@host")
    at = opened("runs")
    assert at.header[0].value.replace("\\", "").startswith("1 run going: 60 % answered, 4 failed, done in about ")
    figures = {m.label: m.value.replace("\\", "") for m in at.metric}
    assert figures["Answered"] == "60 / 100"
    assert figures["Failed"] == "4"
    assert figures["Devices busy"] == "91 %"
    assert figures["Coverage"] == "60.0 %"
    assert figures["Score so far"].endswith(" %")


def test_with_nothing_running_the_paused_runs_are_named(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=60, state="paused"))
    seed_run(database, Seed(done=100))
    assert opened("runs").header[0].value.replace("\\", "") == "Nothing is running, 1 run paused"


def test_a_run_without_a_worker_says_so(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=60))
    assert "no worker holds its model" in said(opened("runs"))


def test_the_table_of_runs_can_be_searched_and_the_matrix_shows_what_is_missing(
    database: Database, opened: Open
) -> None:
    seed_run(database, Seed(done=100, model="alpha", variant="MVBench_8frame"))
    seed_run(database, Seed(done=100, model="beta", variant="Video-MME_1fps"))
    at = opened("runs")
    matrix = table(at, "Models and benchmarks")
    assert set(table(at, "All runs")["model"]) == {"alpha", "beta"}
    assert "not run" in set(matrix.to_numpy().ravel())
    at.text_input(key="runs-search").set_value("beta mme").run()
    assert list(table(at, "All runs")["model"]) == ["beta"]
    at.text_input(key="runs-search").set_value("gamma").run()
    assert "No run matches" in said(at)


def test_the_run_page_shows_scores_time_failures_and_files(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=80, failed=6))
    text = said(opened("run"))
    for heading in ("Progress", "Speed", "Score by task_type", "How it converges", "Where the time goes", "Failures"):
        assert heading in text
    assert "cannot be decoded" in text
    assert "Build xlsx" in text


def run_until_offered(at: AppTest, label: str) -> None:
    deadline = time.monotonic() + 30
    while label not in [button.proto.label for button in at.get("download_button")]:
        assert time.monotonic() < deadline, f"not offered: {label}"
        time.sleep(0.1)
        at.run()


def test_an_export_is_built_beside_the_page_and_then_offered(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=100))
    at = opened("run")
    at.button(key="build-tsv").click().run()
    run_until_offered(at, "Download tsv (100 rows)")


def test_an_export_of_a_run_that_went_on_says_of_when_it_is(database: Database, opened: Open) -> None:
    run_id = seed_run(database, Seed(done=99, running=1))
    at = opened("run")
    at.button(key="build-tsv").click().run()
    run_until_offered(at, "Download tsv (100 rows)")
    database.write(
        lambda c: c.exec_driver_sql("UPDATE requests SET status = 'failed', finished_at = 0 WHERE status = 'running'")
    )
    database.write(runs.recount, run_id)
    run_until_offered(at, "Download tsv (as of 99 answers, outdated)")
    assert "Build anew" in said(at)
    assert "1 request without an answer" in said(at)


def test_a_run_whose_benchmark_is_gone_is_still_looked_at(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=80, failed=2, model="good"))
    gone = seed_run(database, Seed(done=80, failed=2, model="gone"))
    database.write(lambda c: c.exec_driver_sql(f"UPDATE runs SET benchmark = 'plugin_that_left' WHERE id = {gone}"))
    runs = opened("runs")
    scores = table(runs, "All runs").set_index("run")["score"]
    assert (scores != "–").to_dict() == {"table_8frame--good--1": True, "table_8frame--gone--2": False}
    assert "plugin_that_left" in said(opened("run", run="table_8frame--gone--2"))
    samples = opened("samples", run="table_8frame--gone--2", outcome="failed")
    assert list(table(samples, "Samples")["sample"]) == ["q80", "q81"]


@pytest.mark.parametrize("asked", ["²", "-1", "1e3", "9" * 40, "x"])
def test_a_row_in_the_link_that_is_no_number_is_the_beginning(database: Database, opened: Open, asked: str) -> None:
    seed_run(database, Seed(done=80))
    at = opened("samples", **{"from": asked})
    assert table(at, "Samples")["sample"].iloc[0] == "q0"


def test_a_group_in_the_link_stays_while_the_groups_are_being_read(
    database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed_run(database, Seed(done=80))
    monkeypatch.setattr("dashboard.data.Data.group_values", lambda *_: Fetched())
    at = opened("samples", column="task_type", group="State Change")
    assert at.query_params["group"] in ("State Change", ["State Change"])
    assert list(table(at, "Samples")["sample"])[:2] == ["q2", "q6"]


def test_a_video_that_cannot_be_looked_at_leaves_the_rest_of_the_page(
    database: Database, opened: Open, tmp_path: Path
) -> None:
    """A folder that may not be entered does the same as this name, which no file system takes."""
    seed_run(database, Seed(done=80, data_root=str(tmp_path)))
    database.write(lambda c: c.exec_driver_sql(f"UPDATE samples SET video = '{'x' * 300}.mp4'"))
    text = said(opened("samples", sample="q1"))
    assert "The dashboard cannot read the video" in text
    assert "File name too long" in text
    assert "What moves in question 1?" in text


def test_a_video_of_another_user_leaves_the_rest_of_the_page(
    database: Database, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed_run(database, Seed(done=80, data_root=str(tmp_path)))
    (tmp_path / "clip0.mp4").write_bytes(b"video")
    ordinary = Path.open

    def closed(path: Path, *args: Any, **more: Any) -> Any:
        if path.suffix == ".mp4":
            raise PermissionError(13, "Permission denied", str(path))
        return ordinary(path, *args, **more)

    monkeypatch.setattr(Path, "open", closed)
    text = said(opened("samples", sample="q1"))
    assert "Permission denied" in text
    assert "What moves in question 1?" in text


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"GIF89a\x10\x00\x10\x00\x80\x00\x00", b"no image at all", BROKEN_PNG]
)
def test_a_gif_that_is_cut_leaves_the_rest_of_the_page(
    database: Database, opened: Open, tmp_path: Path, content: bytes
) -> None:
    seed_run(database, Seed(done=80, data_root=str(tmp_path)))
    database.write(lambda c: c.exec_driver_sql("UPDATE samples SET video = 'clip.gif'"))
    (tmp_path / "clip.gif").write_bytes(content)
    text = said(opened("samples", sample="q1"))
    assert "The dashboard cannot read the video" in text
    assert "What moves in question 1?" in text


def test_the_samples_page_filters_and_steps(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=80, failed=6))
    at = opened("samples", outcome="failed")
    assert list(table(at, "Samples")["sample"]) == [f"q{i}" for i in range(80, 86)]
    at.button(key="step-Next").click()
    settled(at)
    assert at.query_params["sample"] in (["q81"], "q81")
    assert "boom" in said(at)
    at.selectbox(key="outcome").select("wrong")
    settled(at)
    assert set(table(at, "Samples")["result"]) == {"wrong"}


def test_a_link_to_a_sample_shows_it_with_its_text_as_text(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=80))
    at = opened("samples", sample="q7")
    assert "What moves in question 7?" in said(at)
    assert any("What moves? <i>A</i> or B" in c.value for c in at.code)
    assert not any("<i>" in m.value for m in at.markdown)


def test_a_link_to_a_sample_that_is_not_there_says_so(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=80))
    assert "no such sample" in said(opened("samples", sample="nope"))


def test_in_pack_mode_the_answers_stand_beside_the_response(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=40, pack=True, variant="table_8frame_pack"))
    at = opened("samples", sample="q5")
    assert "The pack: 4 questions asked at once" in said(at)
    assert list(table(at, "Questions of the pack")["sample"]) == ["q4", "q5", "q6", "q7"]


def test_two_runs_on_the_same_questions_are_compared(database: Database, opened: Open) -> None:
    first = seed_run(database, Seed(done=100, right=90, model="alpha"))
    seed_run(database, Seed(done=100, right=20, model="beta"), snapshot=snapshot_of(database, first))
    at = opened("compare")
    assert "table_8frame--alpha--1 is better by" in said(at)
    assert "What differs in their run cards" in said(at)
    four = table(at, "Questions that both, one or none answered right").set_index("table_8frame--beta--2")
    assert four.to_numpy().tolist() == [["20", "0"], ["70", "10"]]
    flipped = table(at, "Samples that flipped")
    said_by = ["table_8frame--beta--2 said", "table_8frame--alpha--1 said"]
    assert list(flipped) == ["sample", "question", "right answer", *said_by]
    assert len(flipped) == 70


def test_runs_that_agree_on_everything_do_not_differ(database: Database, opened: Open) -> None:
    first = seed_run(database, Seed(done=100, right=50, model="alpha"))
    seed_run(database, Seed(done=100, right=50, model="beta"), snapshot=snapshot_of(database, first))
    text = said(opened("compare"))
    assert "No difference: both were right and wrong on the same questions" in text
    assert "-0.0" not in text


def test_one_video_is_too_few_to_say_who_is_better(database: Database, opened: Open) -> None:
    first = seed_run(database, Seed(questions=4, done=4, right=100, model="alpha"))
    seed_run(database, Seed(questions=4, done=4, right=0, model="beta"), snapshot=snapshot_of(database, first))
    text = said(opened("compare"))
    assert "on one video only: too few to say who is better" in text
    assert "chance" not in text


def test_the_fleet_page_warns_of_the_silent_and_the_lost(database: Database, opened: Open) -> None:
    add_worker(database, "gpu0@host")
    add_worker(database, "gpu1@host", silent_s=200)
    add_worker(database, "gpu2@host", state="lost")
    at = opened("fleet")
    assert at.header[0].value.replace("\\", "") == "2 workers, 2 working, 2 in trouble"
    assert "silent for 3 min" in said(at)
    assert "lost: its process is gone" in said(at)


def test_a_lost_worker_is_no_trouble_once_a_later_one_has_its_device(database: Database, opened: Open) -> None:
    add_worker(database, "old@host", device="gpu0", state="lost")
    add_worker(database, "silent@host", device="gpu0", silent_s=200)
    add_worker(database, "new@host", device="gpu0")
    for name, later_s in {"silent@host": -100, "new@host": 880}.items():
        began = f"UPDATE workers SET started_at = started_at + {later_s} WHERE id = '{name}'"
        database.write(lambda c, began=began: c.exec_driver_sql(began))
    at = opened("fleet")
    assert at.header[0].value.replace("\\", "") == "2 workers, 2 working"
    assert "lost: its process is gone" not in said(at) and "silent for" not in said(at)
    assert list(table(at, "Workers")["lives for"]).count("restarted 2 min ago") == 2


def test_nothing_can_be_changed_unless_it_was_started_so(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=50, failed=5))
    for page in PAGES:
        labels = " ".join(b.label for b in opened(page).button)
        assert not any(word in labels for word in ("Pause", "Resume", "Cancel", "Retry", "Enqueue"))


def test_with_actions_a_run_is_paused_resumed_and_its_failures_tried_again(
    database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_DASHBOARD_ALLOW_ACTIONS", "1")
    monkeypatch.setenv("VIDEVAL_BROKER_URL", "redis://127.0.0.1:1/0")
    run_id = seed_run(database, Seed(done=50, failed=5))

    def now(what: str, where: str) -> Any:
        with database.read() as connection:
            return connection.exec_driver_sql(f"SELECT {what} FROM {where}").scalar_one()

    at = opened("run")
    at.button(key="action-Pause").click().run()
    assert now("state", f"runs WHERE id = {run_id}") == "paused"
    settled(at).button(key="action-Resume").click().run()
    assert now("state", f"runs WHERE id = {run_id}") == "active"
    settled(at).button(key="action-Retry").click().run()
    assert now("count(*)", "requests WHERE status = 'failed'") == 0
    assert not at.exception


def test_with_actions_a_file_of_questions_is_enqueued(
    database: Database, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_DASHBOARD_ALLOW_ACTIONS", "1")
    monkeypatch.setenv("VIDEVAL_BROKER_URL", "redis://127.0.0.1:1/0")
    (tmp_path / "v.mp4").write_bytes(b"")
    (tmp_path / "mine.jsonl").write_text('{"video": "v.mp4", "question": "What is it?"}\n')
    seed_run(database, Seed(done=5))
    at = opened("runs")
    box = {b.label: b for b in at.text_input}
    box["Variant or file of questions"].set_value(str(tmp_path / "mine.jsonl"))
    box["Model"].set_value("fake")
    next(b for b in at.button if b.label == "Enqueue").click().run()
    assert not at.exception
    with database.read() as connection:
        names = connection.exec_driver_sql("SELECT name FROM runs ORDER BY id").scalars().all()
    assert names[-1] == "mine-8frame--fake--1"


def test_what_the_form_refuses_is_said_with_what_would_be_right_set_apart(
    database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_DASHBOARD_ALLOW_ACTIONS", "1")
    seed_run(database, Seed(done=5))
    at = opened("runs")
    box = {b.label: b for b in at.text_input}
    box["Variant or file of questions"].set_value("MovingShapes_8frame")
    box["Model"].set_value("fak")
    next(b for b in at.button if b.label == "Enqueue").click().run()
    (told,) = (t.value for t in at.toast)
    assert "unknown model" in told and " → did you mean fake?" in told


def test_the_form_has_a_box_for_each_option_of_enqueue_and_hands_all_of_them_on(
    database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_DASHBOARD_ALLOW_ACTIONS", "1")
    seed_run(database, Seed(done=5))
    asked: list[Asked] = []
    monkeypatch.setattr("dashboard.form.place", lambda one: asked.append(one) or "done")
    at = opened("runs")
    kinds = (at.text_input, at.number_input, at.checkbox, at.selectbox, at.text_area)
    box = {b.key: b for kind in kinds for b in kind}
    assert {f"enqueue-{field.name}" for field in options()} <= set(box)
    next(b for b in at.text_input if b.label == "Model").set_value("fake")
    filled = {"data": "q.tsv", "dtype": "float16", "frames": 3, "fps": 0.5, "seed": 7, "priority": -3, "in_order": True}
    filled |= {"top_p": 0.9, "trust_remote_code": True}
    box["enqueue-stop"].set_value("END\n\n###")
    for name, value in filled.items():
        box[f"enqueue-{name}"].set_value(value)
    box["enqueue-thinking"].set_value("no")
    next(b for b in at.button if b.label == "Enqueue").click().run()
    assert not at.exception
    given = {"data": Path("q.tsv"), "thinking": False, "stop": ("END", "###")}
    assert asked == [Asked(what=None, model="fake", **(filled | given))]


def test_the_form_takes_a_recipe_alone(database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_DASHBOARD_ALLOW_ACTIONS", "1")
    seed_run(database, Seed(done=5))
    asked: list[Asked] = []
    monkeypatch.setattr("dashboard.form.place", lambda one: asked.append(one) or "done")
    at = opened("runs")
    next(b for b in at.text_input if b.key == "enqueue-recipe").set_value("plm-1b/mvbench@repo-2025-04")
    next(b for b in at.button if b.label == "Enqueue").click().run()
    assert asked == [Asked(what=None, model=None, recipe="plm-1b/mvbench@repo-2025-04")]


def test_a_runs_page_says_whether_it_reproduces_its_recipes_number(database: Database, opened: Open) -> None:
    run_id = seed_run(database, Seed(done=60))
    number = Published(value=5.0, source="a paper", date="2025-02")
    recipe = RecipeUsed(name="m/b@team", published=(number,), deviations=("seed 3 in place of 0",))
    database.write(lambda c: runs.set_recipe(c, run_id, recipe))
    text = said(opened("run"))
    assert "recipe m/b@team: the published 5.0 % (a paper, 2025-02) lies outside of this run's" in text
    assert "not as the recipe says: seed 3 in place of 0" in text and "so far, by 60 of 100 questions" in text


def test_a_run_of_answers_from_elsewhere_is_marked(database: Database, opened: Open) -> None:
    files = [{"name": "old.xlsx", "sha256": "0", "tool": "VLMEvalKit"}]
    seed_run(database, Seed(done=60, card={"imported": {"files": files, "tool": "VLMEvalKit", "at": ""}}))
    assert "imported from old.xlsx (VLMEvalKit)" in said(opened("run"))
    assert ", imported" in said(opened("runs"))


def test_a_run_of_answers_from_elsewhere_has_no_answers_per_second(database: Database, opened: Open) -> None:
    files = [{"name": "old.xlsx", "sha256": "0", "tool": "VLMEvalKit"}]
    card = {"imported": {"files": files, "tool": "VLMEvalKit", "at": ""}}
    seed_run(database, Seed(questions=60, done=60, card=card))
    (rate,) = (m.value for m in opened("run").metric if m.label == "Rate")
    assert rate == "–"


def test_an_answer_without_prompt_frames_and_times_is_shown(database: Database, opened: Open) -> None:
    """So are those that were imported."""
    seed_run(database, Seed(done=60))
    database.write(lambda c: c.exec_driver_sql("UPDATE responses SET prompt = '[]', clips = '[]', num_frames = 0"))
    assert "What moves in question 7?" in said(opened("samples", sample="q7"))
    database.write(lambda c: c.exec_driver_sql("UPDATE responses SET generate_s = 0, decode_s = 0"))
    assert not opened("run").exception


def test_on_an_open_address_without_a_password_nothing_is_shown(database: Database, opened: Open) -> None:
    seed_run(database, Seed(done=50))
    for address in ("0.0.0.0", None, "192.168.1.5", "::"):
        config.set_option("server.address", address)
        at = AppTest.from_file(APP, default_timeout=30).run()
        assert "has no password" in said(at)
        assert not at.header
        assert not at.metric


def test_streamlit_finds_no_pages_folder_that_it_would_serve_past_the_password() -> None:
    assert not (APP.parent / "pages").exists()


def test_the_password_opens_the_page_and_another_one_does_not(
    database: Database, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed_run(database, Seed(done=50))
    monkeypatch.setenv("VIDEVAL_DASHBOARD_PASSWORD", "Sesam öffne dich")
    monkeypatch.setattr("dashboard.access.WRONG_PAUSE_S", 0.0)
    config.set_option("server.address", "0.0.0.0")
    at = AppTest.from_file(APP, default_timeout=30).run()
    assert not at.metric
    at.text_input[0].set_value("wrong")
    at.button[0].click().run()
    assert "not the password" in said(at)
    at.text_input[0].set_value("Sesam öffne dich")
    at.button[0].click().run()
    settled(at)
    assert at.metric


def test_a_hundred_thousand_requests_are_no_trouble(database: Database, opened: Open) -> None:
    seed_run(database, Seed(questions=100_000, done=60_000, failed=100))
    add_worker(database, "gpu0@host")
    for page in PAGES:
        at = opened(page)
        began = time.process_time()
        at.run()
        assert time.process_time() - began < 3.0, f"{page} takes so many seconds of work"
    at = opened("samples", outcome="failed")
    assert len(table(at, "Samples")) == 25
