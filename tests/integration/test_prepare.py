"""`prepare` and `verify` on small data sets in each benchmark's true layout, as downloaded and already unpacked."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from tests.trees import BUILDERS, SRT, clip, put, put_json, put_parquet, put_tar, put_zip, tree
from videval.benchmarks.catalog import find_benchmark
from videval.benchmarks.pages.nextqa import NExTQA
from videval.benchmarks.published import Download, PublishedBenchmark
from videval.datasets.hub import download
from videval.datasets.prepare import Prepared, locate, prepare, verify
from videval.errors import DataMissing, InvalidTable
from videval.options import Asked
from videval.orders import make_order
from videval.settings import Settings
from videval.video.paths import absent


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test looks at, or writes to, the folders of whoever runs it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LMUData", str(tmp_path / "lmu"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "videval", data_root=tmp_path / "data")


def no_network(one: Download, folder: Path | None, progress: Callable[[str], None]) -> Path:
    raise DataMissing(f"{one.repo}: cannot be fetched (no network in this test)")


def prepared(name: str, settings: Settings) -> Prepared:
    return prepare(find_benchmark(name), settings, fetch=no_network)


def root_of(name: str, settings: Settings) -> Path:
    assert settings.data_root is not None
    return settings.data_root / name


# --- what goes wrong


def test_a_truncated_zip_is_named_and_nothing_half_written_stays(settings: Settings) -> None:
    root = tree("EgoSchema", root_of("EgoSchema", settings), packed=True)
    archive = root / "videos_chunked_01.zip"
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DataMissing, match=r"videos_chunked_01\.zip: the archive is cut off or damaged") as caught:
        prepared("EgoSchema", settings)
    assert "delete videos_chunked_01.zip" in caught.value.hint
    assert not list(root.rglob("*.part"))


def test_a_zip_with_a_flipped_byte_is_named(settings: Settings) -> None:
    root = tree("NExT-QA", root_of("NExT-QA", settings), packed=True)
    raw = bytearray((root / "videos.zip").read_bytes())
    raw[300] ^= 0xFF
    (root / "videos.zip").write_bytes(raw)
    with pytest.raises(DataMissing, match=r"videos\.zip: the archive is cut off or damaged"):
        prepared("NExT-QA", settings)
    assert not list(root.rglob("*.part"))


def test_a_tar_with_a_lost_piece_is_named(settings: Settings) -> None:
    root = tree("LongVideoBench", root_of("LongVideoBench", settings), packed=True)
    sorted(root.glob("videos.tar.part*"))[1].unlink()
    with pytest.raises(DataMissing, match=r"videos\.tar\.part\.ac: a piece before it is missing"):
        prepared("LongVideoBench", settings)


def test_a_tar_that_is_cut_off_is_named(settings: Settings) -> None:
    root = tree("LongVideoBench", root_of("LongVideoBench", settings), packed=True)
    whole = b"".join(p.read_bytes() for p in sorted(root.glob("videos.tar.part*")))
    for piece in root.glob("videos.tar.part*"):
        piece.unlink()
    for end in (600, 2000, 3600, 4000):
        put(root, "videos.tar", whole[:end])
        with pytest.raises(DataMissing, match=r"videos\.tar: the archive is cut off or damaged"):
            prepared("LongVideoBench", settings)


@pytest.mark.parametrize("path", ["../evil.mp4", "/tmp/evil.mp4", "a/../../evil.mp4"])
def test_a_zip_or_tar_that_leaves_its_folder_is_refused(settings: Settings, path: str) -> None:
    root = tree("NExT-QA", root_of("NExT-QA", settings), packed=True)
    put_zip(root, "videos.zip", {path: b"x"})
    with pytest.raises(DataMissing, match=r"videos\.zip: unsafe member"):
        prepared("NExT-QA", settings)
    root = tree("LongVideoBench", root_of("LongVideoBench", settings), packed=True)
    for piece in root.glob("videos.tar.part*"):
        piece.unlink()
    put_tar(root, "videos.tar", {path: b"x"})
    with pytest.raises(DataMissing, match=r"videos\.tar: unsafe member"):
        prepared("LongVideoBench", settings)
    assert not list(root.parent.rglob("evil.mp4"))


def test_a_link_in_a_tar_is_refused(settings: Settings) -> None:
    import tarfile

    root = tree("LongVideoBench", root_of("LongVideoBench", settings), packed=True)
    with tarfile.open(root / "subtitles.tar", "w") as archive:
        link = tarfile.TarInfo("subtitles/vid0_en.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataMissing, match="is a link or a device"):
        prepared("LongVideoBench", settings)


class Evil:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("evil",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"v": Evil()}), "it would run posix.mkdir"),
        (pickle.dumps(["v"]), "not a dictionary"),
        (pickle.dumps({"v": 3}), "something else than names and bytes"),
        (pickle.dumps({"v": b"x" * 4000})[:-1000], "cut off or damaged"),
        (b"not a pickle", "cut off or damaged"),
        (pickle.dumps({"../v": b"x"}), "unsafe member"),
    ],
)
def test_a_pickle_that_holds_anything_but_videos_is_refused(
    settings: Settings, content: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tree("MMBench-Video", root_of("MMBench-Video", settings), packed=True)
    put(root, "video_pkl/video_chunk_1.pkl", content)
    with pytest.raises(DataMissing, match=words) as caught:
        prepared("MMBench-Video", settings)
    assert "video_chunk_1.pkl" in str(caught.value)
    assert not (tmp_path / "evil").exists()


def test_a_question_without_its_video_is_listed(settings: Settings) -> None:
    root = tree("MVBench", root_of("MVBench", settings))
    lost = next((root / "video" / "star").rglob("*.mp4"))
    lost.unlink()
    report = prepared("MVBench", settings).report
    assert report.missing == (lost.relative_to(root).as_posix(),)
    assert not report.is_complete
    samples = find_benchmark("MVBench").load(root, find_benchmark("MVBench").variant(num_frames=8))
    assert absent([s.video for s in samples], root) == list(report.missing)
    assert any("no network" in note for note in report.notes), "why it was not fetched is said"


def test_videos_that_are_not_published_say_where_they_are_to_be_had(settings: Settings) -> None:
    root = tree("MVBench", root_of("MVBench", settings))
    shutil.rmtree(root / "video" / "nturgbd")
    assert any("NTU RGB+D" in note for note in prepared("MVBench", settings).report.notes)


def test_a_video_that_does_not_open_is_listed_with_why(settings: Settings) -> None:
    root = tree("MVBench_MP4", root_of("MVBench_MP4", settings))
    put(root, "perception/videos/v.mp4", clip()[:500])
    put(root, "star/Charades_segment/v.mp4", b"no video at all")
    report = prepared("MVBench_MP4", settings).report
    assert [line.split(":")[0] for line in report.broken] == ["star/Charades_segment/v.mp4", "perception/videos/v.mp4"]
    assert not report.is_complete


def test_another_hash_and_another_count_than_published_are_said(settings: Settings) -> None:
    tree("MVBench", root_of("MVBench", settings))
    notes = prepared("MVBench", settings).report.notes
    assert "40 questions, published are 4000" in notes
    assert any(n.startswith("MVBench.tsv: MD5 is ") and "fd21d36522" in n for n in notes)


def test_rows_that_cannot_be_asked_are_named_with_their_file(settings: Settings) -> None:
    root = root_of("MVBench_MP4", settings)
    asked = {"video": "v.mp4", "question": "q", "answer": "x", "candidates": ["x", "y"]}
    bad = [
        {**asked, "answer": "z"}, {**asked, "candidates": "x"}, {**asked, "video": "../v.mp4"},
        {**asked, "question": ""}, asked,
    ]  # fmt: skip
    put_json(root, "test.json", {"root": {"T": "videos"}, "meta": {"T": bad}})
    put(root, "videos/v.mp4", clip())
    report = prepared("MVBench_MP4", settings).report
    assert len(report.problems) == 4
    assert all(p.startswith(f"MVBench_MP4.tsv: row with index {i}: ") for i, p in enumerate(report.problems))
    assert "'z' is not among its candidates" in report.problems[0]
    assert "candidates are not a list: 'x'" in report.problems[1]
    assert "must not contain '..'" in report.problems[2]
    assert "the question is empty" in report.problems[3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"root": {}}', "is not as published: KeyError"),
        (b"[1", "is not as published"),
        (b'{"root": {"T": ""}, "meta": {"T": [{"video": "v"}]}}', "is not as published: KeyError"),
    ],
)
def test_a_question_file_in_another_form_is_named(settings: Settings, content: bytes, words: str) -> None:
    root = root_of("MVBench_MP4", settings)
    put(root, "test.json", content)
    with pytest.raises(InvalidTable, match=words):
        find_benchmark("MVBench_MP4").load(root, find_benchmark("MVBench_MP4").variant(num_frames=8))


def test_a_question_without_a_column_is_named(settings: Settings) -> None:
    root = tree("NExT-QA", root_of("NExT-QA", settings))
    put_parquet(root, "MC/test-00000-of-00001.parquet", [{"video": 1, "question": "q"}])
    report = prepared("NExT-QA", settings).report
    assert "MC/test-00000-of-00001.parquet: question 0: has no 'answer'" in report.problems


def test_a_damaged_parquet_file_is_named(settings: Settings) -> None:
    root = tree("NExT-QA", root_of("NExT-QA", settings))
    put(root, "MC/test-00000-of-00001.parquet", b"PAR1")
    assert "MC/test-00000-of-00001.parquet: cannot be read" in prepared("NExT-QA", settings).report.problems[0]


def test_subtitles_that_are_missing_or_in_another_encoding_are_said(settings: Settings) -> None:
    root = tree("Video-MME", root_of("Video-MME", settings))
    report = prepared("Video-MME", settings).report
    assert report.is_complete
    assert any("./subtitle/vid-1.srt" in note for note in report.notes)
    put(root, "subtitle/vid-1.srt", SRT.replace("Hello", "Señor").encode("latin-1"))
    report = verify(find_benchmark("Video-MME"), root)
    assert "vid-1.srt: the subtitles are not UTF-8" in report.problems[0]
    assert "row with index 3" in report.problems[0]
    found = find_benchmark("Video-MME")
    assert len(found.load(root, found.variant(num_frames=8))) == 6, "without _subs nobody reads them"
    with pytest.raises(InvalidTable, match="not UTF-8"):
        found.load(root, found.variant(num_frames=8, subtitles=True))


def test_a_subtitle_file_that_longvideobench_needs_is_a_problem_of_its_row(settings: Settings) -> None:
    root = tree("LongVideoBench", root_of("LongVideoBench", settings))
    (root / "subtitles" / "vid1_en.json").unlink()
    (problem,) = verify(find_benchmark("LongVideoBench"), root).problems
    assert "row with index 1" in problem
    assert "the subtitle file is missing" in problem


def test_mlvus_own_annotations_load_and_the_rows_that_cannot_be_asked_are_left_out_and_named(
    settings: Settings,
) -> None:
    root = tree("MLVU", root_of("MLVU", settings))
    asked = {"video": "plotQA_1.mp4", "duration": 480, "question": "Who?", "candidates": ["Ann", "Bob"]}
    rows = [
        {**asked, "answer": "Ann"}, {**asked, "answer": "Cas"}, {**asked, "answer": "Bob", "question": " "},
        {**asked, "answer": "Bob"}, {**asked, "answer": "Ann "}, {**asked, "answer": "Dee"},
    ]  # fmt: skip
    put_json(root, "MLVU/json/1_plotQA.json", rows)
    found = find_benchmark("MLVU")
    variant = found.variant(num_frames=8)
    report = prepared("MLVU", settings).report
    assert report.is_complete, report
    assert (report.questions, len(found.load(root, variant))) == (11, 11)
    left = found.left_out(root, variant)
    assert [row.partition(":")[0] for row in left] == [f"row with index {i}" for i in (1, 2, 5)]
    assert "answer 'Cas' is not among its candidates" in left[0] and "the question is empty" in left[1]
    assert [f"left out: {row}" for row in left] == [note for note in report.notes if note.startswith("left out")]
    order = make_order(Asked(what="MLVU_8frame", model="fake"), settings)
    assert order.left_out == left and order.remarks() == [f"left out: {row}" for row in left]


@pytest.mark.parametrize("wrong", [{"video": "../v.mp4"}, {"candidates": "Ann"}])
def test_what_else_is_wrong_with_a_row_of_mlvu_is_a_problem(wrong: dict[str, object], settings: Settings) -> None:
    root = tree("MLVU", root_of("MLVU", settings))
    asked = {"video": "a.mp4", "duration": 480, "question": "Who?", "candidates": ["Ann", "Bob"], "answer": "Ann"}
    put_json(root, "MLVU/json/1_plotQA.json", [asked | wrong])
    with pytest.raises(InvalidTable, match="row with index 0"):
        find_benchmark("MLVU").load(root, find_benchmark("MLVU").variant(num_frames=8))


def test_a_row_that_cannot_be_asked_is_a_problem_where_none_was_published(settings: Settings) -> None:
    root = tree("MVBench_MP4", root_of("MVBench_MP4", settings))
    asked = {"video": "v.mp4", "question": "q", "answer": "z", "candidates": ["x", "y"]}
    put_json(root, "test.json", {"root": {"T": "perception/videos"}, "meta": {"T": [asked, asked | {"answer": "x"}]}})
    found = find_benchmark("MVBench_MP4")
    assert found.left_out(root, found.variant(num_frames=8)) == ()
    with pytest.raises(InvalidTable, match=r"row with index 0: .*'z' is not among its candidates"):
        found.load(root, found.variant(num_frames=8))


def test_a_data_set_that_was_moved_is_found_under_its_other_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def gone(repo_id: str, **_: object) -> str:
        asked.append(repo_id)
        if repo_id.startswith("lmms-eval/"):
            raise RepositoryNotFoundError.__new__(RepositoryNotFoundError, "404")  # its __init__ wants a response
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", gone)
    (one,) = NExTQA.downloads
    assert download(one, None, lambda _: None) == tmp_path
    assert asked == ["lmms-eval/NExTQA", "lmms-lab/NExTQA"]
    with pytest.raises(DataMissing, match="lmms-eval/x: cannot be fetched"):
        download(Download(repo="lmms-eval/x"), None, lambda _: None)


def test_a_data_set_in_the_hub_cache_is_found_under_its_other_name(settings: Settings, tmp_path: Path) -> None:
    old = tree("NExT-QA", tmp_path / "hf" / "hub" / "datasets--lmms-lab--NExTQA" / "snapshots" / "abc")
    assert locate(NExTQA(), settings) == old
    new = tree("NExT-QA", tmp_path / "hf" / "hub" / "datasets--lmms-eval--NExTQA" / "snapshots" / "abc")
    assert locate(NExTQA(), settings) == new


def test_data_that_is_nowhere_says_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate(find_benchmark("MVBench"), settings) is None
    with pytest.raises(DataMissing, match="no network in this test"):
        prepared("MVBench", settings)


def test_the_offline_flag_of_the_hub_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataMissing, match="OpenGVLab/MVBench: cannot be fetched") as caught:
        download(Download(repo="OpenGVLab/MVBench"), tmp_path / "d", lambda _: None)
    assert "HF_HUB_OFFLINE" in caught.value.hint


# --- what goes well


@pytest.mark.parametrize("packed", [True, False], ids=["as downloaded", "already unpacked"])
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_each_benchmark_is_prepared_and_verified(name: str, packed: bool, settings: Settings) -> None:
    root = tree(name, root_of(name, settings), packed=packed)
    found = prepared(name, settings)
    assert found.root == root
    assert found.report.is_complete, found.report
    assert found.report.questions > 0
    again = prepared(name, settings)
    assert again.report == found.report, "twice is the same"
    samples = find_benchmark(name).load(root, find_benchmark(name).variant(num_frames=8))
    assert all((root / s.video).exists() for s in samples)
    assert len({s.id for s in samples}) == len(samples)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_rows_read_from_the_table_are_those_built_from_the_published_files(name: str, settings: Settings) -> None:
    root = tree(name, root_of(name, settings))
    found = find_benchmark(name)
    assert isinstance(found, PublishedBenchmark)
    before = found.load(root, found.variant(num_frames=8))
    prepared(name, settings)
    assert (root / found.table).is_file()
    after = found.load(root, found.variant(num_frames=8))
    assert [dict(s.row) for s in after] == [dict(s.row) for s in before]
    assert after == before


def test_unpacking_twice_writes_nothing(settings: Settings) -> None:
    root = tree("Video-MME", root_of("Video-MME", settings), packed=True)
    prepared("Video-MME", settings)
    stamps = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    (root / "video" / "vid-0.mp4").unlink()
    prepared("Video-MME", settings)
    assert {p: p.stat().st_mtime_ns for p in stamps if p.name != "vid-0.mp4"} == {
        p: at for p, at in stamps.items() if p.name != "vid-0.mp4"
    }
    assert (root / "video" / "vid-0.mp4").is_file()


def test_video_mme_also_comes_as_pickles(settings: Settings) -> None:
    root = tree("Video-MME", root_of("Video-MME", settings), packed=True)
    (root / "videos_chunked_01.zip").unlink()
    put(root, "video_pkl/chunk_0.pkl", pickle.dumps({f"vid-{i}": clip() for i in range(2)}, protocol=4))
    assert prepared("Video-MME", settings).report.is_complete


def test_data_is_found_in_lmudata_and_in_the_hub_cache(settings: Settings, tmp_path: Path) -> None:
    found = find_benchmark("MVBench_MP4")
    cache = tmp_path / "hf" / "hub" / "datasets--OpenGVLab--MVBench"
    snapshot = tree("MVBench_MP4", cache / "snapshots" / "abc")
    tree("MVBench_MP4", cache / "snapshots" / "def")
    put(cache, "refs/video", "abc")
    assert locate(found, settings) == snapshot
    lmu = tree("MVBench_MP4", tmp_path / "lmu" / "datasets" / "MVBench_MP4")
    assert locate(found, settings) == lmu
    own = tree("MVBench_MP4", root_of("MVBench_MP4", settings))
    assert locate(found, settings) == own


def test_dream_is_found_where_vlmevalkit_puts_it(settings: Settings, tmp_path: Path) -> None:
    tree("DREAM-1K", tmp_path / "made")
    videos = tmp_path / "lmu" / "datasets" / "DREAM"
    shutil.copytree(tmp_path / "made" / "video", videos)
    shutil.copy(tmp_path / "made" / "DREAM-1K.tsv", tmp_path / "lmu")
    assert locate(find_benchmark("DREAM-1K"), settings) == videos
    assert prepared("DREAM-1K", settings).report.is_complete


def test_what_is_not_here_is_fetched_unpacked_and_checked(settings: Settings) -> None:
    said: list[str] = []

    def fetch(one: Download, folder: Path | None, progress: Callable[[str], None]) -> Path:
        assert folder is not None
        assert (one.repo, one.revision) == ("lmms-lab/Video-MME", "main")
        return tree("Video-MME", folder, packed=True)

    done = prepare(find_benchmark("Video-MME"), settings, progress=said.append, fetch=fetch)
    assert done.report.is_complete
    assert done.root == root_of("Video-MME", settings)
    assert "unpacking videos_chunked_01.zip" in said


def test_without_a_data_root_it_is_fetched_below_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "videval")

    def fetch(one: Download, folder: Path | None, progress: Callable[[str], None]) -> Path:
        assert folder == tmp_path / "videval" / "data" / "LVBench"
        return tree("LVBench", folder)

    done = prepare(find_benchmark("LVBench"), settings, fetch=fetch)
    assert locate(find_benchmark("LVBench"), settings) == done.root


def test_a_download_that_was_cut_off_is_gone_on_with(settings: Settings) -> None:
    root = tree("EgoSchema", root_of("EgoSchema", settings), packed=True)
    (root / "videos_chunked_01.zip").unlink()

    def fetch(one: Download, folder: Path | None, progress: Callable[[str], None]) -> Path:
        assert folder == root
        return tree("EgoSchema", folder, packed=True)

    assert prepare(find_benchmark("EgoSchema"), settings, fetch=fetch).report.is_complete


def test_mvbench_finds_its_supplementary_videos(settings: Settings) -> None:
    root = tree("MVBench", root_of("MVBench", settings))
    (root / "video" / "data0613").mkdir()
    shutil.move(root / "video" / "star", root / "video" / "data0613" / "star")
    report = prepared("MVBench", settings).report
    assert report.is_complete, report.missing
