"""Very many questions: kept on disk, gone through one by one, asked as a few are; and known again by their file."""

import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.servers import settings_for
from tests.trees import clip
from videval.asking import one_by_one, packed
from videval.benchmarks import on_disk
from videval.benchmarks.on_disk import SamplesOnDisk, kept
from videval.benchmarks.table import TableBenchmark, read_table
from videval.db.plans import RequestPlan
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.db.tables import RequestRow, SampleRow
from videval.errors import DataMissing, EnvironmentProblem, InvalidTable, UsageError, VidevalError
from videval.options import Asked
from videval.order import Order
from videval.orders import make_order
from videval.plans import plans
from videval.runkey import content_of
from videval.runs import Enqueued, enqueue
from videval.types import ClipRef, FrameSampling, Sample, Sound

ODD: tuple[Sample, ...] = (
    Sample(id="1", question="q", video="a.mp4", start=8.0, end=9.5, row={"n": 3, "x": 1.5, "b": True, "no": None}),
    Sample(id="2", question='\ud800 \u2028\n"', answer="", candidates=("", "A"), row={"": "\x00"}),
    Sample(id="3", question="q", clips=(ClipRef(video="a"), ClipRef(video="b", start=1.0, end=2.0)), images=("i",)),
    Sample(id="4", question="q", clips=(ClipRef(video="a", sampling=FrameSampling(policy="rate", fps=2.0)),)),
    Sample(id="5", question="q", video="a.mp4", sounds=(Sound(),)),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(settings_for(tmp_path / "home"))
    ensure_schema(opened)
    yield opened
    opened.close()


@pytest.fixture
def few_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "IN_MEMORY", 3)


# on disk


def test_samples_on_disk_are_the_samples_to_the_letter_from_either_end() -> None:
    there = SamplesOnDisk(ODD)
    assert list(there) == list(ODD) == list(there), "as often as one likes"
    assert (len(there), there[1], there[-1], there[1:3]) == (5, ODD[1], ODD[4], list(ODD[1:3]))
    assert [type(value) for value in there[0].row.values()] == [int, float, bool, type(None)]
    with pytest.raises(IndexError):
        there[5]


def test_two_can_go_through_them_at_once() -> None:
    there = SamplesOnDisk(ODD)
    assert [(one.id, other.id) for one, other in zip(there, there, strict=True)] == [(s.id, s.id) for s in ODD]


@pytest.mark.usefixtures("few_fit")
def test_no_more_than_fit_are_kept_in_memory() -> None:
    assert isinstance(kept(iter(ODD[:3])), list) and isinstance(kept(iter(ODD)), SamplesOnDisk)
    assert [list(kept(iter(ODD[:n]))) for n in range(6)] == [list(ODD[:n]) for n in range(6)]


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(on_disk, "TemporaryFile", lambda **named: full)
        with pytest.raises(EnvironmentProblem, match=r"no room in .* for questions") as refused:
            SamplesOnDisk(ODD)
    assert refused.value.hint and "TMPDIR" in refused.value.hint


# read and asked


def write_table(path: Path, count: int, *, videos: int = 3) -> Path:
    """Questions of which those about a video do not stand together."""
    rows = [f"{i},v{i % videos}.mp4,What is {i}?,\"['a', 'b']\",a,{i / 2}" for i in range(count)]
    path.write_text("\n".join(["index,video,question,candidates,answer,x", *rows, ""]))
    for i in range(videos):
        (path.parent / f"v{i}.mp4").write_bytes(clip())
    return path


def asked(path: Path, **options: object) -> Asked:
    return Asked(**({"what": str(path), "model": "fake", "frames": 8} | options))  # type: ignore[arg-type]


def rows_of(database: Database) -> list[object]:
    """What is stored of questions and requests."""
    samples = select(SampleRow.position, SampleRow.key, SampleRow.question, SampleRow.candidates, SampleRow.row)
    requests = select(RequestRow.run_id, RequestRow.position, RequestRow.key, RequestRow.video)
    with database.read() as connection:
        return [
            [tuple(row) for row in connection.execute(query)]
            for query in (samples.order_by(SampleRow.id), requests.order_by(RequestRow.id))
        ]


