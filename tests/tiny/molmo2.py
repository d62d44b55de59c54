"""A tiny Molmo2: `1.5 <frame_start>...<frame_end>` for each frame, tokens that see each other, ChatML around them."""

from pathlib import Path

from transformers import (
    Molmo2Config,
    Molmo2ForConditionalGeneration,
    Molmo2ImageProcessor,
    Molmo2Processor,
    Molmo2VideoProcessor,
)

from tests.tiny._parts import byte_tokenizer, save

__all__ = ["build"]

SIZE, PATCH = 56, 14
POOLING = [3, 3]
NAMED = {"image_token": "<|image|>", "video_token": "<|video|>"}
OF_IMAGES = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<frame_start>", "<frame_end>")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *NAMED.values(), *OF_IMAGES, "<im_low>")
TEMPLATE = (
    "{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<|im_start|>{{ message.role }}\n"
    "{% for part in message.content if part.type == 'image' %}<|image|>{% endfor %}"
    "{% for part in message.content if part.type == 'video' %}<|video|>{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = byte_tokenizer(
        SPECIAL, bos_token="<|im_end|>", eos="<|im_end|>", pad="<|endoftext|>", model_specific_special_tokens=NAMED
    )
    size = {"height": SIZE, "width": SIZE}
    ids = dict(zip(OF_IMAGES, tokenizer.convert_tokens_to_ids(list(OF_IMAGES)), strict=True))
    processor = Molmo2Processor(
        image_processor=Molmo2ImageProcessor(size=size, patch_size=PATCH, max_crops=1, overlap_margins=[1, 1]),
        video_processor=Molmo2VideoProcessor(size=size, patch_size=PATCH, pooling_size=POOLING, num_frames=3),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    )
    config = Molmo2Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "image_size": [SIZE, SIZE],
            "patch_size": PATCH,
        },
        adapter_config={
            "vision_feature_layer": [1, 0],
            "hidden_size": 32,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "intermediate_size": 64,
            "text_hidden_size": 64,
        },
        text_config={
            "hidden_size": 64,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": len(tokenizer),
            "additional_vocab_size": 8,
            "num_hidden_layers": 2,
            "intermediate_size": 128,
            "max_position_embeddings": 4096,
        },
        image_start_token_id=ids["<im_start>"],
        low_res_image_start_token_id=ids["<low_res_im_start>"],
        image_end_token_id=ids["<im_end>"],
        image_patch_id=ids["<im_patch>"],
        frame_start_token_id=ids["<frame_start>"],
        frame_end_token_id=ids["<frame_end>"],
    )
    save(
        folder,
        Molmo2ForConditionalGeneration,
        config,
        processor,
        eos=[SPECIAL.index("<|im_end|>")],
        pad=tokenizer.pad_token_id,
    )
