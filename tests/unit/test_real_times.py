"""Seconds of people's own tables are real ones, whatever the model; published benchmarks count frames."""

from pathlib import Path
from typing import Any

import pytest

from videval.benchmarks.base import Benchmark
from videval.benchmarks.catalog import find_benchmark
from videval.benchmarks.table import TableBenchmark
from videval.models.catalog import model_spec
from videval.order import Order
from videval.types import FrameSampling, Sample


def order(bench: Benchmark, model: str, **amount: Any) -> Order:
    sample = Sample(id="1", video="a.mp4", question="?", start=3.0, end=6.0)
    variant = bench.variant(**amount)
    return Order(benchmark=bench, variant=variant, samples=[sample], root=Path(), spec=model_spec(model))


@pytest.mark.parametrize(("model", "policy"), [("fake", "interior"), ("Video-LLaVA-7B", "stride")])
def test_a_table_s_seconds_are_real_also_under_a_model_s_own_policy(model: str, policy: str) -> None:
    sampling = order(TableBenchmark(), model, num_frames=8).sampling()
    assert sampling == FrameSampling(policy=policy, num_frames=8, times="real")


def test_a_table_s_rate_is_real_too() -> None:
    assert order(TableBenchmark(), "fake", fps=1.0).sampling() == FrameSampling(policy="rate", fps=1.0, times="real")


@pytest.mark.parametrize("name", ["MVBench", "Video-MME", "TempCompass"])
def test_a_published_benchmark_counts_frames_as_its_numbers_were_made(name: str) -> None:
    assert order(find_benchmark(name), "fake", num_frames=8).sampling().times == "nominal"
