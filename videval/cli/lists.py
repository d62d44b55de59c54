"""list runs, list benchmarks, list models."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from videval.cli import complete
from videval.cli.console import explain, opened, say, say_json, settings_with
from videval.cli.table import Column, show_table
from videval.errors import UsageError

if TYPE_CHECKING:
    from videval.benchmarks.base import Benchmark
    from videval.settings import Settings
    from videval.types import ModelSpec

__all__ = ["list_benchmarks", "list_models", "list_runs"]

BENCHMARKS = (
    Column(title="benchmark", kind="name"),
    Column(title="questions", kind="number"),
    Column(title="videos", kind="extra"),
    Column(title="scored by"),
    Column(title="here"),
    Column(title="variants", kind="words"),
)
MODELS = (
    Column(title="model", kind="name"),
    Column(title="family"),
    Column(title="frames"),
    Column(title="context", kind="extra"),
    Column(title="vLLM", kind="extra"),
    Column(title="GB", kind="number"),
)
STATES = ("active", "paused", "cancelled", "finished", "creating")

AsJson = Annotated[bool, typer.Option("--json", help="for scripts")]


def list_runs(
    state: Annotated[
        str, typer.Option(help="only active, paused, cancelled or finished", autocompletion=complete.states)
    ] = "",
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="how many at most")] = 20,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first: when, how long, score.

    What goes on now: videval status. Keys of --json: README, "For scripts".
    """
    from videval.cli.overview import HISTORY, Scores, history_rows, live, origin_lines, run_json
    from videval.report import run_statuses

    if state and state not in STATES:
        raise UsageError(f"{state!r} is not a state of a run", hint=f"one of {', '.join(STATES)}")
    with opened() as database:
        found = [s for s in run_statuses(database) if not state or s.state == state]
        shown, scores = found[:number], Scores(database)
        if as_json:
            alive = live(database)
            say_json([run_json(database, s, scores.of(s), alive) for s in shown])
            return
        if not found:
            say(f"no {state} runs" if state else "no runs yet -> videval enqueue MVBench_8frame Video-LLaVA-7B")
            return
        show_table(HISTORY, history_rows(shown, scores))
        for line in origin_lines(shown):
            say(line)
        if len(found) > number:
            say(f"and {len(found) - number:,} older -> videval list runs -n {len(found)}")


