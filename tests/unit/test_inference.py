"""From samples to a response: what is shown and asked, what is noted when, and how each failure passes through."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.questions import samples
from tests.trees import clip as video_bytes
from videval.asking import one_key, packed
from videval.benchmarks.table import TableBenchmark
from videval.db.records import RunConfig
from videval.errors import EnvironmentProblem, ModelFailure, ProcessDied, RequestFailure, VideoFailure
from videval.inference import Released, infer
from videval.models.catalog import model_spec
from videval.types import (
    Answer,
    ClipRef,
    Fit,
    Frame,
    FrameSampling,
    Generation,
    GenerationSettings,
    Image,
    LengthRule,
    Part,
    Pixels,
    Prompt,
    RecipeUsed,
    Response,
    Sample,
    Sound,
    Stage,
    Text,
    Video,
    Wording,
)
from videval.video.cache import FrameCache
from videval.video.clips import Fetched, Wanted, load_frames
from videval.video.eviction import evict

RUN = RunConfig(
    run_id=1, name="r", benchmark="table", variant="table_4frame", spec=model_spec("fake"), load_key="the key",
    sampling=FrameSampling(policy="stride", num_frames=4), generation=GenerationSettings(max_new_tokens=7),
    pack=False, subtitles=False, form="video", data_root="/", max_pixels=None,
)  # fmt: skip


def about(video: str = "v0.mp4", count: int = 1) -> list[Sample]:
    """So many questions about one video of a table."""
    return [replace(s, video=video) for s in samples(count)]


def showing(*refs: ClipRef, **values: Any) -> list[Sample]:
    """One question about these clips."""
    return [Sample(id="0", question="Which?", clips=refs, **values)]


class CacheFrames:
    """The frame cache itself as a source, which notes how it was asked."""

    def __init__(self, folder: Path) -> None:
        self.cache = FrameCache(folder, 1.0)
        self.at_once: list[bool] = []

    @contextmanager
    def hold(self, wanted: Wanted, *, on_decode: Callable[[], None], at_once: bool = False) -> Iterator[Fetched]:
        on_decode()
        self.at_once.append(at_once)
        with self.cache.hold(wanted, at_once=at_once) as fetched:
            yield fetched


class FakeEngine:
    """Says what it was told to, after `during`."""

    def __init__(self, during: Callable[[Prompt], object] = lambda prompt: None) -> None:
        self.prompts: list[Prompt] = []
        self.asked: list[dict[str, Any]] = []
        self._during = during

    def ask(
        self, prompt: Prompt, settings: GenerationSettings, *, on_stage: Callable[[Stage], None], **how: Any
    ) -> Answer:
        on_stage(Stage.GENERATE)
        self.prompts.append(prompt)
        self.asked.append({"settings": settings, **how})
        self._during(prompt)
        return Answer(generation=Generation(text=" B"), prepare_s=0.25, wait_s=0.5, generate_s=0.75)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "v0.mp4").write_bytes(video_bytes())
    return tmp_path / "data"


@pytest.fixture
def frames(tmp_path: Path) -> CacheFrames:
    return CacheFrames(tmp_path / "frames")


def ask(
    asked: list[Sample],
    root: Path,
    frames: CacheFrames,
    engine: FakeEngine,
    *,
    key: str = one_key("0"),
    run: RunConfig = RUN,
    **values: Any,
) -> tuple[Response, list[Stage]]:
    stages: list[Stage] = []
    response = infer(key, asked, run, root=root, frames=frames, engine=engine, on_stage=stages.append, **values)
    return response, stages


def test_an_answer_comes_with_what_was_shown_and_how_long_each_stage_took(root: Path, frames: CacheFrames) -> None:
    engine = FakeEngine()
    response, stages = ask(about(), root, frames, engine, alone=True, queue_s=1.25)
    assert response.text == " B", "to the character"
    assert stages == [Stage.DECODE, Stage.PREPARE, Stage.GENERATE]
    (clip,) = response.prompt.clips
    assert clip.num_frames == 4 and clip.policy == "stride" and "What is 0?" in response.prompt.text("user")
    timings = response.timings
    assert (timings.queue, timings.prepare, timings.wait, timings.generate) == (1.25, 0.25, 0.5, 0.75)
    assert timings.decode > 0
    (asked,) = engine.asked
    assert (asked["settings"].max_new_tokens, asked["alone"], asked["load_key"]) == (7, True, "the key")


def test_a_run_by_a_recipe_puts_its_questions_in_the_recipes_words(root: Path, frames: CacheFrames) -> None:
    wording = Wording(text="{frames} frames: {question}\n{options}", option="({letter}) {text}", prefix="(")
    run = replace(RUN, recipe=RecipeUsed(name="m/b@team", wording=wording))
    response, _ = ask(about(), root, frames, FakeEngine(), run=run)
    assert response.prompt.text("user") == "4 frames: What is 0?\n(A) one\n(B) two"
    assert response.prompt.text("assistant") == "("


def test_a_pack_asks_all_questions_of_its_video_at_once(root: Path, frames: CacheFrames) -> None:
    ((key, asked),) = packed(about(count=3)).items()
    response, _ = ask(asked, root, frames, FakeEngine(), key=key)
    said = response.prompt.text("user")
    assert all(f"What is {i}?" in said for i in range(3))


def test_only_a_model_that_is_steered_is_told_the_columns_of_a_sample(root: Path, frames: CacheFrames) -> None:
    engine = FakeEngine()
    ask(about(), root, frames, engine)
    ask(about(), root, frames, engine, run=replace(RUN, spec=replace(RUN.spec, steered=False)))
    told, real = engine.prompts
    assert told.steering["question"] == "What is 0?" and real.steering == {}


def test_without_its_data_this_machine_cannot_and_nothing_is_noted(tmp_path: Path, frames: CacheFrames) -> None:
    stages: list[Stage] = []
    with pytest.raises(EnvironmentProblem, match="no data at") as raised:
        infer(
            one_key("0"), about(), RUN,
            root=tmp_path / "away", frames=frames, engine=FakeEngine(), on_stage=stages.append,
        )  # fmt: skip
    assert "VIDEVAL_DATA_ROOT" in raised.value.hint and stages == []


@pytest.mark.parametrize("video", ["gone.mp4", "../v0.mp4", "/etc/passwd", "text.mp4"])
def test_a_video_that_cannot_be_shown_is_a_failure_and_the_model_is_not_asked(
    root: Path, frames: CacheFrames, video: str
) -> None:
    (root / "text.mp4").write_text("not a video")
    engine = FakeEngine()
    with pytest.raises(VideoFailure):
        ask(about(video), root, frames, engine)
    assert engine.asked == []


def test_a_symlink_out_of_the_data_is_followed_only_if_that_is_allowed(
    root: Path, tmp_path: Path, frames: CacheFrames
) -> None:
    (tmp_path / "outside.mp4").write_bytes(video_bytes())
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    with pytest.raises(VideoFailure):
        ask(about("link.mp4"), root, frames, FakeEngine())
    response, _ = ask(about("link.mp4"), root, frames, FakeEngine(), allow_symlinks=True)
    assert response.prompt.clips[0].num_frames == 4


@pytest.mark.parametrize(
    "error", [ModelFailure("no"), ProcessDied("died"), Released("let go"), EnvironmentProblem("x")]
)
def test_what_an_engine_raises_passes_through_and_the_clips_are_let_go_of(
    root: Path, frames: CacheFrames, error: Exception
) -> None:
    def fail(prompt: Prompt) -> None:
        raise error

    with pytest.raises(type(error)):
        ask(showing(*two(root)), root, frames, FakeEngine(fail))
    evict(frames.cache.folder, 0)
    assert not list(frames.cache.folder.glob("*.npy"))


def test_a_request_that_is_given_back_before_it_is_decoded_reads_no_video(root: Path, frames: CacheFrames) -> None:
    def drains(stage: Stage) -> None:
        raise Released(f"before {stage}")

    with pytest.raises(Released, match="before decode"):
        infer(one_key("0"), about(), RUN, root=root, frames=frames, engine=FakeEngine(), on_stage=drains)
    assert frames.at_once == []


def test_clips_are_not_thrown_out_from_under_the_engine(root: Path, frames: CacheFrames) -> None:
    def look(prompt: Prompt) -> None:
        evict(frames.cache.folder, 0)
        assert [load_frames(clip).shape[0] for clip in prompt.clips] == [4, 4]

    ask(showing(*two(root)), root, frames, FakeEngine(look))
    evict(frames.cache.folder, 0)
    assert not list(frames.cache.folder.glob("*.npy")), "held no longer than they are needed"


def test_an_answer_says_how_many_of_its_clips_were_decoded_for_it(root: Path, frames: CacheFrames) -> None:
    refs = two(root)
    assert ask(showing(refs[0]), root, frames, FakeEngine())[0].decoded == 1
    assert ask(showing(*refs), root, frames, FakeEngine())[0].decoded == 1, "the other one was there"
    assert ask(showing(*refs), root, frames, FakeEngine())[0].decoded == 0


def test_who_holds_a_clip_of_its_question_waits_for_no_room_for_the_next(root: Path, frames: CacheFrames) -> None:
    ask(showing(*two(root)), root, frames, FakeEngine())
    assert frames.at_once == [False, True], "two that wait for each other would wait for ever"


# several clips, images, sounds


def two(root: Path) -> tuple[ClipRef, ClipRef]:
    """The whole of one video and the second second of another."""
    (root / "v1.mp4").write_bytes(video_bytes())
    return ClipRef(video="v0.mp4"), ClipRef(video="v1.mp4", start=1.0, end=2.0)


def test_each_clip_has_its_span_and_if_it_likes_its_own_frames(root: Path, frames: CacheFrames) -> None:
    whole, part = two(root)
    asked = showing(whole, replace(part, sampling=FrameSampling(policy="uniform", num_frames=2)))
    response, stages = ask(asked, root, frames, FakeEngine())
    first, second = response.prompt.clips
    assert (first.num_frames, second.num_frames, second.policy) == (4, 2, "uniform")
    assert all(1.0 <= time <= 2.0 for time in second.timestamps)
    assert stages == [Stage.DECODE, Stage.DECODE, Stage.PREPARE, Stage.GENERATE]


def test_a_clip_of_its_own_frames_is_shown_as_the_model_takes_it() -> None:
    spec = replace(RUN.spec, policy="stride", max_frames=6)
    run = replace(RUN, spec=spec, sampling=FrameSampling(policy="rate", fps=2.0, max_frames=5))
    by_count = ClipRef(video="a.mp4", sampling=FrameSampling(policy="interior", num_frames=3))
    by_rate = ClipRef(video="a.mp4", sampling=FrameSampling(policy="rate", fps=1.0))
    assert run.sampling_of(ClipRef(video="a.mp4")) is run.sampling
    assert run.sampling_of(by_count) == FrameSampling(policy="stride", num_frames=3)
    assert run.sampling_of(by_rate) == FrameSampling(policy="rate", fps=1.0, max_frames=5)


def test_questions_about_the_same_clips_go_together(root: Path, frames: CacheFrames) -> None:
    engine = FakeEngine()
    for asked in (showing(*two(root)), showing(*two(root)), about()):
        ask(asked, root, frames, engine)
    one, same, other = (asked["together"] for asked in engine.asked)
    assert one == same != other


@pytest.mark.parametrize("video", ["gone.mp4", "../v0.mp4", "text.mp4"])
def test_a_failure_names_the_clip(root: Path, frames: CacheFrames, video: str) -> None:
    (root / "text.mp4").write_text("not a video")
    with pytest.raises(VideoFailure, match=r"^clip 2 of 3: .*(gone|v0|text)\.mp4"):
        ask(showing(*two(root)[:1], ClipRef(video=video), ClipRef(video="v0.mp4")), root, frames, FakeEngine())


class Page(TableBenchmark):
    """Words a prompt as a test says."""

    parts: tuple[Part, ...] = ()

    def prompt(self, sample: Sample, shown: Any) -> tuple[Part, ...]:
        return self.parts


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    made = Page()
    monkeypatch.setattr("videval.inference.find_benchmark", lambda name: made)
    return made


def test_a_model_is_given_files_by_their_place_and_what_is_stored_names_them_in_the_data(
    root: Path, frames: CacheFrames, page: Page
) -> None:
    for name in ("a.png", "b.wav"):
        (root / name).write_bytes(b"x")
    page.parts = (Image(path="a.png"), Sound(path="b.wav"), Sound(clip=1), Text(text="What?"))
    engine = FakeEngine()
    response, _ = ask(showing(*two(root)), root, frames, engine)
    image, file, of_clip, _ = engine.prompts[0].parts
    assert image == Image(path=str(root / "a.png")) and file == Sound(path=str(root / "b.wav"))
    assert of_clip == Sound(clip=1, path=str(root / "v1.mp4"), start=1.0, end=2.0)
    assert response.prompt.parts == page.parts


class Small:
    """A model's processor that makes every frame 8 x 6."""

    def __init__(self, fit: Fit) -> None:
        assert fit == FIT

    def size(self, *_: object, **__: object) -> tuple[int, int]:
        return 8, 6

    def resized(self, frame: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
        return frame[:height, :width]


FIT = Fit(model_type="m", settings={"patch_size": 2})


@pytest.fixture
def fitting(frames: CacheFrames, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are fitted to the model."""
    monkeypatch.setattr("videval.inference.fit_of", lambda spec: FIT)
    frames.cache = FrameCache(frames.cache.folder, 1.0, fitting=Small)


@pytest.mark.usefixtures("fitting")
def test_frames_are_kept_at_the_size_that_the_model_sees_and_the_clip_says_both(
    root: Path, frames: CacheFrames
) -> None:
    response, _ = ask(about(), root, frames, FakeEngine())
    (small,) = response.prompt.clips
    assert (small.width, small.height, small.source_width, small.source_height) == (8, 6, 64, 48)
    whole = frames.cache.clip(root / "v0.mp4", RUN.sampling)
    assert whole.path != small.path and (whole.width, whole.source_width) == (64, None)
    assert np.array_equal(load_frames(small), load_frames(whole)[:, :6, :8])


@pytest.mark.usefixtures("fitting")
def test_a_model_that_takes_images_is_shown_whole_frames(root: Path, frames: CacheFrames) -> None:
    response, _ = ask(about(), root, frames, FakeEngine(), run=replace(RUN, form="frames"))
    assert response.prompt.clips[0].width == 64


@pytest.mark.usefixtures("fitting")
def test_a_page_that_shows_single_frames_beside_the_video_has_whole_ones(
    root: Path, frames: CacheFrames, page: Page
) -> None:
    page.parts = (Video(), Frame(position=1), Text(text="What?"))
    response, _ = ask(about(), root, frames, FakeEngine())
    assert response.prompt.clips[0].width == 64 and response.decoded == 2


@pytest.mark.parametrize("part", [Image(path="gone.png"), Image(path="../a.png"), Sound(path="/etc/passwd")])
def test_a_file_that_is_not_in_the_data_is_a_failure_and_the_model_is_not_asked(
    root: Path, frames: CacheFrames, page: Page, part: Part
) -> None:
    page.parts = (part,)
    (root.parent / "a.png").write_bytes(b"x")
    engine = FakeEngine()
    with pytest.raises(VideoFailure):
        ask(about(), root, frames, engine)
    assert engine.asked == []


@pytest.mark.parametrize("part", [Video(clip=1), Sound(clip=2), Video(clip=-1)])
def test_a_prompt_that_shows_a_clip_which_is_not_there_is_a_failure(
    root: Path, frames: CacheFrames, page: Page, part: Part
) -> None:
    page.parts = (part,)
    with pytest.raises(RequestFailure, match="there are 1"):
        ask(about(), root, frames, FakeEngine())


# how large the model's processor may make the frames

LIMITS = Pixels(min_pixels=3136, max_pixels=602112, total_pixels=1 << 24)
RESIZING = replace(RUN, spec=replace(RUN.spec, resizes=True, pixels=LIMITS))


def pixels(root: Path, frames: CacheFrames, run: RunConfig, asked: list[Sample] | None = None) -> tuple[Pixels, ...]:
    response, _ = ask(asked or about(), root, frames, FakeEngine(), run=run)
    return response.prompt.pixels


def test_a_processor_that_resizes_is_told_the_runs_limits_for_each_clip(root: Path, frames: CacheFrames) -> None:
    two = showing(ClipRef(video="v0.mp4"), ClipRef(video="v0.mp4", start=0.0, end=0.5))
    assert pixels(root, frames, RESIZING, two) == (LIMITS, LIMITS)


def test_one_that_does_not_is_told_nothing(root: Path, frames: CacheFrames) -> None:
    assert pixels(root, frames, replace(RESIZING, spec=replace(RESIZING.spec, resizes=False))) == ()


def test_a_rule_by_length_changes_the_limits_that_it_names_by_what_is_shown_of_a_clip(
    root: Path, frames: CacheFrames
) -> None:
    rules = (LengthRule(up_to=0.75, pixels=Pixels(max_pixels=200704)), LengthRule(fps=None, pixels=Pixels()))
    run = replace(RESIZING, sampling=replace(RUN.sampling, by_length=rules))
    refs = (ClipRef(video="v0.mp4"), ClipRef(video="v0.mp4", start=0.0, end=0.5))
    assert pixels(root, frames, run, showing(*refs)) == (LIMITS, replace(LIMITS, max_pixels=200704))


def test_a_rule_whose_most_is_below_the_runs_least_lowers_that_too(root: Path, frames: CacheFrames) -> None:
    least = LIMITS.min_pixels or 0
    assert least > 16, "the run has a least"
    run = replace(RESIZING, sampling=replace(RUN.sampling, by_length=(LengthRule(pixels=Pixels(max_pixels=16)),)))
    assert pixels(root, frames, run) == (replace(LIMITS, min_pixels=16, max_pixels=16),)
