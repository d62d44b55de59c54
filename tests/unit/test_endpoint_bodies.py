"""What is posted to an endpoint, for each transport and server, as it was written down once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from videval.errors import ModelFailure
from videval.models.dialects import SERVERS, TRANSPORTS
from videval.models.endpoint_file import Limits
from videval.models.openai_api.body import body_of, check_size
from videval.models.openai_api.content import identity, spoken
from videval.models.openai_api.media import Encoded, Media
from videval.types import Clip, Frame, GenerationSettings, Image, Part, Prompt, Remote, Sound, Text, Video

GOLDEN = Path(__file__).parents[1] / "golden" / "endpoints"
CLIP = Clip(
    path="/frames/0123abcd.npy",
    frame_numbers=(0, 30, 60),
    timestamps=(0.0, 1.0, 2.0),
    total_frames=90,
    fps=30.0,
    width=64,
    height=48,
    decoder="pyav 18",
    policy="uniform",
)
FILE = replace(CLIP, path="/data/a film.mp4", frame_numbers=(), timestamps=(), total_frames=0, fps=0.0)
PARTS: tuple[Part, ...] = (
    Text(text="Answer with a letter.", role="system"),
    Video(),
    Text(text="What moves?\n"),
    Text(text="A. a ball\nB. a box"),
    Text(text="Best option: (", role="assistant"),
)


def media_of(transport: str) -> Media:
    exact = TRANSPORTS[transport].exact
    mime, pieces = ("image/png", (b"AAAA", b"BBBB", b"CCCC")) if exact else ("video/mp4", (b"FFFF",))
    return Media(clips=(Encoded(mime=mime, pieces=pieces),))


def remote(**said: Any) -> Remote:
    return Remote(endpoint="lab", **said)


def posted(how: Remote, settings: GenerationSettings | None = None, parts: tuple[Part, ...] = PARTS) -> Any:
    clip = CLIP if TRANSPORTS[how.transport].exact else FILE
    said = spoken(Prompt(parts=parts, clips=(clip,)), media_of(how.transport), how)
    return json.loads(b"".join(body_of("the-model", said, settings or GenerationSettings(), how).pieces))


def ways() -> list[tuple[str, str]]:
    return [(name, server) for name, transport in TRANSPORTS.items() for server in transport.servers]


@pytest.mark.parametrize(("transport", "server"), ways())
def test_what_is_posted_is_as_it_was_written_down(transport: str, server: str) -> None:
    body = posted(remote(transport=transport, server=server))
    expected = json.loads((GOLDEN / f"{transport}-{server}.json").read_text())
    assert body == expected


SAMPLED = GenerationSettings(
    temperature=0.7, top_p=0.8, top_k=20, min_p=0.05, seed=3, stop=("\n",), presence_penalty=1.5
)


def test_a_server_is_told_what_is_off_where_it_would_fill_in_the_checkpoints_own() -> None:
    body = posted(remote(transport="video"))
    assert (body["temperature"], body["repetition_penalty"], body["presence_penalty"]) == (0.0, 1.0, 0.0)
    sampled = posted(remote(transport="video"), GenerationSettings(temperature=1.0))
    assert (sampled["top_k"], sampled["top_p"], sampled["seed"]) == (0, 1.0, 0)
    of_sglang = posted(remote(server="sglang"), GenerationSettings(temperature=1.0))
    assert of_sglang["top_k"] == -1


def test_openai_is_told_only_what_differs() -> None:
    assert posted(remote()).keys() == {"model", "messages", "temperature", "max_completion_tokens"}


@pytest.mark.parametrize("server", [name for name in SERVERS if name not in ("gemini", "dashscope")])
def test_sampling_reaches_the_server_under_its_own_names(server: str) -> None:
    body = posted(remote(server=server), SAMPLED)
    assert (body["temperature"], body["top_p"], body["seed"], body["stop"]) == (0.7, 0.8, 3, ["\n"])
    assert body["presence_penalty"] == 1.5 and (server == "openai" or body["top_k"] == 20)


def test_thinking_is_switched_where_each_server_has_its_switch() -> None:
    thinking = GenerationSettings(thinking=False)
    assert posted(remote(server="vllm"), thinking)["chat_template_kwargs"] == {"enable_thinking": False}
    assert posted(remote(server="dashscope"), thinking)["enable_thinking"] is False


def test_fields_are_left_out_renamed_and_added_as_the_entry_says() -> None:
    asked = remote(
        transport="video",
        omit=("temperature",),
        longest="max_completion_tokens",
        extra={"media_io_kwargs": {"video": {"fps": 5}}, "reasoning_effort": "low"},
    )
    body = posted(asked)
    assert "temperature" not in body and "max_tokens" not in body and body["max_completion_tokens"] == 512
    assert body["media_io_kwargs"]["video"]["fps"] == 5 and body["media_io_kwargs"]["video"]["num_frames"] == -1
    assert body["reasoning_effort"] == "low"


def test_a_mark_stands_before_each_frame_that_is_an_image() -> None:
    asked = remote(frame_mark="Frame {n} at {time:.1f} s: ", detail="low")
    content = posted(asked)["messages"][1]["content"]
    assert [part["text"] for part in content if part["type"] == "text"][:2] == [
        "Frame 1 at 0.0 s: ",
        "Frame 2 at 1.0 s: ",
    ]
    assert content[1]["image_url"] == {"url": "data:image/png;base64,AAAA", "detail": "low"}


def test_single_frames_of_a_clip_stand_where_the_page_puts_them() -> None:
    parts = (Frame(position=1), Text(text="between"), Frame(position=0))
    content = posted(remote(server="vllm"), parts=parts)["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text", "image_url"]
    assert content[0]["image_url"]["url"].endswith("BBBB")


def test_a_question_without_anything_shown_is_a_text() -> None:
    assert posted(remote(), parts=(Text(text="a"), Text(text="b")))["messages"] == [{"role": "user", "content": "ab"}]


def test_no_text_of_a_question_can_reach_into_the_body() -> None:
    text = '"}],"model":"other" <0> \u0000 \ud83d\ude00 {n}'.encode("utf-16", "surrogatepass").decode("utf-16")
    body = posted(remote(), parts=(Video(), Text(text=text)))
    assert body["model"] == "the-model" and body["messages"][0]["content"][-1]["text"] == text


def test_what_is_no_text_is_the_requests_own_failure() -> None:
    with pytest.raises(ModelFailure, match="not valid Unicode"):
        posted(remote(), parts=(Text(text="\ud800"),))


def test_sound_is_refused() -> None:
    with pytest.raises(ModelFailure, match="sound"):
        posted(remote(), parts=(Sound(path="a.wav"),))


@pytest.mark.parametrize(
    "other",
    [
        replace(CLIP, path="/frames/4567.npy"),
        replace(CLIP, frame_numbers=(0, 30, 61)),
        replace(CLIP, timestamps=(0.0, 1.0, 2.5)),
        replace(CLIP, fps=25.0),
        replace(CLIP, total_frames=91),
        replace(CLIP, width=63),
        replace(CLIP, decoder="decord 0.6"),
        replace(CLIP, policy="interior"),
    ],
)
def test_other_frames_never_have_the_same_identity(other: Clip) -> None:
    asked = remote(transport="video")
    assert identity(other, asked) != identity(CLIP, asked)


def test_the_same_frames_sent_otherwise_have_another_identity() -> None:
    asked = remote(transport="video")
    for other in (replace(asked, image="jpeg"), replace(asked, extra={"mm_processor_kwargs": {"max_pixels": 9}})):
        assert identity(CLIP, other) != identity(CLIP, asked)
    elsewhere = replace(CLIP, path="/another/cache/0123abcd.npy", notes=("repaired",))
    assert identity(elsewhere, asked) == identity(CLIP, asked)


def test_base64_is_never_copied_into_the_body() -> None:
    media = Media(clips=(Encoded(mime="image/png", pieces=(b"A" * 10**6,) * 3),))
    asked = remote()
    prompts = [Prompt(parts=(Video(), Text(text=text)), clips=(CLIP,)) for text in ("one?", "two?")]
    bodies = [body_of("m", spoken(prompt, media, asked), GenerationSettings(), asked) for prompt in prompts]
    held = [{id(piece) for piece in body.pieces if len(piece) > 1000} for body in bodies]
    assert held[0] == held[1] == {id(piece) for piece in media.clips[0].pieces}


def test_what_the_endpoint_does_not_take_is_said_with_numbers() -> None:
    asked = remote()
    said = spoken(Prompt(parts=PARTS, clips=(CLIP,)), media_of("frames"), asked)
    body = body_of("m", said, GenerationSettings(), asked)
    check_size(body, Limits(max_images=3, max_body_mb=1))
    with pytest.raises(ModelFailure, match="3 images, and the endpoint takes 2"):
        check_size(body, Limits(max_images=2))
    with pytest.raises(ModelFailure, match=r"the endpoint takes 0\.0001"):
        check_size(body, Limits(max_body_mb=0.0001))


def test_an_image_file_is_shown_under_its_own_type() -> None:
    media = Media(images={"/a.webp": Encoded(mime="image/webp", pieces=(b"WWWW",))})
    said = spoken(Prompt(parts=(Image(path="/a.webp"),)), media, remote())
    assert said.messages[0]["content"][0]["image_url"]["url"][0] == "data:image/webp;base64,"
    assert said.images == 1
