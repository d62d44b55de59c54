"""A tiny Qwen3-VL of experts, the kind that answers at once."""

from pathlib import Path

from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, Qwen3VLProcessor

from tests.tiny import _qwen as qwen


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer(thinking=True)
    config = Qwen3VLMoeConfig(text_config=qwen.text(words, **qwen.EXPERTS), vision_config=qwen.DEEP, **qwen.ids(words))
    processor = Qwen3VLProcessor(**qwen.frames_of_32(), tokenizer=words, chat_template=qwen.template())
    qwen.write(folder, Qwen3VLMoeForConditionalGeneration, config, processor)
