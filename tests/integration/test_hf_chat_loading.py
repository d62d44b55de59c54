"""Checkpoints that `hf_chat` cannot load, and settings that it cannot keep: each says why and what mends it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, LlamaConfig

from videval.errors import ModelUnavailable
from videval.models import hf
from videval.models.catalog import load_model
from videval.models.families import FAMILIES, Family
from videval.models.hf_chat import loading
from videval.models.hf_chat.model import HfChat
from videval.types import ModelSpec

Tiny = Callable[[str], Path]


@pytest.fixture
def checkpoint(tiny: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("qwen2_5_vl"), tmp_path / "copy"))


def spec_of(folder: Path, **values: Any) -> ModelSpec:
    return ModelSpec(name="it", adapter="hf_chat", checkpoint=str(folder), revision="", **values)


def load(folder: Path, **values: Any) -> HfChat:
    model = load_model(spec_of(folder, **values), devices=["cpu"])
    assert isinstance(model, HfChat)
    return model


def refused(folder: Path, **values: Any) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        load(folder, **values)
    assert caught.value.hint
    return caught.value


def changed(folder: Path, name: str, **values: Any) -> None:
    """Change a JSON file of the checkpoint; None takes a key out."""
    said = json.loads((folder / name).read_text()) | values
    (folder / name).write_text(json.dumps({key: value for key, value in said.items() if value is not None}))


def raising(error: BaseException) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


def test_a_checkpoint_without_a_chat_template_says_where_to_put_one(checkpoint: Path) -> None:
    (checkpoint / "chat_template.jinja").unlink()
    error = refused(checkpoint)
    assert "no chat template" in str(error) and "chat_template.jinja" in error.hint


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for message in %}", "cannot be used: Expected an expression"),
        ("{% if messages %}<|im_start|>", "cannot be used: Unexpected end of template"),
        ("{{ messages[0].role }}", "cannot be used: it leaves the question out"),
    ],
)
def test_a_chat_template_that_is_cut_is_refused(checkpoint: Path, template: str, said: str) -> None:
    (checkpoint / "chat_template.jinja").write_text(template)
    error = refused(checkpoint)
    assert said in str(error) and "chat_template.jinja" in error.hint


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("generation_config.json", '{"eos_token_id": [2', "generation_config.json cannot be read"),
        ("generation_config.json", "null", "'NoneType' object is not a mapping"),
        ("config.json", "null", "NoneType"),
        ("tokenizer.json", "{}", "KeyError: 'added_tokens'"),
        ("processor_config.json", "[]", "'list' object has no attribute"),
    ],
)
def test_files_that_hold_something_else_are_no_traceback_and_no_other_answers(
    checkpoint: Path, name: str, text: str, said: str
) -> None:
    (checkpoint / name).write_text(text)
    assert said in str(refused(checkpoint))


def test_weights_of_other_sizes_than_the_config_says_are_named(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    changed(checkpoint, "config.json", text_config=config["text_config"] | {"hidden_size": 48})
    assert "of its weights are absent or misshapen, the first lm_head.weight" in str(refused(checkpoint))


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("You are trying to access a gated repo.\nMake sure", "accept its terms at https://huggingface.co/Some/Body"),
        ("Some/Body is not a local folder and is not a valid model identifier", "is the name right"),
        ("We couldn't connect to 'https://huggingface.co'", "hf download Some/Body"),
    ],
)
def test_a_checkpoint_that_the_hub_does_not_give_says_what_to_do(said: str, hint: str) -> None:
    spec = ModelSpec(name="it", adapter="hf_chat", checkpoint="Some/Body")
    with pytest.raises(ModelUnavailable) as caught, hf.explained_load(spec):
        raise OSError(said)
    assert caught.value.hint.startswith(hint)


def test_an_architecture_of_a_newer_transformers_says_how_to_get_it(checkpoint: Path) -> None:
    changed(checkpoint, "config.json", model_type="next_year")
    assert refused(checkpoint).hint == "pip install --upgrade transformers"


def test_the_tokenizers_chat_template_will_do(checkpoint: Path) -> None:
    template = (checkpoint / "chat_template.jinja").read_text()
    (checkpoint / "chat_template.jinja").unlink()
    changed(checkpoint, "tokenizer_config.json", chat_template=template)
    assert load(checkpoint).describe()["class"] == "Qwen2_5_VLForConditionalGeneration"


def test_a_language_model_is_no_video_model(checkpoint: Path) -> None:
    LlamaConfig().save_pretrained(checkpoint)
    assert "is a llama, which is no model of images and text" in str(refused(checkpoint))


def test_a_checkpoint_whose_processor_is_a_tokenizer_only_is_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = AutoProcessor.from_pretrained(checkpoint)
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda *_, **__: processor.tokenizer)
    assert "needs a processor" in str(refused(checkpoint))


def test_a_processor_of_neither_videos_nor_images_is_refused(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor = AutoProcessor.from_pretrained(checkpoint)
    processor.video_processor = processor.image_processor = None
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda *_, **__: processor)
    assert "takes neither videos nor images" in str(refused(checkpoint))


@pytest.mark.parametrize("name", ["processor_config.json", "tokenizer.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_named(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    assert name in str(refused(checkpoint))


def test_torn_and_absent_weights_never_answer(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    kept = dict(list(weights.items())[1:])
    save_file(kept, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert "1 of its weights are absent" in str(refused(checkpoint))
    torn = (checkpoint / "model.safetensors").read_bytes()[:2000]
    (checkpoint / "model.safetensors").write_bytes(torn)
    assert "cannot be loaded" in str(refused(checkpoint))


def test_a_package_that_a_family_needs_is_named_with_the_line_that_installs_it(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "family_of", lambda _: Family(needs=("no-such-package",)))
    error = refused(checkpoint)
    assert "needs no-such-package" in str(error) and error.hint == "pip install no-such-package"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Package `num2words` is required. Install it with `pip install num2words`.", "pip install num2words"),
        ("FlashAttention2 cannot be used: the package flash_attn seems not to be installed", "pip install flash_attn"),
        ("no such library", "install the package that it names"),
    ],
)
def test_an_import_that_fails_gives_the_line_that_installs_it(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, said: str, hint: str
) -> None:
    monkeypatch.setattr(AutoProcessor, "from_pretrained", raising(ImportError(said)))
    error = refused(checkpoint)
    assert said in str(error) and error.hint == hint


def test_an_attention_that_is_not_here_is_said(checkpoint: Path) -> None:
    assert "flash" in str(refused(checkpoint, attention="flash_attention_2")).lower()
    assert load(checkpoint, attention="eager").describe()["attention"] == "eager"


def test_a_checkpoint_with_code_of_its_own_is_not_trusted_by_itself(checkpoint: Path) -> None:
    changed(checkpoint, "config.json", model_type="its_own", auto_map={"AutoConfig": "code.Config"})
    (checkpoint / "code.py").write_text("raise SystemExit('this ran')")
    error = refused(checkpoint)
    assert "--trust-remote-code" in error.hint


def test_nobody_is_asked_on_the_terminal_whether_code_may_run(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(checkpoint, "config.json", model_type="its_own", auto_map={"AutoConfig": "code.Config"})
    (checkpoint / "code.py").write_text("raise SystemExit('this ran')")
    monkeypatch.setattr("builtins.input", lambda prompt="": "yes")
    assert "--trust-remote-code" in refused(checkpoint).hint


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("can't allocate memory"),
        MemoryError(),
        ValueError("The current `device_map` had weights offloaded to the disk, which needed to be re-saved."),
        ValueError("Some modules are dispatched on the CPU or the disk. Make sure you have enough GPU RAM"),
    ],
)
def test_too_little_memory_at_load_is_no_request_of_anybody(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", raising(error))
    said = refused(checkpoint)
    assert "too little free memory" in str(said) and "--devices" in said.hint


def test_bfloat16_is_refused_where_a_gpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(ModelUnavailable, match="T4 does not compute in bfloat16") as caught:
        hf.require_dtype("bfloat16", [gpu])
    assert caught.value.hint == "add --dtype float16"
    hf.require_dtype("float16", [gpu])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    hf.require_dtype("bfloat16", [gpu])
    hf.require_dtype("bfloat16", [torch.device("cpu")])


def test_a_group_of_devices_shares_the_weights_by_what_each_has_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: ((device.index + 1) * 10, 100))
    group = [torch.device("cuda:0"), torch.device("cuda:1")]
    assert hf.placing(group) == {"device_map": "auto", "max_memory": {0: 10, 1: 20}}
    assert hf.placing(group[1:]) == {"device_map": {"": group[1]}}


def test_a_model_that_did_not_fit_its_group_is_refused(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    model.hf_device_map = {"model": 0, "lm_head": "disk"}
    loaded: tuple[Any, dict[str, list[str]]] = model, {"missing_keys": [], "mismatched_keys": []}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10, 100))
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", lambda *_, **__: loaded)
    with pytest.raises(ModelUnavailable, match="too little free memory"):
        hf.load_weights(
            AutoModelForImageTextToText, spec_of(checkpoint), dtype="float16", devices=[torch.device("cuda:0")]
        )  # fmt: skip


def test_a_model_without_an_entry_is_asked_by_the_general_rules(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "family_of", lambda _: None)
    assert load(checkpoint).describe()["attention"]


def test_the_spec_may_name_the_family(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def found(name: str) -> Family:
        asked.append(name)
        return FAMILIES[name]

    monkeypatch.setattr(loading, "family_of", found)
    load(checkpoint, family="qwen2_vl")
    assert asked == ["qwen2_vl"]


def test_no_entry_names_a_class_that_transformers_does_not_have() -> None:
    assert all(hasattr(transformers, family.model) for family in FAMILIES.values() if family.model)
