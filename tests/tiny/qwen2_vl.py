"""A tiny Qwen2-VL."""

from pathlib import Path

from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

from tests.tiny import _qwen as qwen


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer()
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "initializer_range": qwen.WIDE}
    config = Qwen2VLConfig(text_config=qwen.text(words), vision_config=vision, **qwen.ids(words))
    processor = Qwen2VLProcessor(
        **qwen.frames_of_28(), tokenizer=words, chat_template=qwen.template(system=qwen.HELPFUL)
    )
    qwen.write(folder, Qwen2VLForConditionalGeneration, config, processor)
