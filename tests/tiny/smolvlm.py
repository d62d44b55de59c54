"""A tiny SmolVLM2: an introduction, and `Frame from 00:01:` before each frame, are the processor's own text."""

from pathlib import Path

from transformers import (
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from tests.tiny._parts import byte_tokenizer, save, small_text

__all__ = ["build"]

SIZE, PATCH, SHRINK = 56, 14, 2
FRAME_TOKENS = (SIZE // PATCH // SHRINK) ** 2
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
    "<global-img>",
    "<image>",
    "<video>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 3) for column in range(1, 3)),
)
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}"
    "{% if message.content[0].type == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'image' %}<image>{% elif part.type == 'video' %}<video>{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`; its video processor takes 3 frames of a clip unless it is told not to."""
    tokenizer = byte_tokenizer(SPECIAL, bos_token="<|im_start|>", eos="<end_of_utterance>", pad="<|endoftext|>")
    sides = {"size": {"longest_edge": 2 * SIZE}, "max_image_size": {"longest_edge": SIZE}}
    sampling = {"fps": 1, "max_frames": 3, "video_size": {"longest_edge": SIZE}}
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(**sides),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(
            size={"longest_edge": SIZE},
            max_image_size={"longest_edge": SIZE},
            do_sample_frames=True,
            video_sampling=sampling,
        ),
        image_seq_len=FRAME_TOKENS,
        chat_template=TEMPLATE,
    )
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": SIZE,
            "patch_size": PATCH,
        },
        text_config=small_text("llama", tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=SHRINK,
    )
    save(
        folder,
        SmolVLMForConditionalGeneration,
        config,
        processor,
        eos=[SPECIAL.index("<end_of_utterance>")],
        pad=tokenizer.pad_token_id,
    )
