"""A tiny GLM-4.5V: GLM-4.1V's processor and eyes, experts behind them, thinking that can be switched off."""

from pathlib import Path

from transformers import (
    Glm4vImageProcessor,
    Glm4vMoeConfig,
    Glm4vMoeForConditionalGeneration,
    Glm4vMoeTextConfig,
    Glm4vMoeVisionConfig,
    Glm4vProcessor,
    Glm4vVideoProcessor,
)

from tests.tiny import glm4v
from tests.tiny._parts import save

EXPERTS = {
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = glm4v.glm_tokenizer()
    config = Glm4vMoeConfig(
        text_config=Glm4vMoeTextConfig(**glm4v.text_sizes(tokenizer), **EXPERTS),
        vision_config=Glm4vMoeVisionConfig(**glm4v.VISION),
        **glm4v.marks(tokenizer),
    )
    processor = Glm4vProcessor(
        image_processor=Glm4vImageProcessor(patch_size=glm4v.PATCH, size=glm4v.VIDEO_SIZE),
        tokenizer=tokenizer,
        video_processor=Glm4vVideoProcessor(patch_size=glm4v.PATCH, size=glm4v.VIDEO_SIZE),
        chat_template=glm4v.SWITCHED,
    )
    ends = glm4v.ends(tokenizer)
    save(folder, Glm4vMoeForConditionalGeneration, config, processor, eos=ends, pad=tokenizer.pad_token_id)
