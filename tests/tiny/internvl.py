"""A tiny InternVL 3: one tile a frame, `Frame1: <img>...</img>` lines made by the processor, ChatML around them."""

from pathlib import Path

from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
)

from tests.tiny._parts import byte_tokenizer, save, small_text

__all__ = ["build"]

SIZE, PATCH = 56, 14
SHRINK = 0.5
NAMED = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *NAMED.values())
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<IMG_CONTEXT>\n{% elif part.type == 'video' %}<video>\n"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build(folder: Path, *, side: int = SIZE) -> None:
    """Write the checkpoint to `folder`; frames are `side` pixels wide and high."""
    tokens = int((side // PATCH * SHRINK) ** 2)
    tokenizer = byte_tokenizer(SPECIAL, eos="<|im_end|>", pad="<|endoftext|>", model_specific_special_tokens=NAMED)
    size = {"height": side, "width": side}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=tokens,
        chat_template=TEMPLATE,
    )
    config = InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": side,
            "patch_size": PATCH,
            "layer_scale_init_value": 1.0,
            "initializer_range": 0.2,
        },
        text_config=small_text("qwen2", tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=tokens,
        downsample_ratio=SHRINK,
        tie_word_embeddings=False,
    )
    save(
        folder,
        InternVLForConditionalGeneration,
        config,
        processor,
        eos=[SPECIAL.index("<|im_end|>")],
        pad=tokenizer.pad_token_id,
    )
