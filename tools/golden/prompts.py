"""Cases about what is asked: the parts of the message, its text for a model, the names of variants."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.golden.cases import Case, prompts_of
from tools.golden.data import Differs, Loaded, loaded
from videval.benchmarks.base import Shown
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.errors import VidevalError
from videval.types import Clip, Frame, Image, Part, Prompt, PromptSet, Sound, Text, Video
from videval.video.sampling import choose_frames

__all__ = ["check_model_text", "check_prompt", "check_variants"]

_Said = list[dict[str, Any]]


def check_prompt(case: Case, root: Path) -> None:
    """Raise Differs unless videval says and shows the recorded parts, of the recorded frames."""
    prompt = _made(case, root)
    (clip,) = prompt.clips
    said, expected = _as_recorded(prompt.parts), case.expected["parts"]
    numbers = case.expected.get("frame_numbers")
    if numbers is not None and list(clip.frame_numbers) != numbers:
        raise Differs(f"frames {numbers}, videval chooses {list(clip.frame_numbers)}")
    if said != expected:
        raise Differs(f"{_why(said, expected)}\n      reference: {_brief(expected)}\n      videval:   {_brief(said)}")


def check_model_text(case: Case, root: Path) -> None:
    """Raise Differs unless the adapter gives the model the recorded text."""
    from videval.models.video_llava import prompt_text

    said, expected = prompt_text(_made(case, root)), case.expected["text"]
    if said != expected:
        model = case.body["model"]
        raise Differs(f"the text given to {model}\n      reference: {expected!r}\n      videval:   {said!r}")


def check_variants(case: Case, root: Path) -> None:
    """Raise Differs unless each published name parses to itself, and is supported."""
    problems = [problem for name in case.expected["names"] if (problem := _name_problem(name))]
    if problems:
        raise Differs("; ".join(problems))


def _name_problem(name: str) -> str:
    try:
        variant = parse_variant(name)
        find_benchmark(variant.benchmark).sampling(variant)
    except VidevalError as error:
        return f"{name}: {error}"
    return "" if variant.name == name else f"{name} is called {variant.name}"


def _made(case: Case, root: Path) -> Prompt:
    """The prompt as a worker words it for the case's prompt set."""
    read = loaded(case, root)
    prompts = prompts_of(case, read.benchmark)
    shown = Shown(
        clips=(_clip(case, read, prompts),),
        form=case.body["form"],
        root=root,
        subtitles=read.variant.subtitles,
        prompts=prompts,
    )
    bench, samples = read.benchmark, read.samples
    parts = bench.pack_prompt(samples, shown) if read.variant.pack else bench.prompt(samples[0], shown)
    return Prompt(parts=parts, clips=shown.clips, prompts=prompts)


def _clip(case: Case, read: Loaded, prompts: PromptSet) -> Clip:
    about = case.body["clip"]
    total, fps, first = about["frames"], about["fps"], 1 if about.get("folder") else 0
    sampling = read.benchmark.sampling(read.variant, prompts)
    numbers = choose_frames(total, fps, sampling, read.samples[0].span, first=first).indices
    return Clip(
        path="clip.npy", frame_numbers=tuple(numbers), timestamps=tuple(n / fps for n in numbers), total_frames=total,
        fps=fps, width=64, height=48, decoder="test", policy=sampling.policy,
    )  # fmt: skip


def _as_recorded(parts: Sequence[Part]) -> _Said:
    """The parts as the files write them: frames in a row are one part with their number."""
    said: _Said = []
    positions = [part.position for part in parts if isinstance(part, Frame)]
    if positions != list(range(len(positions))):
        raise Differs(f"frames are shown in the order {positions}")
    for part in parts:
        if isinstance(part, Frame) and said and "frames" in said[-1]:
            said[-1]["frames"] += 1
        else:
            said.append(_one(part))
    return said


def _one(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text, "role": part.role}
        case Video():
            return {"video": True}
        case Image():
            return {"image": part.path}
        case Frame():
            return {"frames": 1}
        case Sound():
            return {"sound": part.path}


def _why(said: _Said, expected: _Said) -> str:
    roles = [role for role in ("system", "user", "assistant") if _words(said, role) != _words(expected, role)]
    if roles:
        return f"other words ({', '.join(roles)})"
    return "other parts" if _order(said) == _order(expected) else "same words, another order of parts"


def _words(parts: _Said, role: str) -> str:
    return "".join(part["text"] for part in parts if part.get("role") == role)


def _order(parts: _Said) -> list[str]:
    """The kinds of parts, texts by their role, empty texts left out."""
    return [part["role"] if "text" in part else next(iter(part)) for part in parts if part.get("text") != ""]


def _brief(parts: _Said) -> str:
    return " | ".join(_in_words(part) for part in parts)


def _in_words(part: Mapping[str, Any]) -> str:
    if "text" in part:
        return f"{part['role']}:{part['text']!r}"
    return "/".join(f"{name} {value}" for name, value in part.items())
