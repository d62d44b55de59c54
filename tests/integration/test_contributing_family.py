"""The example of CONTRIBUTING for a family of models is what that family needs."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from videval.models import families
from videval.models.catalog import load_model
from videval.models.hf_chat import loading
from videval.models.hf_chat.model import HfChat
from videval.types import Clip, GenerationSettings, ModelSpec, Pixels, Prompt, Text, Video

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def test_the_entry_shown_is_read_back_with_its_times_and_keeps_its_limits(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = PAGE.read_text().split("\n## Add a family of models\n")[1].split("\n## ")[0]
    (shown,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    family = eval(shown, {"Family": families.Family})
    monkeypatch.setattr(loading, "family_of", lambda _: family)
    spec = ModelSpec(name="it", adapter="hf_chat", checkpoint=str(tiny("qwen3_vl")), revision="")
    model = load_model(spec, devices=["cpu"])
    assert isinstance(model, HfChat)
    np.save(tmp_path / "c.npy", np.zeros((4, 96, 96, 3), np.uint8))
    clip = Clip(
        path=str(tmp_path / "c.npy"), frame_numbers=(0, 10, 20, 30), timestamps=(0.0, 1.0, 2.0, 3.0), total_frames=40,
        fps=10.0, width=96, height=96, decoder="none", policy="stride",
    )  # fmt: skip
    prompt = Prompt(parts=(Video(), Text(text="What?")), clips=(clip,), pixels=(Pixels(max_pixels=64 * 64),))
    (seen,) = model.prepare(prompt, GenerationSettings()).seen
    assert seen.timestamps == (0.5, 2.5) and seen.width * seen.height <= 64 * 64
