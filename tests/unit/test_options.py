"""The options of `enqueue` and `run`: one record, of which nothing is lost on the way from the command line to the
order."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.main import get_command

from tests.trees import tree
from videval.cli.app import app
from videval.cli.asked import takes_suite
from videval.errors import UsageError
from videval.models import catalog
from videval.options import Asked, Suite, options
from videval.order import Order
from videval.orders import make_order
from videval.settings import Settings

NAMES = [field.name for field in options()]
POSITIONAL = {"what", "model"}
VALUES: dict[str, str] = {
    "recipe": "mine.toml",
    "data": "other.jsonl",
    "data_root": "elsewhere",
    "frames": "3",
    "fps": "0.5",
    "pack": "",
    "policy": "uniform",
    "min_frames": "4",
    "max_frames": "16",
    "multiple": "2",
    "max_pixels": "4096",
    "min_pixels": "64",
    "total_pixels": "65536",
    "prompts": "vlmevalkit",
    "max_new_tokens": "7",
    "temperature": "0.5",
    "seed": "11",
    "top_p": "0.9",
    "top_k": "20",
    "min_p": "0.05",
    "repetition_penalty": "1.05",
    "presence_penalty": "1.5",
    "stop": "END",
    "thinking": "",
    "thinking_budget": "1024",
    "attention": "eager",
    "trust_remote_code": "",
    "use_vllm": "",
    "dtype": "float16",
    "priority": "2",
    "limit": "1",
    "in_order": "",
    "race_tail": "",
    "max_attempts": "9",
    "max_cost": "0.5",
    "max_tokens_total": "100000",
    "allow_missing": "",
    "new": "",
}
"""For each option a value that is not its default."""
RECIPE = """
[mine]
source = "here"
date = "2026-11-26"

[[mine.recipes]]
name = "fake/mvbench"
model = "fake"
variant = "MVBench_8frame"
"""

ENDPOINTS = """
[endpoints.lab]
base_url = "http://127.0.0.1:9/v1"
model = "m"
prices = { prompt = 1.0, new = 1.0 }

[endpoints.free]
base_url = "http://127.0.0.1:9/v1"
model = "m"
"""


def asked_by(*words: str) -> Asked:
    """What a command that takes these options is handed."""
    found: list[Suite] = []
    commands = Typer(add_completion=False)
    commands.command()(takes_suite(found.append))
    get_command(commands).main([*words], standalone_mode=False)
    (asked,) = found[0].cells
    return asked


def on_the_line(name: str) -> list[str]:
    """An option with its value as it is typed."""
    return [f"--{name.replace('_', '-')}", *filter(None, [VALUES[name]])]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tables of questions about a video, a folder to look for videos in, and a published benchmark."""
    for name in ("asked.jsonl", "other.jsonl", "elsewhere/asked.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"index": 1, "video": "a.mp4", "question": "What?", "answer": "x"}\n')
    (tmp_path / "mine.toml").write_text(RECIPE)
    (tmp_path / "endpoints.toml").write_text(ENDPOINTS)
    monkeypatch.setenv("VIDEVAL_ENDPOINTS", str(tmp_path / "endpoints.toml"))
    resizes = replace(catalog.FAKE, name="resizes", resizes=True)
    loads = replace(catalog.FAKE, name="loads", adapter="hf_chat")
    monkeypatch.setattr(catalog, "MODELS", {**catalog.MODELS, resizes.name: resizes, loads.name: loads})
    tree("MVBench", tmp_path / "MVBench")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def facts(order: Order) -> dict[str, Any]:
    """All that an order says, without the page itself, which is made anew each time."""
    return {f.name: getattr(order, f.name) for f in fields(Order) if f.name != "benchmark"}


@pytest.mark.parametrize("command", ["enqueue", "run"])
def test_every_field_is_an_option_of_both_commands_with_its_help_and_bounds(command: str) -> None:
    found = {p.name: p for p in get_command(app).get_command(None, command).params}  # type: ignore[attr-defined]
    assert {f.name for f in fields(Asked)} == POSITIONAL | set(NAMES)
    for field in options():
        param = found[field.name]
        assert param.help == field.told.help and param.default == field.default
        bounds = param.min, param.max
        assert bounds == (field.told.least, field.told.most)


def test_an_option_without_a_value_to_try_is_noticed() -> None:
    assert set(VALUES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_reaches_the_record(name: str) -> None:
    asked, plain = asked_by("what", "model", *on_the_line(name)), asked_by("what", "model")
    (changed,) = [f.name for f in fields(Asked) if getattr(asked, f.name) != getattr(plain, f.name)]
    assert changed == name


@pytest.mark.parametrize("name", [n for n in NAMES if n != "new"])
def test_every_option_of_the_record_reaches_the_order(name: str, folder: Path) -> None:
    if name == "prompts":
        words = ["MVBench_8frame", "fake", "--data-root", "MVBench"]
    elif name == "use_vllm":
        words = ["asked.jsonl", "loads"]
    elif name in ("min_pixels", "total_pixels"):
        words = ["asked.jsonl", "resizes"]
    elif name in ("max_cost", "max_tokens_total"):
        words = ["asked.jsonl", "endpoint:lab"]
    else:
        words = ["asked.jsonl", "fake"]
    settings = Settings(home=folder / "home")
    more = [*words, *on_the_line(name)]
    if name == "data":
        words, more = ["fake", "--data", "asked.jsonl"], ["fake", *on_the_line(name)]
    plain, changed = (make_order(asked_by(*line), settings) for line in (words, more))
    assert facts(plain) != facts(changed)


@pytest.mark.parametrize(
    ("model", "option", "why"),
    [("fake", "--max-tokens-total", "runs on devices here"), ("endpoint:free", "--max-cost", "free has no prices")],
)
def test_a_limit_that_nobody_would_count_against_is_refused(model: str, option: str, why: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=why):
        make_order(asked_by("asked.jsonl", model, option, "9"), Settings(home=folder / "home"))


def test_with_data_the_one_argument_is_the_model() -> None:
    asked = asked_by("fake", "--data", "asked.jsonl")
    assert (asked.what, asked.model, asked.data) == (None, "fake", Path("asked.jsonl"))
