"""What a worker says of itself when it begins."""

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

import videval
from tests.seeding import settings_for
from workers import pulse
from workers.device import Device, Kind
from workers.locks import HeldDevice


@pytest.mark.parametrize("kind", [Kind.CPU, Kind.API])
def test_a_worker_names_the_videval_that_runs_and_not_the_one_that_was_once_installed(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pulse, "version", lambda name: "0.0.1" if name == "videval" else importlib.metadata.version(name)
    )
    held = HeldDevice(device=Device(kind=kind, label="cpu", keys=("cpu:0",), visible=""), fds=())
    found = pulse.identity(settings_for(tmp_path), held).environment
    assert found["videval"] == videval.__version__
    assert ("torch" in found) == (kind is not Kind.API) and found["av"] == importlib.metadata.version("av")


def test_a_clip_that_is_mapped_is_no_memory_of_its_worker(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.ones(200 * 2**20, np.uint8))
    before = pulse.rss_mb()
    clip = np.load(tmp_path / "clip.npy", mmap_mode="r")
    assert clip.sum() == 200 * 2**20, "all of it was looked at"
    assert pulse.rss_mb() - before < 100
