"""Messages of VLMEvalKit's form: out of prompts, into prompts, and what is none."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from videval.errors import VideoFailure
from videval.models.messages import FrameFiles, checked, message_of, parts_of, told, unread
from videval.types import Clip, Frame, Image, Prompt, Sound, Text, Video


def clip(folder: Path, name: str = "c", frames: int = 2) -> Clip:
    path = folder / f"{name}.npy"
    np.save(path, np.arange(frames * 48, dtype=np.uint8).reshape(frames, 4, 4, 3))
    numbers = tuple(range(frames))
    return replace(
        unread(str(path)),
        frame_numbers=numbers,
        timestamps=tuple(map(float, numbers)),
        width=4,
        height=4,
        total_frames=9,
    )


def test_a_prompt_is_a_message_with_frames_as_lossless_files(tmp_path: Path) -> None:
    files, shown = FrameFiles(), clip(tmp_path)
    prompt = Prompt(
        parts=(
            Text(text="S", role="system"),
            Frame(position=1),
            Text(text="Q"),
            Image(path="/i.png"),
            Sound(path="/a"),
        ),
        clips=(shown,),
    )
    system, frame, question, image, sound = message_of(prompt, files)
    assert system == {"type": "text", "value": "S", "role": "system"} and question == {"type": "text", "value": "Q"}
    assert (image["value"], sound["type"]) == ("/i.png", "audio")
    with Picture.open(frame["value"]) as picture:
        assert np.array_equal(np.asarray(picture), np.load(shown.path)[1])


def test_frames_of_clips_that_were_shown_long_ago_are_dropped_and_all_with_their_owner(tmp_path: Path) -> None:
    files = FrameFiles(most=1)
    (first,) = files.of(clip(tmp_path, "a", 1))
    (second,) = files.of(clip(tmp_path, "b", 1))
    assert not Path(first).exists() and Path(second).exists()
    del files
    gc.collect()
    assert not Path(second).parent.exists()


def test_a_message_is_a_prompt_whose_videos_are_clips() -> None:
    message: list[dict[str, Any]] = [
        {"type": "text", "value": "Best option:(", "role": "assistant"},
        {"type": "video", "value": "/v.mp4", "min_pixels": 16},
        {"type": "image", "value": "data:image/png;base64," + "A" * 10_000},
        {"type": "image", "value": object()},
        {"type": "mesh", "value": "m.obj"},
    ]
    parts, clips = parts_of(message, unread)
    assert parts[:2] == (Text(text="Best option:(", role="assistant"), Video(clip=0)) and clips[0].path == "/v.mp4"
    assert isinstance(parts[2], Image) and len(parts[2].path) == 500
    assert parts[3:] == (Image(path="a object"), Text(text="[mesh: m.obj]"))


def test_what_a_model_does_to_its_message_is_not_seen_by_others() -> None:
    prompt = told([{"type": "text", "value": "Q", "role": "system"}], dataset="D")
    prompt.copied()[0].pop("role")
    assert prompt.copied() == [{"type": "text", "value": "Q", "role": "system"}]


def test_texts_and_single_items_are_messages() -> None:
    assert checked("What?", "x") == [{"type": "text", "value": "What?"}]
    assert checked({"type": "image", "value": "i"}, "x") == [{"type": "image", "value": "i"}]
    assert checked(["What?", {"type": "video", "value": "v"}], "x")[1]["type"] == "video"


@pytest.mark.parametrize("message", [None, 3, [], [{"value": "no type"}], [["nested"]], [{"type": "text"}]])
def test_what_is_no_message_is_refused_with_whose_it_is(message: Any) -> None:
    with pytest.raises(VideoFailure, match=r"Mine\.build_prompt gave"):
        checked(message, "Mine.build_prompt")
