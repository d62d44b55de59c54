"""A tiny PerceptionLM: a Perception Encoder of timm, frames pooled by 2, Llama 3's headers around them."""

from pathlib import Path

from transformers import (
    PerceptionLMConfig,
    PerceptionLMForConditionalGeneration,
    PerceptionLMImageProcessor,
    PerceptionLMProcessor,
    PerceptionLMVideoProcessor,
    TimmWrapperConfig,
)

from tests.tiny._parts import byte_tokenizer, save, small_text, with_start

__all__ = ["build"]

SIZE, PATCH, SHRINK = 56, 14, 2
NAMED = {"image_token": "<|image|>", "video_token": "<|video|>"}
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    *NAMED.values(),
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
TEMPLATE = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content | trim }}{% set messages = messages[1:] %}"
    "{% else %}You are a helpful language and vision assistant.{% endif %}<|eot_id|>"
    "{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{% for part in message.content if part.type == 'image' %}<|image|>{% endfor %}"
    "{% for part in message.content if part.type == 'video' %}<|video|>{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text | trim }}{% endfor %}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = with_start(
        byte_tokenizer(
            SPECIAL,
            bos_token="<|begin_of_text|>",
            eos="<|eot_id|>",
            pad="<|end_of_text|>",
            model_specific_special_tokens=NAMED,
        )
    )
    processor = PerceptionLMProcessor(
        video_processor=PerceptionLMVideoProcessor(size={"height": SIZE, "width": SIZE}),
        image_processor=PerceptionLMImageProcessor(tile_size=SIZE, max_num_tiles=4),
        tokenizer=tokenizer,
        patch_size=PATCH,
        chat_template=TEMPLATE,
        pooling_ratio=SHRINK,
    )
    vision = TimmWrapperConfig(
        architecture="vit_pe_core_large_patch14_336",
        do_pooling=False,
        model_args={
            "embed_dim": 32,
            "depth": 2,
            "num_heads": 4,
            "img_size": [SIZE, SIZE],
            "global_pool": "",
            "ref_feat_shape": [SIZE // PATCH, SIZE // PATCH],
        },
    )
    config = PerceptionLMConfig(
        vision_config=vision.to_dict(),
        text_config=small_text("llama", tokenizer),
        projector_pooling_ratio=SHRINK,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
    )
    save(
        folder,
        PerceptionLMForConditionalGeneration,
        config,
        processor,
        eos=[SPECIAL.index("<|end_of_text|>"), SPECIAL.index("<|eot_id|>")],
        pad=tokenizer.pad_token_id,
    )
