"""A tiny Gemma 4 12B: Gemma 4's words and times, pixels that go into the language model with no encoder before it."""

from pathlib import Path

from transformers import (
    Gemma4UnifiedAudioFeatureExtractor,
    Gemma4UnifiedConfig,
    Gemma4UnifiedForConditionalGeneration,
    Gemma4UnifiedImageProcessor,
    Gemma4UnifiedProcessor,
    Gemma4UnifiedVideoProcessor,
)

from tests.tiny import gemma4
from tests.tiny._parts import save


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = gemma4.gemma_tokenizer()
    processor = Gemma4UnifiedProcessor(
        feature_extractor=Gemma4UnifiedAudioFeatureExtractor(),
        image_processor=Gemma4UnifiedImageProcessor(**gemma4.SIZES),
        tokenizer=tokenizer,
        video_processor=Gemma4UnifiedVideoProcessor(**gemma4.SIZES),
        chat_template=gemma4.TEMPLATE,
    )
    vision = {
        "patch_size": gemma4.SIZES["patch_size"],
        "pooling_kernel_size": gemma4.SIZES["pooling_kernel_size"],
        "mm_embed_dim": 32,
        "mm_posemb_size": 64,
        "output_proj_dims": 32,
    }
    config = Gemma4UnifiedConfig(
        text_config=gemma4.text_sizes(tokenizer),
        vision_config=vision,
        audio_config=None,
        **gemma4.marks(tokenizer),
    )
    save(folder, Gemma4UnifiedForConditionalGeneration, config, processor, **gemma4.ends(tokenizer))
