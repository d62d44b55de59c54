"""A tiny Qwen3-Omni as it is published: the thinker's weights under their own prefix; what speaks is left out."""

from pathlib import Path

from transformers import (
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3OmniMoeConfig,
    Qwen3OmniMoeForConditionalGeneration,
    Qwen3OmniMoeProcessor,
    Qwen3OmniMoeThinkerForConditionalGeneration,
    WhisperFeatureExtractor,
)

from tests.tiny import _qwen as qwen

SOUND = ("<|audio_start|>", "<|audio_end|>", "<|audio_pad|>")
FRAMES = {"patch_size": 16, "size": {"shortest_edge": 32 * 32, "longest_edge": 4 * 32 * 32}}
"""Patches of 16 pixels as in Qwen3-VL, limits for each frame as in Qwen2-VL."""
STRAIGHT = {"model_class": Qwen3OmniMoeThinkerForConditionalGeneration, "tells_rate": True}


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer((*qwen.VISION, *SOUND), extra_special_tokens=qwen.named(qwen.VISION, SOUND))
    thinker = {
        "text_config": qwen.text(words, **qwen.EXPERTS),
        "vision_config": qwen.DEEP,
        "audio_config": qwen.HEARING | {"downsample_hidden_size": 8},
        **qwen.omni_ids(words, qwen.VISION, SOUND),
    }
    config = Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    processor = Qwen3OmniMoeProcessor(
        image_processor=Qwen2VLImageProcessor(**FRAMES),
        video_processor=Qwen2VLVideoProcessor(**FRAMES),
        feature_extractor=WhisperFeatureExtractor(feature_size=qwen.MEL),
        tokenizer=words,
        chat_template=qwen.template(),
    )
    qwen.write(folder, Qwen3OmniMoeForConditionalGeneration, config, processor)
