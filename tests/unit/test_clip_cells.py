"""Question files that name several clips and images: what is read, what is refused, where it says so."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.seeding import new_database
from tests.trees import clip as video_bytes
from videval.benchmarks.base import Shown
from videval.benchmarks.table import TableBenchmark, read_table, table_variant
from videval.db import results
from videval.db.session import Database
from videval.db.tables import RequestRow
from videval.errors import DataMissing, InvalidTable, UsageError
from videval.options import Asked
from videval.order import Order
from videval.orders import make_order
from videval.runs import enqueue
from videval.settings import Settings
from videval.types import Clip, ClipRef, Frame, Image, Part, Sample, Sound, Text, Video

TWO = '["a.mp4", {"video": "b.mp4", "start": 1, "end": 3}]'
REFS = (ClipRef(video="a.mp4"), ClipRef(video="b.mp4", start=1.0, end=3.0))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = new_database(tmp_path / "home")
    yield made
    made.close()


def table(folder: Path, *videos: object, **columns: object) -> Path:
    """A jsonl table with a line for each of these `video` cells."""
    path = folder / "q.jsonl"
    path.write_text("".join(json.dumps({"video": v, "question": "Which?", **columns}) + "\n" for v in videos))
    return path


def problems(path: Path, videos: Path | None = None) -> list[str]:
    with pytest.raises(InvalidTable) as caught:
        read_table(path, videos=videos)
    return list(caught.value.problems)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.tsv", f"video\tquestion\n{quoted(TWO)}\tWhich?\n"),
        ("q.csv", f"video,question\n{quoted(TWO)},Which?\n"),
        ("q.jsonl", f'{{"video": {TWO}, "question": "Which?"}}\n'),
        ("q.jsonl", f'{{"video": {json.dumps(TWO)}, "question": "Which?"}}\n'),
    ],
)
def test_a_list_of_clips_is_read_from_every_kind_of_file_and_travels_as_it_stands(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    (sample,) = read_table(tmp_path / name)
    assert sample.clips == REFS and sample.video == "a.mp4" and sample.span is None
    assert sample.row["video"] == TWO


def test_a_clip_may_have_frames_of_its_own_chosen_as_the_tables_are(tmp_path: Path) -> None:
    listed = [{"video": "a.mp4", "frames": 2}, {"video": "b.mp4", "fps": 0.5}]
    (sample,) = read_table(table(tmp_path, listed))
    bench = TableBenchmark()
    by_count, by_rate = (
        bench.sampling(table_variant(tmp_path / "q.tsv", **how)) for how in ({"num_frames": 2}, {"fps": 0.5})
    )
    assert [ref.sampling for ref in sample.clips] == [by_count, by_rate]


def test_one_video_is_the_same_question_however_it_is_written(tmp_path: Path) -> None:
    listed, plain = (read_table(table(tmp_path, v))[0] for v in (["a.mp4"], "a.mp4"))
    part = read_table(table(tmp_path, [{"video": "a.mp4", "start": 1, "end": 2}]))[0]
    assert listed.clips == plain.clips == part.clips == ()
    assert (listed.video, plain.video, part.span) == ("a.mp4", "a.mp4", (1.0, 2.0))


def test_a_name_that_begins_with_a_bracket_is_a_name(tmp_path: Path) -> None:
    for name in ("[1] cat.mp4", "[cat].mp4"):
        assert read_table(table(tmp_path, name))[0].video == name


@pytest.mark.parametrize("image", ["i.png", ["i.png"], '["i.png"]', ["i.png", "j.png"], None, ""])
def test_images_are_a_path_or_a_list_of_them(tmp_path: Path, image: object) -> None:
    (sample,) = read_table(table(tmp_path, "a.mp4", image=image))
    found: Any = json.loads(image) if isinstance(image, str) and image.startswith("[") else image
    assert sample.images == tuple([found] if isinstance(found, str) and found else found or ())


@pytest.mark.parametrize(
    ("video", "columns", "words"),
    [
        ([], {}, "video lists no clip"),
        ('["a.mp4"', {}, "video is no JSON list"),
        ("[" * 100_000, {}, "video is no JSON list"),
        ([1], {}, "video clip 1: 1 is not a path"),
        (["a.mp4", ""], {}, "video clip 2: has no path"),
        (["a.mp4", {"start": 1}], {}, "video clip 2: start and end are given together"),
        ([{"video": "a.mp4", "start": 3, "end": 2}], {}, "video clip 1: start 3 is not before end 2"),
        ([{"video": "a.mp4", "start": "1", "end": 2}], {}, "video clip 1: start '1' is not a number"),
        ([{"video": "a.mp4", "from": 1}], {}, "video clip 1: 'from' is none of video, start, end, frames, fps"),
        ([{"video": "a.mp4", "frames": 2, "fps": 1}], {}, "video clip 1: give frames or fps"),
        ([{"video": "a.mp4", "frames": 0}], {}, "video clip 1: frames 0 is not a number of frames"),
        ([{"video": "a.mp4", "fps": 0}], {}, "video clip 1: fps is more than 0"),
        (["a.mp4", "../b.mp4"], {}, "video clip 2: '../b.mp4': path must not contain '..'"),
        (["a.mp4", "C:\\b.mp4"], {}, "without a drive"),
        (["a.mp4", "b.mp4"], {"start": 1, "end": 2}, "start and end of several clips stand in their list"),
        ("a.mp4", {"image": "/i.png"}, "image: '/i.png': path must be relative"),
        ("a.mp4", {"image": ["i.png", 3]}, "image image 2: 3 is not a path"),
        ({"video": "a.mp4"}, {}, "video is not text"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_line_and_column(
    tmp_path: Path, video: object, columns: dict[str, object], words: str
) -> None:
    path = table(tmp_path, "good.mp4", video, **columns) if not columns else table(tmp_path, video, **columns)
    number = 1 if columns else 2
    assert [p for p in problems(path) if p.startswith(f"line {number}: ") and words in p]


def test_every_clip_and_image_that_is_not_there_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(video_bytes())
    path = table(tmp_path, ["a.mp4", "gone.mp4"], ["a.mp4"], [1], image="gone.png")
    said = problems(path, tmp_path)
    assert any("the video 'gone.mp4' is not below" in p for p in said)
    assert any("the image 'gone.png' is not below" in p and "2 more line(s)" in p for p in said)


# what is enqueued


def order(folder: Path, model: str = "fake", **values: Any) -> Order:
    """The questions of `folder`/q.jsonl about videos beside it."""
    for name in ("a.mp4", "b.mp4", "i.png"):
        if name not in values.get("gone", ()):
            (folder / name).write_bytes(b"x")
    asked = Asked(what=None, model=model, data=folder / "q.jsonl", pack=values.get("pack", False), allow_missing=True)
    made = make_order(asked, Settings(_env_file=None, home=folder / "home"))  # type: ignore[call-arg]
    return replace(made, allow_missing="allow_missing" in values)


def requests(database: Database) -> dict[str, str]:
    """The keys of all requests with their videos."""
    with database.read() as connection:
        return dict(connection.execute(select(RequestRow.key, RequestRow.video).order_by(RequestRow.id)).all())


def test_a_question_lacks_its_data_if_one_of_its_clips_or_images_is_not_there(
    tmp_path: Path, database: Database
) -> None:
    table(tmp_path, ["a.mp4", "b.mp4"], "b.mp4", image="i.png")
    assert order(tmp_path, gone=["a.mp4", "i.png"]).missing_files() == ["a.mp4", "i.png"]
    (tmp_path / "i.png").write_bytes(b"x")
    with pytest.raises(DataMissing, match=r"1 file of q_8frame not below .*\n  a\.mp4"):
        enqueue(database, order(tmp_path, gone=["a.mp4"]))
    run = enqueue(database, order(tmp_path, gone=["a.mp4"], allow_missing=True)).run
    assert (run.missing, requests(database)) == (("0",), {"sample:1": "b.mp4"})
    (tmp_path / "b.mp4").unlink()
    with pytest.raises(DataMissing) as raised:
        enqueue(database, order(tmp_path, gone=["a.mp4", "b.mp4"], allow_missing=True))
    assert "--allow-missing" not in raised.value.hint, "it was given, and leaves nothing to ask"


@pytest.mark.parametrize("cell", [["a.mp4", "link.mp4"], "link.mp4"])
def test_no_clip_leaves_the_data(tmp_path: Path, database: Database, cell: object) -> None:
    (tmp_path / "link.mp4").symlink_to("/etc/passwd")
    table(tmp_path, cell)
    with pytest.raises(UsageError, match=r"link\.mp4': a symlink that leaves the data root; nothing was enqueued"):
        enqueue(database, order(tmp_path))


def test_what_comes_back_from_the_rows_is_what_was_asked(tmp_path: Path, database: Database) -> None:
    table(tmp_path, [{"video": "a.mp4", "frames": 2}, {"video": "b.mp4", "start": 1, "end": 2}], image=["i.png"])
    made = order(tmp_path)
    asked = (replace(made.samples[0], sounds=(Sound(clip=1), Sound(path="i.png"))),)
    run = enqueue(database, replace(made, samples=asked)).run
    with database.read() as connection:
        (found,) = results.iter_results(connection, run.run_id)
    assert (found.sample,) == asked


def test_a_pack_is_named_the_same_whatever_is_missing(tmp_path: Path, database: Database) -> None:
    table(tmp_path, ["a.mp4", "b.mp4"], "a.mp4", "a.mp4", ["a.mp4", "b.mp4"])
    enqueue(database, order(tmp_path, pack=True, gone=["b.mp4"], allow_missing=True))
    some = requests(database)
    added = enqueue(database, order(tmp_path, pack=True)).added
    assert (len(some), added) == (1, 1) and some.items() <= requests(database).items()


def test_a_model_of_one_video_is_not_asked_about_two(tmp_path: Path, database: Database) -> None:
    table(tmp_path, ["a.mp4", "b.mp4"])
    with pytest.raises(UsageError, match="several clips, and Video-LLaVA-tiny takes 1"):
        enqueue(database, order(tmp_path, model="Video-LLaVA-tiny"))
    table(tmp_path, ["a.mp4", "b.mp4"], "a.mp4")
    made = order(tmp_path, model="Video-LLaVA-tiny")
    assert any("1 of 2 question(s) show several clips" in said for said in made.remarks())
    assert enqueue(database, made).added == 2


# how a table words them


def clip(frames: int) -> Clip:
    return Clip(
        path="c.npy", frame_numbers=tuple(range(frames)), timestamps=tuple(map(float, range(frames))),
        total_frames=frames, fps=1.0, width=64, height=48, decoder="test", policy="interior",
    )  # fmt: skip


def worded(sample: Sample, *frames: int, form: str = "video") -> tuple[Part, ...]:
    shown = Shown(clips=tuple(map(clip, frames)), form="video" if form == "video" else "frames", root=Path())
    return TableBenchmark().prompt(sample, shown)[:-1]


def test_several_clips_stand_behind_their_numbers_and_images_after_them() -> None:
    sample = Sample(id="0", question="Which?", clips=REFS, images=("i.png",))
    first, second = Text(text="Video 1:\n"), Text(text="Video 2:\n")
    image = Image(path="i.png")
    assert worded(sample, 1, 2) == (first, Video(), second, Video(clip=1), image)
    shown = worded(sample, 1, 2, form="frames")
    assert shown == (first, Frame(position=0), second, Frame(position=0, clip=1), Frame(position=1, clip=1), image)


def test_of_one_clip_nothing_is_said() -> None:
    assert worded(Sample(id="0", question="Which?", video="a.mp4"), 1) == (Video(),)
    several = worded(Sample(id="0", question="Which?", video="a.mp4", images=("i.png", "j.png")), 1)
    assert [p.text for p in several if isinstance(p, Text)] == ["Image 1:\n", "Image 2:\n"]
