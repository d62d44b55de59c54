"""Prompts and answers on the pipe and in the spool."""

import json
from pathlib import Path

import pytest

from tests.questions import make_run, request_ids, take
from tests.seeding import new_database
from videval.errors import ContextExceeded, ErrorKind
from videval.settings import Settings
from videval.types import (
    Answer,
    Clip,
    Fit,
    Frame,
    FrameSampling,
    Generation,
    Image,
    LengthRule,
    Pixels,
    Prompt,
    PromptSet,
    Response,
    Seen,
    Sound,
    Text,
    Timings,
    Video,
)
from videval.video.clips import Wanted
from workers import spool
from workers.spool import _response
from workers.wire import (
    answer_from,
    answer_message,
    error_from,
    error_message,
    prompt_from,
    prompt_message,
    wanted_from,
    wanted_message,
)

CLIP = Clip(
    path="c.npy", frame_numbers=(0, 4), timestamps=(0.0, 0.4), total_frames=30, fps=10.0, width=64, height=48,
    decoder="test", policy="interior", notes=("thinned",),
)  # fmt: skip


def test_a_prompt_crosses_the_pipe_whole() -> None:
    parts = (
        Text(text="Watch", role="system"), Video(), Video(clip=1), Frame(position=1, clip=1), Image(path="/i.png"),
        Sound(path="/s.wav", start=1.0, end=2.0), Sound(clip=1),
    )  # fmt: skip
    prompt = Prompt(
        parts=parts, clips=(CLIP, CLIP), prompts=PromptSet.LMMS_EVAL, steering={"latency_ms": 3},
        pixels=(Pixels(max_pixels=100352), Pixels(min_pixels=3136, total_pixels=1 << 24)),
    )  # fmt: skip
    assert prompt_from(json.loads(json.dumps(prompt_message(prompt)))) == prompt


@pytest.mark.parametrize("span", [None, (1.0, 2.5)])
def test_what_is_wanted_of_a_video_crosses_the_pipe_whole(span: tuple[float, float] | None) -> None:
    wanted = Wanted(
        path=Path("/a b.mp4"),
        sampling=FrameSampling(policy="rate", fps=1.0, by_length=(LengthRule(up_to=60.0, num_frames=4),)),
        span=span,
        max_pixels=5,
        fit=Fit(model_type="m", settings={"size": {"height": 4}}, pixels=Pixels(max_pixels=9)),
    )
    assert wanted_from(json.loads(json.dumps(wanted_message(wanted)))) == wanted


def test_an_answer_that_an_earlier_videval_spooled_is_read() -> None:
    clip = prompt_message(Prompt(parts=(), clips=(CLIP,)))["clips"][0]
    prompt = {"parts": [{"part": "Video"}], "clip": clip, "image_root": "/data", "row": {"a": 1}, "prompts": "paper"}
    spooled: dict[str, object] = {"text": "B", "prompt": prompt, "generation": {"text": "B"}, "timings": {}}
    assert _response(spooled).prompt == Prompt(parts=(Video(),), clips=(CLIP,))


SEEN = Seen(frames=2, width=56, height=28, tokens=4, timestamps=(0.2,), grid=(1, 2, 4))
THOUGHT = Generation(
    text="B", prompt_tokens=40, new_tokens=9, thinking="It\x00 is \ud800 B", seen=(SEEN, SEEN), rendered="<s><pad> x4"
)


def test_an_answer_with_its_thinking_and_what_was_seen_crosses_the_pipe_whole() -> None:
    answer = Answer(generation=THOUGHT, prepare_s=0.1, wait_s=0.2, generate_s=0.3)
    assert answer_from(json.loads(json.dumps(answer_message(answer)))) == answer


def test_an_answer_is_spooled_with_its_thinking_and_what_was_seen(tmp_path: Path) -> None:
    settings, database = Settings(home=tmp_path), new_database(tmp_path)
    make_run(database, tmp_path / "data")
    claim = take(database, request_ids(database, 1)[0])
    database.close()
    prompt = Prompt(parts=(Video(),), clips=(CLIP,), pixels=(Pixels(max_pixels=100352),))
    response = Response(text="B", prompt=prompt, generation=THOUGHT, timings=Timings(queue=1.0), decoded=1)
    assert claim is not None
    path = spool.keep(settings, claim, response)
    assert path is not None and _response(json.loads(path.read_text())) == response


def test_a_failure_crosses_the_pipe_with_its_kind_and_what_would_be_right() -> None:
    error = error_from(json.loads(json.dumps(error_message(ContextExceeded.of(9000, 512, 8192)))))
    assert isinstance(error, ContextExceeded)
    assert error.kind == ErrorKind.CONTEXT
    assert "9000 tokens" in str(error) and "--max-new-tokens" in error.hint
    assert "9000 tokens" in error.elsewhere and error.__notes__[-1] == error.elsewhere