@pytest.mark.parametrize("pack", [False, True])
def test_a_table_on_disk_makes_the_rows_that_one_in_memory_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: bool
) -> None:
    table = write_table(tmp_path / "q.csv", 20)
    made = []
    for in_memory in (100, 3):
        monkeypatch.setattr(on_disk, "IN_MEMORY", in_memory)
        settings = settings_for(tmp_path / str(in_memory))
        order = make_order(asked(table, pack=pack), settings)
        assert isinstance(order.samples, SamplesOnDisk) == (in_memory == 3)
        opened = open_database(settings)
        ensure_schema(opened)
        run = enqueue(opened, order).run
        made.append((run.name, run.card["benchmark"], rows_of(opened)))
        opened.close()
    assert made[0] == made[1]


@pytest.mark.usefixtures("few_fit")
def test_every_problem_of_a_table_that_is_too_large_for_memory_is_found(tmp_path: Path) -> None:
    lines = [
        "index,video,question,answer",
        "1,a.mp4,q,x",
        "1,a.mp4,q,x",
        "2,,q,x",
        "3,a.mp4,,x",
        "4,a.mp4,q",
        "1,b.mp4,q,x",
    ]
    (tmp_path / "q.csv").write_text("\n".join(lines))
    with pytest.raises(InvalidTable) as refused:
        read_table(tmp_path / "q.csv", videos=tmp_path)
    assert list(refused.value.problems) == [
        "line 2: the video 'a.mp4' is not below " + f"{tmp_path} (2 more line(s) ask about it)",
        "line 3: index '1' is also that of line 2",
        "line 4: video is empty",
        "line 5: question is empty",
        "line 6: 3 cells, the header has 4",
        "line 7: index '1' is also that of line 2",
        f"line 7: the video 'b.mp4' is not below {tmp_path}",
    ]