def list_benchmarks(
    name: Annotated[
        str | None, typer.Argument(help="one of them, for the details", autocompletion=complete.benchmarks)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Benchmarks and their variants; NAME for the details."""
    from videval.benchmarks.catalog import benchmark_names, find_benchmark

    if _says_of_toolkit(name, 1, as_json=as_json):
        return
    settings = settings_with()
    found = [_benchmark_json(find_benchmark(n), settings) for n in ([name] if name else benchmark_names())]
    if as_json:
        say_json(found)
    elif name:
        _show_details(found[0])
    else:
        show_table(BENCHMARKS, [_benchmark_row(b) for b in found])
        if any(b["needs"] for b in found):
            say("* and what needs a judge is answered and exported, not scored")
        say("any count or rate does: MVBench_17frame, Video-MME_0.5fps")
        say("details, and every variant: videval list benchmarks NAME")


def _benchmark_json(bench: "Benchmark", settings: "Settings") -> dict[str, Any]:
    """What is known of a benchmark; the README says what each key means."""
    from videval.benchmarks.base import NO_SCORER
    from videval.datasets.prepare import locate

    here = locate(bench, settings)
    return {
        "name": bench.name,
        "title": bench.title,
        "paper": bench.paper,
        "license": bench.license,
        "questions": bench.questions,
        "videos": bench.videos,
        "size_gb": bench.size_gb,
        "frame_policy": bench.frame_policy,
        "rate_policy": bench.rate_policy,
        "scorer": None if bench.scorer == NO_SCORER else bench.scorer,
        "needs": bench.needs,
        "groups": list(bench.groups),
        "prompt_sets": list(bench.prompt_sets),
        "vlmevalkit": bool(bench.vlmevalkit),
        "variants": list(bench.published) or [bench.variant(num_frames=8).name],
        "data": str(here) if here else None,
    }


def _benchmark_row(known: dict[str, Any]) -> list[str | Text]:
    scored = f"{known['scorer'] or 'judge'}{'*' if known['needs'] else ''}".replace("_", "/")
    variants = known["variants"]
    more = f" (+{len(variants) - 1})" if len(variants) > 1 else ""
    return [
        known["name"],
        f"{known['questions']:,}" if known["questions"] else "-",
        f"{known['videos']:,}" if known["videos"] else "-",
        scored,
        Text("yes", style="green") if known["data"] else Text("-", style="dim"),
        f"{variants[0]}{more}",
    ]


def _show_details(known: dict[str, Any]) -> None:
    """One benchmark, a fact a line; variants stand alone on theirs, to be copied."""
    facts = {
        "title": known["title"],
        "paper": known["paper"],
        "license": known["license"],
        "questions": f"{known['questions'] or '?'} about {known['videos'] or '?'} videos",
        "size": f"{known['size_gb']:g} GB" if known["size_gb"] else "",
        "frames": known["frame_policy"] or "",
        "by rate": known["rate_policy"] or "",
        "prompts": ", ".join(known["prompt_sets"]),
        "scored by": known["scorer"] or "nothing here",
        "needs": known["needs"],
        "reported by": ", ".join(known["groups"]),
        "data": known["data"] or _where_from(known["name"]),
    }
    _say_facts(known["name"], facts)
    say("  variants")
    for variant in known["variants"]:
        say(f"    {variant}")


def list_models(
    name: Annotated[
        str | None, typer.Argument(help="one of them, for the details", autocompletion=complete.models)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Models with family, context and size; NAME for the details."""
    from videval.models.catalog import known_as, model_names, model_spec

    if _says_of_toolkit(name, 0, as_json=as_json):
        return
    found = [model_spec(n) for n in ([name] if name else model_names())]
    if as_json:
        say_json([{**dataclasses.asdict(spec), "aliases": list(known_as(spec.name))} for spec in found])
    elif name:
        _show_model(found[0], known_as(found[0].name))
    else:
        show_table(MODELS, [_model_row(spec) for spec in found])
        say("names of VLMEvalKit do too; any other checkpoint: hf_chat:ORG/NAME or hf_chat:./folder")
        say("details: videval list models NAME")


def _where_from(name: str) -> str:
    """Where the data of a benchmark comes from that videval has none of."""
    from videval.models.vlmevalkit.toolkit import PREFIX

    return "where VLMEvalKit keeps it" if name.startswith(PREFIX) else f"not here -> videval prepare {name}"


def _says_of_toolkit(name: str | None, which: int, *, as_json: bool) -> bool:
    """Whether `vlmevalkit:` was asked for: then what VLMEvalKit has, its models (0) or its datasets (1)."""
    from videval.models.vlmevalkit.names import all_names
    from videval.models.vlmevalkit.toolkit import PREFIX

    if name != PREFIX:
        return False
    found = all_names()[which]
    if as_json:
        say_json(found)
    for own in found if not as_json else ():
        say(own)
    return True


def _model_row(spec: "ModelSpec") -> list[str | Text]:
    from videval.models.on_vllm import is_served

    return [
        spec.name,
        spec.family or spec.adapter,
        _frames(spec),
        f"{spec.context:,}" if spec.context else "-",
        Text("yes", style="green") if is_served(spec) else Text("-", style="dim"),
        f"{spec.weights_gb:.1f}" if spec.weights_gb else "-",
    ]


def _show_model(spec: "ModelSpec", also: tuple[str, ...]) -> None:
    """One model, a fact a line."""
    from videval.models.on_vllm import is_served
    from videval.plain import plain

    generation = {"temperature": spec.generation.temperature, "max_new_tokens": spec.generation.max_new_tokens}
    said = ", ".join(f"{n} {value}" for n, value in {**generation, **plain(spec.generation)}.items())
    pixels = ", ".join(f"{name} {value:,}" for name, value in plain(spec.pixels).items())
    facts = {
        "also called": ", ".join(also),
        "note": spec.note,
        "adapter": spec.adapter,
        "family": spec.family,
        "checkpoint": spec.checkpoint,
        "revision": spec.revision,
        "weights": f"{spec.weights_gb:g} GB" if spec.weights_gb else "",
        "context": f"{spec.context:,} tokens" if spec.context else "",
        "dtype": spec.dtype,
        "shown": f"a {spec.form}" if spec.form == "video" else spec.form,
        "frames": _frames(spec) + (f", chosen by its own policy '{spec.policy}'" if spec.policy else ""),
        "pixels": pixels,
        "generation": "by its own settings" if spec.told else said,
        "vLLM": "can answer for it: --use-vllm" if is_served(spec) else "",
        "source": spec.source,
    }
    _say_facts(spec.name, facts)


def _say_facts(name: str, facts: dict[str, str]) -> None:
    say(name)
    for what, fact in facts.items():
        if fact:
            explain(f"  {what:<12}{fact}")


def _frames(spec: "ModelSpec") -> str:
    return ", ".join(map(str, spec.frame_counts)) or (f"up to {spec.max_frames}" if spec.max_frames else "any")
