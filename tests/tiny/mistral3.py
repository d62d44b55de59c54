"""A tiny Mistral Small 3: no family of `videval.models.families`, shown frames as images because its processor asks."""

from pathlib import Path

from transformers import Mistral3Config, Mistral3ForConditionalGeneration, PixtralImageProcessor, PixtralProcessor

from tests.tiny._parts import byte_tokenizer, save

SPECIAL = ("<pad>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]", "[IMG_BREAK]",
           "[IMG_END]")  # fmt: skip
STRAIGHT = {"as_images": True}
TEMPLATE = """\
{{ bos_token }}
{%- for message in messages -%}
{%- set name = {'system': 'SYSTEM_PROMPT', 'user': 'INST'}[message['role']] -%}
[{{ name }}]
{%- if message['content'] is string -%}{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}[IMG]{%- elif part['type'] == 'text' -%}{{ part['text'] }}{%- endif -%}
{%- endfor -%}
{%- endif -%}
[/{{ name }}]
{%- endfor -%}
"""
PATCH = 4


def build(folder: Path) -> None:
    """Write the checkpoint to `folder`."""
    tokenizer = byte_tokenizer(SPECIAL, eos="</s>", pad="<pad>", bos_token="<s>")
    processor = PixtralProcessor(
        image_processor=PixtralImageProcessor(patch_size=PATCH, size={"longest_edge": 40}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        spatial_merge_size=2,
        chat_template=TEMPLATE,
    )
    save(folder, Mistral3ForConditionalGeneration, _config(len(tokenizer)), processor, eos=[2], pad=0)


def _config(vocabulary: int) -> Mistral3Config:
    text = {
        "model_type": "mistral",
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    }
    vision = {
        "model_type": "pixtral",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "head_dim": 16,
        "image_size": 40,
        "patch_size": PATCH,
    }
    return Mistral3Config(
        text_config=text,
        vision_config=vision,
        image_token_index=SPECIAL.index("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
