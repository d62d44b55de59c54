"""Which benchmarks there are, and what a variant's name says: MVBench_8frame, Video-MME_0.5fps_subs.

A new benchmark is one file in `pages` and one line here.
"""

import re
from collections.abc import Mapping, Sequence

from videval import registry
from videval.benchmarks.base import Benchmark
from videval.benchmarks.vlmevalkit import toolkit_benchmark, toolkit_variant
from videval.errors import UnknownName, UsageError
from videval.models.vlmevalkit.toolkit import PREFIX
from videval.types import Variant

__all__ = ["BENCHMARKS", "TABLE", "benchmark_names", "find_benchmark", "parse_variant", "published_variants"]

BENCHMARKS: Mapping[str, str] = {
    "DREAM-1K": "videval.benchmarks.pages.dream1k:Dream1K",
    "EgoSchema": "videval.benchmarks.pages.egoschema:EgoSchema",
    "LVBench": "videval.benchmarks.pages.lvbench:LVBench",
    "LongVideoBench": "videval.benchmarks.pages.longvideobench:LongVideoBench",
    "MLVU": "videval.benchmarks.pages.mlvu:MLVU",
    "MMBench-Video": "videval.benchmarks.pages.mmbench_video:MMBenchVideo",
    "MVBench": "videval.benchmarks.pages.mvbench:MVBench",
    "MVBench_MP4": "videval.benchmarks.pages.mvbench:MVBenchMP4",
    "MVTamperBench": "videval.benchmarks.pages.mvtamperbench:MVTamperBench",
    "MVTamperBenchEnd": "videval.benchmarks.pages.mvtamperbench:MVTamperBenchEnd",
    "MVTamperBenchStart": "videval.benchmarks.pages.mvtamperbench:MVTamperBenchStart",
    "MovingShapes": "videval.benchmarks.pages.moving_shapes:MovingShapes",
    "MovingShapesBounded": "videval.benchmarks.pages.moving_shapes:MovingShapesBounded",
    "NExT-QA": "videval.benchmarks.pages.nextqa:NExTQA",
    "TempCompass": "videval.benchmarks.pages.tempcompass:TempCompass",
    "Video-MME": "videval.benchmarks.pages.video_mme:VideoMME",
    "VideoMMMU": "videval.benchmarks.pages.video_mmmu:VideoMMMU",
    "WorldSense": "videval.benchmarks.pages.worldsense:WorldSense",
    "object": "videval.benchmarks.object_page:ObjectBenchmark",
    "table": "videval.benchmarks.table:TableBenchmark",
}
"""Benchmark name -> its class."""

TABLE, OBJECT = "table", "object"
"""The benchmark that is a file of the user's own, and the one that is an object in their process."""

_OPTIONS = ("subs", "pack", "nopack")
_FRAMES = re.compile(r"(\d{1,6})frame")
_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)fps")


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of this name; `MMBench_Video` means `MMBench-Video`. UnknownName if there is none.

    One of VLMEvalKit's datasets (`vlmevalkit:...`) is only looked for when it is read.
    """
    if name.startswith(PREFIX):
        return toolkit_benchmark(name)
    found = registry.load("benchmark", "benchmarks", BENCHMARKS, _known().get(_folded(name), name))()
    assert isinstance(found, Benchmark)
    return found


def benchmark_names() -> list[str]:
    """All benchmarks that have data of their own, sorted."""
    return [name for name in registry.names("benchmarks", BENCHMARKS) if name not in (TABLE, OBJECT)]


def published_variants() -> list[str]:
    """The variant names that are published, of all benchmarks."""
    return [variant for name in benchmark_names() for variant in find_benchmark(name).published]


def parse_variant(text: str) -> Variant:
    """Read a variant's name; any count or rate parses, `MMBench_Video` means `MMBench-Video`.

    Raises UnknownName with close matches for another benchmark, UsageError if the count or rate is missing or
    an option is not known. Whether the benchmark supports what is asked for is said by `Benchmark.sampling`.
    """
    if text.startswith(PREFIX):
        return toolkit_variant(text)
    name, rest = _split(text)
    if name == TABLE:
        raise UsageError("a table is named by its file", hint="give the file: --data questions.tsv --frames 8")
    if name == OBJECT:
        raise UnknownName("benchmark", name, benchmark_names())
    found = find_benchmark(name)
    frames, fps = _amount(found, text, rest)
    options = _checked_options(found, text, rest[1:])
    return found.variant(num_frames=frames, fps=fps, pack="pack" in options, subtitles="subs" in options)


def _split(text: str) -> tuple[str, Sequence[str]]:
    """The benchmark's name and the words after it; what stands before the frames has to be a name as a whole."""
    words = text.strip().split("_")
    at = next((i for i, word in enumerate(words) if _FRAMES.fullmatch(word) or _RATE.fullmatch(word)), None)
    known = _known()
    for end in range(len(words), 0, -1) if at is None else (at,):
        if name := known.get(_folded("".join(words[:end]))):
            return name, words[end:]
    raise UnknownName("benchmark", "_".join(words[:at]), benchmark_names())


def _known() -> dict[str, str]:
    return {_folded(name): name for name in registry.names("benchmarks", BENCHMARKS)}


def _folded(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).casefold()


def _amount(found: Benchmark, text: str, rest: Sequence[str]) -> tuple[int | None, float | None]:
    if rest and (match := _FRAMES.fullmatch(rest[0])) and int(match[1]) > 0:
        return int(match[1]), None
    if rest and (match := _RATE.fullmatch(rest[0])) and float(match[1]) > 0:
        return None, float(match[1])
    published = ", ".join(found.published) or f"{found.name}_8frame"
    said = f"{text!r} does not say how many frames" if not rest else f"cannot read {rest[0]!r} in {text!r}"
    raise UsageError(said, hint=f"add _{{n}}frame or _{{f}}fps (more than 0); published: {published}")


def _checked_options(found: Benchmark, text: str, options: Sequence[str]) -> Sequence[str]:
    for option in options:
        if option == "audio":
            raise UsageError(f"{text}: videval shows frames and subtitles, no audio", hint="leave _audio away")
        if option not in _OPTIONS:
            raise UsageError(f"cannot read {option!r} in {text!r}", hint="after the frames: _subs, _pack")
    if len(set(options)) < len(options) or {"pack", "nopack"} <= set(options):
        raise UsageError(f"{text!r} contradicts or repeats itself", hint="each option once, _pack or _nopack")
    return options
