"""`videval try` with real models: the exact prompt, and what the processor made of the frames."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Call, caller
from tests.trees import clip as video_bytes


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` beside a video of 30 frames, 10 a second, 64x48."""
    (tmp_path / "clip.mp4").write_bytes(video_bytes())
    monkeypatch.chdir(tmp_path)
    call = caller(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("VIDEVAL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("VIDEVAL_DEVICES", "cpu:0")
    return call


def tried(videval: Call, *words: str) -> Any:
    said = videval("try", "clip.mp4", "Which shape?", *words, "--max-new-tokens", "4", "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_video_llava_shows_its_prompt_and_what_it_saw(videval: Call) -> None:
    said = tried(videval, "Video-LLaVA-tiny")
    assert said["rendered"] == "<s>USER: <video>×80\nWhich shape? ASSISTANT:"
    assert said["seen"] == [{"frames": 8, "width": 48, "height": 48, "tokens": 80, "grid": [8, 3, 3]}]
    assert said["sampling"]["policy"] == "stride"


def test_a_chat_model_shows_special_tokens_grid_and_the_times_that_it_is_told(
    videval: Call, tiny: Callable[[str], Path]
) -> None:
    said = tried(videval, f"hf_chat:{tiny('qwen2_5_vl')}", "--fps", "2", "--policy", "qwen_vl_utils")
    (seen,) = said["seen"]
    assert said["clip"]["frame_numbers"] == [0, 6, 12, 17, 23, 29]
    assert seen["frames"] == 6 and seen["grid"][0] == 3 and len(seen["timestamps"]) == 3
    assert f"<|vision_start|><|video_pad|>×{seen['tokens']}<|vision_end|>Which shape?<|im_end|>" in said["rendered"]
    assert said["rendered"].endswith("<|im_start|>assistant\n")


def test_limits_of_pixels_reach_the_processor(videval: Call, tiny: Callable[[str], Path]) -> None:
    sizes = [
        tried(videval, f"hf_chat:{tiny('qwen2_5_vl')}", "--frames", "4", "--min-pixels", str(least))["seen"][0]["width"]
        for least in (784, 12544)
    ]
    assert sizes[0] < sizes[1]
