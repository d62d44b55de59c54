"""A tiny Video-LLaVA with a chat template: 8 frames of 4 patches and one more token, `USER: ... ASSISTANT:`."""

from pathlib import Path

from transformers import AutoProcessor

from tests.tiny_model import IMAGE, build_tiny_model

__all__ = ["build"]

TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content[0].text }} {% else %}{{ message.role | upper }}: "
    "{% for part in message.content if part.type == 'image' %}<image>\n{% endfor %}"
    "{% for part in message.content if part.type == 'video' %}<video>\n{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }} {% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def build(folder: Path, *, side: int = IMAGE, width: int = 64) -> None:
    """Write the checkpoint to `folder`; frames are `side` pixels wide and high, the language model is `width` wide."""
    build_tiny_model(folder, context=4096, side=side, width=width)
    processor = AutoProcessor.from_pretrained(folder)
    processor.chat_template = TEMPLATE
    processor.save_pretrained(folder)
