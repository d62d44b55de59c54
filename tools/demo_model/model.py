"""The architecture: the real `VideoLlavaForConditionalGeneration`, made small."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
    VideoLlavaImageProcessor,
    VideoLlavaProcessor,
    VideoLlavaVideoProcessor,
)

IMAGE = 48
PATCH = 16
FRAME_TOKENS = (IMAGE // PATCH) ** 2 + 1
FEATURE_LAYER = -2


def build_processor(tokenizer: PreTrainedTokenizerFast) -> VideoLlavaProcessor:
    """The real processor at 48 pixels; a frame is (48 / 16)**2 patches and the class token: 10 tokens."""
    size = {"size": {"shortest_edge": IMAGE}, "crop_size": {"height": IMAGE, "width": IMAGE}}
    return VideoLlavaProcessor(
        image_processor=VideoLlavaImageProcessor(**size),
        video_processor=VideoLlavaVideoProcessor(**size),
        tokenizer=tokenizer,
        patch_size=PATCH,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="full",
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> VideoLlavaForConditionalGeneration:
    """A new model with random weights."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=288,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=IMAGE,
        patch_size=PATCH,
        projection_dim=96,
        hidden_act="gelu_pytorch_tanh",
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    config = VideoLlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        vision_feature_layer=FEATURE_LAYER,
        vision_feature_select_strategy="full",
        image_seq_length=FRAME_TOKENS,
        video_seq_length=8 * FRAME_TOKENS,
    )
    return VideoLlavaForConditionalGeneration(config)


def save_model(model: VideoLlavaForConditionalGeneration, processor: VideoLlavaProcessor, folder: Path) -> None:
    """Write weights in fp16, with the video tower's weights in the image tower too, and all processor files."""
    model = copy.deepcopy(model)
    model.model.image_tower.load_state_dict(model.model.video_tower.state_dict())
    model.generation_config.do_sample = False
    model.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
