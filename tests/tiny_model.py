"""A Video-LLaVA with random weights, small enough for a test: the real architecture, processor and file layout.

Built once for each test session (and once for each folder that is asked for); answers are gibberish that depends
on the frames and on the question.
"""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
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

IMAGE = 28
PATCH = 14
FRAME_TOKENS = (IMAGE // PATCH) ** 2 + 1
VIDEO_TOKENS = 8 * FRAME_TOKENS
CONTEXT = 256
SPECIAL = ("<unk>", "<s>", "</s>", "<image>", "<video>", "<pad>")


@cache
def tiny_model() -> Path:
    """The folder of this session's tiny model; read-only by agreement, copy it to change it."""
    folder = Path(mkdtemp(prefix="videval-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return build_tiny_model(folder / "tiny-random")


def build_tiny_model(
    folder: Path, *, seed: int = 0, context: int = CONTEXT, side: int = IMAGE, width: int = 64
) -> Path:
    """Write the weights, the processor and the tokenizer to `folder`; `context` is in tokens, one a byte.

    `side`: of a frame, in pixels; `width`: of the language model.
    """
    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VideoLlavaForConditionalGeneration(_config(tokenizer, context, side, width)).eval()
    model.save_pretrained(folder)
    _processor(tokenizer, side).save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte; `<s>` in front of every text, as Llama's tokenizer does."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>", "<video>"],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _processor(tokenizer: PreTrainedTokenizerFast, side: int) -> VideoLlavaProcessor:
    size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    return VideoLlavaProcessor(
        image_processor=VideoLlavaImageProcessor(**size),
        video_processor=VideoLlavaVideoProcessor(**size),
        tokenizer=tokenizer,
        patch_size=PATCH,
    )


def _config(tokenizer: PreTrainedTokenizerFast, context: int, side: int, width: int) -> VideoLlavaConfig:
    """Weights are drawn wide, so that two questions or two clips get two answers."""
    tokens = (side // PATCH) ** 2 + 1
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=side,
        patch_size=PATCH,
        projection_dim=32,
        initializer_factor=20.0,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=context,
        initializer_range=0.4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return VideoLlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_seq_length=tokens,
        video_seq_length=8 * tokens,
    )
