"""Frames kept at the size that a model sees: which size that is, and the very resize of its processor.

What a family's processor makes of frames that have been resized before is the same, to the last bit, as of whole ones
(`Family.fits`; a test compares the two for each). torch is imported when the first frame is resized.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videval.errors import ModelFailure
from videval.models.budget import Processing, frame_size, processing_of
from videval.models.checkpoints import here, read_json
from videval.models.families import Family, family_of
from videval.types import Fit, FrameSampling, ModelSpec
from videval.video.sampling import pixels_for

__all__ = ["Fitting", "fit_of"]

ADAPTERS = ("hf_chat",)
"""Those that give a clip to a processor of transformers as it is, on the CPU."""
BICUBIC = 3
"""Pillow's number for the one filter that torch has the same for whole numbers on every CPU."""
WORTH = 64e6
"""Bytes of a clip's whole frames from which on they are fitted: fewer are read before torch is imported."""
FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
READ = (
    "size", "min_pixels", "max_pixels", "patch_size", "merge_size", "temporal_patch_size", "do_center_crop",
)  # fmt: skip
"""The settings of a processor that its sizes follow from."""


def fit_of(spec: ModelSpec) -> Fit | None:
    """How large the frames of a video are that this model sees; None if that is not known, or not proven to do."""
    if spec.adapter not in ADAPTERS or spec.form != "video":
        return None
    folder = here(spec)
    if folder is None or not any((folder / name).is_file() for name in FILES):
        return None
    fit = _of_files(spec.family, folder)
    return fit and Fit(model_type=fit.model_type, settings=fit.settings, pixels=spec.pixels)


@lru_cache(maxsize=16)
def _of_files(family: str, folder: Path) -> Fit | None:
    model_type = family or str(read_json(folder / "config.json").get("model_type", ""))
    found = processing_of(model_type, folder, {}).settings
    resizes_so = found.get("do_resize", True) and found.get("resample", BICUBIC) == BICUBIC
    if not (family_of(model_type) or Family()).fits or not resizes_so or found.get("cap_pixels_per_frame"):
        return None
    return Fit(model_type=model_type, settings={name: found[name] for name in READ if found.get(name) is not None})


class Fitting:
    """Resizes frames as a model's processor would."""

    def __init__(self, fit: Fit) -> None:
        self._fit, self._processing = fit, Processing(settings=fit.settings)

    def size(
        self, sampling: FrameSampling, seconds: float, *, frames: int, width: int, height: int
    ) -> tuple[int, int] | None:
        """Width and height of so many frames; None if they are few, or grow, or would be resized once more."""
        if frames * height * width * 3 < WORTH:
            return None
        pixels = pixels_for(self._fit.pixels, sampling, seconds)

        def made(height: int, width: int) -> tuple[int, int]:
            size = {"frames": frames, "height": height, "width": width}
            return frame_size(self._fit.model_type, self._processing, pixels, **size)

        try:
            high, wide = made(height, width)
            stays = made(high, wide) == (high, wide)
        except (LookupError, ModelFailure):
            return None
        return (wide, high) if stays and high * wide < height * width else None

    def resized(self, frame: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
        """A frame [height, width, 3] at that size."""
        import torch

        pixels = torch.from_numpy(np.require(frame, requirements=("C", "W"))).permute(2, 0, 1)[None]
        made = torch.nn.functional.interpolate(pixels, (height, width), mode="bicubic", antialias=True)
        return np.asarray(made[0].permute(1, 2, 0).numpy(), np.uint8)
