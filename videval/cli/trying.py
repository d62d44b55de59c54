"""try: one question about one video, and all that the model was shown and told."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli.asked import takes_setting
from videval.cli.busy import busy
from videval.cli.console import explain, say, say_json, settings_with, warn
from videval.errors import UsageError
from videval.options import Asked

if TYPE_CHECKING:
    from videval.settings import Settings
    from videval.trying import Question, Tried
    from videval.types import Seen
    from workers.engine.here import EngineHere

__all__ = ["try_command"]

VIDEO = typer.Argument(help="a video, or a folder of images")
QUESTION = typer.Argument(help="what is asked, in quotes")


@takes_setting
def try_command(
    asked: Asked,
    *,
    video: Path = VIDEO,
    question: str = QUESTION,
    option: Annotated[list[str] | None, typer.Option(help="an option to choose from; again for each")] = None,
    start: Annotated[float | None, typer.Option(help="seconds: show the video from here")] = None,
    end: Annotated[float | None, typer.Option(help="seconds: show the video up to here")] = None,
    sheet: Annotated[Path | None, typer.Option(help="where the picture of the frames goes (PNG)")] = None,
    devices: Annotated[str | None, typer.Option(help="auto, 0, 0+1, cpu, ...: the first free one")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """Ask one question about a video, without a run.

    No database and no broker: it is decoded, prepared and answered here, and all that the model was shown and told is
    printed. For what a recipe does to a video of your own.
    """
    from videval.trying import question_of, try_it

    settings = settings_with(devices=devices)
    made = question_of(asked, video.expanduser(), question, options=option or (), span=_span(start, end))
    engine = _engine(made, settings)
    place = sheet or settings.output_dir / "try" / f"{video.stem}.png"
    with busy("decoding, loading, answering"):
        tried = try_it(made, engine=engine, sheet=place, on_stage=lambda stage: None)
    if as_json:
        say_json(_as_json(made, tried, engine))
    else:
        _show(made, tried, engine)


def _span(start: float | None, end: float | None) -> tuple[float, float] | None:
    if start is None and end is None:
        return None
    if end is None or end <= (start or 0.0):
        raise UsageError("a part of a video has a start and a later end", hint="--start 10 --end 20")
    return start or 0.0, end


def _engine(made: "Question", settings: "Settings") -> "EngineHere":
    """The model on the first free device, loaded when it is asked. NoFreeDevice if workers hold them all."""
    import os

    from videval.models.catalog import load_model
    from workers.device import devices_for
    from workers.engine.here import EngineHere
    from workers.locks import claim_device

    spec = made.order.spec
    device = claim_device(settings.lock_path, devices_for(spec, settings.devices)).device
    os.environ["CUDA_VISIBLE_DEVICES"] = device.visible
    return EngineHere(lambda: load_model(spec, devices=device.names, dtype=spec.dtype))


def _show(made: "Question", tried: "Tried", engine: "EngineHere") -> None:
    _show_clip(made, tried)
    said, took = tried.response.generation, tried.response.timings
    for seen in said.seen:
        explain(f"seen     {_seen(seen)}")
    say(f"prompt   {said.rendered or _parts(tried)}")
    if said.thinking is not None:
        say(f"thinking {said.thinking}")
    say(f"answer   {said.text}{' (cut off at --max-new-tokens)' if said.truncated else ''}")
    say(f"tokens   {_count(said.prompt_tokens)} in, {_count(said.new_tokens)} out")
    seconds = {"decode": took.decode, "load": engine.load_s, "prepare": took.prepare, "generate": took.generate}
    say(f"seconds  {', '.join(f'{stage} {time:.2f}' for stage, time in seconds.items())}")


def _show_clip(made: "Question", tried: "Tried") -> None:
    clip, recipe = tried.clip, made.order.recipe
    shown = f", {clip.span_frames} of them shown" if clip.span_frames else ""
    explain(f"video    {made.sample.video}: {clip.total_frames} frames, {clip.fps:g} per second{shown}; {clip.decoder}")
    explain(f"frames   {_in_words(made)}, {clip.width}x{clip.height}")
    times = zip(clip.frame_numbers, clip.timestamps, strict=True)
    explain("         " + ", ".join(f"{number} at {time:.2f} s" for number, time in times))
    for note in clip.notes:
        warn(f"         {note}")
    say(f"sheet    {tried.sheet}")
    for deviation in recipe.deviations if recipe else ():
        warn(f"recipe   {deviation}")


def _in_words(made: "Question") -> str:
    from videval.cli.enqueue import in_words

    return in_words(made.order.sampling())


def _seen(seen: "Seen") -> str:
    told = ", ".join(f"{time:g}" for time in seen.timestamps)
    grid = "x".join(str(n) for n in seen.grid)
    said = [
        f"{seen.frames} frames of {seen.width}x{seen.height}",
        f"grid {grid}" if grid else "",
        f"{seen.tokens} tokens",
        f"told of the seconds {told}" if told else "told of no times",
    ]
    return ", ".join(filter(None, said))


def _parts(tried: "Tried") -> str:
    """The prompt's parts, where an adapter does not say how they read as tokens."""
    from videval.types import Text

    parts = tried.response.prompt.parts
    return "".join(p.text if isinstance(p, Text) else f"<{type(p).__name__.lower()}>" for p in parts)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _as_json(made: "Question", tried: "Tried", engine: "EngineHere") -> dict[str, Any]:
    """Keys: README, "For scripts"."""
    from videval.plain import plain

    said, took = tried.response.generation, tried.response.timings
    return {
        "video": str(made.order.root / made.sample.video),
        "question": made.sample.question,
        "model": made.order.spec.name,
        "about": dict(engine.describe()),
        "recipe": plain(made.order.recipe) if made.order.recipe else None,
        "sampling": made.order.sampling().to_json(),
        "generation": plain(made.order.generation),
        "clip": {name: value for name, value in plain(tried.clip).items() if name != "path"},
        "sheet": str(tried.sheet),
        "parts": _parts(tried),
        "rendered": said.rendered,
        "seen": [plain(seen) for seen in said.seen],
        "thinking": said.thinking,
        "text": said.text,
        "truncated": said.truncated,
        "prompt_tokens": said.prompt_tokens,
        "new_tokens": said.new_tokens,
        "seconds": {"decode": took.decode, "load": engine.load_s, "prepare": took.prepare, "generate": took.generate},
    }
