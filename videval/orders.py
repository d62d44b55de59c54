"""From what a user asks for, on the command line or in the dashboard, to an `Order`.

All that can be checked is checked here, before anything is written. What counts, the first that says something: the
user, the recipe, the benchmark's page, the model's entry in the catalog.
"""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.benchmarks.forms import form_of
from videval.benchmarks.table import TableBenchmark, table_variant
from videval.benchmarks.table_text import names_a_table
from videval.benchmarks.wording import check_wording
from videval.datasets.prepare import locate
from videval.errors import DataMissing, UsageError
from videval.known import with_questions
from videval.models.catalog import concrete_dtype, model_spec
from videval.models.dialects import reads_itself
from videval.models.endpoints import endpoint_of
from videval.models.on_vllm import on_vllm, refuse_untold
from videval.options import Asked
from videval.order import Order
from videval.paths import expanded
from videval.recipes import Recipe, find_recipe
from videval.settings import Settings
from videval.types import FrameSampling, GenerationSettings, ModelSpec, Pixels, PromptSet, Variant, Wording

__all__ = ["make_order", "order_of_recipe", "order_unread", "refuse_both"]

_NONE = Recipe(name="", model="", variant="", source="", date="")
"""What counts where no recipe is asked for: it sets nothing."""
_SAID_OF_FRAMES = ("policy", "min_frames", "multiple")
_UNTOLD = ("dtype", "attention", "trust_remote_code", "use_vllm")
_UNTOLD_OF_FRAMES = (*_SAID_OF_FRAMES, "max_frames", "max_pixels")
"""What a model that is not loaded here cannot be told, in all cases and where it reads videos by itself."""


def make_order(asked: Asked, settings: Settings) -> Order:
    """Read the questions and check all that can be checked before anything is written."""
    order = replace(order_unread(asked), max_attempts=asked.max_attempts or settings.max_attempts)
    root = asked.data_root or _folder(order.benchmark, settings)
    if not root.is_dir():
        raise DataMissing(f"{root} is not a folder", hint="--data-root FOLDER")
    left_out = order.benchmark.left_out(root, order.variant)
    order = replace(order, root=root, left_out=left_out, allow_symlinks=settings.allow_symlinks)
    return with_questions(order, settings)


def order_unread(asked: Asked) -> Order:
    """All of an order but what must be read: its questions, and the folder that they lie in."""
    recipe = find_recipe(asked.recipe) if asked.recipe else _NONE
    order = _order(asked, recipe)
    if recipe is _NONE:
        return order
    intended = _order(_same_questions(asked, recipe), recipe)
    return replace(order, recipe=recipe.used(_deviations(order, intended), _wording(asked, recipe)))


def order_of_recipe(recipe: Recipe) -> Order:
    """What a recipe asks for when nothing is asked otherwise, without its questions. UsageError if it cannot be run."""
    return _order(Asked(what=None, model=None), recipe)


def _same_questions(asked: Asked, recipe: Recipe) -> Asked:
    """What would be asked by the recipe alone: of one that is for any benchmark, the user's questions by it."""
    only = Asked(what=None, model=None)
    if recipe.variant:
        return only
    names = ("what", "data", "frames", "fps", "pack", "allow_missing")
    return replace(only, **{name: getattr(asked, name) for name in names})


def _deviations(order: Order, intended: Order) -> list[str]:
    """What an order has otherwise than its recipe, in words."""
    now, was = order.settled(), intended.settled()
    names = dict.fromkeys((*was, *now))
    pairs = ((name, now.get(name), was.get(name)) for name in names)
    return [f"{name} {_said(here)} in place of {_said(there)}" for name, here, there in pairs if here != there]


