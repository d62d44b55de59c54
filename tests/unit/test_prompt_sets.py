"""Whose prompts: by name, in the run's key and card, at the worker, and what is said before anybody waits for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.questions import identity
from tests.trees import tree
from videval.benchmarks.catalog import benchmark_names, find_benchmark
from videval.cli.enqueue import place
from videval.db import requests
from videval.db.records import Claim
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.errors import BrokerUnavailable, EnvironmentProblem, ModelFailure, UsageError
from videval.inference import infer
from videval.options import Asked
from videval.order import Order
from videval.orders import make_order
from videval.runs import enqueue
from videval.settings import Settings
from videval.types import Clip, Prompt, PromptSet, Text
from videval.video.clips import Fetched
from workers.wire import prompt_from, prompt_message

CLIP = Clip(
    path="c.npy", frame_numbers=tuple(range(8)), timestamps=tuple(map(float, range(8))), total_frames=30, fps=10.0,
    width=64, height=48, decoder="test", policy="interior",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", lock_dir=tmp_path / "locks", data_root=tmp_path / "data")


@pytest.fixture
def database(settings: Settings) -> Database:
    opened = open_database(settings)
    ensure_schema(opened)
    return opened


def asked(settings: Settings, what: str, **more: Any) -> Order:
    assert settings.data_root is not None
    name = what.split("_")[0]
    if not (settings.data_root / name).exists():
        tree(name, settings.data_root / name)
    return make_order(Asked(what=what, **{"model": "fake", **more}), settings)


class Heard(Exception):
    """Ends an inference where its prompt is known."""


class Listener:
    """Stands for decoders and engine, and keeps the prompt."""

    prompt: Prompt

    @contextmanager
    def hold(self, *_: object, **__: object) -> Iterator[Fetched]:
        yield Fetched(clip=CLIP)

    def ask(self, prompt: Prompt, *_: object, **__: object) -> Any:
        self.prompt = prompt
        raise Heard


def heard(claim: Claim, root: Path) -> Prompt:
    """The prompt that a worker would give its engine."""
    listener = Listener()
    with pytest.raises(Heard):
        inferred(claim, root, listener)
    return listener.prompt


def inferred(claim: Claim, root: Path, listener: Listener) -> None:
    """Answer a claim, as a worker does."""
    infer(claim.key, claim.samples, claim.run, root=root, frames=listener, engine=listener, on_stage=lambda _: None)


def claimed(database: Database, run_id: int, load_key: str) -> Claim:
    with database.read() as connection:
        first = connection.exec_driver_sql(f"SELECT min(id) FROM requests WHERE run_id = {run_id}").scalar_one()
    claim = database.write(
        lambda c: requests.claim(c, first, identity(), lease=60.0, load_key=load_key, dtype="float32")
    )
    assert claim is not None
    return claim


# What cannot be


@pytest.mark.parametrize(
    ("what", "name", "has"),
    [
        ("NExT-QA_8frame", "vlmevalkit", "paper, lmms-eval"),
        ("EgoSchema_8frame", "mine", "paper, lmms-eval"),
        ("MVBench_8frame", "lmms-eval", "paper, vlmevalkit"),
        ("MLVU_8frame", "mine", "paper, vlmevalkit, lmms-eval"),
        ("MovingShapes_8frame", "vlmevalkit", "paper"),
    ],
)
def test_a_set_that_a_benchmark_does_not_have_is_refused_with_those_it_has(
    what: str, name: str, has: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"no prompt set '{name}'; it has {has}\n") as raised:
        make_order(Asked(what=what, model="fake", prompts=name), Settings(home=tmp_path))
    assert raised.value.hint == f"--prompts {has.split(',')[0]}"


def test_a_run_of_an_older_protocol_is_not_gone_on_with_in_other_words(settings: Settings, database: Database) -> None:
    made = asked(settings, "MLVU_8frame")
    run = enqueue(database, made).run
    claim = claimed(database, run.run_id, run.load_key)
    assert heard(claim, made.root).parts
    for protocol, error in ((1, ModelFailure), (3, EnvironmentProblem)):
        other = replace(claim, run=replace(claim.run, protocol=protocol))
        with pytest.raises(error, match=f"asks MLVU by protocol {protocol}, this videval by 2"):
            inferred(other, made.root, Listener())


def test_a_set_that_this_page_does_not_have_is_left_to_a_worker_that_does(
    settings: Settings, database: Database
) -> None:
    made = asked(settings, "TempCompass_8frame")
    run = enqueue(database, made).run
    claim = claimed(database, run.run_id, run.load_key)
    other = replace(claim, run=replace(claim.run, prompts="a newer one"))
    with pytest.raises(EnvironmentProblem, match="with prompt set a newer one, which this videval does not have"):
        inferred(other, made.root, Listener())


# What is asked


def test_a_worker_words_the_prompt_with_the_runs_set_and_samples_so(settings: Settings, database: Database) -> None:
    said = {}
    for name in (None, "vlmevalkit", "lmms-eval"):
        made = replace(asked(settings, "MLVU_8frame", prompts=name), in_order=True)
        run = enqueue(database, made).run
        claim = claimed(database, run.run_id, run.load_key)
        prompt = prompt_from(prompt_message(heard(claim, made.root)))
        said[prompt.prompts] = (prompt.text("system")[:5], prompt.text("user")[:9], claim.run.sampling.policy)
    assert said == {
        PromptSet.PAPER: ("Caref", "Question:", "interior"),
        PromptSet.VLMEVALKIT: ("Caref", "Question:", "interior"),
        PromptSet.LMMS_EVAL: ("", "plotQA?\n(", "uniform"),
    }


@pytest.mark.parametrize("name", ["NExT-QA", "EgoSchema", "LVBench"])
def test_what_only_lmms_eval_has_is_sampled_with_both_ends_as_there(name: str) -> None:
    found = find_benchmark(name)
    for one in (None, "paper", "lmms-eval"):
        prompts = found.prompt_set(one)
        assert found.sampling(found.variant(num_frames=8), prompts).policy == "uniform"
        assert found.sampling(found.variant(fps=1.0), prompts).policy == "rate"


# The run


def test_the_default_set_by_name_is_the_same_run_and_another_set_is_another(
    settings: Settings, database: Database
) -> None:
    first = enqueue(database, asked(settings, "MVTamperBench_8frame"))
    same = enqueue(database, asked(settings, "MVTamperBench_8frame", prompts="paper"))
    other = enqueue(database, asked(settings, "MVTamperBench_8frame", prompts="vlmevalkit"))
    assert (same.created, same.run.run_id) == (False, first.run.run_id)
    assert other.created and other.run.run_id != first.run.run_id
    assert [r.prompts for r in (first.run, other.run)] == ["paper", "vlmevalkit"]
    assert [r.card["benchmark"]["prompts"] for r in (first.run, other.run)] == ["paper", "vlmevalkit"]
    assert enqueue(database, asked(settings, "MVTamperBench_8frame", prompts="vlmevalkit")).created is False


def test_what_is_worded_otherwise_than_in_the_last_release_has_another_key(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {name for name in benchmark_names() if find_benchmark(name).protocol_version == 2}
    assert changed == {"MLVU", "TempCompass", "NExT-QA", "EgoSchema", "LVBench"}
    made = asked(settings, "TempCompass_8frame")
    now = made.run_key("content")
    monkeypatch.setattr(type(made.benchmark), "protocol_version", 1)
    assert made.run_key("content") != now


def test_prompts_and_protocol_are_in_the_card(settings: Settings, database: Database) -> None:
    card = enqueue(database, asked(settings, "NExT-QA_8frame")).run.card["benchmark"]
    assert (card["prompts"], card["protocol"], card["remarks"]) == ("paper", 2, [])


# How long an answer may be


@pytest.mark.parametrize(
    ("what", "more", "tokens"),
    [
        ("VideoMMMU_8frame", {}, 1024),
        ("WorldSense_8frame", {}, 1024),
        ("WorldSense_8frame", {"model": "Video-LLaVA-tiny"}, 1024),
        ("VideoMMMU_8frame", {"max_new_tokens": 64}, 64),
        ("VideoMMMU_8frame", {"max_new_tokens": 512}, 512),
        ("VideoMMMU_8frame", {"model": "Qwen/Qwen3-VL-8B-Thinking"}, 40_960),
        ("VideoMMMU_8frame", {"model": "Qwen/Qwen3-VL-8B-Thinking", "max_new_tokens": 64}, 64),
        ("MVBench_8frame", {}, 512),
        ("MVBench_8frame", {"model": "Video-LLaVA-tiny"}, 32),
    ],
)
def test_an_answer_is_as_long_as_the_user_says_else_the_longer_of_what_benchmark_and_model_say(
    what: str, more: Mapping[str, Any], tokens: int, settings: Settings, database: Database
) -> None:
    made = asked(settings, what, **more)
    assert made.generation.max_new_tokens == tokens
    assert enqueue(database, made).run.card["generation"]["max_new_tokens"] == tokens


# What is said


def say(settings: Settings, database: Database, order: Order) -> None:
    """Enqueue on the command line, where no broker is."""
    nobody = Settings(home=settings.home, broker_url=SecretStr("redis://127.0.0.1:1/0"))
    with pytest.raises(BrokerUnavailable):
        place(nobody, database, order, new=False)


def test_the_set_and_the_length_of_answers_are_said_at_enqueue(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    say(settings, database, asked(settings, "WorldSense_8frame", prompts="vlmevalkit"))
    said = capsys.readouterr().out
    assert "prompt set vlmevalkit; answers up to 1024 tokens (as WorldSense says)" in " ".join(said.split())


@pytest.mark.parametrize(
    ("prompts", "words"),
    [(None, "they cannot be answered"), ("vlmevalkit", "they are asked without it, as VLMEvalKit")],
)
def test_questions_with_an_image_that_a_model_cannot_be_shown_are_said(
    prompts: str | None, words: str, settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    made = asked(settings, "VideoMMMU_8frame", model="Video-LLaVA-7B", prompts=prompts)
    say(settings, database, made)
    said = capsys.readouterr()
    assert (
        f"2 of 4 questions (Adaptation) show an image of their own, and Video-LLaVA-7B takes a video only: {words}"
        in (" ".join((said.out + said.err).split()))
    )
    assert made.remarks() == enqueue(database, made).run.card["benchmark"]["remarks"]
    assert asked(settings, "VideoMMMU_8frame").remarks() == [], "the fake takes images"


def test_vlmevalkits_prompts_leave_subtitles_out_for_a_model_that_takes_a_video_and_say_so(settings: Settings) -> None:
    with pytest.raises(UsageError, match="puts subtitles between the frames"):
        asked(settings, "LongVideoBench_8frame_subs").sampling()
    there = asked(settings, "LongVideoBench_8frame_subs", prompts="vlmevalkit")
    assert there.sampling().policy == "interior"
    assert there.remarks() == ["fake takes a whole video: the subtitles are left out, as VLMEvalKit does"]


def test_a_prompt_keeps_its_set_on_the_way_to_the_engine() -> None:
    prompt = Prompt(parts=(Text(text="?"),), prompts=PromptSet.LMMS_EVAL)
    assert prompt_from(prompt_message(prompt)) == prompt
