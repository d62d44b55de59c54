"""A tiny GLM-GA: GLM-4.6V's model and processor over image and video processors of its own."""

from pathlib import Path

from transformers import (
    Glm4vTextConfig,
    Glm4vVisionConfig,
    Glm46VForConditionalGeneration,
    Glm46VProcessor,
    GlmgaConfig,
    GlmgaImageProcessor,
    GlmgaVideoProcessor,
)

from tests.tiny import glm4v
from tests.tiny._parts import save


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = glm4v.glm_tokenizer()
    config = GlmgaConfig(
        text_config=Glm4vTextConfig(**glm4v.text_sizes(tokenizer)),
        vision_config=Glm4vVisionConfig(**glm4v.VISION),
        **glm4v.marks(tokenizer),
    )
    processor = Glm46VProcessor(
        image_processor=GlmgaImageProcessor(patch_size=glm4v.PATCH, size=glm4v.VIDEO_SIZE),
        tokenizer=tokenizer,
        video_processor=GlmgaVideoProcessor(patch_size=glm4v.PATCH, size=glm4v.VIDEO_SIZE),
        chat_template=glm4v.SWITCHED,
    )
    ends = glm4v.ends(tokenizer)
    save(folder, Glm46VForConditionalGeneration, config, processor, eos=ends, pad=tokenizer.pad_token_id)
