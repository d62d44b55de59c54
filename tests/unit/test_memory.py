"""How much memory a checkpoint needs, and which devices have room for it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_troubles import weights
from videval.errors import ModelUnavailable
from videval.models.memory import cache_bytes, devices_needed, memory_of
from videval.types import ModelSpec
from workers import device
from workers.device import Device, devices_for, no_room, parse_devices
from workers.gpus import Gpu

SMALL = [Gpu(index=i, uuid=f"GPU-{i}{i}{i}{i}-abcd", name="small", memory_gb=24.0) for i in range(4)]
HUGE = ModelSpec(name="huge", adapter="hf_chat", checkpoint="Some/Body-32B", weights_gb=66.9)
QWEN2_5_VL_7B = {"num_hidden_layers": 28, "num_key_value_heads": 4, "num_attention_heads": 28, "hidden_size": 3584}
HYBRID = {"layer_types": ["linear_attention"] * 3 + ["full_attention"], "num_attention_heads": 8, "head_dim": 256}


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of 24 GiB."""
    monkeypatch.setattr(device, "list_gpus", lambda: SMALL)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def one(text: str) -> Device:
    (found,) = parse_devices(text)
    return found


@pytest.mark.parametrize(
    ("config", "each"),
    [
        (QWEN2_5_VL_7B, 2 * 2 * 28 * 4 * 128),
        ({"text_config": QWEN2_5_VL_7B, "num_hidden_layers": 1}, 2 * 2 * 28 * 4 * 128),
        ({"thinker_config": {"text_config": QWEN2_5_VL_7B}}, 2 * 2 * 28 * 4 * 128),
        (HYBRID, 2 * 2 * 1 * 8 * 256),
        ({"hidden_size": 3}, 0),
    ],
)
def test_the_cache_of_a_token_is_counted_in_the_layers_that_keep_it(config: Mapping[str, Any], each: int) -> None:
    assert cache_bytes(config) == each


def test_a_checkpoint_that_is_here_is_as_large_as_its_headers_say_in_16_bits(tmp_path: Path) -> None:
    weights(tmp_path / "model.safetensors", one=1000, two=500)
    (tmp_path / "config.json").write_text(json.dumps({**QWEN2_5_VL_7B, "max_position_embeddings": 100}))
    found = memory_of(replace(HUGE, checkpoint=str(tmp_path)))
    assert found is not None and (found.weights, found.cache, found.context) == (3000, 5_734_400, 100)
    assert found.in_words() == "under 0.1 GB of weights + under 0.1 GB of cache for 100 tokens"


def test_one_that_is_not_here_is_as_large_as_its_entry_says() -> None:
    found = memory_of(HUGE)
    assert found is not None and found.in_words() == "66.9 GB of weights"
    assert memory_of(replace(HUGE, weights_gb=None)) is None


def test_a_group_holds_what_one_of_its_devices_does_not() -> None:
    assert devices_needed(66.9e9, 24.0) == 3
    said = no_room(HUGE, one("0"))
    assert said == "needs 66.9 GB of weights, and gpu0 has 24 GiB: a group of 3 such GPUs holds its weights"
    assert "gpu0+1 has 48 GiB: a group of 3" in no_room(HUGE, one("0+1"))
    assert no_room(HUGE, one("0+1+2")) == ""


@pytest.mark.parametrize("text", ["cpu", "MIG-9a8b7c6d", "0+MIG-9a8b7c6d"])
def test_a_device_whose_memory_is_not_known_is_tried(text: str) -> None:
    assert no_room(HUGE, one(text)) == ""


def test_a_fleet_for_one_model_is_refused_when_it_fits_on_none_of_its_devices() -> None:
    with pytest.raises(ModelUnavailable, match=r"huge needs 66\.9 GB of weights, and gpu0 has 24 GiB") as raised:
        devices_for(HUGE, "0,1")
    assert raised.value.hint == "--devices 0+1+2"
    assert [d.label for d in devices_for(HUGE, "0+1+2,3")] == ["gpu0+1+2", "gpu3"]
    assert [d.label for d in devices_for(replace(HUGE, weights_gb=None), "auto")] == ["gpu0", "gpu1", "gpu2", "gpu3"]
