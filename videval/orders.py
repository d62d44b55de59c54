"""From what a user asks for, on the command line or in the dashboard, to an `Order`.

All that can be checked is checked here, before anything is written.
"""

from dataclasses import replace
from pathlib import Path

from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.benchmarks.table import TableBenchmark, table_variant
from videval.benchmarks.table_text import names_a_table
from videval.datasets.prepare import locate
from videval.errors import DataMissing, UsageError
from videval.models.catalog import model_spec
from videval.options import Asked
from videval.order import Order
from videval.settings import Settings
from videval.types import ModelSpec, Variant

__all__ = ["make_order"]


def _is_table(text: str | None) -> bool:
    return text is not None and names_a_table(text)


def _spec(asked: Asked) -> ModelSpec:
    spec = model_spec(asked.model)
    given = {
        name: value for name in ("max_new_tokens", "temperature", "seed") if (value := getattr(asked, name)) is not None
    }
    dtype = asked.dtype if asked.dtype != "auto" else spec.dtype
    return replace(spec, dtype=dtype, generation=replace(spec.generation, **given))


def _with_length(asked: Asked, bench: Benchmark, spec: ModelSpec) -> ModelSpec:
    """How long an answer may be: as the user says, else as the benchmark's reference does, else the model's entry."""
    if asked.max_new_tokens is not None or bench.max_new_tokens is None:
        return spec
    return replace(spec, generation=replace(spec.generation, max_new_tokens=bench.max_new_tokens))


def _table(asked: Asked, file: Path, spec: ModelSpec) -> tuple[Benchmark, Variant, Path]:
    if not file.exists():
        raise UsageError(f"{file} is not a file", hint="is the path right, seen from this folder?")
    frames = asked.frames
    if frames is None and asked.fps is None and spec.frame_counts:
        frames = spec.frame_counts[0]
    if frames is None and asked.fps is None:
        frames = 8
    variant = table_variant(file, num_frames=frames, fps=asked.fps, pack=asked.pack)
    return TableBenchmark(file, allow_missing=asked.allow_missing), variant, (asked.data_root or file.parent)


def _published(asked: Asked, settings: Settings) -> tuple[Benchmark, Variant, Path]:
    if asked.frames is not None or asked.fps is not None or asked.pack:
        raise UsageError(
            "--frames, --fps and --pack are for --data; a benchmark's variant says them in its name",
            hint="for example MVBench_8frame, Video-MME_1fps, MMBench_Video_8frame_pack",
        )
    assert asked.what is not None
    variant = parse_variant(asked.what)
    bench = find_benchmark(variant.benchmark)
    bench.sampling(variant, bench.prompt_set(asked.prompts))
    root = asked.data_root or locate(bench, settings)
    if root is None:
        raise DataMissing(f"the data of {bench.name} is not on this machine", hint=f"videval prepare {bench.name}")
    return bench, variant, root


def make_order(asked: Asked, settings: Settings) -> Order:
    """Read the questions and check all that can be checked before anything is written."""
    spec = _spec(asked)
    file = asked.data or (Path(asked.what).expanduser() if _is_table(asked.what) and asked.what else None)
    if (file is None) == (asked.what is None or _is_table(asked.what)):
        raise UsageError("name either a variant or a file", hint="videval enqueue MVBench_8frame MODEL, or --data FILE")
    bench, variant, root = _published(asked, settings) if file is None else _table(asked, file, spec)
    if not root.is_dir():
        raise DataMissing(f"{root} is not a folder", hint="--data-root FOLDER")
    spec = _with_length(asked, bench, spec)
    return Order(
        benchmark=bench,
        variant=variant,
        samples=bench.load(root, variant),
        root=root,
        spec=spec,
        dtype=spec.dtype,
        generation=spec.generation,
        max_frames=asked.max_frames,
        max_pixels=asked.max_pixels,
        max_attempts=asked.max_attempts or settings.max_attempts,
        priority=asked.priority,
        limit=asked.limit,
        in_order=asked.in_order,
        allow_missing=asked.allow_missing,
        allow_symlinks=settings.allow_symlinks,
        prompts=bench.prompt_set(asked.prompts),
        left_out=bench.left_out(root, variant),
    )
