"""Models and datasets of VLMEvalKit's own: their names, what is refused, and what may be wrong with them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import caller
from tests.kits import HERE, install, kit
from tests.questions import samples
from videval.asking import one_key
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.cli import complete
from videval.errors import (
    EnvironmentProblem,
    GaveUp,
    ModelFailure,
    ModelUnavailable,
    ProcessDied,
    UnknownName,
    UsageError,
    VideoFailure,
)
from videval.models.catalog import load_key, load_model, model_spec
from videval.models.messages import Question, Told, told
from videval.models.objects import ObjectServer
from videval.models.vlmevalkit.toolkit import PREFIX, toolkit
from videval.options import Asked
from videval.orders import make_order
from videval.protocols import Model
from videval.settings import Settings
from videval.types import GenerationSettings, Text
from workers.wire import ask_from, ask_message, error_from, error_message

__all__ = ["kit"]

FILMS = "vlmevalkit:Toy-Films_4frame"
Edit = Callable[[str, str, str], None]


@pytest.fixture
def edited(kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Another version of the package is installed: a file of it has other text."""
    copy = tmp_path / "other"
    shutil.copytree(HERE, copy)

    def edit(file: str, old: str, new: str) -> None:
        path = copy / "vlmeval" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        install(copy, monkeypatch)

    return edit


def question(said: str, **about: Any) -> Told:
    return Told(parts=(Text(text=said),), dataset="Toy", question=Question(**about))


def loaded(name: str) -> Model:
    found = load_model(model_spec(f"{PREFIX}{name}"), devices=["cpu"])
    assert isinstance(found, Model)
    return found


def answer(model: Model, prompt: Told) -> str:
    (generation,) = model.generate([model.prepare(prompt, GenerationSettings())])
    return generation.text


# not installed, or another one


def test_without_it_the_line_that_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    for ask in (lambda: model_spec(f"{PREFIX}Qwen2.5-VL-7B-Instruct"), lambda: parse_variant(FILMS)):
        with pytest.raises(EnvironmentProblem, match="vlmeval is not installed") as raised:
            ask()
        assert "pip install -e VLMEvalKit" in raised.value.hint
    assert find_benchmark(FILMS).name == FILMS, "runs of it can be looked at all the same"
    assert complete.models("vlmevalkit:") == []


def test_a_version_that_lacks_what_is_needed_is_named(edited: Edit) -> None:
    edited("config.py", "supported_VLM = {", "models = {")
    with pytest.raises(UsageError, match=r"VLMEvalKit 0\.2toy has no vlmeval\.config\.supported_VLM"):
        model_spec(f"{PREFIX}Toy-Pictures")


def test_a_version_without_settings_of_video_datasets_has_its_datasets_by_name(edited: Edit) -> None:
    edited("dataset/video_dataset_config.py", "supported_video_datasets =", "others =")
    edited("dataset/__init__.py", "    from vlmeval.dataset.video_dataset_config import supported_video_datasets\n", "")
    edited("dataset/__init__.py", "in supported_video_datasets:", "in ():")
    edited("dataset/__init__.py", "return supported_video_datasets[dataset_name](**kwargs)", "return None")
    with pytest.raises(UsageError, match="does not say how many frames"):
        parse_variant("vlmevalkit:Toy-Films")


def test_a_package_that_breaks_when_it_is_imported_says_with_what(edited: Edit) -> None:
    edited("config.py", "from functools import partial\n", "from functools import partial\nimport not_installed\n")
    with pytest.raises(EnvironmentProblem, match="No module named 'not_installed'"):
        model_spec(f"{PREFIX}Toy-Pictures")


def test_one_that_takes_its_process_down_leaves_its_last_words(edited: Edit) -> None:
    edited("config.py", "from functools", "import os, sys\nsys.stderr.write('the driver is too old')\n"
           "sys.stderr.flush()\nos._exit(3)\nfrom functools")  # fmt: skip
    with pytest.raises(EnvironmentProblem, match=r"died:(.|\n)*the driver is too old"):
        model_spec(f"{PREFIX}Toy-Pictures")


# names


