"""What the families ask beyond the golden cases: each on a row of its own small data set."""

import json
from pathlib import Path
from typing import Literal

import pytest

from tests.trees import SRT, put, tree
from videval.benchmarks.base import NO_SCORER, Benchmark, Shown
from videval.benchmarks.catalog import benchmark_names, find_benchmark
from videval.benchmarks.mvbench_tasks import SYSTEM
from videval.benchmarks.published import PublishedBenchmark
from videval.errors import UsageError, VideoFailure
from videval.types import Clip, Frame, Image, Part, PromptSet, Sample, Text, Video


def shown(
    root: Path,
    numbers: tuple[int, ...] = (5, 20),
    *,
    form: str = "frames",
    subtitles: bool = False,
    prompts: PromptSet | None = None,
) -> Shown:
    clip = Clip(
        path="c.npy", frame_numbers=numbers, timestamps=tuple(n / 10 for n in numbers), total_frames=30, fps=10.0,
        width=64, height=48, decoder="test", policy="interior",
    )  # fmt: skip
    taken: Literal["video", "frames"] = "video" if form == "video" else "frames"
    return Shown(clips=(clip,), form=taken, root=root, subtitles=subtitles, prompts=prompts)


def loaded(name: str, root: Path) -> tuple[Benchmark, list[Sample]]:
    found = find_benchmark(name)
    return found, list(found.load(tree(name, root), found.variant(num_frames=8)))


def texts(parts: tuple[Part, ...]) -> list[str]:
    return [p.text for p in parts if isinstance(p, Text)]


def kinds(parts: tuple[Part, ...]) -> str:
    return "".join("tvfi"[(Text, Video, Frame, Image).index(type(p))] for p in parts)


def test_subtitles_in_another_encoding_fail_the_request_and_name_the_file(tmp_path: Path) -> None:
    found, samples = loaded("Video-MME", tmp_path)
    put(tmp_path, "subtitle/vid-0.srt", SRT.replace("Hello", "Señor").encode("latin-1"))
    with pytest.raises(VideoFailure, match=r"vid-0\.srt: the subtitles are not UTF-8 \(byte"):
        found.prompt(samples[0], shown(tmp_path, subtitles=True))
    put(tmp_path, "subtitle/vid-0.srt", "no subtitles in here")
    with pytest.raises(VideoFailure, match=r"vid-0\.srt: cannot be read as subtitles"):
        found.prompt(samples[0], shown(tmp_path, subtitles=True))


def test_a_subtitle_is_said_once_for_each_frame_that_shows_it(tmp_path: Path) -> None:
    found, samples = loaded("Video-MME", tmp_path)
    said = texts(found.prompt(samples[0], shown(tmp_path, (5, 20, 24, 29), subtitles=True)))[1]
    assert "listed below:\nHello there\nTwo lines\nTwo lines\nSelect" in said
    edges = texts(found.prompt(samples[0], shown(tmp_path, (1, 9, 10, 25), subtitles=True)))[1]
    assert "listed below:\n\nSelect" in edges, "an event does not show at its first and last moment"
    braces = SRT.replace("Hello there", "{x} {0}")
    put(tmp_path, "subtitle/vid-0.srt", braces)
    assert "{x} {0}" in texts(found.prompt(samples[0], shown(tmp_path, subtitles=True)))[1]


def test_worldsense_tells_a_video_model_the_subtitles_of_each_second(tmp_path: Path) -> None:
    found, samples = loaded("WorldSense", tmp_path)
    put(tmp_path, "subtitles/aBcD.srt", SRT)
    frames = texts(found.prompt(samples[0], shown(tmp_path, (5,), subtitles=True)))
    assert "below:\nHello there\nSelect" in frames[1]
    video = found.prompt(samples[0], shown(tmp_path, (5,), form="video", subtitles=True))
    assert "below:\nTwo lines\nSelect" in texts(video)[1], "0 s and 2 s, at 1 s nothing is on screen"
    assert texts(video)[0].startswith("Carefully watch this video")
    assert texts(video)[2] == "Question: What is heard?\nA. wind\nB. rain\nC. fire\nD. cars\nAnswer: "
    assert "subtitles" not in texts(found.prompt(samples[0], shown(tmp_path)))[1]