def _said(value: Any) -> str:
    text = "nothing" if value in (None, "", ()) else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _order(asked: Asked, recipe: Recipe) -> Order:
    """The order without what must be read: its questions and their folder."""
    if recipe.lacks:
        raise UsageError(f"{recipe.name} cannot be run here: {recipe.lacks}", hint=f"videval recipe {recipe.name}")
    spec = _spec(asked, recipe)
    bench, variant = _asked_about(asked, recipe, spec)
    spec, wording = _with_length(asked, recipe, bench, spec), _wording(asked, recipe)
    _check_limits(asked, spec)
    prompts = bench.prompt_set(asked.prompts or recipe.prompts or _own_prompts(bench, spec))
    page = bench.sampling(variant, prompts)
    if recipe.variant and variant == parse_variant(recipe.variant):
        _check_amount(recipe, page)
    if wording:
        check_wording(wording, bench, variant)
    elif not asked.prompts:
        _check_form(recipe, bench, prompts)
    return Order(
        benchmark=bench,
        variant=variant,
        samples=(),
        root=Path(),
        spec=spec,
        dtype=spec.dtype,
        generation=spec.generation,
        max_frames=asked.max_frames,
        max_pixels=None if spec.resizes else asked.max_pixels,
        priority=asked.priority,
        limit=asked.limit,
        in_order=asked.in_order,
        race_tail=asked.race_tail,
        allow_missing=asked.allow_missing,
        prompts=prompts,
        sampled=_sampled(asked, recipe, page, spec),
        recipe=None if recipe is _NONE else recipe.used((), wording),
        max_cost=asked.max_cost,
        max_tokens=asked.max_tokens_total,
    )


def _check_limits(asked: Asked, spec: ModelSpec) -> None:
    """Raise UsageError for a limit of what answers take or cost where nobody counts that."""
    if asked.max_cost is None and asked.max_tokens_total is None:
        return
    if spec.remote is None:
        raise UsageError(
            f"--max-cost and --max-tokens-total are for models at an endpoint; {spec.name} runs on devices here",
            hint="leave them out; --limit N asks only so many requests",
        )
    endpoint = endpoint_of(spec)
    if asked.max_cost is not None and endpoint.prices is None:
        table = f"[endpoints.{endpoint.name}]"
        raise UsageError(
            f"--max-cost: endpoint {endpoint.name} has no prices",
            hint=f"prices = {{ prompt = 0.2, new = 0.8 }} (of a million tokens) in {table}, or --max-tokens-total",
        )


def _own_prompts(bench: Benchmark, spec: ModelSpec) -> PromptSet | None:
    """The wording that a model is used to: of VLMEvalKit's own, VLMEvalKit's, where the benchmark has it."""
    return PromptSet.VLMEVALKIT if spec.told and PromptSet.VLMEVALKIT in bench.prompt_sets else None


def _check_form(recipe: Recipe, bench: Benchmark, prompts: PromptSet) -> None:
    """Raise UsageError if a recipe was written for other words than its benchmark's page has."""
    if not recipe.form or (recipe.variant and parse_variant(recipe.variant).benchmark != bench.name):
        return
    if recipe.form != (here := form_of(bench, prompts)):
        raise UsageError(
            f"{recipe.name} was written for other words than {bench.name} is asked with",
            hint=f"form = {here!r} for the words of this videval, or --prompts {prompts}",
        )


def _check_amount(recipe: Recipe, page: FrameSampling) -> None:
    """Raise UsageError if a recipe samples another amount than its own variant has: it would never count."""
    if recipe.sampling and not _fits(recipe.sampling, page):
        raise UsageError(
            f"{recipe.name}: its sampling is not of the amount that {recipe.variant} has",
            hint=f"num_frames = {page.num_frames}" if page.num_frames is not None else f"fps = {page.fps:g}",
        )


def _fits(sampling: FrameSampling, page: FrameSampling) -> bool:
    """Whether it is of the page's count or rate, or has neither."""
    return (sampling.num_frames, sampling.fps) in ((page.num_frames, page.fps), (None, None))