def test_a_model_is_what_its_class_says(kit: Path) -> None:
    watcher, pictures = model_spec(f"{PREFIX}Toy-Watcher-8f"), model_spec(f"{PREFIX}Toy-Pictures")
    endpoint = model_spec(f"{PREFIX}Toy-Endpoint")
    assert (watcher.form, pictures.form) == ("video", "frames")
    assert watcher.needs_device and not endpoint.needs_device
    assert load_key(watcher, "auto") == "vlmevalkit:Toy-Watcher-8f@:auto:x1"


def test_a_wrong_name_comes_with_close_ones(kit: Path) -> None:
    with pytest.raises(UnknownName) as raised:
        model_spec(f"{PREFIX}Toy-Watcher-16f")
    assert "vlmevalkit:Toy-Watcher-8f" in raised.value.hint
    with pytest.raises(UnknownName) as raised:
        parse_variant("vlmevalkit:Toy-Film_4frame")
    assert FILMS in raised.value.hint


def test_a_dataset_is_found_without_its_hyphens_and_says_its_frames(kit: Path) -> None:
    variant = parse_variant("vlmevalkit:toyfilms_4frame")
    assert (variant.name, variant.benchmark, variant.num_frames, variant.pack) == (FILMS, FILMS, 4, False)
    assert parse_variant("vlmevalkit:Toy-Films_1fps").fps == 1.0
    assert parse_variant("vlmevalkit:Toy-Films_4frame_pack").pack


