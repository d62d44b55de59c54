"""From a claim to a response: what is shown and asked, what is noted when, and how each failure passes through."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.questions import samples
from tests.trees import clip as video_bytes
from videval.db.records import Claim, RunConfig, StoredSample
from videval.errors import EnvironmentProblem, ModelFailure, ProcessDied, VideoFailure
from videval.inference import Released, infer
from videval.models.catalog import model_spec
from videval.types import Answer, Clip, FrameSampling, Generation, GenerationSettings, Prompt, Stage
from videval.video.cache import FrameCache, load_frames
from videval.video.eviction import evict


def claim_of(count: int = 1, *, packed: bool = False, alone: bool = False, video: str = "v0.mp4") -> Claim:
    """A claim on so many questions about one video of a table."""
    asked = [replace(s, video=video) for s in samples(count)]
    run = RunConfig(
        run_id=1, name="r", benchmark="table", variant="table_4frame", spec=model_spec("fake"), load_key="the key",
        sampling=FrameSampling(policy="stride", num_frames=4), generation=GenerationSettings(max_new_tokens=7),
        pack=packed, subtitles=False, form="video", scorer="rule", data_root="/", max_pixels=None,
    )  # fmt: skip
    stored = tuple(StoredSample(row_id=i, sample=s) for i, s in enumerate(asked))
    return Claim(request_id=5, attempt=1, alone=alone, packed=packed, retries=0, queue_s=1.25, run=run, samples=stored)


class CacheFrames:
    """The frame cache itself as a source; `before_use` happens when a clip was given and nobody holds it yet."""

    def __init__(self, folder: Path, before_use: Callable[[], None] = lambda: None) -> None:
        self.cache = FrameCache(folder, 1.0)
        self.given = 0
        self._before_use = before_use

    def clip(self, path, sampling, span, *, folder_fps, max_pixels, on_decode) -> Clip:
        on_decode()
        found = self.cache.clip(path, sampling, span, folder_fps=folder_fps, max_pixels=max_pixels)
        self.given += 1
        self._before_use()
        return found


class FakeEngine:
    """Says what it was told to, after `during`."""

    def __init__(self, during: Callable[[Prompt], None] = lambda prompt: None) -> None:
        self.asked: list[dict[str, object]] = []
        self._during = during

    def ask(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        alone: bool,
        together: str,
        load_key: str,
        on_stage: Callable[[Stage], None],
    ) -> Answer:
        on_stage(Stage.GENERATE)
        self.asked.append({"prompt": prompt, "settings": settings, "alone": alone, "load_key": load_key})
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


def ask(claim: Claim, root: Path, frames: CacheFrames, engine: FakeEngine, **values):
    stages: list[Stage] = []
    response = infer(claim, root=root, frames=frames, engine=engine, on_stage=stages.append, **values)
    return response, stages


def test_an_answer_comes_with_what_was_shown_and_how_long_each_stage_took(root, frames):
    engine = FakeEngine()
    response, stages = ask(claim_of(alone=True), root, frames, engine)
    assert response.text == " B", "to the character"
    assert stages == [Stage.DECODE, Stage.PREPARE, Stage.GENERATE]
    clip = response.prompt.clip
    assert clip.num_frames == 4 and clip.policy == "stride" and "What is 0?" in response.prompt.text("user")
    timings = response.timings
    assert (timings.queue, timings.prepare, timings.wait, timings.generate) == (1.25, 0.25, 0.5, 0.75)
    assert timings.decode > 0
    (asked,) = engine.asked
    assert (asked["settings"].max_new_tokens, asked["alone"], asked["load_key"]) == (7, True, "the key")


def test_a_pack_asks_all_questions_of_its_video_at_once(root, frames):
    response, _ = ask(claim_of(3, packed=True), root, frames, FakeEngine())
    said = response.prompt.text("user")
    assert all(f"What is {i}?" in said for i in range(3))


def test_without_its_data_this_machine_cannot_and_nothing_is_noted(tmp_path, frames):
    stages: list[Stage] = []
    with pytest.raises(EnvironmentProblem, match="no data at") as raised:
        infer(claim_of(), root=tmp_path / "away", frames=frames, engine=FakeEngine(), on_stage=stages.append)
    assert "VIDEVAL_DATA_ROOT" in raised.value.hint and stages == []


@pytest.mark.parametrize("video", ["gone.mp4", "../v0.mp4", "/etc/passwd", "text.mp4"])
def test_a_video_that_cannot_be_shown_is_a_failure_and_the_model_is_not_asked(root, frames, video):
    (root / "text.mp4").write_text("not a video")
    engine = FakeEngine()
    with pytest.raises(VideoFailure):
        ask(claim_of(video=video), root, frames, engine)
    assert engine.asked == []


def test_a_symlink_out_of_the_data_is_followed_only_if_that_is_allowed(root, tmp_path, frames):
    (tmp_path / "outside.mp4").write_bytes(video_bytes())
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    with pytest.raises(VideoFailure):
        ask(claim_of(video="link.mp4"), root, frames, FakeEngine())
    response, _ = ask(claim_of(video="link.mp4"), root, frames, FakeEngine(), allow_symlinks=True)
    assert response.prompt.clip.num_frames == 4


@pytest.mark.parametrize(
    "error", [ModelFailure("no"), ProcessDied("died"), Released("let go"), EnvironmentProblem("x")]
)
def test_what_an_engine_raises_passes_through_and_the_clip_is_let_go_of(root, frames, error):
    def fail(prompt: Prompt) -> None:
        raise error

    with pytest.raises(type(error)):
        ask(claim_of(), root, frames, FakeEngine(fail))
    evict(frames.cache.folder, 0)
    assert not list(frames.cache.folder.glob("*.npy"))


def test_a_request_that_is_given_back_before_it_is_decoded_reads_no_video(root, frames):
    def drains(stage: Stage) -> None:
        raise Released(f"before {stage}")

    with pytest.raises(Released, match="before decode"):
        infer(claim_of(), root=root, frames=frames, engine=FakeEngine(), on_stage=drains)
    assert frames.given == 0


def test_a_clip_is_not_thrown_out_from_under_the_engine(root, frames):
    def look(prompt: Prompt) -> None:
        evict(frames.cache.folder, 0)
        assert load_frames(prompt.clip).shape[0] == 4

    ask(claim_of(), root, frames, FakeEngine(look))
    evict(frames.cache.folder, 0)
    assert not list(frames.cache.folder.glob("*.npy")), "held no longer than it is needed"


def test_a_clip_that_is_thrown_out_before_it_is_held_is_decoded_again(root, tmp_path):
    times = iter([True, False])
    source = CacheFrames(tmp_path / "frames", lambda: next(times) and evict(tmp_path / "frames", 0))
    response, stages = ask(claim_of(), root, source, FakeEngine(lambda prompt: load_frames(prompt.clip)))
    assert source.given == 2 and stages.count(Stage.DECODE) == 2 and response.text == " B"


def test_a_clip_that_can_never_be_held_is_said_by_who_maps_it(root, tmp_path):
    source = CacheFrames(tmp_path / "frames", lambda: evict(tmp_path / "frames", 0))
    with pytest.raises(EnvironmentProblem, match="cannot be mapped"):
        ask(claim_of(), root, source, FakeEngine(lambda prompt: load_frames(prompt.clip)))
    assert source.given < 10
