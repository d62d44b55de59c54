"""A tiny LLaVA-NeXT-Video: frames of 4 x 4 patches pooled by 2, Vicuna's `USER: ... ASSISTANT:` around them."""

from pathlib import Path

from transformers import (
    LlavaNextImageProcessor,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
)

from tests.tiny._parts import byte_tokenizer, save, small_text, with_start

__all__ = ["build"]

SIZE, PATCH = 56, 14
SPECIAL = ("<unk>", "<s>", "</s>", "<video>", "<image>", "<pad>")
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content[0].text }}{% else %}{{ message.role | upper }}: {% endif %}"
    "{% for part in message.content if part.type == 'image' %}<image>\n{% endfor %}"
    "{% for part in message.content if part.type == 'video' %}<video>\n{% endfor %}"
    "{% if message.role != 'system' %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }} {% endfor %}{% else %} {% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = with_start(byte_tokenizer(SPECIAL, bos_token="<s>", eos="</s>", pad="<pad>"))
    size = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}}
    pinpoints = [[SIZE, 2 * SIZE], [2 * SIZE, SIZE], [2 * SIZE, 2 * SIZE]]
    processor = LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(**size),
        image_processor=LlavaNextImageProcessor(**size, image_grid_pinpoints=pinpoints),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = LlavaNextVideoConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": SIZE,
            "patch_size": PATCH,
            "projection_dim": 32,
        },
        text_config=small_text("llama", tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    save(
        folder,
        LlavaNextVideoForConditionalGeneration,
        config,
        processor,
        eos=[SPECIAL.index("</s>")],
        pad=tokenizer.pad_token_id,
    )