def test_names_are_asked_for_once_for_a_version_and_complete_from_then_on(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "imports"
    monkeypatch.setenv("TOY_IMPORTS", str(log))
    assert complete.models("vlmevalkit:T") == [] and not log.exists(), "a TAB starts nothing"
    for _ in range(2):
        model_spec(f"{PREFIX}Toy-Pictures")
        install(HERE, monkeypatch)
    assert log.read_text().count("\n") == 1
    assert "vlmevalkit:Toy-Pictures" in complete.models("vlmevalkit:Toy-P")
    assert FILMS in complete.variants("vlmevalkit:")


def test_commands_that_are_about_something_else_do_not_import_it(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "imports"
    monkeypatch.setenv("TOY_IMPORTS", str(log))
    call = caller(tmp_path / "home", monkeypatch, capsys)
    for words in (["--help"], ["status"], ["list", "models"], ["list", "benchmarks"]):
        assert call(*words).code == 0
    assert "vlmeval      0.2toy at " in call("doctor").out
    assert not log.exists()
    assert "vlmevalkit:Toy-Chatty" in call("list", "models", "vlmevalkit:").lines
    assert FILMS in call("list", "benchmarks", "vlmevalkit:").lines


# what is refused


@pytest.mark.parametrize(
    ("model", "option"),
    [
        ("Toy-Watcher-8f", {"temperature": 0.7}),
        ("Toy-Pictures", {"dtype": "float16"}),
        ("Toy-Watcher-8f", {"max_pixels": 5000}),
    ],
)
def test_a_model_that_generates_by_its_own_settings_is_told_none(kit: Path, model: str, option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot be told --"):
        make_order(Asked(what=FILMS, model=f"{PREFIX}{model}", **option), Settings())


def test_it_is_asked_in_vlmevalkits_words_and_its_card_says_whose_frames(kit: Path) -> None:
    order = make_order(Asked(what="MVBench_8frame", model=f"{PREFIX}Toy-Watcher-8f"), Settings())
    assert order.prompts == "vlmevalkit"
    assert any("reads videos by itself" in said for said in order.remarks())


def test_a_dataset_without_videos_and_one_of_images_are_refused(kit: Path) -> None:
    with pytest.raises(UsageError, match="no column video"):
        make_order(Asked(what="vlmevalkit:Toy-Silent_4frame", model="fake"), Settings())
    with pytest.raises(UsageError, match="is of IMAGE, not of videos"):
        parse_variant("vlmevalkit:Toy-Pictures")


# what a dataset says


def test_a_video_that_is_not_there_fails_its_questions_only(kit: Path) -> None:
    (kit / "films" / "v1.mp4").unlink()
    bench = find_benchmark(FILMS)
    first, second, *_ = bench.load(Path("/"), parse_variant(FILMS))
    message, name = bench.message([first], pack=False, video_llm=False)
    assert name == "Toy-Films" and [item["type"] for item in message] == ["image"] * 4 + ["text"]
    with pytest.raises(VideoFailure, match=r"FileNotFoundError: v1\.mp4"):
        bench.message([second], pack=False, video_llm=False)


def test_another_version_on_this_host_is_this_hosts_problem(kit: Path) -> None:
    bench = find_benchmark(FILMS)
    with pytest.raises(EnvironmentProblem, match="another question '0' here"):
        bench.message(samples(1), pack=False, video_llm=False)


def test_its_process_is_started_again_when_it_was_killed(kit: Path) -> None:
    parse_variant(FILMS)
    process = toolkit()._process
    assert process is not None
    process.kill()
    process.wait()
    (first, *_) = find_benchmark(FILMS).load(Path("/"), parse_variant(FILMS))
    assert find_benchmark(FILMS).message([first], pack=False, video_llm=True)[0][0]["type"] == "video"


def test_a_question_that_takes_the_process_down_is_struck_for_it(edited: Edit) -> None:
    edited("dataset/toys.py", "        if self.pack:", "        os._exit(1)\n        if self.pack:")
    bench = find_benchmark(FILMS)
    (first, *_) = bench.load(Path("/"), parse_variant(FILMS))
    with pytest.raises(ProcessDied, match="the process of VLMEvalKit died"):
        bench.message([first], pack=False, video_llm=False)


# what a model does


def test_a_model_that_cannot_be_built_says_what_its_libraries_say(kit: Path) -> None:
    with pytest.raises(ModelUnavailable, match="OSError: toy/headless is not in the cache"):
        loaded("Toy-Headless")


@pytest.mark.parametrize(("said", "why"), [("question 0", "returned None"), ("question 1", "returned a dict")])
def test_what_is_no_text_is_a_failure(kit: Path, said: str, why: str) -> None:
    with pytest.raises(ModelFailure, match=why):
        answer(loaded("Toy-Faulty"), question(said))


def test_what_it_raises_passes_through(kit: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        answer(loaded("Toy-Faulty"), question("question 2"))


def test_its_frames_are_the_datasets_and_its_own_again_afterwards(kit: Path) -> None:
    model = loaded("Toy-Watcher-8f")
    assert answer(model, question("?", nframe=4)) == "Toy: text; 4 frames, None fps"
    assert answer(model, question("?", fps=1.0)) == "Toy: text; None frames, 1.0 fps"
    assert answer(model, question("?", nframe=2)) == "Toy: text; 2 frames, None fps"


def test_words_of_its_own_need_a_number_of_frames(kit: Path) -> None:
    with pytest.raises(ModelFailure, match="needs a number of frames"):
        answer(loaded("Toy-Chatty"), question("?", fps=1.0))


def test_an_endpoint_is_a_server_of_several_at_once(kit: Path) -> None:
    found = load_model(model_spec(f"{PREFIX}Toy-Endpoint"), devices=[])
    assert isinstance(found, ObjectServer) and found.slots == 4


# on the way to the engine


def test_a_message_and_its_question_cross_the_pipe(kit: Path) -> None:
    sent = told([{"type": "text", "value": "Why?"}], dataset="Toy")
    row = {"index": "0", "question": "Why?", "start": None}
    sent = Told(
        parts=sent.parts, message=sent.message, dataset="Toy",
        question=Question(row=row, nframe=8, source=FILMS, spans=((1.0, 2.5), None)),
    )  # fmt: skip
    message = ask_message(sent, GenerationSettings(), alone=False, together="")
    assert ask_from(message | {"id": 1}).prompt == sent


def test_a_model_that_gave_up_is_not_asked_again_and_again(kit: Path) -> None:
    found = error_from(error_message(GaveUp("no answer")))
    assert isinstance(found, GaveUp) and found.permanent


def test_its_key_is_a_samples(kit: Path) -> None:
    order = make_order(Asked(what=FILMS, model="fake"), Settings())
    assert one_key(order.samples[0].id) == "sample:0" and order.missing_files() == []
