"""`infer_data_job_video` with objects in this process: a model, a dataset, or both."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.objects import Clips, Endpoint, Packs, Speaker
from tests.trees import tree
from videval.compat import Dataset, NamedModel, build_dataset, infer_data_job_video, jobs
from videval.compat.ranks import my_share
from videval.db import runs, workers
from videval.db.records import RunInfo
from videval.db.session import open_database
from videval.errors import DataMissing, EnvironmentProblem, Incomplete, UnknownName, UsageError
from videval.settings import Settings
from videval.words import FAIL_MSG

Infer = Callable[..., Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    given = {"HOME": "home", "LOCK_DIR": "locks", "DATA_ROOT": "data"}
    for name, folder in given.items():
        monkeypatch.setenv(f"VIDEVAL_{name}", str(tmp_path / folder))
    monkeypatch.setenv("VIDEVAL_RECONCILE", "0.2")
    monkeypatch.setenv("VIDEVAL_RETRY_DELAY", "0.01")
    return tmp_path


@pytest.fixture
def infer(tmp_path: Path) -> Infer:
    def call(model: Any, dataset: Any, name: str = "r.xlsx", **more: Any) -> Any:
        return infer_data_job_video(
            model=model, work_dir=tmp_path / "out", model_name="Mine", dataset=dataset, result_file_name=name, **more
        )

    return call


@pytest.fixture
def mvbench(tmp_path: Path) -> Dataset:
    tree("MVBench", tmp_path / "data" / "MVBench")
    made = build_dataset("MVBench_8frame")
    made.data = made.data[:6]
    return made


def sheets(folder: Path, name: str = "r.xlsx") -> dict[str, pd.DataFrame]:
    found = pd.read_excel(folder / "out" / name, sheet_name=None, keep_default_na=False)
    return {str(sheet): data for sheet, data in found.items()}


def predictions(folder: Path, name: str = "r.xlsx") -> list[str]:
    return list(sheets(folder, name)["predictions"]["prediction"])


def all_runs() -> list[RunInfo]:
    database = open_database(Settings())
    with database.read() as connection:
        found = runs.list_runs(connection)
    database.close()
    return found


# an object as model


def test_an_object_is_told_the_benchmarks_message_with_frames_as_images(
    infer: Infer, mvbench: Dataset, home: Path
) -> None:
    model = Speaker(lambda message: f"{sum(item['type'] == 'image' for item in message)} images")
    assert infer(model, mvbench) is model
    assert predictions(home) == ["8 images"] * 6
    message, dataset = model.heard[0]
    assert dataset == "MVBench" and message[0]["role"] == "system" and message[-1]["role"] == "assistant"
    assert message[-1]["value"] == "Best option:(" and "role" not in message[-2]
    assert len(model.heard) == 6


def test_a_video_llm_is_given_files_and_a_part_of_a_video_is_a_file_of_its_own(
    infer: Infer, mvbench: Dataset, home: Path
) -> None:
    seen: dict[str, int] = {}

    def read(message: list[dict[str, Any]]) -> str:
        import av

        (path,) = [item["value"] for item in message if item["type"] == "video"]
        with av.open(path) as file:
            seen[path] = sum(1 for _ in file.decode(video=0))
        return "A"

    everything = build_dataset("MVBench_8frame").data
    mvbench.data = everything[everything["task_type"].isin(["Action Sequence", "Object Existence"])]
    infer(Speaker(read, VIDEO_LLM=True), mvbench)
    own = [n for path, n in seen.items() if path.startswith(str(home / "data"))]
    cut = [n for path, n in seen.items() if not path.startswith(str(home / "data"))]
    assert set(own) == {30} and cut and all(19 <= n <= 22 for n in cut)  # 0.5 s to 2.5 s at 10 a second


def test_a_model_words_a_question_itself_where_it_wants_to(infer: Infer, mvbench: Dataset) -> None:
    class Wordy(Speaker):
        def use_custom_prompt(self, dataset: str) -> bool:
            return dataset == "MVBench"

        def build_prompt(self, line: Any, dataset: Any, video_llm: bool) -> list[dict[str, Any]]:
            frames = dataset.save_video_frames(line)
            return [{"type": "image", "value": path} for path in frames] + [{"type": "text", "value": line["question"]}]

    model = Wordy()
    infer(model, mvbench)
    message, _ = model.heard[0]
    assert [item["type"] for item in message] == ["image"] * 8 + ["text"]
    assert "comes" in message[-1]["value"] and Path(message[0]["value"]).suffix == ".png"


def test_frames_follow_the_dataset_while_it_is_asked_and_the_model_is_as_it_was_afterwards(
    infer: Infer, mvbench: Dataset
) -> None:
    seen: list[Any] = []

    def look(message: list[dict[str, Any]]) -> str:
        seen.append((model.nframe, model.fps))
        return "A"

    model: Any = Speaker(look, nframe=16, fps=2.0)
    infer(model, mvbench)
    assert set(seen) == {(8, None)}
    assert (model.nframe, model.fps) == (16, 2.0)


def test_a_model_that_goes_by_a_rate_only_is_refused_where_the_dataset_has_none(infer: Infer, mvbench: Dataset) -> None:
    with pytest.raises(UsageError, match="by fps"):
        infer(Speaker(fps=1.0, nframe=0), mvbench)


def test_an_endpoint_is_asked_so_many_messages_at_once(infer: Infer, mvbench: Dataset, home: Path) -> None:
    infer(Endpoint(together=3), mvbench, api_nproc=3)
    assert predictions(home) == ["A"] * 6


def test_the_model_generates_in_the_thread_that_called(infer: Infer, mvbench: Dataset, home: Path) -> None:
    infer(Speaker(lambda message: threading.current_thread().name), mvbench)
    assert set(predictions(home)) == {threading.main_thread().name}


# what is not done twice, and what goes on


def test_a_finished_result_is_returned_at_once(infer: Infer, mvbench: Dataset, home: Path) -> None:
    infer(Speaker(), mvbench)
    again = Speaker()
    assert infer(again, mvbench) is again and not again.heard
    assert [p.name for p in (home / "out").iterdir()] == ["r.xlsx"]


def test_another_file_is_another_run_since_nobody_knows_what_an_object_is_by_now(
    infer: Infer, mvbench: Dataset, home: Path
) -> None:
    trained = Speaker()
    infer(trained, mvbench, "epoch1.json")
    trained.says = lambda message: "B"
    infer(trained, mvbench, "epoch2.json")
    (home / "out" / "epoch1.json").unlink()
    infer(trained, mvbench, "epoch1.json")  # thrown away with what it was made of
    for name in ("epoch1.json", "epoch2.json"):
        assert {row["prediction"] for row in json.loads((home / "out" / name).read_text())} == {"B"}
    assert len(all_runs()) == 3


def test_a_secret_of_a_model_is_in_no_run_card(infer: Infer, mvbench: Dataset) -> None:
    infer(Speaker(kwargs={"api_key": "sk-1", "temperature": 0.5}, temperature=0.5), mvbench)
    (run,) = all_runs()
    assert run.card["objects"]["model"]["kwargs"] == {"temperature": 0.5} and "sk-1" not in json.dumps(dict(run.card))


def test_a_result_of_somebody_elses_making_stays_and_no_database_is_made(infer: Infer, home: Path) -> None:
    (home / "out").mkdir()
    (home / "out" / "r.xlsx").write_bytes(b"an old result")
    assert isinstance(infer("Some-Model-Nobody-Knows", None), NamedModel)
    assert not (home / "home").exists()


def test_ctrl_c_goes_on_with_the_next_call(infer: Infer, mvbench: Dataset, home: Path) -> None:
    def say(message: list[dict[str, Any]]) -> str:
        if len(model.heard) == 4:
            raise KeyboardInterrupt
        return "A"

    model = Speaker(say)
    with pytest.raises(KeyboardInterrupt):
        infer(model, mvbench)
    assert not (home / "out" / "r.xlsx").exists()
    rest = Speaker()
    infer(rest, mvbench)
    assert len(rest.heard) == 3 and predictions(home) == ["A"] * 6


def test_two_calls_at_once_share_the_questions(mvbench: Dataset, infer: Infer, home: Path) -> None:
    mvbench.data = build_dataset("MVBench_8frame").data
    meet = threading.Barrier(2)

    def first(message: list[dict[str, Any]]) -> str:
        if not ours.heard[1:]:
            meet.wait(30)
        return "A"

    def others(message: list[dict[str, Any]]) -> str:
        if not theirs.heard[1:]:
            meet.wait(30)
        return "A"

    ours, theirs = Speaker(first), Speaker(others)
    thread = threading.Thread(target=infer, args=(theirs, mvbench))
    thread.start()
    infer(ours, mvbench)
    thread.join()
    asked = [json.dumps(m[-3]) for m, _ in (*ours.heard, *theirs.heard)]
    assert len(asked) == 40 and ours.heard and theirs.heard
    assert len(predictions(home)) == 40 and len(all_runs()) == 1


def test_no_worker_of_a_fleet_takes_what_is_here(infer: Infer, mvbench: Dataset) -> None:
    infer(Speaker(), mvbench)
    database = open_database(Settings())
    with database.read() as connection:
        (seat,) = workers.list_workers(connection)
        (run,) = runs.list_runs(connection)
    database.close()
    assert seat.device == "here:0" and seat.state == "stopped" and seat.done == 6
    assert run.card["objects"]["model"]["class"] == "tests.objects.Speaker" and "here=" in run.load_key


def test_another_value_of_what_answers_depend_on_is_another_run(infer: Infer, mvbench: Dataset) -> None:
    infer(Speaker(model_path="one"), mvbench)
    two = Speaker(model_path="two", anything_else=object())
    infer(two, mvbench, "two.xlsx")
    assert len(two.heard) == 6 and len(all_runs()) == 2


# an object as dataset


def test_a_dataset_objects_prompts_are_used_as_they_are(infer: Infer, tmp_path: Path, home: Path) -> None:
    dataset, model = Clips(tmp_path / "clips", extra=[[1, 2]] * 6), Speaker(lambda message: message[-1]["value"])
    infer(model, dataset)
    table = sheets(home)["predictions"]
    assert list(table.columns) == ["index", "video", "question", "extra", "prediction"]
    assert list(table["prediction"]) == list(dataset.data["question"]) and table["extra"][0] == "[1, 2]"
    message, name = model.heard[0]
    assert name == "MyClips" and [i["type"] for i in message] == ["text"] + ["image"] * 4 + ["text"]


def test_a_part_of_a_dataset_is_called_by_its_own_name(infer: Infer, tmp_path: Path) -> None:
    model = Speaker()
    infer(model, Clips(tmp_path / "clips", SUB_DATASET=["One", "Two"] * 3))
    assert sorted(name or "" for _, name in model.heard) == ["One"] * 3 + ["Two"] * 3


def test_packs_are_taken_apart_by_the_dataset_and_tolerantly_beside(infer: Infer, tmp_path: Path, home: Path) -> None:
    model = Speaker(lambda message: json.dumps({k: f"it is {k}" for k in message[-1]["value"].split(", ")}))
    infer(model, Packs(tmp_path / "clips"), "r.tsv")
    table = pd.read_csv(home / "out" / "r.tsv", sep="\t")
    assert len(model.heard) == 2
    assert table["prediction"][3].endswith("/3") and table["prediction_tolerant"][3] == "it is 3"


def test_a_model_by_name_answers_a_dataset_object_and_is_not_loaded_again(
    infer: Infer, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_DEVICES", "cpu")
    model = infer("Video-LLaVA-tiny", Clips(tmp_path / "clips", 2, nframe=8))
    loaded = model.here(Settings())
    assert infer(model, Clips(tmp_path / "others", 3, videos=1, nframe=8), "s.xlsx") is model
    assert model.here(Settings()) is loaded and all(predictions(home, "s.xlsx"))
    model.close()


def test_our_packs_are_read_by_vlmevalkits_rule_and_tolerantly_beside(infer: Infer, tmp_path: Path, home: Path) -> None:
    tree("MMBench-Video", tmp_path / "data" / "MMBench-Video")
    dataset = build_dataset("MMBench_Video_8frame_pack")
    model = Speaker(lambda message: '{"0": "a train", "I1": "as the prompt says", "2": "cut off')
    infer(model, dataset)
    table = sheets(home)["predictions"]
    assert len(model.heard) == 2 == len(dataset.videos) and len(table) == 6
    found = {str(row["index"]): (row["prediction"], row["prediction_tolerant"]) for _, row in table.iterrows()}
    assert found["1"] == ("", "as the prompt says")
    meta, statistics = dataset.load_pack_answers(dict.fromkeys(dataset.videos, '{"0": "x", "3": "y"}'))
    assert list(meta["prediction"].fillna("")) == ["x", "", "", "y", "", ""]
    assert statistics["VALIDQ"] == 2 and statistics["PARSE_OK"] == 2
    assert [item["type"] for item in dataset.build_prompt(dataset.videos[0])].count("image") == 8


def test_a_result_is_evaluated_by_its_dataset(infer: Infer, mvbench: Dataset, home: Path) -> None:
    infer(Speaker(lambda message: "(A)"), mvbench)
    rating = mvbench.evaluate(home / "out" / "r.xlsx", model="exact_matching")
    assert rating["overall"][1] == 6
    (home / "old.xlsx").write_bytes(b"an old result")
    with pytest.raises(UsageError, match="names no run"):
        mvbench.evaluate(home / "old.xlsx")


# ranks


def test_a_rank_without_a_device_waits_for_the_end_or_for_a_device(
    infer: Infer, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEVAL_DEVICES", "cpu")
    monkeypatch.setattr(jobs, "is_one_of_several", lambda: True)  # threads for ranks, which have one environment
    dataset = Clips(tmp_path / "clips", 4, nframe=8)
    models = [NamedModel("Video-LLaVA-tiny") for _ in range(2)]
    threads = [threading.Thread(target=infer, args=(model, dataset)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(predictions(home)) and len(all_runs()) == 1
    for model in models:
        model.close()


def test_devices_are_shared_among_the_ranks_of_a_machine() -> None:
    def share(rank: int, size: int, devices: int) -> list[int]:
        return list(my_share(range(devices), {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}))

    assert [share(rank, 2, 5) for rank in (0, 1)] == [[0, 2, 4], [1, 3]]
    assert share(3, 8, 1) == [0]  # each rank sees its own, or the lock decides
    assert share(0, 1, 4) == [0, 1, 2, 3] and list(my_share(range(2), {})) == [0, 1]


# failures


def test_what_failed_is_empty_with_its_reason_on_the_third_sheet(infer: Infer, tmp_path: Path, home: Path) -> None:
    said: list[Any] = ["A", ValueError("no pixels"), None, {"text": "A"}, "x" * 17_000_000, FAIL_MSG]

    def say(message: list[dict[str, Any]]) -> Any:
        found = said[int(message[-1]["value"].removeprefix("What is ").rstrip("?"))]
        if isinstance(found, Exception):
            raise found
        return found

    infer(Speaker(say), Clips(tmp_path / "clips"))
    assert predictions(home) == ["A", "", "", "", "", ""]
    failed = sheets(home)["failures"]
    assert list(sheets(home))[2] == "failures" and list(failed["index"].astype(str)) == ["1", "2", "3", "4", "5"]
    for message, words in zip(
        failed["message"], ("ValueError: no pixels", "None", "a dict", "17,000,000", FAIL_MSG), strict=True
    ):
        assert words in message


def test_keep_failed_puts_vlmevalkits_words_in_place_of_an_answer(infer: Infer, tmp_path: Path, home: Path) -> None:
    infer(Speaker(lambda m: None if "0" in m[-1]["value"] else "A"), Clips(tmp_path / "clips", 2), keep_failed=True)
    assert predictions(home)[0].startswith(FAIL_MSG) and "None" in predictions(home)[0]
    assert predictions(home)[1] == "A"


def test_a_model_that_answers_nothing_leaves_no_file_and_is_asked_again(
    infer: Infer, tmp_path: Path, home: Path
) -> None:
    dataset = Clips(tmp_path / "clips", 2)
    with pytest.raises(Incomplete, match="no such kernel"):
        infer(Speaker(lambda message: (_ for _ in ()).throw(RuntimeError("no such kernel"))), dataset)
    assert not (home / "out" / "r.xlsx").exists()
    infer(Speaker(), dataset)
    assert predictions(home) == ["A", "A"]


def test_a_video_that_is_gone_fails_its_own_questions(infer: Infer, mvbench: Dataset, home: Path) -> None:
    video = mvbench.root / mvbench.samples[0].video
    model = Speaker()

    def break_it(message: list[dict[str, Any]]) -> str:
        return "A"

    model.says = break_it
    video.write_bytes(b"no video")
    infer(model, mvbench)
    answers = predictions(home)
    assert answers[0] == "" and "A" in answers and set(sheets(home)["failures"]["kind"]) == {"video"}


def test_a_dataset_whose_prompt_cannot_be_built_fails_that_question(infer: Infer, tmp_path: Path, home: Path) -> None:
    class Half(Clips):
        def build_prompt(self, line: int | str, video_llm: bool) -> Any:
            if line == 0:
                raise FileNotFoundError("v0.mp4")
            return None if line == 1 else super().build_prompt(line, video_llm)

    infer(Speaker(), Half(tmp_path / "clips", 3))
    assert predictions(home) == ["", "", "A"]
    assert ["FileNotFoundError" in m or "gave None" in m for m in sheets(home)["failures"]["message"]] == [True, True]


# what is refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: setattr(d, "data", d.data[:0]), "no questions"),
        (lambda d: setattr(d, "data", d.data.drop(columns="video")), "no column video"),
        (lambda d: setattr(d, "data", pd.concat([d.data, d.data])), "several rows"),
        (lambda d: setattr(d, "MODALITY", "IMAGE"), "IMAGE"),
    ],
)
def test_a_dataset_that_is_none_is_refused(
    infer: Infer, tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    dataset = Clips(tmp_path / "clips")
    change(dataset)
    with pytest.raises(UsageError, match=words):
        infer(Speaker(), dataset)


def test_what_has_no_generate_or_no_data_is_refused(infer: Infer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="generate"):
        infer(object(), Clips(tmp_path / "clips"))
    assert not list((tmp_path / "out").glob(".*")), "there is nothing to go on with"
    with pytest.raises(UsageError, match="data, dataset_name, build_prompt"):
        infer(Speaker(), "MVBench_8frame")


def test_vllm_for_an_object_and_unknown_formats_are_refused_at_once(infer: Infer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="vLLM"):
        infer(Speaker(), Clips(tmp_path / "clips"), use_vllm=True)
    with pytest.raises(UsageError, match="xlsx, tsv or json"):
        infer(Speaker(), Clips(tmp_path / "clips"), "r.pkl")


def test_a_work_dir_that_cannot_be_written_is_found_out_first(infer: Infer, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    model = Speaker()
    with pytest.raises(EnvironmentProblem, match="work_dir"):
        infer(model, Clips(tmp_path / "clips"))
    assert not model.heard


def test_what_lies_beside_and_is_not_ours_is_found_out_first(infer: Infer, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "r.tsv.card.json").write_text("my own notes")
    model = Speaker()
    with pytest.raises(UsageError, match="no result of videval"):
        infer(model, Clips(tmp_path / "clips"), "r.tsv")
    (tmp_path / "out" / "r.xlsx").touch()
    with pytest.raises(UsageError, match="no result of videval"):
        infer(model, Clips(tmp_path / "clips"))
    assert not model.heard


def test_a_full_disk_loses_no_answer(infer: Infer, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, model = Clips(tmp_path / "clips"), Speaker()
    with monkeypatch.context() as patched:

        def full(*args: Any) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("videval.export._WRITERS", {"xlsx": full})
        with pytest.raises(EnvironmentProblem, match="No space left"):
            infer(model, dataset)
    infer(model, dataset)
    assert len(model.heard) == 6 and predictions(home) == ["A"] * 6


def test_an_unknown_dataset_is_named_with_what_comes_close(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="MVBnch"):
        build_dataset("MVBnch_8frame")
    with pytest.raises(DataMissing, match="not on this machine"):
        build_dataset("MVBench_8frame")


def test_build_dataset_takes_vlmevalkits_keywords(mvbench: Dataset) -> None:
    made = build_dataset("MVBench", nframe=16)
    assert (made.variant.name, made.nframe, made.fps, made.pack) == ("MVBench_16frame", 16, -1, False)
    assert len(made) == 40 and made[0]["index"] == made.data.iloc[0]["index"]
    with pytest.raises(UsageError, match="how many frames"):
        build_dataset("MVBench")
    with pytest.raises(UsageError, match="does not know colour"):
        build_dataset("MVBench_8frame", colour="red")
    with pytest.raises(UsageError, match="nframe='8' is not a number"):
        build_dataset("MVBench", nframe="8")


def test_a_server_that_breaks_gives_back_what_it_had(mvbench: Dataset, infer: Infer, home: Path) -> None:
    from videval.errors import ProcessDied

    def die(message: list[dict[str, Any]]) -> str:
        raise ProcessDied("the device is broken")

    with pytest.raises(ProcessDied):
        infer(Speaker(die), mvbench)
    (run,) = all_runs()
    database = open_database(Settings())
    with database.read() as connection:
        counts = runs.counts(connection, run.run_id)
    database.close()
    assert (counts.queued, counts.running) == (6, 0)
