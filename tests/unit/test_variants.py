"""A variant's name says the benchmark, its frames and its options, and means one thing only."""

import pytest

from videval.benchmarks.catalog import (
    BENCHMARKS,
    benchmark_names,
    find_benchmark,
    parse_variant,
    published_variants,
)
from videval.errors import UnknownName, UsageError


@pytest.mark.parametrize("name", ["MVBnch_8frame", "MVBnch", "mv-bench_mp5_8frame", "VideoMM_1fps"])
def test_another_name_comes_back_with_what_comes_close(name: str) -> None:
    with pytest.raises(UnknownName) as caught:
        parse_variant(name)
    assert caught.value.close_matches
    assert "did you mean" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MVBench", "does not say how many frames"),
        ("MMBench_Video", "does not say how many frames"),
        ("MVBench_0frame", "cannot read '0frame'"),
        ("MVBench_1.5frame", "cannot read '1.5frame'"),
        ("MVBench_-1fps", "cannot read '-1fps'"),
        ("Video-MME_0fps", "cannot read '0fps'"),
        ("Video-MME_nanfps", "cannot read 'nanfps'"),
        ("Video-MME_8frame_sub", "cannot read 'sub'"),
        ("Video-MME_8frame_subs_subs", "contradicts or repeats"),
        ("MMBench_Video_8frame_pack_nopack", "contradicts or repeats"),
        ("WorldSense_8frame_audio", "no audio"),
        ("table_8frame", "named by its file"),
    ],
)
def test_what_cannot_be_read_is_said(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_variant(name)
    assert caught.value.hint


def test_a_missing_count_names_the_published_variants() -> None:
    with pytest.raises(UsageError) as caught:
        parse_variant("Video-MME")
    assert "Video-MME_0.5fps_subs" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        ("MVBench_1fps", "not sampled by rate", "use MVBench_MP4"),
        ("MVTamperBench_1fps", "not sampled by rate", "MVTamperBench_8frame"),
        ("MVBench_8frame_pack", "no pack mode", "use MVBench_8frame"),
        ("MVBench_8frame_subs", "no subtitles", "use MVBench_8frame"),
    ],
)
def test_what_a_benchmark_does_not_support_is_an_error_that_says_why(name: str, words: str, hint: str) -> None:
    variant = parse_variant(name)
    with pytest.raises(UsageError, match=words) as caught:
        find_benchmark(variant.benchmark).sampling(variant)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", published_variants())
def test_each_published_name_parses_to_itself_and_is_supported(name: str) -> None:
    variant = parse_variant(name)
    assert variant.name == name
    sampling = find_benchmark(variant.benchmark).sampling(variant)
    assert (sampling.num_frames, sampling.fps) == (variant.num_frames, variant.fps)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MMBench-Video_8frame", "MMBench_Video_8frame_nopack"),
        ("MMBench_Video_8frame", "MMBench_Video_8frame_nopack"),
        ("mmbench_video_8frame_pack", "MMBench_Video_8frame_pack"),
        ("Video_MME_1.0fps", "Video-MME_1fps"),
        ("Video-MMMU_8frame", "VideoMMMU_8frame"),
        ("VideoMME_0.50fps_subs", "Video-MME_0.5fps_subs"),
        ("NExTQA_8frame", "NExT-QA_8frame"),
        ("MVBench_mp4_8frame", "MVBench_MP4_8frame"),
        ("MVBench_8frame_nopack", "MVBench_8frame"),
    ],
)
def test_other_spellings_get_the_one_name(name: str, meant: str) -> None:
    assert parse_variant(name).name == meant


def test_any_count_or_rate_parses() -> None:
    assert parse_variant("MVBench_17frame").num_frames == 17
    assert parse_variant("Video-MME_0.125fps_subs").fps == 0.125
    assert parse_variant("Video-MME_0.125fps_subs").subtitles
    assert parse_variant("MMBench_Video_3fps_pack").pack


def test_each_benchmark_of_the_catalog_loads_and_has_its_name() -> None:
    for name in BENCHMARKS:
        found = find_benchmark(name)
        assert found.name == name
        assert found.title
        assert found.scorer
    assert "table" not in benchmark_names()


def test_third_parties_benchmarks_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    from videval import registry
    from videval.benchmarks.pages.mvbench import MVBench

    class Theirs(MVBench):
        name = "TheirBench"
        published = ("TheirBench_8frame", "TheirBench_16frame")

    monkeypatch.setattr(registry, "_plugins", lambda group: {"TheirBench": lambda: Theirs})
    assert parse_variant("TheirBench_4frame").benchmark == "TheirBench"
    assert "TheirBench" in benchmark_names()