def simply(samples: Sequence[Sample], *, pack: bool, known: set[str], limit: int | None) -> list[RequestPlan]:
    """Requests as they are defined, all of them in memory."""
    groups = packed(samples) if pack else one_by_one(samples)
    videos = dict.fromkeys(group[0].video for group in groups.values())
    keys = [key for video in videos for key, group in groups.items() if group[0].video == video]
    keys = keys if limit is None else sorted(keys, key=lambda key: key not in known)[:limit]
    at = {sample.id: place * 10 for place, sample in enumerate(samples)}
    return [
        RequestPlan(
            key=key,
            position=position,
            video=groups[key][0].video,
            sample_row_ids=tuple(at[sample.id] for sample in groups[key]),
        )
        for position, key in enumerate(keys)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_requests_are_what_their_definition_says(seed: int) -> None:
    chance = random.Random(seed)
    samples = [
        Sample(id=str(i), question="q", video=f"v{chance.randrange(4)}", start=s, end=s and s + 1)
        for i, s in enumerate(chance.choices((None, 1.0, 2.0), k=chance.randrange(1, 30)))
    ]
    pack = chance.random() < 0.5
    known = {key for key in (packed(samples) if pack else one_by_one(samples)) if chance.random() < 0.3}
    limit = chance.choice((None, 1, 3, 100))
    made = plans(samples, range(0, 1000, 10), pack=pack, shuffled_by=None, known=known, limit=limit)
    assert list(made) == simply(samples, pack=pack, known=known, limit=limit) and len(made) == len(list(made))
    assert [[s.id for s in made.samples_of(plan)] for plan in made] == [
        [samples[row // 10].id for row in plan.sample_row_ids] for plan in made
    ]


# the same again


@pytest.fixture
def large(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return write_table(tmp_path / "data" / "q.csv", 1000)


def again(database: Database, home: Path, table: Path, **options: object) -> Enqueued:
    settings = settings_for(home)
    return enqueue(database, make_order(asked(table, **options), settings))


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The tables that are read from now on."""
    read, load = list[Path](), TableBenchmark.load

    def noted(self: TableBenchmark, root: Path, variant: object) -> Sequence[Sample]:
        assert self.file is not None
        read.append(self.file)
        return load(self, root, variant)  # type: ignore[arg-type]

    monkeypatch.setattr(TableBenchmark, "load", noted)
    return read


def test_the_same_enqueue_again_does_not_read_the_table(
    database: Database, tmp_path: Path, large: Path, unread: list[Path]
) -> None:
    first = again(database, tmp_path / "home", large)
    assert (first.created, first.added, len(unread)) == (True, 1000, 1)
    second = again(database, tmp_path / "home", large)
    assert (second.created, second.added, second.run, len(unread)) == (False, 0, first.run, 1)
    assert second.remarks == first.remarks


def test_what_is_remembered_is_what_the_questions_come_to(tmp_path: Path, large: Path) -> None:
    settings = settings_for(tmp_path / "home")
    read, known = (make_order(asked(large), settings) for _ in range(2))
    assert read.remembered is None and known.remembered == read.content == content_of("table", read_table(large))
    assert list(known.samples) == list(read.samples) and len(known.samples) == 1000 and known.samples[7].id == "7"


def change(table: Path) -> None:
    """One letter in the middle, as long and as old as before."""
    was = table.stat()
    table.write_text(table.read_text().replace("What is 500?", "What is 50x?"))
    os.utime(table, ns=(was.st_atime_ns, was.st_mtime_ns))


def test_a_table_with_one_other_letter_is_another_run(database: Database, tmp_path: Path, large: Path) -> None:
    first = again(database, tmp_path / "home", large)
    change(large)
    second = again(database, tmp_path / "home", large)
    assert second.created and second.added == 1000 and second.run.run_id != first.run.run_id


@pytest.mark.parametrize("options", [{"allow_missing": True}, {}])
def test_a_video_that_is_gone_is_missed_as_it_was_the_first_time(
    database: Database, tmp_path: Path, large: Path, options: dict[str, object]
) -> None:
    again(database, tmp_path / "home", large)
    (large.parent / "v1.mp4").unlink()
    if options:
        assert not again(database, tmp_path / "home", large, **options).created
        return
    with pytest.raises(DataMissing, match=r"1 file of q_8frame not below") as refused:
        again(database, tmp_path / "home", large)
    assert "v1.mp4" in str(refused.value)


def test_a_trial_grows_to_the_full_run_though_its_table_is_known(
    database: Database, tmp_path: Path, large: Path
) -> None:
    assert again(database, tmp_path / "home", large, limit=10).added == 10
    grown = again(database, tmp_path / "home", large)
    assert (grown.created, grown.added) == (False, 990)


def test_another_model_is_asked_all_questions_of_a_table_that_is_known(
    database: Database, tmp_path: Path, large: Path
) -> None:
    first = again(database, tmp_path / "home", large)
    other = again(database, tmp_path / "home", large, model="fake:b")
    assert other.created and other.added == 1000 and other.run.snapshot_id == first.run.snapshot_id


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": 1, "more": 2}', "\x00"])
def test_a_damaged_memory_means_that_the_table_is_read(
    database: Database, tmp_path: Path, large: Path, unread: list[Path], content: str
) -> None:
    again(database, tmp_path / "home", large)
    (memory,) = (settings_for(tmp_path / "home").home_path / "questions").iterdir()
    memory.write_text(content)
    assert not again(database, tmp_path / "home", large).created and len(unread) == 2
    assert json.loads(memory.read_text())["questions"] == 1000, "it is mended"


def test_a_home_that_cannot_be_written_means_that_nothing_is_remembered(
    database: Database, tmp_path: Path, large: Path
) -> None:
    home = settings_for(tmp_path / "other").home_path
    home.mkdir(parents=True, exist_ok=True)
    (home / "questions").write_text("in the way")
    for created in (True, False):
        assert again(database, tmp_path / "other", large).created == created


def test_a_table_that_changes_between_the_look_and_the_reading_is_refused(tmp_path: Path, large: Path) -> None:
    settings = settings_for(tmp_path / "home")
    make_order(asked(large), settings)
    order: Order = make_order(asked(large), settings)
    change(large)
    with pytest.raises(UsageError, match="was changed while it was read") as refused:
        list(order.samples)
    assert isinstance(refused.value, VidevalError) and refused.value.exit_code == 2
