"""A tiny Qwen3.5 of experts; it thinks unless it is told not to."""

from pathlib import Path

from transformers import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration, Qwen3VLProcessor

from tests.tiny import _qwen as qwen


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    words = qwen.tokenizer(thinking=True)
    text = qwen.text(words, **qwen.LINEAR, **qwen.EXPERTS, shared_expert_intermediate_size=32)
    config = Qwen3_5MoeConfig(text_config=text, vision_config=qwen.PLAIN, **qwen.ids(words))
    processor = Qwen3VLProcessor(
        **qwen.frames_of_32(), tokenizer=words, chat_template=qwen.template(start=qwen.SWITCHED)
    )
    qwen.write(folder, Qwen3_5MoeForConditionalGeneration, config, processor)
