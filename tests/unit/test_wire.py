"""Prompts on the pipe and in the spool."""

import json

from videval.types import Clip, Frame, Image, Prompt, PromptSet, Sound, Text, Video
from workers.spool import _response
from workers.wire import prompt_from, prompt_message

CLIP = Clip(
    path="c.npy", frame_numbers=(0, 4), timestamps=(0.0, 0.4), total_frames=30, fps=10.0, width=64, height=48,
    decoder="test", policy="interior", notes=("thinned",),
)  # fmt: skip


def test_a_prompt_crosses_the_pipe_whole() -> None:
    parts = (
        Text(text="Watch", role="system"), Video(), Video(clip=1), Frame(position=1, clip=1), Image(path="/i.png"),
        Sound(path="/s.wav", start=1.0, end=2.0), Sound(clip=1),
    )  # fmt: skip
    prompt = Prompt(parts=parts, clips=(CLIP, CLIP), prompts=PromptSet.LMMS_EVAL, steering={"latency_ms": 3})
    assert prompt_from(json.loads(json.dumps(prompt_message(prompt)))) == prompt


def test_an_answer_that_an_earlier_videval_spooled_is_read() -> None:
    clip = prompt_message(Prompt(parts=(), clips=(CLIP,)))["clips"][0]
    prompt = {"parts": [{"part": "Video"}], "clip": clip, "image_root": "/data", "row": {"a": 1}, "prompts": "paper"}
    spooled: dict[str, object] = {"text": "B", "prompt": prompt, "generation": {"text": "B"}, "timings": {}}
    assert _response(spooled).prompt == Prompt(parts=(Video(),), clips=(CLIP,))
