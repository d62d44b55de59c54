"""The catalog: names, folders, frame counts, load keys."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from videval import registry
from videval.errors import ModelUnavailable, UnknownName, UsageError
from videval.models import catalog
from videval.models.catalog import MODELS, check_frames, concrete_dtype, load_key, load_model, model_spec
from videval.models.checkpoints import checkpoint_folder, checkpoint_source
from videval.types import ModelSpec, Variant

HUGE = replace(MODELS["fake"], name="wide", max_frames=64)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "my-checkpoint"
    folder.mkdir()
    for name in ("config.json", "processor_config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


def test_an_unknown_model_comes_back_with_close_matches() -> None:
    with pytest.raises(UnknownName) as caught:
        model_spec("video-llava-7b")
    assert caught.value.close_matches[0] == "Video-LLaVA-7B"
    assert "did you mean" in caught.value.hint


def test_an_unknown_adapter_says_which_there_are() -> None:
    with pytest.raises(UnknownName) as caught:
        model_spec("video_lava:./folder")
    assert "video_llava" in caught.value.hint


def test_an_adapter_without_a_path_is_no_model() -> None:
    with pytest.raises(UnknownName):
        model_spec("video_llava:")


def test_a_path_that_is_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="is not a folder"):
        model_spec(f"video_llava:{tmp_path}/absent")


@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_without_one_of_its_files_is_refused_by_the_files_name(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(ModelUnavailable, match=name):
        model_spec(f"video_llava:{checkpoint}")


def test_a_shard_that_the_index_names_must_be_there(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "a.safetensors")
    index = checkpoint / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}')
    with pytest.raises(ModelUnavailable, match=r"no b\.safetensors"):
        model_spec(f"video_llava:{checkpoint}")
    index.write_text("[]")
    with pytest.raises(ModelUnavailable, match="not an index"):
        model_spec(f"video_llava:{checkpoint}")


def test_pickled_weights_are_refused_with_the_reason(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable) as caught:
        model_spec(f"video_llava:{checkpoint}")
    assert "pickled" in caught.value.hint


def test_a_frame_count_that_the_model_cannot_take_names_the_variant_that_would_do() -> None:
    variant = Variant(name="MVBench_16frame", benchmark="MVBench", num_frames=16)
    with pytest.raises(UsageError, match="takes exactly 8 frames, use MVBench_8frame"):
        check_frames(MODELS["Video-LLaVA-7B"], variant)


def test_the_suggested_variant_keeps_its_other_options() -> None:
    variant = Variant(name="Video-MME_1fps_subs", benchmark="Video-MME", fps=1.0, subtitles=True)
    with pytest.raises(UsageError, match=r"use Video-MME_8frame_subs$"):
        check_frames(MODELS["Video-LLaVA-7B"], variant)
    plain = Variant(name="my_questions", benchmark="my_questions", num_frames=4)
    with pytest.raises(UsageError, match=r"use my_questions_8frame$"):
        check_frames(MODELS["Video-LLaVA-7B"], plain)


def test_more_frames_than_the_models_limit_are_refused() -> None:
    with pytest.raises(UsageError, match="takes at most 64 frames, use MVBench_64frame"):
        check_frames(HUGE, Variant(name="MVBench_65frame", benchmark="MVBench", num_frames=65))


def test_frames_that_the_model_takes_pass() -> None:
    eight = Variant(name="MVBench_8frame", benchmark="MVBench", num_frames=8)
    for name in MODELS:
        check_frames(MODELS[name], eight)
    check_frames(HUGE, replace(eight, num_frames=64))
    check_frames(MODELS["fake"], Variant(name="V_1fps", benchmark="V", fps=1.0))


def test_an_unknown_dtype_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="int4"):
        concrete_dtype("int4", "cpu")


@pytest.mark.parametrize(
    ("dtype", "device", "concrete"),
    [("auto", "cpu", "float32"), ("auto", "cuda:0", "bfloat16"), ("float16", "cpu", "float16")],
)
def test_auto_is_bfloat16_on_a_gpu_and_float32_on_the_cpu(dtype: str, device: str, concrete: str) -> None:
    assert concrete_dtype(dtype, device) == concrete


def test_both_names_of_the_seven_billion_model_share_one_load_and_say_that_it_is_a_port() -> None:
    one, other = model_spec("Video-LLaVA-7B"), model_spec("Video-LLaVA-7B-HF")
    assert load_key(one, "bfloat16") == load_key(other, "bfloat16")
    assert one.checkpoint == "LanguageBind/Video-LLaVA-7B-hf"
    assert "Hugging Face port" in one.note
    assert (one.frame_counts, one.policy, one.form) == ((8,), "stride", "video")


def test_a_load_key_differs_in_each_of_its_parts() -> None:
    spec = MODELS["Video-LLaVA-7B"]
    keys = {
        load_key(spec, "bfloat16"),
        load_key(spec, "float32"),
        load_key(spec, "bfloat16", group_size=2),
        load_key(replace(spec, revision="abc"), "bfloat16"),
        load_key(replace(spec, checkpoint="other@main"), "bfloat16"),
        load_key(replace(spec, adapter="fake"), "bfloat16"),
        load_key(replace(spec, attention="sdpa"), "bfloat16"),
        load_key(replace(spec, trust_remote_code=True), "bfloat16"),
    }
    assert len(keys) == 8
    assert load_key(spec, "bfloat16") == "video_llava:LanguageBind/Video-LLaVA-7B-hf@main:bfloat16:x1"


def test_a_folder_becomes_a_model_with_an_absolute_checkpoint_and_the_folders_name(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    spec = model_spec("video_llava:./my-checkpoint")
    assert spec.name == "my-checkpoint"
    assert spec.checkpoint == str(checkpoint)
    assert (spec.frame_counts, spec.policy) == ((8,), "stride")
    assert checkpoint_source(spec) == str(checkpoint)


def test_fakes_with_other_checkpoints_are_other_loads() -> None:
    assert load_key(model_spec("fake:a"), "float32") != load_key(model_spec("fake:b"), "float32")
    assert model_spec("fake:a").name == "fake-a"


def test_the_packaged_checkpoint_is_found_where_videval_is_installed() -> None:
    spec = model_spec("Video-LLaVA-tiny")
    assert checkpoint_folder(spec) == Path(catalog.__file__).parent / "tiny"
    assert str(Path(catalog.__file__).parent) not in load_key(spec, "float32")


def test_a_plug_in_adds_a_model_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModelSpec(name="mine", adapter="videval.models.fake:load", checkpoint="mine")
    plugins: dict[str, Any] = {"mine": lambda: mine, "adapter": lambda: load_model}
    monkeypatch.setattr(registry, "_plugins", lambda group: plugins if group == "models" else {})
    assert model_spec("mine") is mine
    assert "mine" in catalog.model_names()
    assert "adapter" not in catalog.model_names()
    assert load_model(mine, devices=["cpu"]).describe()["checkpoint"] == "mine"


def test_the_catalog_and_the_fake_import_no_torch() -> None:
    code = "import sys, videval.models.catalog, videval.models.fake; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_without_its_adapter_says_how_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        model_spec(str(tmp_path))
    assert caught.value.hint == f"a folder is named with its adapter: hf_chat:{tmp_path}"
