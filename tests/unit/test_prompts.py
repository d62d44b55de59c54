"""Prompts are the published ones, to the character: golden/prompts.json records what VLMEvalKit says."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from videval.benchmarks.base import Shown
from videval.benchmarks.catalog import find_benchmark
from videval.benchmarks.published import PublishedBenchmark
from videval.types import Clip, Frame, Image, Part, Sample, Text

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "prompts.json").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = GOLDEN["cases"]


def clip_of(video: str, case: dict[str, Any]) -> Clip:
    """The frames that VLMEvalKit chose: i * N / (n + 1), or every fps-th."""
    total, fps = GOLDEN["frames_in"][video.removesuffix(".mp4")], float(GOLDEN["frames_in"]["fps"])
    if case["fps"] > 0:
        numbers = [int(i * fps / case["fps"]) for i in range(int(total / fps * case["fps"]))]
    else:
        numbers = [int(i * total / (case["nframe"] + 1)) for i in range(1, case["nframe"] + 1)]
    return Clip(
        path="clip.npy", frame_numbers=tuple(numbers), timestamps=tuple(n / fps for n in numbers),
        total_frames=total, fps=fps, width=64, height=48, decoder="test", policy="interior",
    )  # fmt: skip


def message(parts: Sequence[Part], sample: Sample, case: dict[str, Any]) -> list[dict[str, str]]:
    """Parts as VLMEvalKit writes them."""
    count = clip_of(str(sample.row["video"]), case).num_frames
    rate = f"-{case['fps']}fps" if case["fps"] > 0 else ""
    said = []
    for part in parts:
        if isinstance(part, Text):
            role = {} if part.role == "user" else {"role": part.role}
            said.append({"type": "text", "value": part.text, **role})
        elif isinstance(part, Frame):
            name = f"frame-{part.position + 1}-of-{count}{rate}.jpg"
            said.append({"type": "image", "value": f"<FRAMES>/{sample.row['video']}/{name}"})
        elif isinstance(part, Image):
            said.append({"type": "image", "value": f"<ROOT>/{part.path}"})
        else:
            said.append({"type": "video", "value": f"<ROOT>/{shown_file(sample, case)}"})
    return said


def shown_file(sample: Sample, case: dict[str, Any]) -> str:
    """VLMEvalKit cuts MVBench's bounded questions into a file of their own; here the clip's span does that."""
    if case["benchmark"] == "MVBench" and sample.span:
        return sample.video.replace(".mp4", "_processed.mp4")
    return sample.video


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "subtitle").mkdir()
    (folder / "subtitle" / "a.srt").write_text(GOLDEN["subtitle_of_a"], encoding="utf-8")
    return folder


@pytest.mark.parametrize("number", range(len(CASES)))
def test_each_golden_message_is_ours(number: int, root: Path) -> None:
    case = CASES[number]
    found = find_benchmark(case["benchmark"])
    assert isinstance(found, PublishedBenchmark)
    rows = case["row"] if isinstance(case["row"], list) else [case["row"]]
    samples = [found.sample(dict(row), root) for row in rows]
    shown = Shown(
        clips=(clip_of(str(rows[0]["video"]), case),),
        form="video" if case["kwargs"]["video_llm"] else "frames",
        root=root,
        subtitles=case.get("use_subtitle", False),
    )
    packed = isinstance(case["row"], list)
    parts = found.pack_prompt(samples, shown) if packed else found.prompt(samples[0], shown)
    assert message(parts, samples[0], case) == case["message"]
