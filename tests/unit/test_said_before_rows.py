"""A missing key, and a missing vLLM, are said before anything is written: where they matter, as an error."""

import json
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli import Call, caller
from tests.questions import answer, take
from tests.seeding import LAB_ENTRY, settings_for
from tests.trees import clip
from tests.unit.test_model_findings import CONFIG
from tests.unit.test_troubles import weights
from videval.db.session import open_database


@pytest.fixture
def videval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, an endpoint `lab` that needs LAB_KEY, and a table of one question."""
    monkeypatch.delenv("LAB_KEY", raising=False)
    (tmp_path / "endpoints.toml").write_text(f'{LAB_ENTRY}key_env = "LAB_KEY"\n')
    (tmp_path / "clip.mp4").write_bytes(clip())
    (tmp_path / "q.tsv").write_text("index\tvideo\tquestion\tanswer\n0\tclip.mp4\tWhat?\tA\n")
    return caller(tmp_path, monkeypatch, capsys)


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """A complete checkpoint that vLLM could answer for."""
    made = tmp_path / "body"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    for name in ("processor_config.json", "tokenizer.json", "chat_template.jinja"):
        (made / name).write_text("{}")
    weights(made / "model.safetensors", one=3)
    return made


def test_a_run_without_its_key_is_refused_before_there_are_rows(videval: Call, tmp_path: Path) -> None:
    said = videval("run", str(tmp_path / "q.tsv"), "endpoint:lab", "--devices", "api")
    assert said.code == 3 and "endpoint lab needs a key, and LAB_KEY is not set" in said.err
    assert "export LAB_KEY=" in said.err
    assert json.loads(videval("list", "runs", "--json").out or "[]") == []


def test_a_run_that_is_answered_needs_no_key_any_more(videval: Call, tmp_path: Path) -> None:
    line = (str(tmp_path / "q.tsv"), "endpoint:lab")
    assert videval("enqueue", *line).code == 0
    database = open_database(settings_for(tmp_path))
    answer(database, take(database, 1, model="endpoint:lab"))
    database.close()
    said = videval("run", *line, "--devices", "api", "--output", str(tmp_path / "out"))
    assert said.code == 0, said.err


def test_to_enqueue_without_the_key_is_a_warning_since_workers_elsewhere_may_have_it(
    videval: Call, tmp_path: Path
) -> None:
    said = videval("enqueue", str(tmp_path / "q.tsv"), "endpoint:lab")
    assert said.code == 0 and "LAB_KEY is not set" in said.err and "workers may be elsewhere" in said.err


def test_doctor_says_that_an_endpoint_has_no_key(videval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    said = videval("doctor", "endpoint:lab")
    assert said.code == 3 and "LAB_KEY is not set" in said.out
    monkeypatch.setenv("LAB_KEY", "sk-0123456789")
    assert "LAB_KEY" not in videval("doctor", "endpoint:lab").out


@pytest.mark.parametrize("reader", ["decord", "torchcodec"])
def test_doctor_says_that_the_reader_that_is_set_is_not_installed(
    reader: str, videval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version_of(name: str) -> str:
        if name == reader:
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("videval.cli.findings.version", version_of)
    said = videval("doctor")
    assert reader in said.out and "VIDEVAL_READER" not in said.out, "nobody needs it who does not set it"
    monkeypatch.setenv("VIDEVAL_READER", reader)
    said = videval("doctor")
    assert said.code == 3 and f"pip install {reader}, or unset VIDEVAL_READER" in said.out


def _found(name: str, *, but: str) -> ModuleSpec | None:
    return None if name == but else find_spec(name)


def test_a_run_on_vllm_without_vllm_is_refused_before_there_are_rows(
    videval: Call, tmp_path: Path, body: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = partial(_found, but="vllm")
    monkeypatch.setattr("videval.models.troubles.find_spec", without)
    words = (str(tmp_path / "q.tsv"), f"hf_chat:{body}", "--use-vllm")
    said = videval("run", *words, "--devices", "cpu")
    assert said.code == 3 and "vLLM is not installed here" in said.err and "videval[vllm]" in said.err
    assert json.loads(videval("list", "runs", "--json").out or "[]") == []
    said = videval("enqueue", *words)
    assert said.code == 0 and "vLLM is not installed here" in said.err
