"""A tiny Qwen3-VL, the kind that thinks before it answers."""

from pathlib import Path

from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from tests.tiny import _qwen as qwen


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer(thinking=True)
    config = Qwen3VLConfig(text_config=qwen.text(words, head_dim=16), vision_config=qwen.DEEP, **qwen.ids(words))
    processor = Qwen3VLProcessor(**qwen.frames_of_32(), tokenizer=words, chat_template=qwen.template(start=qwen.THINKS))
    qwen.write(folder, Qwen3VLForConditionalGeneration, config, processor)
