"""`videval try`: one question, and all that the model was shown and told; nothing is written but the sheet."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli import Call, caller
from tests.trees import clip as video_bytes
from tests.trees import frame_folder
from tests.unit.test_cli_tables import keys_said
from videval.video.sheet import contact_sheet


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `videval WORDS` beside a video of 30 frames, 10 a second, with locks of its own."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "clip.mp4").write_bytes(video_bytes())
    monkeypatch.chdir(tmp_path / "here")
    call = caller(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("VIDEVAL_LOCK_DIR", str(tmp_path / "locks"))
    return call


def found(videval: Call, *words: str) -> Any:
    said = videval("try", "clip.mp4", *words, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


@pytest.mark.parametrize(
    ("words", "why", "mended", "code"),
    [
        (["nope.mp4", "What?", "fake"], "nope.mp4: there is no such video", "is the path right", 2),
        (["clip.mp4", "What?"], "which model?", "videval list models", 2),
        (["clip.mp4", "What?", "fakee"], "unknown model 'fakee'", "did you mean fake", 2),
        (["clip.mp4", "What?", "video_llava:./nope"], "nope", "->", 3),
        (["text.mp4", "What?", "fake"], "text.mp4", "", 1),
        (
            ["clip.mp4", "What?", "fake", "--frames", "8", "--policy", "rate"],
            "policy rate takes frames per",
            "--fps",
            2,
        ),
        (["clip.mp4", "What?", "fake", "--policy", "qwen"], "unknown sampling policy", "qwen3_vl", 2),
        (["clip.mp4", "What?", "fake", "--start", "2"], "a start and a later end", "--start 10 --end 20", 2),
        (["clip.mp4", "What?", "fake", "--start", "2", "--end", "1"], "a later end", "--start 10 --end 20", 2),
        (["clip.mp4", "What?", "Video-LLaVA-tiny", "--frames", "4"], "takes exactly 8 frames", "--frames 8", 2),
        (["clip.mp4", "What?", "fake", "--devices", "tpu"], "'tpu' is not a device", "auto", 2),
    ],
)
def test_what_cannot_be_tried_is_said_with_what_would_do(
    words: list[str], why: str, mended: str, code: int, videval: Call
) -> None:
    Path("text.mp4").write_text("no video")
    said = videval("try", *words)
    assert said.code == code
    assert why in said.err and mended in said.err
    assert "Traceback" not in said.err and not said.out


def test_people_see_frames_times_prompt_answer_and_seconds(videval: Call) -> None:
    said = videval("try", "clip.mp4", "What is [bold]?", "fake", "--fps", "2", "--policy", "qwen3_vl")
    assert said.code == 0
    shown = {line[:9].strip(): line[9:] for line in said.lines if not line.startswith(" ")}
    assert shown["video"].startswith("clip.mp4: 30 frames, 10 per second; ")
    assert shown["frames"] == "2 frames per second, at least 4, at most 768 by the policy 'qwen3_vl', 64x48"
    assert "0 at 0.00 s, 6 at 0.60 s, 12 at 1.20 s, 17 at 1.70 s, 23 at 2.30 s, 29 at 2.90 s" in said.out
    assert shown["prompt"] == "<video>What is [bold]?"
    assert shown["answer"].startswith("fake answer")
    assert shown["seconds"].startswith("decode 0.")
    assert Path(shown["sheet"]).is_file()


def test_nothing_is_written_but_the_sheet(videval: Call, tmp_path: Path) -> None:
    assert videval("try", "clip.mp4", "What?", "fake", "--sheet", "frames.png").code == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["clip.mp4", "frames.png"]
    assert not (tmp_path / "home").exists()


def test_a_sheet_shows_every_frame_above_its_number_and_time(videval: Call) -> None:
    place = found(videval, "What?", "fake", "--frames", "5")["sheet"]
    with Image.open(place) as sheet:
        assert sheet.format == "PNG" and sheet.size == (3 * 244 + 4, 2 * (180 + 22) + 4)


def test_frames_stand_on_a_sheet_in_reading_order() -> None:
    frames = np.stack([np.full((48, 64, 3), level, np.uint8) for level in (10, 90, 170, 250)])
    sheet = np.asarray(contact_sheet(frames, ["0  0.00 s"] * 4))
    assert [int(sheet[y, x, 0]) for y in (90, 292) for x in (100, 344)] == [10, 90, 170, 250]


def test_many_frames_are_small_ones() -> None:
    sheet = contact_sheet(np.zeros((1000, 9, 16, 3), np.uint8), [""] * 1000)
    assert sheet.size == (32 * 124 + 4, 32 * (68 + 22) + 4)


def test_scripts_get_everything_as_json(videval: Call) -> None:
    said = found(videval, "What?", "fake", "--frames", "3", "--option", "a cat", "--option", "a dog", "--start", "1",
                 "--end", "2")  # fmt: skip
    assert said["clip"]["frame_numbers"] == [12, 15, 18] and said["clip"]["span_frames"] == 11
    assert said["sampling"] == {"policy": "interior", "num_frames": 3, "times": "real"}
    assert "(A) a cat" in said["parts"] and said["text"] in ("A", "B")
    assert set(said["seconds"]) == {"decode", "load", "prepare", "generate"}
    assert set(said) == keys_said("try")


def test_generation_options_and_the_length_of_an_answer_count(videval: Call) -> None:
    said = found(videval, "What?", "fake", "--max-new-tokens", "7", "--temperature", "0.5")
    assert said["generation"] == {"max_new_tokens": 7, "temperature": 0.5}


def test_a_folder_of_images_is_a_video(videval: Call) -> None:
    frame_folder(Path("clip"))
    assert videval("try", "clip", "What?", "fake").code == 0


def test_a_device_that_a_worker_holds_is_left_to_it(videval: Call, tmp_path: Path) -> None:
    from workers.device import parse_devices
    from workers.locks import claim_device, release_device

    held = claim_device(tmp_path / "locks", parse_devices("cpu:3"))
    said = videval("try", "clip.mp4", "What?", "fake", "--devices", "cpu:3")
    release_device(held)
    assert said.code == 3 and "no free device" in said.err and "--devices" in said.err


def recipe(text: str) -> None:
    Path("mine.toml").write_text(
        f'[mine]\nsource = "here"\ndate = "2026-11-26"\n[[mine.recipes]]\nname = "fake/x"\nmodel = "fake"\n{text}\n'
    )


def test_a_recipe_says_model_frames_and_words(videval: Call) -> None:
    recipe(
        'variant = "Video-MME_2fps"\nsampling = { policy = "qwen_vl_utils", fps = 2.0, max_frames = 4 }\n'
        'wording = { text = "Look. {question}\\n{options}", system = "Be brief." }'
    )
    said = found(videval, "What?", "--recipe", "./mine.toml", "--option", "a cat", "--option", "a dog")
    assert said["model"] == "fake" and said["recipe"]["name"] == "fake/x@mine"
    assert said["clip"]["frame_numbers"] == [0, 10, 19, 29]
    assert said["parts"] == "Be brief.<video>Look. What?\nA. a cat\nB. a dog"


def test_what_is_asked_otherwise_than_the_recipe_says_is_said(videval: Call) -> None:
    recipe('variant = "Video-MME_2fps"\nsampling = { policy = "qwen_vl_utils", fps = 2.0 }')
    said = videval("try", "clip.mp4", "What?", "--recipe", "./mine.toml", "--fps", "1", "--policy", "qwen3_vl")
    assert said.code == 0, said.err
    assert "frames.policy 'qwen3_vl' in place of 'qwen_vl_utils'" in said.err
    assert "frames.fps 1.0 in place of 2.0" in said.err


def test_a_video_of_ones_own_is_asked_about_without_the_subtitles_of_a_recipe(videval: Call) -> None:
    recipe('variant = "Video-MME_2fps_subs"\nsampling = { policy = "qwen_vl_utils", fps = 2.0 }')
    said = videval("try", "clip.mp4", "What?", "--recipe", "./mine.toml")
    assert said.code == 0, said.err
    assert "variant 'Video-MME_2fps' in place of 'Video-MME_2fps_subs'" in said.err
    both = videval("try", "clip.mp4", "What?", "--recipe", "./mine.toml", "--frames", "8", "--fps", "1")
    assert both.code == 2 and "--frames and --fps exclude each other" in both.err


def test_a_checkpoint_that_cannot_answer_is_refused_before_anything_is_decoded(
    videval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = videval("try", "clip.mp4", "What?", "Qwen/Qwen3-VL-2B-Instruct", "--sheet", "sheet.png")
    assert said.code == 3 and "is not in this machine's cache" in said.err, said.err
    assert not Path("sheet.png").exists()