def _spec(asked: Asked, recipe: Recipe) -> ModelSpec:
    """The model with all that is asked of it, but for how long an answer may be where nobody says so."""
    name = asked.model or recipe.model
    if not name:
        raise UsageError("which model?", hint="it stands after the variant; see: videval list models")
    spec = model_spec(name)
    _refuse_untold(asked, spec)
    if recipe.sampling and spec.max_frames and recipe.model in (name, spec.name):  # which its source shows it
        spec = replace(spec, max_frames=max(spec.max_frames, recipe.sampling.max_frames or 0))
    given = _given(asked, GenerationSettings)
    dtype = asked.dtype if asked.dtype != "auto" else recipe.dtype or spec.dtype
    concrete_dtype(dtype, "cpu")  # which raises for one that does not exist
    asked_for = replace(
        on_vllm(spec) if asked.use_vllm else spec,
        dtype=dtype,
        generation=replace(recipe.generation.over(spec.generation), **given),
        attention=asked.attention or spec.attention,
        trust_remote_code=asked.trust_remote_code or spec.trust_remote_code,
        pixels=_pixels(asked, recipe, spec),
    )
    refuse_untold(asked_for)
    return asked_for


def _refuse_untold(asked: Asked, spec: ModelSpec) -> None:
    """Raise UsageError for what a model that runs elsewhere, or generates by its own settings, cannot be told."""
    names: tuple[str, ...] = _UNTOLD if spec.told or spec.remote else ()
    names += tuple(f.name for f in fields(GenerationSettings)) if spec.told else ()
    found = [name for name in names if getattr(asked, name, None) not in (None, False, "auto", ())]
    if reads_itself(spec):
        found += [name for name in _UNTOLD_OF_FRAMES if getattr(asked, name) is not None]
    if found:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in found)
        why = "is VLMEvalKit's own and generates by its own settings" if spec.told else "runs at an endpoint"
        raise UsageError(
            f"{spec.name} {why}: it cannot be told {options}",
            hint="leave it out, or run the same checkpoint here: videval list models",
        )


def _given(said: object, kind: type[Any]) -> dict[str, Any]:
    """What a record says of the fields of another kind."""
    found = ((f.name, getattr(said, f.name, None)) for f in fields(kind))
    return {name: value for name, value in found if value is not None}


def _pixels(asked: Asked, recipe: Recipe, spec: ModelSpec) -> Pixels:
    """What the model's processor is told; UsageError if it takes no limits, where --max-pixels is for decoding."""
    by_length = recipe.sampling and any(rule.pixels for rule in recipe.sampling.by_length)
    if not spec.resizes and (asked.min_pixels or asked.total_pixels or recipe.pixels != Pixels() or by_length):
        whose = recipe.name or "--min-pixels and --total-pixels"
        raise UsageError(
            f"{whose}: the processor of {spec.name} takes no limits of pixels",
            hint="a model whose processor resizes; --max-pixels alone scales frames when they are decoded",
        )
    given = Pixels(**_given(asked, Pixels)) if spec.resizes else Pixels()
    if (given.min_pixels or 0) > (given.max_pixels or math.inf):
        raise UsageError(
            f"min_pixels {given.min_pixels} are more than max_pixels {given.max_pixels}",
            hint=f"--max-pixels {given.min_pixels}",
        )
    return given.over(recipe.pixels.over(spec.pixels))


def _with_length(asked: Asked, recipe: Recipe, bench: Benchmark, spec: ModelSpec) -> ModelSpec:
    """How long an answer may be: as the user or the recipe says, else the longer of what the benchmark's reference and
    the model's entry say, as a model that thinks first must not be cut short."""
    said = asked.max_new_tokens or recipe.generation.max_new_tokens
    longest = max(spec.generation.max_new_tokens, bench.max_new_tokens or 0)
    return spec if said or spec.told else replace(spec, generation=replace(spec.generation, max_new_tokens=longest))


def _wording(asked: Asked, recipe: Recipe) -> Wording | None:
    """How the recipe puts a question, unless the user wants the page's words."""
    return None if asked.prompts else recipe.wording


