"""An engine in this process: answers, failures and a model that cannot be loaded come to whoever asks."""

import os
from pathlib import Path

import pytest

from videval.errors import ModelFailure, ModelUnavailable, NoFreeDevice, ProcessDied
from videval.models.catalog import model_spec
from videval.models.fake import FakeModel
from videval.protocols import Model
from videval.settings import Settings
from videval.types import Answer, GenerationSettings, Prompt, Stage, Text
from workers.engine.here import EngineHere, engine_here

PROMPT = Prompt(parts=(Text(text="Which?"),), steering={"fake_answer": "B"})


def asked(engine: EngineHere, prompt: Prompt = PROMPT) -> tuple[Answer, list[Stage]]:
    stages: list[Stage] = []
    answer = engine.ask(prompt, GenerationSettings(), alone=True, together="", load_key="key", on_stage=stages.append)
    return answer, stages


def test_a_model_is_loaded_when_it_is_first_asked_and_once() -> None:
    loads: list[int] = []

    def load() -> Model:
        loads.append(1)
        return FakeModel({"device": "cpu"})

    engine = EngineHere(load)
    assert not loads
    for _ in range(2):
        answer, stages = asked(engine)
        assert answer.generation.text == "B"
        assert stages == [Stage.PREPARE, Stage.WAIT, Stage.GENERATE]
    assert len(loads) == 1 and engine.describe() == {"device": "cpu"}
    engine.close()


@pytest.mark.parametrize(
    ("raised", "told"),
    [(ModelUnavailable("no weights", hint="fetch them"), ModelUnavailable), (KeyError("config"), ModelFailure)],
)
def test_a_model_that_cannot_be_loaded_is_said(raised: Exception, told: type[Exception]) -> None:
    def load() -> Model:
        raise raised

    with pytest.raises(told, match=r"no weights|KeyError: 'config'"):
        asked(EngineHere(load))


def test_a_failure_of_one_prompt_is_its_own() -> None:
    engine = EngineHere(lambda: FakeModel({}))
    with pytest.raises(ModelFailure):
        asked(engine, Prompt(parts=(), steering={"fake_fault": "error"}))
    assert asked(engine)[0].generation.text == "B"
    engine.close()


def test_a_broken_device_is_said_and_not_waited_for() -> None:
    with pytest.raises(ProcessDied, match="break its device"):
        asked(EngineHere(lambda: FakeModel({})), Prompt(parts=(), steering={"fake_fault": "device"}))


@pytest.mark.parametrize("model", ["fake", "fake_server:4", "fake_api:4"])
def test_a_model_a_server_and_an_endpoint_are_asked_alike(model: str, tmp_path: Path) -> None:
    with engine_here(model_spec(model), Settings(home=tmp_path, devices="auto")) as engine:
        assert asked(engine)[0].generation.text == "B"


def test_a_device_is_held_meanwhile_and_free_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    settings = Settings(home=tmp_path, lock_dir=tmp_path / "locks", devices="cpu:7")
    for _ in range(2):
        with engine_here(model_spec("fake"), settings):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
            with pytest.raises(NoFreeDevice) as caught, engine_here(model_spec("fake"), settings):
                pass
            assert "--devices" in caught.value.hint
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
