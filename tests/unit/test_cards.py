"""The published checkpoints: what a file may hold, and what a name stands for."""

from collections import Counter

import pytest

from videval.errors import UnknownName
from videval.models import cards as module
from videval.models.cards import cards, read_family
from videval.models.catalog import MODELS, known_as, load_key, model_names, model_spec
from videval.models.families import Family

FILE = """
family = "qwen2_5_vl"
[shared]
context = 128_000
generation = { repetition_penalty = 1.05 }
[[models]]
name = "Org/One"
aliases = ["One"]
[[models]]
name = "Org/Two"
generation = { temperature = 0.5 }
pixels = { max_pixels = 100 }
"""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (FILE + "framez = 3\n", "x.toml: unknown or missing key framez"),
        (FILE.replace("max_pixels", "pixels"), r"x.toml: unknown or missing key pixels\.pixels"),
        (FILE.replace("[shared]", "[sharde]"), "x.toml: unknown key sharde"),
        (FILE.replace('name = "Org/Two"', ""), "x.toml: 'name'"),
        ("family = ", "x.toml: "),
    ],
)
def test_a_key_that_has_no_use_is_refused_with_the_file(wrong: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_family("x.toml", wrong)


def test_models_of_a_file_share_what_they_do_not_say_themselves() -> None:
    one, two = read_family("x.toml", FILE)
    assert (one.aliases, two.aliases) == (("One",), ())
    assert one.spec.generation.repetition_penalty == 1.05
    assert (two.spec.generation.temperature, two.spec.generation.repetition_penalty) == (0.5, 1.0)
    assert two.spec.context == 128_000
    assert two.spec.pixels.max_pixels == 100
    assert (two.spec.adapter, two.spec.checkpoint, two.spec.revision) == ("hf_chat", "Org/Two", "main")
    assert two.spec.source == "https://huggingface.co/Org/Two"


def test_how_a_model_is_shown_a_clip_is_its_family_s_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "family_of", lambda _: Family(form="frames", pixels="frame"))
    (one, _) = read_family("x.toml", FILE)
    assert (one.spec.family, one.spec.form, one.spec.resizes) == ("qwen2_5_vl", "frames", True)
    monkeypatch.setattr(module, "family_of", lambda _: None)
    (one, _) = read_family("x.toml", FILE)
    assert (one.spec.form, one.spec.resizes) == ("video", False)


def test_at_least_sixty_checkpoints_are_published_each_with_its_source() -> None:
    assert len(cards()) >= 60
    for name, card in cards().items():
        assert card.spec.checkpoint == name and "/" in name
        assert card.spec.source.endswith(name)
        assert card.spec.weights_gb is None or 0 < card.spec.weights_gb < 2000


def test_no_name_stands_for_two_models() -> None:
    aliases = [alias for card in cards().values() for alias in card.aliases]
    names = Counter([*model_names(), *aliases])
    assert {name: n for name, n in names.items() if n > 1} == {}


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("InternVL3-8B", "OpenGVLab/InternVL3-8B-hf"),
        ("SmolVLM2", "HuggingFaceTB/SmolVLM2-2.2B-Instruct"),
    ],
)
def test_a_model_answers_to_the_name_that_vlmevalkit_gives_it(alias: str, name: str) -> None:
    assert model_spec(alias) is model_spec(name)
    assert alias in known_as(name)


def test_a_name_of_the_hub_is_the_same_model_with_the_adapter_before_it() -> None:
    assert model_spec("hf_chat:Qwen/Qwen2.5-VL-7B-Instruct") == model_spec("Qwen/Qwen2.5-VL-7B-Instruct")


def test_a_revision_is_named_behind_the_name_and_is_another_load() -> None:
    main, pinned = model_spec("Qwen3-VL-2B-Instruct"), model_spec("Qwen3-VL-2B-Instruct@0c351dd")
    assert (pinned.revision, pinned.name) == ("0c351dd", "Qwen/Qwen3-VL-2B-Instruct@0c351dd")
    assert pinned.context == main.context
    assert load_key(pinned, "auto") == "hf_chat:Qwen/Qwen3-VL-2B-Instruct@0c351dd:auto:x1"
    assert model_spec("hf_chat:Some/Body-3B@v1.0").revision == "v1.0"


def test_a_checkpoint_of_the_hub_that_nobody_described_has_no_limits() -> None:
    spec = model_spec("hf_chat:Some/Body-3B")
    assert (spec.name, spec.checkpoint, spec.adapter) == ("Some/Body-3B", "Some/Body-3B", "hf_chat")
    assert (spec.max_frames, spec.context, spec.revision) == (None, None, "main")


def test_an_unknown_name_says_what_comes_close_and_how_any_checkpoint_is_named() -> None:
    with pytest.raises(UnknownName) as caught:
        model_spec("qwen2.5-vl-7b-instruct")
    assert caught.value.close_matches[0] == "Qwen2.5-VL-7B-Instruct"
    with pytest.raises(UnknownName) as caught:
        model_spec("Qwen/Qwen2.5-VL-8B-Instruct")
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in caught.value.hint
    assert "hf_chat:Qwen/Qwen2.5-VL-8B-Instruct" in caught.value.hint


def test_names_that_were_there_before_keep_their_load_keys() -> None:
    keys = {name: load_key(model_spec(name), "auto") for name in MODELS}
    assert keys == {
        "Video-LLaVA-7B": "video_llava:LanguageBind/Video-LLaVA-7B-hf@main:auto:x1",
        "Video-LLaVA-7B-HF": "video_llava:LanguageBind/Video-LLaVA-7B-hf@main:auto:x1",
        "Video-LLaVA-tiny": "video_llava:package:tiny@main:auto:x1",
        "fake": "fake:fake@main:auto:x1",
    }
