"""A tiny GLM-4.6V: GLM-4.1V's model, its own processor with times to a tenth of a second."""

from pathlib import Path

from transformers import (
    Glm4vTextConfig,
    Glm4vVisionConfig,
    Glm46VConfig,
    Glm46VForConditionalGeneration,
    Glm46VImageProcessor,
    Glm46VProcessor,
    Glm46VVideoProcessor,
)

from tests.tiny import glm4v
from tests.tiny._parts import save


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = glm4v.glm_tokenizer()
    config = Glm46VConfig(
        text_config=Glm4vTextConfig(**glm4v.text_sizes(tokenizer)),
        vision_config=Glm4vVisionConfig(**glm4v.VISION),
        **glm4v.marks(tokenizer),
    )
    processor = Glm46VProcessor(
        image_processor=Glm46VImageProcessor(patch_size=glm4v.PATCH, size=glm4v.VIDEO_SIZE),
        tokenizer=tokenizer,
        video_processor=Glm46VVideoProcessor(patch_size=glm4v.PATCH, size=glm4v.VIDEO_SIZE),
        chat_template=glm4v.SWITCHED,
    )
    ends = glm4v.ends(tokenizer)
    save(folder, Glm46VForConditionalGeneration, config, processor, eos=ends, pad=tokenizer.pad_token_id)
