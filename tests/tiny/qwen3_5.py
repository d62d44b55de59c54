"""A tiny Qwen3.5: one layer of linear attention, one of full attention; it thinks unless it is told not to."""

from pathlib import Path

from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration, Qwen3VLProcessor

from tests.tiny import _qwen as qwen


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer(thinking=True)
    config = Qwen3_5Config(text_config=qwen.text(words, **qwen.LINEAR), vision_config=qwen.PLAIN, **qwen.ids(words))
    processor = Qwen3VLProcessor(
        **qwen.frames_of_32(), tokenizer=words, chat_template=qwen.template(start=qwen.SWITCHED)
    )
    qwen.write(folder, Qwen3_5ForConditionalGeneration, config, processor)
