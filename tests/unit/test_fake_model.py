"""The fake: what steers it, and what its answers depend on."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videval.errors import EnvironmentProblem, ModelFailure, ModelUnavailable, OutOfMemory
from videval.models import fake
from videval.models.catalog import MODELS, load_model
from videval.protocols import Model
from videval.types import Clip, GenerationSettings, Image, Prompt, Sound, Text, Video

SETTINGS = GenerationSettings()
SPAWN = multiprocessing.get_context("spawn")


def loaded() -> Model:
    made = load_model(MODELS["fake"], devices=["cpu"])
    assert isinstance(made, Model)
    return made


@pytest.fixture
def model() -> Model:
    return loaded()


def prompt(text: str = "What is it?", clip: Clip | None = None, **row: Any) -> Prompt:
    return Prompt(
        parts=(Video(), Text(text=text)) if clip else (Text(text=text),), clips=(clip,) if clip else (), steering=row
    )


def clip(folder: Path, value: int) -> Clip:
    path = folder / f"{value}.npy"
    np.save(path, np.full((2, 32, 32, 3), value, dtype=np.uint8))
    return Clip(
        path=str(path), frame_numbers=(0, 1), timestamps=(0.0, 1.0), total_frames=2, fps=1.0, width=32, height=32,
        decoder="none", policy="stride",
    )  # fmt: skip


def say(model: Model, *prompts: Prompt) -> list[str]:
    return [g.text for g in model.generate([model.prepare(p, SETTINGS) for p in prompts])]


@pytest.mark.parametrize(("fault", "error"), [("error", ModelFailure), ("oom", OutOfMemory), ("odd", ModelFailure)])
def test_a_fault_in_the_row_is_raised(model: Model, fault: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        say(model, prompt(), prompt(fake_fault=fault))


def test_memory_ends_in_out_of_memory_at_the_limit(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "MEMORY_LIMIT", 2 * fake.MEMORY_STEP)
    with pytest.raises(OutOfMemory):
        say(model, prompt(fake_fault="memory"))


def test_a_latency_that_is_no_number_is_the_requests_failure(model: Model) -> None:
    with pytest.raises(ModelFailure, match="soon"):
        say(model, prompt(latency_ms="soon"))


def test_frames_that_are_gone_or_damaged_are_this_machines_problem(model: Model, tmp_path: Path) -> None:
    seen = clip(tmp_path, 1)
    np.save(seen.path, np.zeros((2, 32, 32), dtype=np.uint8))
    with pytest.raises(EnvironmentProblem, match="not the recorded clip"):
        say(model, prompt(clip=seen))
    Path(seen.path).unlink()
    with pytest.raises(EnvironmentProblem, match="cannot be mapped"):
        say(model, prompt(clip=seen))


def answer_in_a_process(fault: str) -> None:
    say(loaded(), prompt(fake_fault=fault))


def test_crash_kills_the_process_and_hang_never_returns() -> None:
    crash = SPAWN.Process(target=answer_in_a_process, args=("crash",))
    hang = SPAWN.Process(target=answer_in_a_process, args=("hang",))
    crash.start()
    hang.start()
    crash.join(60)
    assert crash.exitcode == -signal.SIGKILL
    hang.join(1)
    assert hang.is_alive()
    hang.kill()
    hang.join(60)


def test_a_load_fault_makes_the_model_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_FAULT", "error")
    with pytest.raises(ModelUnavailable):
        load_model(MODELS["fake"], devices=["cpu"])


def test_loading_takes_the_seconds_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setenv("VIDEVAL_FAKE_LOAD_S", "0.2")
    monkeypatch.setattr(time, "sleep", slept.append)
    load_model(MODELS["fake"], devices=["cpu"])
    assert slept == [0.2]


def test_an_answer_in_the_row_is_said_to_the_character(model: Model) -> None:
    awkward = " =1+1\n\x00\ud800 "
    assert say(model, prompt(fake_answer=awkward), prompt(fake_answer=0)) == [awkward, "0"]


def test_empty_cells_steer_nothing(model: Model) -> None:
    cells: dict[str, Any] = {"fake_answer": "", "fake_fault": "", "latency_ms": float("nan")}
    assert say(model, prompt(**cells)) == say(model, prompt(fake_answer=None, latency_ms=""))


def test_the_same_prompt_gets_the_same_answer_and_another_another(model: Model) -> None:
    first, again, other = say(model, prompt("one"), prompt("one"), prompt("two"))
    assert first == again != other


def test_the_frames_are_part_of_the_answer(model: Model, tmp_path: Path) -> None:
    dark, light, dark_again = (clip(tmp_path, value) for value in (1, 2, 1))
    first, other, again = say(model, prompt(clip=dark), prompt(clip=light), prompt(clip=dark_again))
    assert first == again != other


def test_every_clip_image_and_sound_is_part_of_the_answer(model: Model, tmp_path: Path) -> None:
    one, two = clip(tmp_path, 1), clip(tmp_path, 2)
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    parts = [(), (Image(path=str(tmp_path / "a")),), (Image(path=str(tmp_path / "b")),)]
    heard = [(Sound(path=str(tmp_path / "b")), Text(text="?"))]
    prompts = [Prompt(parts=p, clips=clips) for p in (*parts, *heard) for clips in ((one,), (one, two), (two, one))]
    said = say(model, *prompts)
    assert len(set(said)) == len(said)


def test_options_in_the_question_are_answered_with_a_letter(model: Model) -> None:
    questions = [prompt(f"{n}?\nOptions:\n(A) red\n(B) blue\nC. green\n") for n in range(30)]
    assert set(say(model, *questions)) == {"A", "B", "C"}


def test_a_batch_takes_as_long_as_its_slowest_request(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    say(model, prompt(latency_ms=200), prompt(latency_ms="100"), prompt())
    assert slept == [0.2]


def test_each_generation_is_logged_even_if_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_FAKE_LOG", str(tmp_path / "log"))
    model = loaded()
    say(model, prompt(index=1), prompt(index="b"))
    with pytest.raises(ModelFailure):
        say(model, prompt(index=3, fake_fault="error"))
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["index"] for line in lines] == [1, "b", 3]
    assert {line["pid"] for line in lines} == {os.getpid()}


def test_the_fake_is_a_model_that_describes_itself(model: Model) -> None:
    assert isinstance(model, Model)
    assert model.describe()["adapter"] == "fake"
