"""What is wrong with a checkpoint, and the devices that it needs, are said by doctor, run, enqueue and fleet."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.cli import Call
from tests.seeding import Seed, new_database, seed_run
from tests.unit.test_memory import HUGE, SMALL
from tests.unit.test_troubles import weights
from videval.cli import fleet as fleet_module
from videval.cli.fleet import _say_what_fits_nowhere
from videval.cli.model_findings import model_findings
from videval.db import queue
from videval.settings import Settings
from workers import device
from workers.device import parse_devices
from workers.fleet import Fleet

CONFIG = {
    "model_type": "qwen2_5_vl",
    "max_position_embeddings": 128_000,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "num_attention_heads": 28,
    "hidden_size": 3584,
}


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of 24 GiB."""
    monkeypatch.setattr(device, "list_gpus", lambda: SMALL)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """A complete checkpoint of little weight and a long context."""
    made = tmp_path / "body"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    for name in ("processor_config.json", "tokenizer.json", "chat_template.jinja"):
        (made / name).write_text("{}")
    weights(made / "model.safetensors", one=3)
    return made


@pytest.fixture
def broken(body: Path) -> Path:
    """One whose weights were cut off in the middle."""
    file = body / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    return body


def found(settings: Settings, name: str) -> dict[str, tuple[bool, str, str]]:
    return {f.what: (f.ok, f.says, f.mend) for f in model_findings(settings, name)}


def test_doctor_says_context_and_memory_of_a_sound_checkpoint(body: Path, tmp_path: Path) -> None:
    said = found(Settings(home=tmp_path, devices="0"), f"hf_chat:{body}")
    assert said["checkpoint"][0] and said["context"] == (True, "128,000 tokens", "")
    assert said["memory"][0]
    assert said["memory"][1].endswith("GB of weights + 7.3 GB of cache for 128,000 tokens: 1 GPU of 24 GiB")


def test_doctor_says_the_group_that_a_checkpoint_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("videval.cli.model_findings.model_spec", lambda name: HUGE)
    ok, says, mend = found(Settings(home=tmp_path, devices="0,1+2"), "huge")["memory"]
    assert (ok, mend) == (False, "--devices 0+1+2") and "a group of 3 such GPUs" in says
    ok, says, _ = found(Settings(home=tmp_path, devices="0+1+2"), "huge")["memory"]
    assert ok and says == "huge needs 66.9 GB of weights: 3 GPUs of 24 GiB"
    ok, says, _ = found(Settings(home=tmp_path, devices="cpu"), "huge")["memory"]
    assert ok and says == "huge needs 66.9 GB of weights"


def test_doctor_says_what_is_wrong_with_a_checkpoint(videval: Call, broken: Path) -> None:
    said = videval("doctor", f"hf_chat:{broken}")
    assert said.code != 0 and "cut" in said.out and "checkpoint" in said.out


def test_doctor_of_an_unknown_model_names_the_nearest(videval: Call) -> None:
    said = videval("doctor", "Qwen2.5-VL-7B-Instrukt")
    assert said.code == 2 and "Qwen2.5-VL-7B-Instruct" in said.err


def questions(folder: Path) -> str:
    (folder / "a.mp4").write_bytes(b"no video")
    (folder / "rows.jsonl").write_text(json.dumps({"video": "a.mp4", "question": "What?"}) + "\n")
    return str(folder / "rows.jsonl")


def test_a_broken_checkpoint_is_refused_before_a_worker_starts(videval: Call, broken: Path, tmp_path: Path) -> None:
    said = videval("run", questions(tmp_path), f"hf_chat:{broken}", "--frames", "8", "--devices", "cpu")
    assert said.code == 3 and "cut" in said.err and "->" in said.err
    assert not list((tmp_path / "home").rglob("*worker*.log"))


def test_a_broken_checkpoint_is_only_remarked_where_workers_are_elsewhere(
    videval: Call, broken: Path, tmp_path: Path
) -> None:
    said = videval("enqueue", questions(tmp_path), f"hf_chat:{broken}", "--frames", "8")
    assert "cut" in said.err and "its workers may be elsewhere" in said.err


def test_a_fleet_says_which_models_fit_on_none_of_its_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(fleet_module, "warn", said.append)
    database = new_database(tmp_path)
    seed_run(database, Seed(questions=2, done=0))
    wanted = queue.work
    monkeypatch.setattr(queue, "work", lambda c: [replace(w, spec=replace(w.spec, weights_gb=66.9)) for w in wanted(c)])
    for text, count in [("0,1", 1), ("0,1+2+3", 0), ("cpu", 0)]:
        said.clear()
        _say_what_fits_nowhere(cast("Fleet", SimpleNamespace(devices=parse_devices(text))), database)
        assert len(said) == count and all("a group of 3 such GPUs" in line for line in said)
    database.close()
