"""`--dry-run`: what runs will cost, from their orders, their videos and earlier answers; what is not known says so."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.cli import caller
from tests.questions import order
from tests.seeding import LAB_ENTRY, Seed, new_database, seed_run, settings_for
from tests.trees import clip
from videval.benchmarks.table import table_variant
from videval.db import costs
from videval.db.runs import recount
from videval.db.session import Database, open_database
from videval.db.tables import RequestRow
from videval.models.endpoint_file import Prices
from videval.suites.estimate import Asked, Costs, Estimate, Frames, Shown, asked_of, estimated, seconds_of, total
from videval.types import ClipRef, FrameSampling, Sample

NOTHING: Mapping[int, list[float]] = {}


def measure(clip: Shown) -> Frames:
    """Four frames of 10 x 10 pixels."""
    return Frames(count=4, size=300)


def cost(
    asked: Asked, *, done: int = 0, decode: Mapping[int, list[float]] = NOTHING, generate: object = None
) -> Estimate:
    """The estimate with these costs."""
    known = generate if isinstance(generate, dict) else {}
    return estimated(asked, done, measure, Costs(decode=decode, generate=known))


def test_a_clip_is_counted_once_however_many_questions_are_about_it(tmp_path: Path) -> None:
    found = cost(asked_of(order(tmp_path, 20), ()))
    assert (found.requests, found.clips, found.frames, found.disk) == (20, 4, 16, 4800)


def test_another_span_of_a_video_is_another_clip(tmp_path: Path) -> None:
    made = [
        Sample(id=str(i), question="What?", clips=(ClipRef(video="v.mp4", start=float(i), end=i + 1.0),))
        for i in (0, 1)
    ]
    assert cost(asked_of(order(tmp_path, made), ())).clips == 2


def test_packs_are_one_request_a_video(tmp_path: Path) -> None:
    packed = replace(order(tmp_path, 20), variant=table_variant(Path("q.tsv"), num_frames=4, pack=True))
    assert cost(asked_of(packed, ())).requests == 4


def test_a_trial_and_missing_files_ask_less(tmp_path: Path) -> None:
    assert cost(asked_of(order(tmp_path, 20, limit=3), ())).requests == 3
    assert cost(asked_of(order(tmp_path, 20), {"v0.mp4"})).requests == 15


def test_only_what_is_left_takes_time(tmp_path: Path) -> None:
    asked = asked_of(order(tmp_path, 20), ())
    found = cost(asked, done=15, decode={4: [1.0, 9.0, 2.0]}, generate={4: [3.0, 5.0, 4.0]})
    assert found.decode_s == pytest.approx(2.0 * 4 * 5 / 20)
    assert found.generate_s == pytest.approx(4.0 * 5)
    over = cost(asked, done=20)
    assert (over.decode_s, over.generate_s, over.done) == (0.0, 0.0, 20)


def test_what_is_not_known_is_none(tmp_path: Path) -> None:
    found = cost(asked_of(order(tmp_path, 20), ()))
    assert (found.decode_s, found.generate_s) == (None, None)
    unreadable = estimated(asked_of(order(tmp_path, 20), ()), 0, lambda clip: None, Costs(decode={}, generate={}))
    assert (unreadable.frames, unreadable.disk) == (None, None)


@pytest.mark.parametrize(
    ("frames", "seconds"), [(8, 2.0), (16, 4.0), (4, 1.0), (10, 2.5), (17, None), (3, None), (0, None)]
)
def test_seconds_are_in_proportion_near_what_is_known_and_no_further(frames: int, seconds: float | None) -> None:
    assert seconds_of(frames, {8: [1.0, 2.0, 30.0]}) == seconds


def test_questions_without_a_clip_have_their_own_seconds() -> None:
    assert seconds_of(0, {0: [0.5], 8: [2.0]}) == 0.5


def test_clips_that_runs_share_count_once_in_the_total(tmp_path: Path) -> None:
    asked = [asked_of(order(tmp_path, 20, model=model), ()) for model in ("fake", "fake_server:4")]
    each = [cost(one, decode={4: [1.0]}, generate={4: [2.0]}) for one in asked]
    found = total(each, asked)
    assert (found.requests, found.clips, found.frames, found.disk) == (40, 4, 16, 4800)
    assert (found.decode_s, found.generate_s) == (4.0, 80.0)


def test_a_total_with_something_unknown_in_it_is_not_known(tmp_path: Path) -> None:
    asked = [asked_of(order(tmp_path, 4), ())] * 2
    assert total([cost(asked[0], generate={4: [2.0]}), cost(asked[1])], asked).generate_s is None


def test_a_benchmark_of_thousands_of_clips_has_few_of_them_opened(tmp_path: Path) -> None:
    sampling = FrameSampling(policy="interior", num_frames=4)
    clips = [(Shown(path=Path(f"{i}.mp4"), span=None, sampling=sampling, max_pixels=None),) for i in range(5000)]
    opened: list[Shown] = []

    def look(clip: Shown) -> Frames:
        opened.append(clip)
        return measure(clip)

    found = estimated(Asked(requests=tuple(clips)), 0, look, Costs(decode={}, generate={}))
    assert len(opened) <= 32
    assert (found.clips, found.frames) == (5000, 20_000)


# what the database knows


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path / "home")
    yield made
    made.close()


def test_costs_are_of_the_model_and_of_the_benchmarks_videos(database: Database) -> None:
    seed_run(database, Seed(done=60, model="fake"))
    seed_run(database, Seed(done=8, model="other"))
    with database.read() as connection:
        generate = costs.generate_costs(connection, "fake|fake")
        assert costs.generate_costs(connection, "fake|nobody") == {}
        decode = costs.decode_costs(connection, "table")
        assert costs.decode_costs(connection, "MVBench") == {}
    assert list(generate) == [8] and len(generate[8]) == 60
    assert all(0.42 <= seconds < 0.63 for seconds in generate[8])
    assert len(decode[8]) == 15, "one for each video, of both runs"


def test_what_came_from_the_cache_does_not_make_decoding_look_free(database: Database) -> None:
    seed_run(database, Seed(questions=8, done=8, per_video=8))
    warm = "UPDATE responses SET decode_s = CASE WHEN request_id = 3 THEN 7 ELSE 0 END"
    database.write(lambda c: c.exec_driver_sql(warm))
    with database.read() as connection:
        assert costs.decode_costs(connection, "table") == {8: [7.0]}


def test_a_dry_run_asks_nothing_and_refuses_what_a_run_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = caller(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.mp4").write_bytes(clip())
    (tmp_path / "a.tsv").write_text("index\tvideo\tquestion\n1\tv.mp4\tWhat?\n2\tv.mp4\tWho?\n")
    (tmp_path / "b.tsv").write_text("index\tvideo\tquestion\n1\tgone.mp4\tWhat?\n")
    said = call("run", "--data", "a.tsv", "--model", "fake", "fake_server:4", "--frames", "4", "--dry-run")
    assert said.code == 0
    rows = [line.split() for line in said.lines[1:4]]
    assert rows[0][:6] == ["fake", "a_4frame", "2", "0", "1", "4"]
    assert rows[0][-4:] == ["not", "known", "not", "known"]
    assert "nothing was asked" in said.out
    assert call("list", "runs").out.startswith("no runs")
    refused = call("run", "--data", "a.tsv", "b.tsv", "--model", "fake", "--dry-run")
    assert refused.code == 3 and "gone.mp4" in refused.err


@pytest.mark.parametrize(("more", "again"), [((), "the same command goes on"), (("--new",), "without --new goes on")])
def test_after_ctrl_c_the_command_that_goes_on_is_told(
    more: tuple[str, ...], again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("videval.cli.run._answered", lambda *given: None)
    order(tmp_path / "data", 1)
    (tmp_path / "data" / "q.tsv").write_text("index\tvideo\tquestion\tanswer\n0\tv0.mp4\tWhat?\tA\n")
    words = ("run", str(tmp_path / "data" / "q.tsv"), "fake", "--devices", "cpu", *more)
    said = caller(tmp_path, monkeypatch, capsys)(*words)
    assert said.code == 130 and said.lines[-1].endswith(again)


# money

PRICES = Prices(prompt=1.0, new=10.0, currency="EUR")
"""Of a million tokens."""


def test_what_is_paid_for_costs_as_earlier_answers_did_else_by_a_guess(tmp_path: Path) -> None:
    asked = asked_of(order(tmp_path, 20), ())
    free = estimated(asked, 0, measure, Costs(decode={}, generate={}))
    assert (free.cost, free.currency) == (None, "")
    large = partial(Frames, count=4, size=3 * 28 * 28 * 100)  # 100 tokens a frame
    guess = Costs(decode={}, generate={}, prices=PRICES, longest=50)
    guessed = estimated(asked, 5, lambda clip: large(), guess)
    assert guessed.cost == pytest.approx(15 * (700 + 50 * 10) / 1e6) and guessed.currency == "EUR"
    known = estimated(asked, 5, lambda clip: large(), replace(guess, paid={4: [0.5, 0.1, 9.0]}))
    assert known.cost == pytest.approx(15 * 0.5)
    unread = estimated(asked, 5, lambda clip: None, guess)
    assert unread.cost is None


def test_money_of_several_runs_is_added_where_it_is_one_currency(tmp_path: Path) -> None:
    asked = [asked_of(order(tmp_path, 4), ())] * 3
    free = cost(asked[0])
    euro, dollar = replace(free, cost=1.5, currency="EUR"), replace(free, cost=1.5, currency="USD")
    assert (total([euro, euro, free], asked).cost, total([euro, euro, free], asked).currency) == (3.0, "EUR")
    assert total([euro, dollar, free], asked).cost is None


def test_a_dry_run_says_what_is_to_pay_and_of_a_new_run_that_nothing_of_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    videval = caller(tmp_path, monkeypatch, capsys)
    (tmp_path / "endpoints.toml").write_text(f"{LAB_ENTRY}prices = {{ prompt = 1.0, new = 1.0 }}\n")
    made = order(tmp_path / "data", 4, model="endpoint:lab")
    (tmp_path / "data" / "q.tsv").write_text(
        "index\tvideo\tquestion\tanswer\n" + "".join(f"{i}\tv{i}.mp4\tWhat?\tA\n" for i in range(4))
    )
    words = ("run", str(tmp_path / "data" / "q.tsv"), "endpoint:lab", "--dry-run")
    said = videval(*words)
    assert "to pay" in said.out and re.search(r"0\.0\d+ USD", said.out) and made
    assert "to pay" not in videval(*words[:2], "fake", "--dry-run").out
    assert videval("enqueue", *words[1:3]).code == 0
    with closing(open_database(settings_for(tmp_path))) as database:
        database.write(lambda c: c.execute(update(RequestRow).values(status="failed")))
        database.write(lambda c: recount(c, 1))
    again, anew = (videval(*words, *more).out.splitlines()[1].split() for more in ((), ("--new",)))
    assert (again[2:4], anew[2:4]) == (["4", "4"], ["4", "0"])