def _sampled(asked: Asked, recipe: Recipe, page: FrameSampling, spec: ModelSpec) -> FrameSampling | None:
    """The frames that are asked for by name: the recipe's, for variants with its count or rate or if it has neither,
    with what the user says of them; None: as page and model say."""
    found = recipe.sampling if recipe.sampling and _fits(recipe.sampling, page) else None
    said = {name: value for name in _SAID_OF_FRAMES if (value := getattr(asked, name)) is not None}
    return replace(found or spec.fitted(page), **said) if said else found


def _asked_about(asked: Asked, recipe: Recipe, spec: ModelSpec) -> tuple[Benchmark, Variant]:
    """The benchmark, or the user's table, in the variant that is asked for."""
    what = asked.what or (recipe.variant or None if asked.data is None else None)
    is_file = what is not None and names_a_table(what)
    file = asked.data or (expanded(what) if what and is_file else None)
    if (file is None) == (what is None or is_file):
        by = f"--recipe {asked.recipe}" if asked.recipe else "MODEL"
        raise UsageError("name either a variant or a file", hint=f"videval run MVBench_8frame {by}, or --data FILE")
    return _published(asked, recipe, what or "") if file is None else _table(asked, recipe, file, spec)


def _table(asked: Asked, recipe: Recipe, file: Path, spec: ModelSpec) -> tuple[Benchmark, Variant]:
    if not file.exists():
        raise UsageError(f"{file} is not a file", hint="is the path right, seen from this folder?")
    frames, fps = asked.frames, asked.fps
    refuse_both(asked)
    if frames is None and fps is None and recipe.sampling:
        frames, fps = recipe.sampling.num_frames, recipe.sampling.fps
    if frames is None and fps is None:
        frames = spec.frame_counts[0] if spec.frame_counts else 8
    _check_count(spec, frames)
    variant = table_variant(file, num_frames=frames, fps=fps, pack=asked.pack)
    return TableBenchmark(file, allow_missing=asked.allow_missing), variant


def refuse_both(asked: Asked) -> None:
    """Raise UsageError if a frame count and a rate are asked for."""
    if asked.frames is not None and asked.fps is not None:
        raise UsageError("--frames and --fps exclude each other", hint="leave one of them out")


def _check_count(spec: ModelSpec, frames: int | None) -> None:
    """Raise UsageError if the model cannot be shown so many frames; None: so many as a rate gives."""
    counts, most = spec.frame_counts, spec.max_frames
    if counts and frames not in counts:
        takes = " or ".join(map(str, counts))
        raise UsageError(f"{spec.name} takes exactly {takes} frames of a video", hint=f"--frames {counts[0]}")
    if most and frames and frames > most:
        raise UsageError(f"{spec.name} takes at most {most} frames, not {frames}", hint=f"--frames {most}")


def _published(asked: Asked, recipe: Recipe, what: str) -> tuple[Benchmark, Variant]:
    if asked.frames is not None or asked.fps is not None or asked.pack:
        raise UsageError(
            "--frames, --fps and --pack are for --data; a benchmark's variant says them in its name",
            hint="for example MVBench_8frame, Video-MME_1fps, MMBench_Video_8frame_pack",
        )
    variant = parse_variant(what)
    bench = find_benchmark(variant.benchmark)
    bench.sampling(variant, bench.prompt_set(asked.prompts or recipe.prompts))
    return bench, variant


def _folder(bench: Benchmark, settings: Settings) -> Path:
    """Where the questions' videos are looked for when nobody says where."""
    if bench.is_foreign:
        return Path("/")
    if isinstance(bench, TableBenchmark) and bench.file is not None:
        return bench.file.parent
    root = locate(bench, settings)
    if root is None:
        raise DataMissing(f"the data of {bench.name} is not on this machine", hint=f"videval prepare {bench.name}")
    return root
