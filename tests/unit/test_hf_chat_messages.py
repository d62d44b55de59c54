"""From a prompt's parts to the text that a chat template makes of them, with templates as publishers write them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from videval.errors import ModelFailure
from videval.models.families import Family
from videval.models.hf_chat.messages import Chat, Visual, visuals
from videval.types import Clip, Frame, Image, Part, Prompt, Sound, Text, Video

CLIP = Clip(
    path="c.npy", frame_numbers=(0, 5, 10), timestamps=(0.0, 0.5, 1.0), total_frames=15, fps=10.0, width=4, height=2,
    decoder="none", policy="stride",
)  # fmt: skip
DEFAULT = Family()
PARTS = (
    "{% for message in messages %}<{{ message.role }}>{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{{ part.text if part.type == 'text' else '[' + part.type + ']' }}{% endfor %}"
    "{% endif %}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
STRINGS_FIRST = PARTS.replace(
    "{% if message.content is string %}", "{% if message.role == 'system' or message.content is string %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise('no system') }}{% endif %}" + PARTS


class Templated:
    """A processor that has a chat template and nothing else."""

    def __init__(self, template: str) -> None:
        self._environment = ImmutableSandboxedEnvironment()
        self._template = template

    def apply_chat_template(self, messages: Any, *, tokenize: bool, **told: Any) -> str:
        assert not tokenize
        return self._environment.from_string(self._template).render(messages=messages, **told, **{"raise": _refuse})


def _refuse(why: str) -> None:
    raise TemplateError(why)


def said(
    *parts: Part, template: str = PARTS, family: Family = DEFAULT, switches: Mapping[str, bool] | None = None
) -> str:
    prompt = Prompt(parts=parts, clips=(CLIP,))
    chat = Chat(Templated(template), lambda text: text.replace("[video]", "[ video]"))
    return chat.text(prompt, visuals(prompt, family), switches or {}).text


def test_what_is_shown_stands_where_the_prompt_has_it() -> None:
    made = said(Text(text="Look: "), Video(), Text(text="What?"), Image(path="a.png"), Text(text=" And this?"))
    assert made == "<user>Look: [video]What?[image] And this?\n<assistant>"


def test_the_answers_first_words_stand_behind_the_generation_prompt() -> None:
    assert said(Video(), Text(text="What?"), Text(text="Best: (", role="assistant")).endswith("<assistant>Best: (")


def test_texts_side_by_side_are_one_so_that_a_template_cannot_trim_between_them() -> None:
    trims = PARTS.replace("part.text if", "part.text | trim if")
    assert said(Text(text="One\n"), Text(text=" two"), Video(), template=trims) == "<user>One\n two[video]\n<assistant>"


def test_a_placeholder_in_a_question_is_words() -> None:
    assert said(Text(text="[video]?")) == "<user>[ video]?\n<assistant>"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (PARTS, "<system>Watch.\n<user>[video]What?\n<assistant>"),
        (STRINGS_FIRST, "<system>Watch.\n<user>[video]What?\n<assistant>"),
        (NO_SYSTEM, "<user>Watch.\n[video]What?\n<assistant>"),
    ],
)
def test_system_text_is_said_in_the_way_that_the_template_takes(template: str, expected: str) -> None:
    assert said(Text(text="Watch.", role="system"), Video(), Text(text="What?"), template=template) == expected


def test_system_text_in_front_is_one_with_the_questions_first_words() -> None:
    made = said(Text(text="Watch.", role="system"), Text(text="Now:"), Video(), template=NO_SYSTEM)
    assert made == "<user>Watch.\nNow:[video]\n<assistant>"


def test_switches_reach_the_template() -> None:
    template = PARTS + "{% if enable_thinking %}<think>{% endif %}"
    assert said(Video(), template=template, switches={"enable_thinking": True}).endswith("<think>")
    assert not said(Video(), template=template, switches={"enable_thinking": False}).endswith("<think>")


def test_a_family_of_images_is_shown_every_frame_behind_its_mark() -> None:
    family = Family(form="frames", frame_mark="Frame{n} at {time:.1f}s: ")
    made = said(Video(), Text(text="What?"), family=family)
    assert made == "<user>Frame1 at 0.0s: [image]Frame2 at 0.5s: [image]Frame3 at 1.0s: [image]What?\n<assistant>"


def test_frames_that_the_prompt_shows_one_by_one_are_images_of_any_family() -> None:
    prompt = Prompt(parts=(Frame(position=2), Frame(position=0)), clips=(CLIP,))
    found = [Visual(kind="image", clip=0, position=2), Visual(kind="image", clip=0, position=0)]
    assert visuals(prompt, Family()) == visuals(prompt, Family(form="frames")) == found


def test_sound_is_refused() -> None:
    with pytest.raises(ModelFailure, match="sound"):
        said(Video(), Sound())


def test_a_template_that_refuses_says_why() -> None:
    with pytest.raises(ModelFailure, match="no system"):
        said(Video(), template="{{ raise('no system') }}")


def test_text_that_is_not_valid_unicode_is_refused_wherever_it_stands() -> None:
    for role in ("user", "system", "assistant"):
        with pytest.raises(ModelFailure, match="not valid Unicode"):
            said(Video(), replace(Text(text="a \ud800"), role=role))
