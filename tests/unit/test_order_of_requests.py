"""In which order requests go out: long videos first, those alike shuffled; the questions of a video together."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.questions import answer, order, samples, take
from tests.servers import settings_for
from videval.db import results
from videval.db.answer_times import mean_seconds_by_video
from videval.db.schema import ensure_schema
from videval.db.session import Connection, Database, open_database
from videval.db.tables import RequestRow, ResponseRow
from videval.order import Order
from videval.plans import _turn
from videval.runs import enqueue
from videval.types import Sample


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(settings_for(tmp_path))
    ensure_schema(opened)
    yield opened
    opened.close()


def asked(folder: Path, count: int = 60, videos: int = 20, **values: Any) -> Order:
    """Questions of which those about one video do not stand together in the benchmark."""
    return order(folder / "data", samples(count, videos=videos), in_order=False, **values)


def requests_of(database: Database, run_id: int) -> list[tuple[str, str]]:
    """(key, video) in the order in which messages go out and claims are made."""
    query = select(RequestRow.key, RequestRow.video).where(RequestRow.run_id == run_id).order_by(RequestRow.id)
    with database.read() as connection:
        return [(row.key, row.video) for row in connection.execute(query)]


def test_videos_are_shuffled_and_a_video_s_questions_stay_together_in_their_order(
    database: Database, tmp_path: Path
) -> None:
    found = requests_of(database, enqueue(database, asked(tmp_path)).run.run_id)
    videos = [video for video, _ in groupby(found, key=lambda pair: pair[1])]
    assert sorted(videos) == sorted(f"v{i}.mp4" for i in range(20)), "each video once"
    assert videos != [f"v{i}.mp4" for i in range(20)]
    for video, group in groupby(found, key=lambda pair: pair[1]):
        number = int(video[1:-4])
        assert [key for key, _ in group] == [f"sample:{number + 20 * k}" for k in range(3)]


def test_the_order_is_the_same_for_every_run_on_a_snapshot(database: Database, tmp_path: Path) -> None:
    first = requests_of(database, enqueue(database, asked(tmp_path)).run.run_id)
    for other in (asked(tmp_path, model="fake:b"), asked(tmp_path, max_pixels=64, priority=2)):
        assert requests_of(database, enqueue(database, other).run.run_id) == first


def test_the_order_is_the_same_in_every_process_and_on_every_python() -> None:
    said = [_turn("d1", f"v{i}.mp4").hex()[:8] for i in range(3)]
    assert said == ["736ce5cd", "52a30794", "1f84f9db"]
    code = "from videval.plans import _turn; print([_turn('d1', f'v{i}.mp4').hex()[:8] for i in range(3)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str(said)


def test_another_content_has_another_order(database: Database, tmp_path: Path) -> None:
    changed = asked(tmp_path)
    changed = replace(changed, samples=[replace(s, question=s.question + "!") for s in changed.samples])
    one, two = (requests_of(database, enqueue(database, o).run.run_id) for o in (asked(tmp_path), changed))
    assert sorted(one) == sorted(two) and one != two


def test_a_video_with_a_name_that_is_no_text_has_its_place_too() -> None:
    assert len({_turn("d", name) for name in ("\ud800.mp4", "a\x00b.mp4", "", "漢字.mp4")}) == 4


def test_in_order_is_the_benchmark_s_own(database: Database, tmp_path: Path) -> None:
    found = requests_of(database, enqueue(database, replace(asked(tmp_path), in_order=True)).run.run_id)
    assert found[:4] == [
        ("sample:0", "v0.mp4"),
        ("sample:20", "v0.mp4"),
        ("sample:40", "v0.mp4"),
        ("sample:1", "v1.mp4"),
    ]


def test_the_order_is_no_part_of_the_run_key(database: Database, tmp_path: Path) -> None:
    first = enqueue(database, asked(tmp_path))
    again = enqueue(database, replace(asked(tmp_path), in_order=True))
    assert first.run.run_id == again.run.run_id and again.added == 0


def test_a_trial_is_a_sample_and_grows_to_the_full_run_in_the_same_order_with_nothing_asked_twice(
    database: Database, tmp_path: Path
) -> None:
    full = requests_of(database, enqueue(database, asked(tmp_path), new=True).run.run_id)
    for limit in (7, 31, None):
        done = enqueue(database, replace(asked(tmp_path, model="fake:b"), limit=limit))
        assert requests_of(database, done.run.run_id) == full[:limit]


def test_a_trial_that_was_begun_in_order_grows_too(database: Database, tmp_path: Path) -> None:
    enqueue(database, replace(asked(tmp_path), in_order=True, limit=5))
    found = requests_of(database, enqueue(database, asked(tmp_path)).run.run_id)
    assert [key for key, _ in found[:5]] == [f"sample:{i}" for i in (0, 20, 40, 1, 21)]
    assert len(found) == len(set(found)) == 60


def test_a_trial_of_a_benchmark_that_is_sorted_by_task_meets_all_of_its_tasks(
    database: Database, tmp_path: Path
) -> None:
    """40 videos, the last half of them of a task of its own: of 20 requests about half are of each."""
    found = requests_of(database, enqueue(database, asked(tmp_path, 40, 40, limit=20)).run.run_id)
    second_half = sum(int(video[1:-4]) >= 20 for _, video in found)
    assert 5 <= second_half <= 15


def took(connection: Connection, request_id: int, seconds: float) -> None:
    """Say that an answer was generated for so long."""
    connection.execute(update(ResponseRow).where(ResponseRow.request_id == request_id).values(generate_s=seconds))


def lasting(seconds: Mapping[int, float], count: int = 40) -> list[Sample]:
    """A question about each of so many videos; those of some numbers last so many seconds."""
    return samples(count, {i: {"duration": lasts} for i, lasts in seconds.items()}, videos=count)


def test_the_longest_go_out_first_and_those_that_are_alike_stay_shuffled(database: Database, tmp_path: Path) -> None:
    made = order(tmp_path / "data", lasting({7: 600, 30: 60, 31: 61}), in_order=False)
    alike = order(tmp_path / "data", lasting({}), in_order=False)
    digest = made.content.digest
    videos = [video for _, video in requests_of(database, enqueue(database, made).run.run_id)]
    assert videos[0] == "v7.mp4" and set(videos[1:3]) == {"v30.mp4", "v31.mp4"}
    assert videos[1:] == [*sorted(videos[1:3], key=lambda v: _turn(digest, v)), *videos[3:]]
    assert videos[3:] == sorted(videos[3:], key=lambda v: _turn(digest, v))
    assert sorted(v for _, v in requests_of(database, enqueue(database, alike).run.run_id)) == sorted(videos)


def test_a_video_with_many_questions_goes_out_before_those_with_few(database: Database, tmp_path: Path) -> None:
    asked = samples(24, {i: {"video": "v1.mp4"} for i in range(12, 24)}, videos=12)
    found = requests_of(database, enqueue(database, order(tmp_path / "data", asked, in_order=False)).run.run_id)
    assert [video for _, video in found[:13]] == ["v1.mp4"] * 13


def test_in_order_means_in_order_however_long_the_videos_are(database: Database, tmp_path: Path) -> None:
    found = requests_of(database, enqueue(database, order(tmp_path / "data", lasting({39: 600}))).run.run_id)
    assert [video for _, video in found] == [f"v{i}.mp4" for i in range(40)]


def test_a_trial_is_no_sample_of_long_videos_only_but_begins_with_its_own(database: Database, tmp_path: Path) -> None:
    long = lasting(dict.fromkeys(range(20), 600.0))
    trial = order(tmp_path / "data", long, in_order=False, limit=20)
    videos = [int(v[1:-4]) for _, v in requests_of(database, enqueue(database, trial).run.run_id)]
    are_long = [number < 20 for number in videos]
    assert 5 <= sum(are_long) <= 15 and are_long == sorted(are_long, reverse=True)


def test_what_answers_of_an_earlier_run_of_the_model_took_decides(database: Database, tmp_path: Path) -> None:
    first = enqueue(database, asked(tmp_path, 20, 20)).run.run_id
    with database.read() as connection:
        rows = connection.execute(select(RequestRow.id, RequestRow.video)).all()
    for row in rows:
        assert answer(database, take(database, row.id))
        database.write(took, row.id, 9.0 if row.video == "v13.mp4" else 1.0)
    before = requests_of(database, first)
    again = requests_of(database, enqueue(database, asked(tmp_path, 20, 20), new=True).run.run_id)
    other = requests_of(database, enqueue(database, asked(tmp_path, 20, 20, model="fake:b")).run.run_id)
    assert again[0][1] == "v13.mp4" and again[1:] == [pair for pair in before if pair[1] != "v13.mp4"]
    assert other == before, "of another model nothing is known"


def test_a_run_whose_answers_were_imported_says_nothing_and_the_next_fullest_does(
    database: Database, tmp_path: Path
) -> None:
    """Imported answers are said to have taken no time."""
    for count, seconds in ((2, 5.0), (20, 0.0)):
        run_id = enqueue(database, asked(tmp_path, 20, 20), new=True).run.run_id
        with database.read() as connection:
            ids = connection.execute(select(RequestRow.id).where(RequestRow.run_id == run_id)).scalars().all()
        for request_id in ids[:count]:
            assert answer(database, take(database, request_id))
            database.write(took, request_id, seconds)
    with database.read() as connection:
        known = mean_seconds_by_video(connection, 1, "fake")
    assert len(known) == 2 and min(known.values()) >= 5.0


def test_packs_are_shuffled_as_well(database: Database, tmp_path: Path) -> None:
    plain = asked(tmp_path)
    packed = replace(plain, variant=replace(plain.variant, pack=True, name=plain.variant.name + "_pack"))
    keys = [key for key, _ in requests_of(database, enqueue(database, packed).run.run_id)]
    videos = dict.fromkeys(video for _, video in requests_of(database, enqueue(database, plain).run.run_id))
    assert keys == [f"pack:{video}" for video in videos]


def test_questions_without_their_videos_change_nothing_about_the_others(database: Database, tmp_path: Path) -> None:
    whole = asked(tmp_path)
    full = requests_of(database, enqueue(database, whole).run.run_id)
    (tmp_path / "data" / "v3.mp4").unlink()
    found = requests_of(database, enqueue(database, replace(whole, allow_missing=True), new=True).run.run_id)
    assert found == [pair for pair in full if pair[1] != "v3.mp4"]


def test_results_stand_in_the_benchmark_s_order_whatever_was_answered_first(database: Database, tmp_path: Path) -> None:
    run_id = enqueue(database, asked(tmp_path, 12, 6)).run.run_id
    with database.read() as connection:
        ids = connection.execute(select(RequestRow.id).order_by(RequestRow.id)).scalars().all()
    for request_id in ids:
        answer(database, take(database, request_id))
    with database.read() as connection:
        found: list[Sample] = [r.sample for r in results.iter_results(connection, run_id)]
    assert [s.id for s in found] == [str(i) for i in range(12)]
