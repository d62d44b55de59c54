"""All recorded cases agree, and what their runner says where they do not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tools.golden.__main__ import main
from tools.golden.cases import Case, prompts_of, read_cases
from tools.golden.check import difference
from videval.benchmarks.catalog import find_benchmark
from videval.types import PromptSet

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = [case for name in ("parity_prompts", "parity_scoring") for case in read_cases(GOLDEN / f"{name}.json")]
GROUPS = sorted({(case.benchmark, case.kind) for case in CASES})


@pytest.mark.parametrize(("name", "kind"), GROUPS, ids=[f"{name}-{kind}" for name, kind in GROUPS])
def test_each_recorded_case_agrees(name: str, kind: str) -> None:
    found = {case.id: difference(case) for case in CASES if (case.benchmark, case.kind) == (name, kind)}
    assert found
    assert {number: said for number, said in found.items() if said} == {}


def prompt_case(number: str = "p0127") -> dict[str, Any]:
    """A case of NExT-QA that agrees, to be changed."""
    (case,) = (case for case in CASES if case.id == number)
    copy: dict[str, Any] = json.loads(json.dumps(case.body))
    return copy


def written(path: Path, *bodies: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"about": "", "references": {}, "cases": bodies}), encoding="utf-8")
    return path


def test_what_differs_is_printed_with_why_and_the_count_comes_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, moved, good = prompt_case(), prompt_case(), prompt_case()
    bad["expected"]["parts"][1]["text"] += " And then?"
    moved["expected"]["parts"].reverse()
    file = written(tmp_path / "some.json", bad, moved, good)
    assert main([str(file)]) == 1
    said = capsys.readouterr().out
    assert "other words (user)" in said and "And then?" in said
    assert "same words, another order of parts" in said
    assert said.splitlines()[-1] == "1/3"
    assert main([str(file), "--brief"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_case_of_an_unknown_kind_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = {"id": "x", "benchmark": "MVBench", "expected": {"colour": "red"}}
    assert main([str(written(tmp_path / "some.json", odd, prompt_case()))]) == 1
    said = capsys.readouterr().out
    assert "no such kind of case: it expects colour" in said
    assert said.splitlines()[-1] == "1/2"


def test_other_frames_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = prompt_case("p0017")
    case["expected"]["frame_numbers"][0] += 1
    assert main([str(written(tmp_path / "some.json", case))]) == 1
    assert "frames [63, 187," in capsys.readouterr().out


def test_a_folder_is_its_files_and_only_what_is_asked_for_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "a.json", prompt_case())
    written(tmp_path / "b.json", prompt_case("p0168"), prompt_case("p0155"))
    (tmp_path / "other.json").write_text('{"pairs": []}')
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{tmp_path}/other.json: not a file of cases, left out"
    assert said[-1] == "3/3"
    assert main([str(tmp_path), "--benchmark", "TempCompass"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1/1"
    assert main([str(tmp_path), "--kind", "variants"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1/1"
    assert main([str(tmp_path), "--benchmark", "NoSuch"]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "there are no such cases"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("{", "cannot be read"), ("[]", "not a file"), ('{"cases": [{"id": 1}]}', "not a file")],
)
def test_a_file_that_cannot_be_read_is_named(
    content: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "some.json"
    if content is not None:
        file.write_text(content)
    assert main([str(file)]) == 2
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{file}: ") and words in said


def test_a_family_that_is_not_here_yet_is_counted_as_differing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    family = {"family": "new_bench", "facts": {}, "cases": {"prompts": [{"row": {}}, {"row": {}}], "judge": [{}]}}
    (tmp_path / "new_bench.json").write_text(json.dumps(family))
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "new_bench/prompts/1 : videval has no benchmark of the family new_bench yet" in " ".join(said.split(" " * 2))
    assert said.splitlines()[-1] == "0/3"


def test_a_case_that_videval_raises_on_differs_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown, broken = prompt_case() | {"variant": "NoSuch_8frame"}, prompt_case()
    broken["row"]["answer"] = 7
    assert main([str(written(tmp_path / "some.json", unknown, broken, prompt_case()))]) == 1
    said = capsys.readouterr().out
    assert "videval raises UnknownName: unknown benchmark 'NoSuch'" in said
    assert "videval raises InvalidTable" in said
    assert said.splitlines()[-1] == "1/3"


@pytest.mark.parametrize(
    ("name", "about", "expected"),
    [
        ("MVTamperBench", {"reference": "VLMEvalKit"}, PromptSet.VLMEVALKIT),
        ("MVTamperBench", {"reference": "VLMEvalKit", "prompts": "paper"}, PromptSet.PAPER),
        ("MVTamperBench", {"reference": "TempCompass"}, PromptSet.PAPER),
        ("MLVU", {"reference": "lmms-eval"}, PromptSet.LMMS_EVAL),
        ("WorldSense", {"reference": "lmms-eval"}, PromptSet.PAPER),
        ("LVBench", {"reference": "lmms-eval"}, PromptSet.LMMS_EVAL),
        ("LVBench", {}, PromptSet.PAPER),
    ],
)
def test_a_case_is_about_the_prompts_it_names_else_those_of_its_reference(
    name: str, about: Mapping[str, Any], expected: PromptSet
) -> None:
    case = Case(id="x", benchmark=name, kind="prompt", body=about)
    assert prompts_of(case, find_benchmark(name)) is expected
