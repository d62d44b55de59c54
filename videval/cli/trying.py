"""try: one question about one video, and all that the model was shown and told."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli.asked import takes_setting
from videval.cli.busy import busy
from videval.cli.console import explain, say, say_json, settings_with, warn
from videval.cli.words import frames_in_words
from videval.errors import UsageError
from videval.options import Asked
from videval.paths import expanded

if TYPE_CHECKING:
    from videval.order import Order
    from videval.trying import Tried
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
    from videval.models.troubles import refuse_troubles
    from videval.trying import order_about, try_it
    from workers.engine.here import engine_here

    settings = settings_with(devices=devices)
    order = order_about(asked, expanded(video), question, options=option or (), span=_span(start, end))
    for remark in refuse_troubles(order.spec):
        warn(remark)
    place = sheet or settings.output_dir / "try" / f"{video.stem}.png"
    with engine_here(order.spec, settings) as engine:
        with busy("decoding, loading, answering"):
            tried = try_it(order, engine=engine, sheet=place)
        if as_json:
            say_json(_as_json(order, tried, engine))
        else:
            _show(order, tried, engine)


def _span(start: float | None, end: float | None) -> tuple[float, float] | None:
    if start is None and end is None:
        return None
    if end is None or end <= (start or 0.0):
        raise UsageError("a part of a video has a start and a later end", hint="--start 10 --end 20")
    return start or 0.0, end


def _show(order: "Order", tried: "Tried", engine: "EngineHere") -> None:
    _show_clip(order, tried)
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


def _show_clip(order: "Order", tried: "Tried") -> None:
    clip, recipe = tried.clip, order.recipe
    shown = f", {clip.span_frames} of them shown" if clip.span_frames else ""
    explain(
        f"video    {order.samples[0].video}: {clip.total_frames} frames, {clip.fps:g} per second{shown}; {clip.decoder}"
    )
    explain(f"frames   {frames_in_words(order.sampling())}, {clip.width}x{clip.height}")
    times = zip(clip.frame_numbers, clip.timestamps, strict=True)
    explain("         " + ", ".join(f"{number} at {time:.2f} s" for number, time in times))
    for note in clip.notes:
        warn(f"         {note}")
    say(f"sheet    {tried.sheet}")
    for deviation in recipe.deviations if recipe else ():
        warn(f"recipe   {deviation}")


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


def _as_json(order: "Order", tried: "Tried", engine: "EngineHere") -> dict[str, Any]:
    """Keys: README, "For scripts"."""
    from videval.plain import plain

    said, took = tried.response.generation, tried.response.timings
    return {
        "video": str(order.root / order.samples[0].video),
        "question": order.samples[0].question,
        "model": order.spec.name,
        "about": dict(engine.describe()),
        "recipe": plain(order.recipe) if order.recipe else None,
        "sampling": order.sampling().to_json(),
        "generation": plain(order.generation),
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
