"""Finds, fetches, unpacks and checks the data of benchmarks.

`locate` looks where data may be already, in this order: VIDEVAL_DATA_ROOT/NAME, LMUData (VLMEvalKit's folder),
the Hugging Face cache. `prepare` does what is missing there; `verify` says what is wrong.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import md5
from io import BytesIO
from pathlib import Path

from videval.benchmarks.base import Benchmark
from videval.benchmarks.built import table_md5
from videval.benchmarks.published import Download, PublishedBenchmark, write_table
from videval.datasets.archives import unpack, write_file
from videval.datasets.hub import download
from videval.errors import DataMissing, InvalidTable, VideoFailure
from videval.paths import expanded
from videval.settings import Settings
from videval.types import Sample
from videval.video.paths import absent, is_there

__all__ = ["Prepared", "Report", "locate", "prepare", "verify"]

Progress = Callable[[str], None]
Fetch = Callable[[Download, Path | None, Progress], Path]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What `verify` found.

    `problems`: rows that cannot be asked, each named with its file. `missing`: videos that are not there.
    `broken`: videos that do not open, with why. `notes`: what differs from the published data, but can be asked.
    """

    benchmark: str
    root: Path
    questions: int = 0
    videos: int = 0
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether each question can be asked."""
        return not (self.problems or self.missing or self.broken)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A benchmark that is ready on this machine, and what its check said."""

    benchmark: str
    root: Path
    report: Report


def locate(benchmark: Benchmark, settings: Settings) -> Path | None:
    """The folder that holds the benchmark's questions, the first that is found; None if there is none."""
    if not isinstance(benchmark, PublishedBenchmark):
        return _own_folder(benchmark, settings)
    return next((root for root in _places(benchmark, settings) if benchmark.is_here(root)), None)


def prepare(
    benchmark: Benchmark, settings: Settings, *, progress: Progress = lambda _: None, fetch: Fetch = download
) -> Prepared:
    """Find or fetch, unpack, build the question table, check.

    Raises DataMissing if nothing can be had here, or an archive is damaged; what is wrong with single rows and
    videos stands in the report.
    """
    if not isinstance(benchmark, PublishedBenchmark):
        raise DataMissing(f"{benchmark.name} has no published data to prepare")
    found = locate(benchmark, settings)
    if benchmark.is_drawn:
        return _draw(benchmark, found or _own_root(benchmark, settings), progress)
    root = found or _fetch(benchmark, _own_root(benchmark, settings), progress, fetch)
    note = _complete(benchmark, root, progress, fetch if found else None)
    _write_files(benchmark, root)
    _write_table(benchmark, root, progress)
    progress(f"checking {benchmark.name}")
    report = verify(benchmark, root)
    return Prepared(benchmark=benchmark.name, root=root, report=replace(report, notes=(*report.notes, *note)))


def _draw(benchmark: PublishedBenchmark, root: Path, progress: Progress) -> Prepared:
    try:
        root.mkdir(parents=True, exist_ok=True)
        benchmark.write(root, progress)
    except OSError as error:
        raise DataMissing(f"{root}: cannot be written ({error.strerror})", hint="set VIDEVAL_DATA_ROOT") from error
    progress(f"checking {benchmark.name}")
    return Prepared(benchmark=benchmark.name, root=root, report=verify(benchmark, root))


def verify(benchmark: Benchmark, root: Path, *, open_videos: bool = True) -> Report:
    """Check the questions, that each video is there and opens, and count and hash against what was published."""
    try:
        samples = benchmark.load(root, benchmark.variant(num_frames=8))
    except InvalidTable as error:
        return Report(benchmark=benchmark.name, root=root, problems=_named(error, root))
    videos = list(dict.fromkeys(ref.video for s in samples for ref in s.shown))
    missing = absent((file for s in samples for file in s.files), root)
    there = [video for video in videos if video not in set(missing)]
    return Report(
        benchmark=benchmark.name,
        root=root,
        questions=len(samples),
        videos=len(videos),
        problems=_subtitle_problems(benchmark, root),
        missing=tuple(missing),
        broken=tuple(_broken(root, there)) if open_videos else (),
        notes=tuple(_notes(benchmark, root, samples, len(videos))),
    )


def _subtitle_problems(benchmark: Benchmark, root: Path) -> tuple[str, ...]:
    if benchmark.supports_subtitles:
        try:
            benchmark.load(root, benchmark.variant(num_frames=8, subtitles=True))
        except InvalidTable as error:
            return _named(error, root)
    return ()


def _named(error: InvalidTable, root: Path) -> tuple[str, ...]:
    file = str(error).partition(": ")[0].removeprefix(f"{root}{os.sep}")
    return tuple(f"{file}: {problem}" for problem in error.problems)


def _notes(benchmark: Benchmark, root: Path, samples: Sequence[Sample], videos: int) -> Iterator[str]:
    if benchmark.questions is not None and len(samples) != benchmark.questions:
        yield f"{len(samples)} questions, published are {benchmark.questions}"
    if benchmark.videos is not None and videos != benchmark.videos:
        yield f"{videos} videos, published are {benchmark.videos}"
    if not isinstance(benchmark, PublishedBenchmark):
        return
    table = root / benchmark.table
    if benchmark.md5 and table.is_file() and (found := _md5(table)) != benchmark.md5:
        yield f"{benchmark.table}: MD5 is {found}, that of the published table is {benchmark.md5}"
    yield from _part_notes(benchmark, root)
    yield from (f"left out: {row}" for row in benchmark.left_out(root, benchmark.variant(num_frames=8)))
    if benchmark.not_included and absent((file for s in samples for file in s.files), root):
        yield benchmark.not_included
    yield from benchmark.subtitle_notes(samples, root)


