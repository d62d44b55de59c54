"""vLLM in place of transformers: which models, how they are named, what they cannot be told, what a run is called."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from videval.errors import ModelFailure, ModelUnavailable, UsageError, VideoFailure
from videval.models.cards import cards
from videval.models.catalog import load_key, load_model, model_spec
from videval.models.families import FAMILIES
from videval.models.on_vllm import FAMILIES_SERVED, is_served, on_vllm, refuse_untold
from videval.models.vllm_engine.identity import clip_identity, image_identity
from videval.models.vllm_engine.sampling import sampling
from videval.options import Asked
from videval.orders import order_unread
from videval.types import Clip, GenerationSettings

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


def asked(**options: object) -> Asked:
    return Asked(what="MVBench_8frame", model=MODEL, **options)  # type: ignore[arg-type]


def test_another_engine_is_another_load_and_another_run() -> None:
    plain, changed = order_unread(asked()), order_unread(asked(use_vllm=True))
    assert load_key(changed.spec, "auto").startswith("vllm:") and plain.load_key != changed.load_key
    assert plain.run_key("c") != changed.run_key("c")
    assert replace(changed.spec, adapter="hf_chat", note=plain.spec.note) == plain.spec


def test_the_card_and_the_deviations_from_a_recipe_name_the_engine() -> None:
    assert order_unread(asked(use_vllm=True)).settled()["adapter"] == "vllm"


def test_a_model_on_vllm_has_a_name_too() -> None:
    assert model_spec(f"vllm:{MODEL}") == on_vllm(model_spec(MODEL)) == on_vllm(on_vllm(model_spec(MODEL)))
    assert model_spec(f"vllm:{MODEL}@abc").revision == "abc"
    assert model_spec("vllm:SomeOrg/of-no-known-family").adapter == "vllm"


def test_vllm_is_refused_for_what_transformers_alone_or_nobody_of_both_loads() -> None:
    with pytest.raises(UsageError, match="adapter fake"):
        on_vllm(model_spec("fake"))
    other = next(card.spec for card in cards().values() if not is_served(card.spec))
    with pytest.raises(UsageError, match="not been tried"):
        on_vllm(other)


def test_every_family_that_is_served_is_one_of_ours() -> None:
    assert FAMILIES.keys() >= FAMILIES_SERVED


@pytest.mark.parametrize("options", [{"attention": "sdpa"}, {"thinking_budget": 64}])
def test_what_vllm_cannot_be_told_is_refused_when_it_is_asked_for(options: dict[str, object]) -> None:
    order_unread(asked(**options))
    with pytest.raises(UsageError, match="vLLM"):
        order_unread(asked(use_vllm=True, **options))
    refuse_untold(order_unread(asked(**options)).spec)


def test_without_vllm_a_worker_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videval.models.vllm_engine.loading.find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match="not installed") as error:
        load_model(model_spec(f"vllm:{MODEL}"), devices=["cpu"])
    assert error.value.hint == "pip install 'videval[vllm]'"


# settings


def test_every_setting_has_its_place_in_vllm_s_terms() -> None:
    settings = GenerationSettings(
        max_new_tokens=7, temperature=0.5, top_p=0.9, seed=3, top_k=20, min_p=0.1, repetition_penalty=1.1,
        presence_penalty=1.5, stop=("END",),
    )  # fmt: skip
    found = sampling(settings, eos=(1, 2))
    said = ("temperature", "top_p", "seed", "top_k", "min_p", "repetition_penalty", "presence_penalty")
    assert {name: found[name] for name in said} == {name: getattr(settings, name) for name in said}
    assert (found["max_tokens"], found["stop"], found["stop_token_ids"]) == (7, ["END"], [1, 2])
    assert found["detokenize"]


def test_a_greedy_answer_depends_on_no_seed_and_reads_no_text() -> None:
    found = sampling(GenerationSettings(seed=5, top_p=0.1), eos=(1,))
    assert not {"seed", "top_p"} & found.keys() and not found["detokenize"]


@pytest.mark.parametrize("settings", [{"thinking_budget": 8}, {"temperature": 1.0, "top_p": 0.0}])
def test_what_vllm_cannot_do_fails_the_request_in_words(settings: dict[str, float]) -> None:
    with pytest.raises(ModelFailure, match="vLLM"):
        sampling(GenerationSettings(**settings), eos=())  # type: ignore[arg-type]


# names in its caches


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    np.save(tmp_path / "frames.npy", np.zeros((2, 4, 4, 3), dtype=np.uint8))
    return Clip(
        path=str(tmp_path / "frames.npy"), frame_numbers=(0, 5), timestamps=(0.0, 0.5), total_frames=10, fps=10.0,
        width=4, height=4, decoder="pyav", policy="uniform",
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"frame_numbers": (0, 6)},
        {"timestamps": (0.0, 0.6)},
        {"fps": 25.0},
        {"total_frames": 11},
        {"span_frames": 5},
        {"width": 8},
        {"decoder": "decord"},
        {"policy": "stride"},
    ],
)
def test_another_sampling_size_or_decoder_is_another_name(clip: Clip, change: dict[str, object]) -> None:
    assert clip_identity(clip, {}) == clip_identity(replace(clip), {})
    assert clip_identity(clip, {}) != clip_identity(replace(clip, **change), {})  # type: ignore[arg-type]


def test_other_limits_of_pixels_another_frame_and_other_pixels_are_other_names(clip: Clip) -> None:
    names = {clip_identity(clip, {}), clip_identity(clip, {"size": {"longest_edge": 64}}), clip_identity(clip, {}, 1)}
    np.save(clip.path, np.ones((2, 4, 4, 3), dtype=np.int16))
    names.add(clip_identity(clip, {}))
    assert len(names) == 4


def test_an_image_is_named_by_what_is_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    (tmp_path / "c").write_bytes(b"y")
    names = [image_identity(str(tmp_path / name), {}) for name in "abc"]
    assert names[0] == names[1] != names[2]
    assert image_identity(str(tmp_path / "a"), {"size": 1}) != names[0]
    with pytest.raises(VideoFailure, match="cannot be read"):
        image_identity(str(tmp_path / "none"), {})
