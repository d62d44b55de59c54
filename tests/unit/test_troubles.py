"""What would keep a checkpoint from answering is said from its names, JSON and headers."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants

from videval.errors import ModelUnavailable
from videval.models.headers import weights_bytes, what_is_cut
from videval.models.troubles import refuse_troubles, troubles
from videval.types import ModelSpec

CONFIG = {"model_type": "qwen2_5_vl", "vision_config": {}}
HUB = ModelSpec(name="body", adapter="hf_chat", checkpoint="Some/Body-3B", weights_gb=7.5)


def weights(path: Path, **tensors: int) -> None:
    """A safetensors file with float32 tensors of so many numbers."""
    header, end = {}, 0
    for name, count in tensors.items():
        header[name] = {"dtype": "F32", "shape": [count], "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps({**header, "__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + np.zeros(end, np.uint8).tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete checkpoint."""
    made = tmp_path / "body"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    (made / "processor_config.json").write_text("{}")
    (made / "tokenizer.json").write_text("{}")
    (made / "chat_template.jinja").write_text("{{ messages }}")
    weights(made / "model.safetensors", one=3, two=5)
    return made


def of(folder: Path, **more: Any) -> ModelSpec:
    return replace(HUB, checkpoint=str(folder), revision="", **more)


def only(spec: ModelSpec) -> str:
    """The one thing that is wrong with it."""
    (found,) = troubles(spec)
    assert found.fatal and found.mend
    return f"{found.says} -> {found.mend}"


def configured(folder: Path, config: Mapping[str, Any]) -> ModelSpec:
    (folder / "config.json").write_text(json.dumps(config))
    return of(folder)


def test_nothing_is_wrong_with_a_complete_checkpoint(folder: Path) -> None:
    assert troubles(of(folder)) == []
    assert refuse_troubles(of(folder)) == []


def test_adapters_with_other_checkpoints_are_not_looked_at(folder: Path) -> None:
    assert troubles(ModelSpec(name="fake", adapter="fake", checkpoint="fake")) == []


@pytest.mark.parametrize(
    ("cut", "said"),
    [(-1, "has 119 bytes, and its header says 120"), (-200, "cut off in its header"), (1, "has 121 bytes")],
)
def test_weights_that_are_not_as_long_as_their_header_says_are_refused(folder: Path, cut: int, said: str) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: max(cut + len(whole), 20)] if cut < 0 else whole + b"x")
    found = only(of(folder))
    assert "weights are cut short: model.safetensors" in found and "copy model.safetensors again" in found
    assert (
        said.replace("119", f"{len(whole) - 1}").replace("120", f"{len(whole)}").replace("121", f"{len(whole) + 1}")
        in found
    )


def test_a_shard_without_a_tensor_that_the_index_expects_is_refused(folder: Path) -> None:
    index = {"weight_map": {"one": "model.safetensors", "three": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lacks 1 tensors that the index expects, as three" in only(of(folder))


def test_a_header_is_read_without_the_weights(folder: Path) -> None:
    assert weights_bytes(folder / "model.safetensors") == 16  # eight floats, two bytes each
    (folder / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match="a header of 0 bytes"):
        weights_bytes(folder / "empty")
    (folder / "list").write_bytes((2).to_bytes(8, "little") + b"[]")
    assert "its header is no table" in what_is_cut(folder / "list")


def test_a_checkpoint_without_a_chat_template_is_refused_and_where_it_may_stand_is_known(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    assert "it has no chat template" in only(of(folder))
    for holder in ("tokenizer_config.json", "processor_config.json"):
        (folder / holder).write_text(json.dumps({"chat_template": "{{ messages }}"}))
        assert troubles(of(folder)) == []
        (folder / holder).write_text("{}")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert troubles(of(folder)) == []


def test_a_missing_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer.json or tokenizer.model or vocab.json" in only(of(folder))


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "its weights are pickled" in only(of(folder))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "gemma3_text"}, "transformers does not know it"),
        ({"model_type": "qwen2", "hidden_size": 3}, "is a qwen2, which is shown nothing: it takes no video"),
        ({"model_type": "keye_vl", "auto_map": {"AutoModel": "x.Y"}}, "needs code that comes with it (keye_vl)"),
        ({"model_type": "next_year", "vision_config": {}}, "pip install --upgrade transformers"),
        ({"hidden_size": 3}, "its config.json names no architecture (model_type) -> was it copied whole?"),
        ({"model_type": "../models/llama"}, "its architecture is ../models/llama"),
    ],
)
def test_an_architecture_that_cannot_answer_is_named(folder: Path, config: Mapping[str, Any], said: str) -> None:
    assert said in only(configured(folder, config))


def test_code_of_a_checkpoint_is_run_only_when_the_user_says_so(folder: Path) -> None:
    spec = configured(folder, {"model_type": "keye_vl", "auto_map": {"AutoModel": "x.Y"}})
    assert "--trust-remote-code" in only(spec)
    assert troubles(replace(spec, trust_remote_code=True)) == []


def test_an_adapter_of_one_architecture_names_the_adapter_that_takes_the_others(folder: Path) -> None:
    found = only(of(folder, adapter="video_llava"))
    assert "it is a qwen2_5_vl, and the adapter video_llava loads video_llava only" in found
    assert f"hf_chat:{folder}" in found


def test_a_config_that_is_no_json_is_said(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    assert "config.json cannot be read" in only(of(folder))


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json", "video_preprocessor_config.json"])
@pytest.mark.parametrize("text", ['{"size": 3', "", "[]"])
def test_settings_that_were_cut_are_said_as_without_them_it_would_answer_otherwise(
    folder: Path, name: str, text: str
) -> None:
    (folder / name).write_text(text)
    assert f"{name} cannot be read" in only(of(folder))


def test_a_chat_template_without_a_word_is_none(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("\n")
    assert "it has no chat template" in only(of(folder))


# checkpoints of the hub


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, with the model's snapshot in it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    model = tmp_path / "hub" / "models--Some--Body-3B"
    snapshot = model / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123abc")
    return snapshot


def test_what_is_not_here_is_fetched_and_is_no_trouble_unless_the_hub_may_not_be_asked(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (said,) = refuse_troubles(HUB)
    assert said.endswith("is not here yet, the first worker fetches it (8 GB) -> hf download Some/Body-3B")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE forbids to fetch it") as raised:
        refuse_troubles(HUB)
    assert raised.value.hint == "HF_HUB_OFFLINE=0 hf download Some/Body-3B"
    with pytest.raises(ModelUnavailable) as raised:
        refuse_troubles(replace(HUB, revision="v2"))
    assert raised.value.hint.endswith("hf download Some/Body-3B --revision v2")


def test_what_was_fetched_in_part_is_fetched_to_its_end_where_the_hub_may_be_asked(
    cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "config.json").write_text(json.dumps(CONFIG))
    assert [t.fatal for t in troubles(HUB)] == [False]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="it is not all here: no processor_config"):
        refuse_troubles(HUB)
    for file in folder.iterdir():
        (cache / file.name).write_bytes(file.read_bytes())
    assert troubles(HUB) == []