def _part_notes(benchmark: PublishedBenchmark, root: Path) -> Iterator[str]:
    """Which of VLMEvalKit's parts are not in this table as they were published."""
    rows = benchmark.rows(root) if benchmark.part_md5 else []
    for name, published in benchmark.part_md5.items():
        if (found := table_md5(benchmark.part(name, rows))) != published:
            yield f"{name}: MD5 is {found}, that of the published table is {published}"


def _broken(root: Path, videos: Sequence[str]) -> Iterator[str]:
    from videval.video.decode import probe

    for video in videos:
        try:
            probe(root / video)
        except VideoFailure as error:
            yield f"{video}: {error}"


def _md5(path: Path) -> str:
    digest = md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _lacks_videos(benchmark: PublishedBenchmark, root: Path) -> bool:
    """Whether a video or a subtitle is not unpacked; a table that cannot be read yet lacks them, too."""
    try:
        rows = benchmark.rows(root)
    except InvalidTable:
        return False
    videos = (
        video
        for row in rows
        for video in [ref.video for ref in benchmark.clips_of(row, root)] or [benchmark.video_path(row, root)]
    )
    return any(not is_there(root / video) for video in videos) or (
        benchmark.supports_subtitles and not is_there(root / benchmark.subtitle_folder)
    )


def _complete(benchmark: PublishedBenchmark, root: Path, progress: Progress, fetch: Fetch | None) -> tuple[str, ...]:
    """Unpack what is not unpacked, fetch what is still not there; why it could not be fetched, if it could not."""
    if not _lacks_videos(benchmark, root):
        return ()
    unpack(root, benchmark.archives, progress)
    if fetch is None or not _lacks_videos(benchmark, root):
        return ()
    try:
        _fetch(benchmark, None if root.parent.name == "snapshots" else root, progress, fetch)
    except DataMissing as error:
        return (str(error),)
    unpack(root, benchmark.archives, progress)
    return ()


def _write_files(benchmark: PublishedBenchmark, root: Path) -> None:
    if all((root / source).is_file() for source in benchmark.sources):
        for path, content in benchmark.files(root):
            if not (root / path).is_file():
                write_file(root, path, BytesIO(content))


def _write_table(benchmark: PublishedBenchmark, root: Path, progress: Progress) -> None:
    path = root / benchmark.table
    if path.is_file() or not benchmark.sources:
        return
    progress(f"building {benchmark.table}")
    try:
        write_table(path, benchmark.build(root))
    except InvalidTable:
        return
    except OSError as error:
        raise DataMissing(
            f"{path}: cannot be written ({error.strerror})", hint="set VIDEVAL_DATA_ROOT to a folder of yours"
        ) from error


def _own_root(benchmark: PublishedBenchmark, settings: Settings) -> Path:
    """Where to fetch to: below the data root, else below VIDEVAL_HOME; files, not the hub cache's links."""
    root = expanded(settings.data_root) if settings.data_root else settings.home_path / "data"
    return root / benchmark.name


def _fetch(benchmark: PublishedBenchmark, folder: Path | None, progress: Progress, fetch: Fetch) -> Path:
    roots = [fetch(one, folder, progress) for one in benchmark.downloads]
    if not benchmark.is_here(roots[0]):
        raise DataMissing(
            f"{roots[0]}: {benchmark.name} was fetched, but its questions are not there",
            hint=f"expected {benchmark.table} or {', '.join(benchmark.sources[:3])}",
        )
    return roots[0]


def _own_folder(benchmark: Benchmark, settings: Settings) -> Path | None:
    """The folder of a benchmark that is not one of the published: below the data root, by its name."""
    if settings.data_root is None:
        return None
    folder = expanded(settings.data_root) / benchmark.name
    return folder if folder.is_dir() else None


def _places(benchmark: PublishedBenchmark, settings: Settings) -> Iterator[Path]:
    if settings.data_root:
        yield expanded(settings.data_root) / benchmark.name
    lmu = Path(os.environ.get("LMUData") or Path.home() / "LMUData")  # noqa: SIM112 (its name)
    for folder in dict.fromkeys((benchmark.name, benchmark.lmu_folder or benchmark.name)):
        yield lmu / "datasets" / folder
        yield lmu / folder
    yield settings.home_path / "data" / benchmark.name
    for one in benchmark.downloads:
        yield from _snapshots(one)


def _snapshots(one: Download) -> Iterator[Path]:
    """The folders of a dataset in the Hugging Face cache: the revision's first, then others, newest first."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    for repo in (one.repo, *one.also):
        yield from _snapshots_of(cache / f"datasets--{repo.replace('/', '--')}", one.revision)


def _snapshots_of(folder: Path, revision: str) -> Iterator[Path]:
    reference = folder / "refs" / revision
    if reference.is_file():
        yield folder / "snapshots" / reference.read_text(encoding="utf-8").strip()
    others = [path for path in (folder / "snapshots").glob("*") if path.is_dir()]
    yield from sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
    yield folder
