"""A tiny Qwen2.5-Omni as it is published: the thinker's weights under their own prefix; what speaks is left out."""

from pathlib import Path

from transformers import (
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerForConditionalGeneration,
    WhisperFeatureExtractor,
)

from tests.tiny import _qwen as qwen

MARKS = ("<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>", "<|VIDEO|>")
SOUND = ("<|audio_bos|>", "<|audio_eos|>", "<|AUDIO|>")
STRAIGHT = {"model_class": Qwen2_5OmniThinkerForConditionalGeneration, "tells_rate": True}


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer((*MARKS, *SOUND), extra_special_tokens=qwen.named(MARKS, SOUND))
    thinker = {
        "text_config": qwen.text(words),
        "vision_config": qwen.WINDOWED,
        "audio_config": qwen.HEARING,
        **qwen.omni_ids(words, MARKS, SOUND),
    }
    config = Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    processor = Qwen2_5OmniProcessor(
        **qwen.frames_of_28(),
        feature_extractor=WhisperFeatureExtractor(feature_size=qwen.MEL),
        tokenizer=words,
        chat_template=qwen.template(system=qwen.HELPFUL, marks=MARKS),
    )
    qwen.write(folder, Qwen2_5OmniForConditionalGeneration, config, processor)