def test_longvideobench_puts_subtitles_between_the_frames(tmp_path: Path) -> None:
    found, samples = loaded("LongVideoBench", tmp_path)
    parts = found.prompt(samples[0], shown(tmp_path, (5, 20), subtitles=True))
    assert kinds(parts) == "tftft"
    assert texts(parts)[:2] == ["", "first words\n"]
    long = found.prompt(samples[1], shown(tmp_path, (5, 15, 20), subtitles=True))
    assert kinds(long) == "tfftft", "after the frames up to 1.5 s, the middle of the event"
    assert texts(long)[1] == "all the time\n"
    unseen = found.prompt(samples[0], shown(tmp_path, (20, 25), subtitles=True))
    assert kinds(unseen) == "tfft", "no frame falls into the event"
    assert texts(parts)[-1] == (
        "At which moment (0)?\nA. early\nB. late\nC. never\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert [s.answer for s in samples] == ["A", "B"]


def test_longvideobench_counts_a_short_event_as_a_second_around_its_middle(tmp_path: Path) -> None:
    found, samples = loaded("LongVideoBench", tmp_path)
    event = {"timestamp": [1.0, 1.2], "text": "short"}
    put(tmp_path, "subtitles/vid0_en.json", json.dumps([event]))
    assert kinds(found.prompt(samples[0], shown(tmp_path, (15,), subtitles=True))) == "ttft"
    assert kinds(found.prompt(samples[0], shown(tmp_path, (17,), subtitles=True))) == "tft"
    put(tmp_path, "subtitles/vid0_en.json", json.dumps([{"timestamp": [1.0, None], "text": "open"}]))
    assert kinds(found.prompt(samples[0], shown(tmp_path, (25,), subtitles=True))) == "ttft", "open: to the end"


def test_longvideobench_does_not_drop_subtitles_for_a_video_model_in_silence(tmp_path: Path) -> None:
    found, samples = loaded("LongVideoBench", tmp_path)
    assert found.subtitles_need_frames
    with pytest.raises(UsageError, match="between the frames"):
        found.prompt(samples[0], shown(tmp_path, form="video", subtitles=True))
    as_there = shown(tmp_path, form="video", subtitles=True, prompts=PromptSet.VLMEVALKIT)
    assert kinds(found.prompt(samples[0], as_there)) == "tvt", "VLMEvalKit leaves them out"


def test_mlvu_asks_for_an_option_or_for_free_text(tmp_path: Path) -> None:
    found, samples = loaded("MLVU", tmp_path)
    option, free = samples[0], samples[-1]
    parts = found.prompt(option, shown(tmp_path))
    assert kinds(parts) == "tfftt", "the clip stands before the question"
    assert texts(parts)[1] == "Question: plotQA?\nOptions:\n(A) one\n(B) two\n(C) three\n(D) four"
    assert texts(parts)[2] == "\nOnly give the best option."
    assert texts(found.prompt(free, shown(tmp_path)))[0].endswith(
        "Based on your observations, answer the given questions."
    )
    assert kinds(found.prompt(free, shown(tmp_path))) == "tfft"
    assert (found.scorer_for(option), found.scorer_for(free)) == ("choice", None)


def test_mlvu_in_lmms_evals_words_has_no_system_text_and_begins_the_answer(tmp_path: Path) -> None:
    found, samples = loaded("MLVU", tmp_path)
    as_there = shown(tmp_path, form="video", prompts=PromptSet.LMMS_EVAL)
    assert found.prompt(samples[0], as_there) == (
        Video(),
        Text(text="plotQA?\n(A) one\n(B) two\n(C) three\n(D) four\nOnly give the best option.\nBest option: ("),
    )
    assert texts(found.prompt(samples[-1], as_there)) == [samples[-1].question]
    variant = found.variant(num_frames=8)
    policies = {name: found.sampling(variant, name).policy for name in found.prompt_sets}
    assert policies == {"paper": "interior", "vlmevalkit": "interior", "lmms-eval": "uniform"}
    assert found.sampling(found.variant(fps=1.0), PromptSet.LMMS_EVAL).policy == "rate"


def test_tempcompass_ends_each_form_with_its_own_line(tmp_path: Path) -> None:
    found, samples = loaded("TempCompass", tmp_path)
    by_task = {s.row["task_type"]: s for s in samples}
    ends = {task: texts(found.prompt(s, shown(tmp_path))) for task, s in by_task.items()}
    assert ends["multi-choice"] == [
        "What is he doing?\nA. dunking\nB. dribbling", "\nPlease directly give the best option:",
    ]  # fmt: skip
    assert ends["yes_no"] == ["Is he dunking?", "\nPlease answer yes or no:"]
    assert ends["captioning"] == ["Describe it.\nGenerated Caption:"]
    assert {kinds(found.prompt(s, shown(tmp_path))) for s in samples} == {"fftt", "fft"}, "the clip stands first"
    assert {task: found.scorer_for(s) for task, s in by_task.items()} == {
        "multi-choice": "choice", "caption_matching": "choice", "yes_no": "yes_no", "captioning": None,
    }  # fmt: skip


def test_mvtamperbench_asks_before_it_shows(tmp_path: Path) -> None:
    found, samples = loaded("MVTamperBench", tmp_path)
    assert kinds(found.prompt(samples[0], shown(tmp_path))) == "ttfftt"
    assert len(samples) == 19


@pytest.mark.parametrize("name", ["MVTamperBench", "MVTamperBenchStart", "MVTamperBenchEnd"])
def test_mvtamperbench_has_mvbenchs_system_text_in_the_paper_and_a_stump_of_it_in_todays_vlmevalkit(
    name: str, tmp_path: Path
) -> None:
    found, samples = loaded(name, tmp_path)
    paper, there = (
        texts(found.prompt(samples[0], shown(tmp_path, prompts=named))) for named in (None, PromptSet.VLMEVALKIT)
    )
    assert paper[0] == SYSTEM and SYSTEM.startswith(there[0])
    assert there[0] == "Carefully watch the video and pay attention to the cause and sequence of events, "
    assert paper[1:] == there[1:]


def test_video_mmmu_shows_the_questions_own_image(tmp_path: Path) -> None:
    found, samples = loaded("VideoMMMU", tmp_path)
    choice, open_one, comprehension = samples[0], samples[1], samples[2]
    parts = found.prompt(choice, shown(tmp_path))
    assert kinds(parts) == "ffit"
    assert Image(path="images/dev_Art_1.png") in parts
    assert texts(parts)[0] == (
        "You should watch and learn the video content. Then apply what you learned to answer the following "
        "multi-choice question. The image for this question is at the end of the video.\n"
        "Which one? <image 1>\nA. x\nB. y\nAdd `Answer: {Your final answer}` at the end of your reply."
    )
    assert "open-ended question" in texts(found.prompt(open_one, shown(tmp_path)))[0]
    assert texts(found.prompt(comprehension, shown(tmp_path, form="video")))[0] == (
        "Which one?\nA. x\nB. y\nPlease ignore the Quiz question in last frame of the video."
        "\nAdd `Answer: {Your final answer}` at the end of your reply."
    )
    assert [found.scorer_for(s) for s in (choice, open_one)] == ["final_choice", "open_answer"]


@pytest.mark.parametrize(
    ("name", "asked", "answer"),
    [
        ("DREAM-1K", "Describe the video in detail.", "It is 0."),
        (
            "EgoSchema",
            "What is C doing?\nA. C does 0\nB. C does 1\nC. C does 2\nD. C does 3\nE. C does 4\n"
            "Answer with the option's letter from the given choices directly.",
            "C",
        ),
        (
            "NExT-QA",
            "why did he sit\nA. reason 0\nB. reason 1\nC. reason 2\nD. reason 3\nE. reason 4",
            "A",
        ),
        (
            "LVBench",
            "Who came first?\n(A) Ann\n(B) Bob\n(C) Cas\n(D) Dee\nAnswer the question with the option letter",
            "A",
        ),
    ],
)
def test_the_others_show_the_clip_and_then_ask(name: str, asked: str, answer: str, tmp_path: Path) -> None:
    found, samples = loaded(name, tmp_path)
    parts = found.prompt(samples[0], shown(tmp_path))
    assert kinds(parts) == "fft"
    assert texts(parts) == [asked]
    assert samples[0].answer == answer


def test_mvbench_shows_the_part_between_its_bounds(tmp_path: Path) -> None:
    _, samples = loaded("MVBench", tmp_path)
    bounded = {s.row["task_type"] for s in samples if s.span == (0.5, 2.5)}
    assert bounded == {
        "Action Sequence", "Action Prediction", "Object Interaction", "Action Localization", "Episodic Reasoning",
    }  # fmt: skip
    assert len({s.row["task_type"] for s in samples}) == 20
    assert {Path(s.video).suffix for s in samples} == {".mp4", ".webm", ".gif", ""}
    assert list(samples[0].row) == [
        "task_type", "prefix", "data_type", "bound", "start", "end", "video", "question", "answer", "candidates",
        "index",
    ]  # fmt: skip
    assert samples[0].row["bound"] is True
    assert samples[0].row["start"] == 0.5


def test_a_bound_that_ends_before_it_starts_is_named() -> None:
    found = find_benchmark("MVBench")
    assert isinstance(found, PublishedBenchmark)
    with pytest.raises(ValueError, match=r"start 3\.0 is not before end 2\.0"):
        found.bound({"bound": True, "start": 3.0, "end": 2.0})


def test_a_packed_question_of_a_video_model_keeps_its_video(tmp_path: Path) -> None:
    found, samples = loaded("MMBench-Video", tmp_path)
    parts = found.pack_prompt(samples[:3], shown(tmp_path, form="video"))
    assert kinds(parts) == "tvt"
    assert '{"0": "Question 0?", "1": "Question 1?", "2": "Question 2?"}' in texts(parts)[1]


def test_what_no_rule_can_score_says_what_is_missing() -> None:
    for name in benchmark_names():
        found = find_benchmark(name)
        if found.scorer == NO_SCORER:
            assert "judge" in found.needs
            assert found.scorer_for(Sample(id="0", video="v", question="q", answer="a")) is None


def test_each_page_says_its_paper_what_is_asked_what_is_shown_and_how_it_is_scored() -> None:
    import importlib

    for name in benchmark_names():
        found = find_benchmark(name)
        if isinstance(found, PublishedBenchmark):
            page = importlib.import_module(type(found).__module__).__doc__ or ""
            paper = () if found.is_drawn else ("https://arxiv.org/abs/",)
            for words in (*paper, "What is asked", "What is shown", "How it is scored"):
                assert words in page, (name, words)
            assert found.is_drawn or found.paper.startswith("https://arxiv.org/abs/")
