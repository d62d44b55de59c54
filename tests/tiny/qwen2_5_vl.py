"""A tiny Qwen2.5-VL."""

from pathlib import Path

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from tests.tiny import _qwen as qwen


def build(folder: Path, *, most: int = 4) -> None:
    """Write the checkpoint to `folder`; two frames are `most` tokens at most."""
    words = qwen.tokenizer()
    config = Qwen2_5_VLConfig(text_config=qwen.text(words), vision_config=qwen.WINDOWED, **qwen.ids(words))
    processor = Qwen2_5_VLProcessor(
        **qwen.frames_of_28(most), tokenizer=words, chat_template=qwen.template(system=qwen.HELPFUL)
    )
    qwen.write(folder, Qwen2_5_VLForConditionalGeneration, config, processor)
