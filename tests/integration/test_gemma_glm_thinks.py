"""How Gemma, GLM-V, MiniCPM-V and ERNIE-VL are told to think, and how that is parted from what they answer."""

from dataclasses import replace

import pytest

from tests.tiny._seeing import ONE, Loaded, MakeClip, clip, four, loaded
from videval.errors import ModelFailure
from videval.models.hf_chat.model import HfChat
from videval.types import Clip, GenerationSettings, Prompt, Text, Video

__all__ = ["clip", "loaded"]

MINICPM = ("minicpmv4_6", "minicpmv4_7")


def rendered(model: object, shown: Clip, thinking: bool | None) -> str:
    assert isinstance(model, HfChat)
    settings = GenerationSettings(max_new_tokens=1, thinking=thinking)
    return model.prepare(Prompt(parts=(Video(), Text(text="What?")), clips=(shown,)), settings).rendered


@pytest.mark.parametrize("family", ["glm4v_flash", "glm4v_moe", "glm46v", "glmga"])
def test_glm_thinks_unless_it_is_told_not_to(family: str, loaded: Loaded, clip: MakeClip) -> None:
    model, shown = loaded(family), four(clip)
    assert rendered(model, shown, None).endswith("What?<|assistant|>\n")
    assert rendered(model, shown, True) == rendered(model, shown, None)
    assert rendered(model, shown, False).endswith("What?/nothink<|assistant|>\n<think></think>\n")


def test_glm_4_1v_always_thinks(loaded: Loaded, clip: MakeClip) -> None:
    model, shown = loaded("glm4v"), four(clip)
    assert rendered(model, shown, True) == rendered(model, shown, None)
    with pytest.raises(ModelFailure, match="always thinks"):
        rendered(model, shown, False)


def test_gemma_4_thinks_if_it_is_told_to(loaded: Loaded, clip: MakeClip) -> None:
    model, shown = loaded("gemma4"), four(clip)
    assert rendered(model, shown, True).startswith("<bos><|turn>system\n<|think|>\n<turn|>\n<|turn>user\n")
    assert rendered(model, shown, False) == rendered(model, shown, None)
    assert "<|think|>" not in rendered(model, shown, None)


@pytest.mark.parametrize("family", ["gemma3", *MINICPM])
def test_a_model_that_does_not_think_cannot_be_told_to(family: str, loaded: Loaded, clip: MakeClip) -> None:
    model, shown = loaded(family), four(clip)
    assert rendered(model, shown, False) == rendered(model, shown, None)
    with pytest.raises(ModelFailure, match="has no thinking"):
        rendered(model, shown, True)


@pytest.mark.parametrize(
    ("family", "said", "thinking", "text"),
    [
        ("glm4v", "<think>It moves.</think><answer>B</answer>", "It moves.", "<answer>B</answer>"),
        ("glm46v", "\n<think>It moves.</think>\n<|begin_of_box|>B<|end_of_box|>", "It moves.",
         "<|begin_of_box|>B<|end_of_box|>"),
        ("gemma4", "<|channel>thought\nIt moves.<channel|>B", "It moves.", "B"),
        ("gemma4", "B", None, "B"),
        ("ernie4_5_vl_moe", "It moves.\n</think>\n\nB", "It moves.", "B"),
        ("minicpmv4_6", "B", None, "B"),
    ],
)  # fmt: skip
def test_what_is_thought_is_parted_from_the_answer(
    family: str, said: str, thinking: str | None, text: str, loaded: Loaded, clip: MakeClip
) -> None:
    model = loaded(family)
    assert isinstance(model, HfChat)
    inputs = model.prepare(Prompt(parts=(Video(), Text(text="What?")), clips=(four(clip),)), ONE)
    tokens = model._tokenizer.encode(said, add_special_tokens=False)
    read = model._answer([*tokens, model._eos[0]], inputs, None)
    assert (read.thinking, read.text, read.truncated) == (thinking, text, False)


@pytest.mark.parametrize(
    ("family", "said"),
    [("glm4v", "<think>It mo"), ("glm46v", "<think>It mo"), ("gemma4", "<|channel>thought\nIt mo"),
     ("ernie4_5_vl_moe", "It mo")],
)  # fmt: skip
def test_an_answer_that_is_cut_in_its_thinking_is_none(family: str, said: str, loaded: Loaded, clip: MakeClip) -> None:
    model = loaded(family)
    assert isinstance(model, HfChat)
    inputs = model.prepare(Prompt(parts=(Video(), Text(text="What?")), clips=(four(clip),)), ONE)
    read = model._answer(model._tokenizer.encode(said, add_special_tokens=False), inputs, None)
    assert read.cut_thinking and read.thinking == "It mo"


@pytest.mark.parametrize(
    ("family", "begins"), [("glm4v", "<answer>"), ("glm46v", ""), ("ernie4_5_vl_moe", ""), ("gemma4", "")]
)
def test_when_its_budget_of_thinking_is_spent_a_model_answers(
    family: str, begins: str, loaded: Loaded, clip: MakeClip
) -> None:
    model = loaded(family)
    assert isinstance(model, HfChat)
    settings = GenerationSettings(max_new_tokens=40, thinking_budget=4)
    inputs = model.prepare(Prompt(parts=(Video(), Text(text="What?")), clips=(four(clip),)), settings)
    (said,) = model.generate([replace(inputs, opened=True)])
    assert said.thinking is not None and not said.cut_thinking and said.text.startswith(begins)
