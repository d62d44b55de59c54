"""Several things that are shown with one question: two clips, an image beside a clip, frames as images, nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny._shown import SHORT, ChatModel, MakeClip, answer, ask, both, seen
from videval.errors import ModelFailure
from videval.models.catalog import model_spec
from videval.types import Frame, Image, Prompt, Text, Video

FAMILIES = ("internvl", "llava_next_video", "llava_onevision", "molmo2", "perception_lm", "smolvlm", "video_llava")
MIXED = sorted(set(FAMILIES) - {"molmo2", "smolvlm"})


# What cannot be shown at once


def test_two_videos_are_more_than_molmo2_takes(chat_model: ChatModel, made_clip: MakeClip) -> None:
    with pytest.raises(ModelFailure, match=r"takes 1 video\(s\) with a question, not 2"):
        chat_model("molmo2").prepare(both(made_clip(range(3)), made_clip(range(5))), SHORT)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"molmo2"}))
def test_clips_of_two_lengths_are_refused_where_the_processor_stacks_or_pads_them(
    chat_model: ChatModel, made_clip: MakeClip, family: str
) -> None:
    with pytest.raises(ModelFailure, match=r"one number of frames with a question, and these have \[3, 5\]"):
        chat_model(family).prepare(both(made_clip(range(3)), made_clip(range(5))), SHORT)


@pytest.mark.parametrize("family", ["molmo2", "smolvlm"])
def test_an_image_beside_a_video_is_refused_where_one_would_take_the_place_of_the_other(
    chat_model: ChatModel, made_clip: MakeClip, made_image: Image, family: str
) -> None:
    with pytest.raises(ModelFailure, match="a video or images with a question, not both"):
        chat_model(family).prepare(
            Prompt(parts=(Video(), made_image, Text(text="What?")), clips=(made_clip(range(3)),)), SHORT
        )


@pytest.mark.parametrize(("family", "clips", "images"), [("molmo2", 1, False), ("smolvlm", None, False)])
def test_what_cannot_be_shown_together_is_known_before_a_run(
    tiny: Callable[[str], Path], family: str, clips: int | None, images: bool
) -> None:
    known = model_spec(f"hf_chat:{tiny(family)}")
    assert (known.clips, known.images) == (clips, images)


# What can


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"molmo2"}))
def test_two_clips_of_one_length_are_seen_one_by_one(chat_model: ChatModel, made_clip: MakeClip, family: str) -> None:
    first, second = made_clip(range(4)), made_clip(range(50, 54))
    given = answer(chat_model(family), both(first, second))
    assert given.seen == tuple(seen(chat_model(family), ask(one)) for one in (first, second))


@pytest.mark.parametrize("family", MIXED)
@pytest.mark.parametrize("video_first", [True, False])
def test_an_image_beside_a_clip_changes_nothing_of_the_clip(
    chat_model: ChatModel, made_clip: MakeClip, made_image: Image, family: str, video_first: bool
) -> None:
    one = made_clip(range(4))
    parts = (Video(), made_image) if video_first else (made_image, Video())
    given = answer(chat_model(family), Prompt(parts=(*parts, Text(text="What?")), clips=(one,)))
    alone = answer(chat_model(family), ask(one))
    assert given.seen == alone.seen
    assert (given.prompt_tokens or 0) > (alone.prompt_tokens or 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_can_be_shown_as_images_and_a_question_without_any(
    chat_model: ChatModel, made_clip: MakeClip, family: str
) -> None:
    shown = Prompt(parts=(Frame(position=2), Frame(position=0), Text(text="What?")), clips=(made_clip(range(4)),))
    assert answer(chat_model(family), shown).seen[0].frames == 2
    assert answer(chat_model(family), Prompt(parts=(Text(text="What?"),))).seen == ()
