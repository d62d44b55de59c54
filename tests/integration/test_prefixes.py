"""Questions that go on from one computation of their clip: each family of `hf_chat`, and `video_llava`, on tiny random
models in float32 say token for token what they say when each question is asked alone; and what is kept for whom."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from tests.servers import settings_for
from tests.tiny import TINY
from tests.tiny._shown import ChatModel, MakeClip, ask
from tests.tiny_model import tiny_model
from videval.errors import OutOfMemory
from videval.models.answering import Answering
from videval.models.catalog import load_model, model_spec
from videval.models.encodings import encoded
from videval.models.families import FAMILIES, UNKNOWN
from videval.types import Clip, Generation, GenerationSettings, Image, Pixels, Prompt, Text, Video
from workers.device import parse_devices
from workers.engine import Engine

SETTINGS = GenerationSettings(max_new_tokens=12)
QUESTIONS = (
    "What?",
    "Where is the red ring, and why is it there?",
    "When?",
    "How many things move from left to right?",
)
"""The first and the third are of one length: a model with a window takes no others together."""
ONE = "qwen2_5_vl"
PLENTY = 1.0
ENCODES_EACH_TIME = {"perception_lm"}
"""Its encoder of images takes videos too, under a name that transformers does not know of it."""


@contextmanager
def sharing(model: Answering, gb: float = PLENTY) -> Iterator[Answering]:
    """The model while it keeps the prefixes of clips."""
    model.keep_prefixes(gb)
    try:
        yield model
    finally:
        model.keep_prefixes(0)


@pytest.fixture
def loaded(chat_model: ChatModel) -> Callable[[str], Answering]:
    """The tiny model of a family, by `hf_chat`."""

    def get(family: str) -> Answering:
        model = chat_model(family)
        assert isinstance(model, Answering)
        return model

    return get


@pytest.fixture(scope="module")
def video_llava() -> Answering:
    """The tiny model of the adapter of that name."""
    model = load_model(model_spec(f"video_llava:{tiny_model()}"), devices=["cpu"])
    assert isinstance(model, Answering)
    return model


def said(model: Answering, prompts: Sequence[Prompt], settings: GenerationSettings = SETTINGS) -> list[Generation]:
    """The answers of a batch, without what is said of how they were made."""
    return [replace(answer, cached_tokens=None) for answer in model.generate(prepared(model, prompts, settings))]


def cached(model: Answering, prompts: Sequence[Prompt]) -> list[int | None]:
    """How much of each prompt of a batch was there before."""
    return [answer.cached_tokens for answer in model.generate(prepared(model, prompts))]


def prepared(model: Any, prompts: Sequence[Prompt], settings: GenerationSettings = SETTINGS) -> list[Any]:
    return [model.prepare(prompt, settings) for prompt in prompts]


def tokens(
    model: Answering, batches: Sequence[Sequence[Prompt]], settings: GenerationSettings = SETTINGS
) -> list[list[int]]:
    """The new tokens of each request of these batches, up to the end of its answer."""
    found: dict[int, list[int]] = {}
    read = model._answer

    def heard(new: Sequence[int], inputs: Any, stopped: int | None) -> Generation:
        end = next((place + 1 for place, token in enumerate(new) if token in model._eos), len(new))
        found[id(inputs)] = list(new[:end])
        return read(new, inputs, stopped)

    made = [prepared(model, batch, settings) for batch in batches]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "_answer", heard)
        for batch in made:
            model.generate(batch)
    return [found[id(inputs)] for batch in made for inputs in batch]


def about(clip: Clip, *, system: str = "Watch well.") -> list[Prompt]:
    return [ask(clip, question, system=system) for question in QUESTIONS]


def two_clips(made_clip: MakeClip, *, frames: int = 4) -> tuple[list[Prompt], list[Prompt]]:
    one, other = (about(made_clip(range(0, frames * 10, 10), seed=seed)) for seed in (1, 2))
    return one, other


def proven(model: Answering, one: list[Prompt], other: list[Prompt], settings: GenerationSettings = SETTINGS) -> None:
    """Each question alone, together with those about its clip, and mixed with those about another: the same tokens."""
    alone = [[prompt] for prompt in (*one, *other)]
    expected = tokens(model, alone, settings)
    with sharing(model):
        assert tokens(model, [one, *alone[len(one) :]], settings) == expected
    with sharing(model):
        mixed = [*one, *other][::-1]
        assert tokens(model, [mixed], settings) == expected[::-1]


# The answers


@pytest.mark.parametrize("family", TINY)
def test_a_family_s_questions_about_a_clip_are_answered_as_if_each_were_asked_alone(
    family: str, loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    model = loaded(family)
    with sharing(model):
        assert model.describe()["prefix"] == ("shared" if model._shares else "off")
    one, other = two_clips(made_clip)
    proven(model, one, other[:2])


@pytest.mark.parametrize("family", TINY)
def test_a_family_s_questions_are_sampled_as_if_each_were_asked_alone(
    family: str, loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    one, _ = two_clips(made_clip, frames=6)
    proven(loaded(family), one[:2], [], replace(SETTINGS, temperature=1.0, top_p=0.95, seed=3))


@pytest.mark.parametrize("family", TINY)
def test_a_family_s_questions_before_a_clip_are_answered_alike_on_what_its_encoder_made_once(
    family: str, loaded: Callable[[str], Answering], made_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, clip = loaded(family), made_clip(range(0, 60, 10), seed=1)
    prompts = [
        Prompt(parts=(Text(text=f"{question} Look at this: "), Video()), clips=(clip,)) for question in QUESTIONS[:3]
    ]
    expected = tokens(model, [[prompt] for prompt in prompts])
    made: list[Any] = []

    def counted(*told: Any) -> Any:
        made.append(told)
        return encoded(*told)

    monkeypatch.setattr("videval.models.prefixes.encoded", counted)
    with sharing(model):
        assert tokens(model, [[prompt] for prompt in prompts]) == expected
    assert len(made) == (family not in ENCODES_EACH_TIME)


@pytest.mark.parametrize("family", [ONE, "gemma3", "qwen3_5"])
def test_penalties_and_stop_texts_see_the_same_prompt(
    family: str, loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    strict = replace(SETTINGS, repetition_penalty=1.4, presence_penalty=0.7, stop=("e", "\n"))
    proven(loaded(family), *two_clips(made_clip), strict)


def test_the_thinking_of_questions_that_share_a_clip_ends_at_its_budget(
    loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    proven(loaded("qwen3_vl"), *two_clips(made_clip), replace(SETTINGS, thinking_budget=4))


def test_video_llava_s_questions_about_a_clip_are_answered_as_if_each_were_asked_alone(
    video_llava: Answering, made_clip: MakeClip
) -> None:
    proven(video_llava, *two_clips(made_clip, frames=8))


def test_a_clip_with_a_question_is_another_thing_than_one_without(video_llava: Answering, made_clip: MakeClip) -> None:
    """Else nothing above could fail."""
    found = tokens(video_llava, two_clips(made_clip, frames=8))
    assert len({tuple(answer) for answer in found}) == len(found)


def test_every_family_that_shares_has_a_tiny_model_to_prove_it() -> None:
    assert {name for name, family in FAMILIES.items() if not family.unshared} <= TINY.keys()


def test_a_family_that_nobody_knows_shares_nothing(
    loaded: Callable[[str], Answering], made_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(ONE)
    monkeypatch.setattr(model, "_shares", not UNKNOWN.unshared)
    with sharing(model):
        assert model.describe()["prefix"] == "off"
        assert cached(model, about(made_clip(range(4)))) == [None] * 4


# What is known again


def test_the_first_question_computes_the_clip_and_the_others_go_on_from_it(
    loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    one, other = two_clips(made_clip)
    with sharing(loaded(ONE)) as model:
        (first,), rest = cached(model, one[:1]), cached(model, one[1:])
        assert first == 0 and len(set(rest)) == 1 and rest[0]
        assert cached(model, [other[0], one[0], other[1]]) == [0, rest[0], rest[0]]


def test_nothing_is_known_again_of_a_clip_that_is_shown_otherwise(
    loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    clip = made_clip(range(0, 40, 10), seed=1)
    base = ask(clip, system="Watch well.")
    others = [
        ask(clip, system="Watch it."),
        ask(clip),
        replace(base, pixels=(Pixels(max_pixels=28 * 28),)),
        ask(made_clip(range(0, 60, 10), seed=1), system="Watch well."),
        ask(made_clip(range(0, 40, 10), seed=2), system="Watch well."),
        replace(base, clips=(replace(clip, fps=5.0),)),
        replace(base, clips=(replace(clip, frame_numbers=(0, 1, 2, 3)),)),
        replace(base, parts=(Text(text="First."), *base.parts)),
        Prompt(parts=(Video(), Video(clip=1), Text(text="What?")), clips=(clip, made_clip(range(4), seed=3))),
    ]
    model = loaded(ONE)
    expected = tokens(model, [[prompt] for prompt in others])
    with sharing(model):
        cached(model, [base])
        for prompt, own in zip(others, expected, strict=True):
            assert cached(model, [prompt]) == [0]
            assert tokens(model, [[prompt]]) == [own]


def test_an_image_that_is_overwritten_is_not_known_again(loaded: Callable[[str], Answering], tmp_path: Path) -> None:
    model, path = loaded(ONE), tmp_path / "a.png"
    prompt = Prompt(parts=(Image(path=str(path)), Text(text="What?")))

    def drawn(seed: int) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (56, 56, 3), dtype=np.uint8)
        Pictures.fromarray(pixels).save(path)

    drawn(1)
    with sharing(model):
        assert [cached(model, [prompt]) == [0] for _ in range(2)] == [True, False]
        drawn(2)
        assert cached(model, [prompt]) == [0]
        shared = tokens(model, [[prompt]])
    assert shared == tokens(model, [[prompt]])


def test_a_question_without_anything_to_see_or_with_nothing_behind_it_is_asked_as_ever(
    loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    model = loaded(ONE)
    seeing, blind = ask(made_clip(range(4))), Prompt(parts=(Text(text="What?"),))
    expected = tokens(model, [[blind], [seeing]])
    with sharing(model):
        assert cached(model, [blind, seeing, blind]) == [0, 0, 0]
        assert tokens(model, [[blind, seeing]]) == expected


def test_what_an_encoder_made_is_of_one_clip_and_counts_as_memory(
    loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    model = loaded(ONE)
    one, other = (
        [
            Prompt(parts=(Text(text=f"{q} See: "), Video(), Text(text=".")), clips=(made_clip(range(8), seed=seed),))
            for q in QUESTIONS[:2]
        ]
        for seed in (1, 2)
    )
    expected = tokens(model, [one, other])
    with sharing(model):
        assert tokens(model, [one, other]) == expected
        assert kept_bytes(model) == sum(size for _, size in model._prefixes._kept._values.values())
    with sharing(model, 1e-9):
        assert tokens(model, [other, one]) == [*expected[2:], *expected[:2]]
        assert kept_bytes(model) == 0


# Memory


def kept_bytes(model: Answering) -> int:
    return model._prefixes._kept.bytes


def size_of_one(model: Answering, clip: Clip) -> int:
    with sharing(model):
        cached(model, [ask(clip)])
        return kept_bytes(model)


def test_what_is_kept_stays_within_the_budget_and_the_clip_used_longest_ago_goes_first(
    loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    model, clips = loaded(ONE), [made_clip(range(4), seed=seed) for seed in range(3)]
    gb = 2.5 * size_of_one(model, clips[0]) / 1e9
    with sharing(model, gb):
        a, b, c = ([ask(clip)] for clip in clips)
        assert [cached(model, one)[0] == 0 for one in (a, b, a, c)] == [True, True, False, True]
        assert kept_bytes(model) <= gb * 1e9
        assert [cached(model, one)[0] == 0 for one in (a, b)] == [False, True]


def test_a_budget_too_small_for_one_clip_still_lets_a_batch_share_it(
    loaded: Callable[[str], Answering], made_clip: MakeClip
) -> None:
    model, prompts = loaded(ONE), about(made_clip(range(4)))
    expected = tokens(model, [prompts])
    with sharing(model, 1e-9):
        first, *rest = cached(model, prompts)
        assert first == 0 and all(rest)
        assert not kept_bytes(model)
        assert tokens(model, [prompts]) == expected


def test_what_is_kept_goes_when_memory_is_short_and_the_batch_is_tried_again(
    video_llava: Answering, made_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two_clips(made_clip, frames=8)
    expected = said(video_llava, other)
    generate = video_llava._model.generate

    def short(**told: Any) -> Any:
        if kept_bytes(video_llava):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**told)

    with sharing(video_llava, 0.001):
        cached(video_llava, one)
        monkeypatch.setattr(video_llava._model, "generate", short)
        video_llava._prefixes.keep(1)  # so that the next are not kept
        assert said(video_llava, other) == expected


def test_memory_that_is_short_without_anything_kept_is_the_batch_s_own(
    video_llava: Answering, made_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(**told: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(video_llava._model, "generate", short)
    with sharing(video_llava), pytest.raises(OutOfMemory):
        said(video_llava, about(made_clip(range(8))))


def test_by_default_a_share_of_the_free_memory_is_kept_and_0_keeps_nothing(video_llava: Answering) -> None:
    video_llava.keep_prefixes(None)
    assert video_llava.describe()["prefix"] == "shared" and video_llava._prefixes._kept.budget > 1e6
    video_llava.keep_prefixes(0)
    assert video_llava.describe()["prefix"] == "off"


@pytest.mark.parametrize(("said", "prefix"), [({}, "shared"), ({"prefix_gb": 0}, "off")])
def test_an_engine_s_process_keeps_what_its_settings_say(tmp_path: Path, said: dict[str, float], prefix: str) -> None:
    engine = Engine(settings_for(tmp_path, **said), parse_devices("cpu", gpus=[])[0])
    with closing(engine):
        loaded = engine.load(model_spec(f"video_llava:{tiny_model()}"), "k", "float32")
    assert loaded.about["prefix"] == prefix


def test_a_model_whose_cache_is_of_an_unknown_kind_shares_nothing(
    video_llava: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videval.models.caches._kinds", lambda model: {object})
    with sharing(video_llava):
        assert video_llava.describe()["prefix"] == "off"
