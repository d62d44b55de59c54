"""What is said at enqueue of a model at an endpoint: what it cannot be told, and what it will not take."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from videval.errors import UsageError
from videval.models import context, remote_limits
from videval.models.catalog import model_spec
from videval.models.context import Asking
from videval.models.limits import refused
from videval.models.remote_limits import remarks_on_remote
from videval.options import Asked
from videval.orders import make_order
from videval.settings import Settings
from videval.types import ClipRef, FrameSampling, GenerationSettings, ModelSpec, Pixels, Sample
from videval.video.readers import VideoInfo

USUAL = GenerationSettings()
MOVIE = Sample(id="1", question="What?", video="a.mp4", candidates=("a", "b"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    return tmp_path


def lab(home: Path, more: str = "") -> ModelSpec:
    (home / "endpoints.toml").write_text(f'[endpoints.lab]\nbase_url = "http://x:1/v1"\nmodel = "m"\n{more}\n')
    return model_spec("endpoint:lab")


@pytest.fixture
def films(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every video has 100 frames of 1280x720."""
    info = VideoInfo(total_frames=100, fps=25.0, width=1280, height=720, decoder="x")
    monkeypatch.setattr(remote_limits, "looked_at", lambda path: info)
    monkeypatch.setattr(context, "_bytes", lambda path: 1)


def asking(frames: int = 8) -> Asking:
    sampling = FrameSampling(policy="uniform", num_frames=frames)
    return Asking(samples=[MOVIE], root=Path("/videos"), sampling=sampling, pixels=Pixels(), new_tokens=16)


def test_nothing_is_said_of_a_model_that_runs_here(home: Path) -> None:
    assert remarks_on_remote(model_spec("fake"), USUAL, asking(), max_pixels=None) == []


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        (GenerationSettings(temperature=1.0, top_k=20), "--top-k"),
        (GenerationSettings(repetition_penalty=1.1), "--repetition-penalty"),
        (GenerationSettings(thinking=False), "--thinking"),
        (GenerationSettings(thinking_budget=100), "--thinking-budget"),
    ],
)
def test_a_setting_that_the_server_cannot_be_told_is_refused(
    home: Path, settings: GenerationSettings, option: str
) -> None:
    with pytest.raises(UsageError) as caught:
        remarks_on_remote(lab(home), settings, asking(), max_pixels=None)
    assert option in str(caught.value) and 'server = "vllm"' in caught.value.hint
    if option != "--thinking-budget":
        assert remarks_on_remote(lab(home, 'server = "vllm"'), settings, asking(), max_pixels=None) == []


def test_sampling_that_means_nothing_for_the_likeliest_token_is_not_refused(home: Path) -> None:
    assert remarks_on_remote(lab(home), GenerationSettings(top_k=20, min_p=0.1), asking(), max_pixels=None) == []


def test_what_the_entry_leaves_out_is_a_remark(home: Path) -> None:
    (said,) = remarks_on_remote(lab(home, 'omit = ["temperature"]'), USUAL, asking(), max_pixels=None)
    assert "is not told temperature" in said


def test_bodies_that_may_be_too_large_are_a_remark_with_numbers(home: Path, films: None) -> None:
    spec = lab(home, "limits = { max_body_mb = 10 }")
    (said,) = remarks_on_remote(spec, USUAL, asking(), max_pixels=None)
    assert "a.mp4 is about 16 MB as png" in said and "takes 10" in said and "jpeg" in said
    assert remarks_on_remote(spec, USUAL, asking(), max_pixels=224 * 224) == []


def test_bodies_that_are_too_large_whatever_is_in_them_are_refused(home: Path, films: None) -> None:
    spec = lab(home, "limits = { max_body_mb = 10 }")
    with pytest.raises(UsageError, match=r"a\.mp4 is about 157 MB"):
        remarks_on_remote(spec, USUAL, asking(80), max_pixels=None)


def test_a_part_of_a_video_cannot_be_asked_about_where_files_are_sent(home: Path) -> None:
    part = replace(MOVIE, video="", clips=(ClipRef(video="a.mp4", start=1.0, end=2.0),))
    spec = lab(home, 'transport = "file"')
    (own, said) = refused(spec, [part, MOVIE], sampling=asking().sampling)
    assert "reads videos by itself" in own and "a part of a video" in said
    with pytest.raises(UsageError, match="a part of a video"):
        refused(spec, [part], sampling=asking().sampling)
    assert refused(lab(home, 'transport = "video"'), [part], sampling=asking().sampling) == []


def table(folder: Path) -> Path:
    (folder / "a.mp4").write_bytes(b"")
    file = folder / "asked.tsv"
    file.write_text("index\tvideo\tquestion\tA\tB\tanswer\n1\ta.mp4\tWhat?\tx\ty\tA\n")
    return file


@pytest.mark.parametrize(
    ("said", "option"), [({"dtype": "float16"}, "--dtype"), ({"attention": "sdpa"}, "--attention")]
)
def test_how_a_model_is_loaded_cannot_be_told_to_an_endpoint(home: Path, said: dict[str, Any], option: str) -> None:
    lab(home)
    with pytest.raises(UsageError, match=option):
        make_order(Asked(what=str(table(home)), model="endpoint:lab", **said), Settings())


def test_frames_cannot_be_chosen_where_the_server_samples(home: Path) -> None:
    lab(home, 'transport = "inline"')
    with pytest.raises(UsageError, match="--max-pixels"):
        make_order(Asked(what=str(table(home)), model="endpoint:lab", max_pixels=50_000), Settings())


def test_more_frames_than_the_endpoint_takes_are_refused_with_the_number(home: Path) -> None:
    lab(home, "limits = { max_frames = 4 }")
    with pytest.raises(UsageError, match="takes at most 4 frames"):
        make_order(Asked(what=str(table(home)), model="endpoint:lab", frames=8), Settings()).sampling()


def test_an_order_at_an_endpoint_says_in_its_card_how_it_is_asked(home: Path) -> None:
    lab(home, 'transport = "video"\nkey_env = "LAB_KEY"')
    order = make_order(Asked(what=str(table(home)), model="endpoint:lab"), Settings())
    card = order.card("x")
    assert card["model"]["remote"]["transport"] == "video" and "one video" in card["model"]["note"]
    assert "LAB_KEY" not in repr(card)
