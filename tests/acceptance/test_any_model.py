"""Models of three families, each by one line, on one bare worker: what any Hugging Face video model goes through."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Home
from tests.tiny import tiny
from videval.export import read_export

__all__ = ["tiny"]

FAMILIES = ("gemma3", "qwen2_5_vl")


def _name(family: str) -> str:
    """A table's name that a run's name begins with as it is."""
    return f"about-{family.replace('_', '-')}"


def test_a_bare_worker_answers_for_models_of_several_families_one_after_another(
    home: Home, clips: list[str], tiny: Callable[[str], Path]
) -> None:
    rows = [{"index": i, "video": clips[i % 3], "question": f"What is {i}?"} for i in range(3)]
    options = ("--frames", "4", "--max-new-tokens", "6", "--max-pixels", "40000")
    for family in FAMILIES:
        home.run("enqueue", home.questions(rows, f"{_name(family)}.jsonl"), f"hf_chat:{tiny(family)}", *options)
    home.worker("cpu:0")
    for family in FAMILIES:
        run = _name(family)
        assert home.wait(run, timeout=180)["done"] == 3
        home.run("export", run, "--format", "jsonl")
        (path,) = home.folder.glob(f"outputs/**/{family}_*frame.jsonl")
        assert [row["index"] for row in read_export(path)] == [0, 1, 2]
        card = json.loads(home.run("card", run).stdout)
        assert card["model"]["adapter"] == "hf_chat" and card["answered_on"][0]["transformers"]
        assert card["answered_on"][0]["attention"] and card["answered_on"][0]["class"].endswith("Generation")
