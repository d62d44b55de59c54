"""Loading a checkpoint of any family: its config says of which, and what keeps it from answering is said here."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import torch
import transformers
from jinja2 import TemplateError, TemplateSyntaxError
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from videval.errors import ModelUnavailable
from videval.models import hf
from videval.models.catalog import concrete_dtype
from videval.models.families import UNKNOWN, Family, family_of
from videval.models.hf_chat.model import HfChat
from videval.types import ModelSpec

__all__ = ["context_of", "load", "processor_of"]

QUESTION = "What happens?"
TEMPLATE_AGAIN = "put the publisher's chat_template.jinja into the checkpoint's folder"


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> HfChat:
    """Load processor and weights on a device or a group of them. Raises ModelUnavailable."""
    targets = [hf.use_device(device) for device in devices]
    kind = concrete_dtype(dtype, targets[0].type)
    hf.require_dtype(kind, targets)
    with hf.explained_load(spec):
        config, family, processor = processor_of(spec)
        model = hf.load_weights(_class(spec, family, config), spec, dtype=kind, devices=targets)
    about = hf.provenance(spec, dtype=kind, device=targets[0]) | _about(spec, model, targets)
    return HfChat(model, processor, family, context=spec.context or context_of(config), about=about)


def processor_of(spec: ModelSpec) -> tuple[Any, Family, Any]:
    """A checkpoint's config, its family as its processor shows clips, and the processor. Raises ModelUnavailable."""
    config = hf.load_config(spec)
    family, processor = _family(spec, config.model_type), _processor(spec)
    return config, _as_it_shows(spec, family, processor), processor


def _family(spec: ModelSpec, model_type: str) -> Family:
    """The family of a checkpoint, whose packages are all here."""
    family = family_of(spec.family or model_type) or UNKNOWN
    absent = [package for package in family.needs if find_spec(package.replace("-", "_")) is None]
    if absent:
        raise ModelUnavailable(
            f"{spec.name} is a {model_type}, which needs {', '.join(absent)}", hint=f"pip install {' '.join(absent)}"
        )
    return family


def _class(spec: ModelSpec, family: Family, config: Any) -> Any:
    """The class of transformers that loads it."""
    if family.model:
        return getattr(transformers, family.model)
    if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and not spec.trust_remote_code:
        raise ModelUnavailable(
            f"{spec.checkpoint} is a {config.model_type}, which is no model of images and text",
            hint="hf_chat loads what AutoModelForImageTextToText of transformers does",
        )
    return AutoModelForImageTextToText


def _processor(spec: ModelSpec) -> Any:
    """The processor, with a tokenizer and a chat template."""
    processor = hf.load_processor(AutoProcessor, spec)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise ModelUnavailable(
            f"{spec.checkpoint} has a {type(processor).__name__} only, and a video model needs a processor of "
            "text and of images or videos",
            hint="point at a folder written by save_pretrained of the model and of its processor",
        )
    processor.chat_template = _default(processor.chat_template or tokenizer.chat_template)
    if not processor.chat_template:
        raise ModelUnavailable(
            f"{spec.checkpoint} has no chat template: nobody says how it is asked",
            hint=TEMPLATE_AGAIN,
        )
    _require_whole_template(spec, processor)
    return processor


def _require_whole_template(spec: ModelSpec, processor: Any) -> None:
    """Raise ModelUnavailable for a chat template that is cut: no question would be asked."""
    asked = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    try:
        if QUESTION in str(processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)):
            return
        why = "it leaves the question out"
    except TemplateSyntaxError as error:
        why = str(error)
    except TemplateError:  # which other prompts may not make it raise
        return
    raise ModelUnavailable(f"{spec.checkpoint}: its chat template cannot be used: {why}", hint=TEMPLATE_AGAIN)


def _default(template: str | dict[str, str] | None) -> str | None:
    """The one of several templates that is used where none is named."""
    return template.get("default") if isinstance(template, dict) else template


def _as_it_shows(spec: ModelSpec, family: Family, processor: Any) -> Family:
    """The family as this processor can show: frames as images where it takes no videos."""
    if family.form == "video" and getattr(processor, "video_processor", None) is not None:
        return family
    if getattr(processor, "image_processor", None) is not None:
        return replace(family, form="frames")
    raise ModelUnavailable(
        f"{spec.checkpoint}: its {type(processor).__name__} takes neither videos nor images",
        hint="a model of videos or images and text, see: videval list models",
    )


def context_of(config: Any) -> int | None:
    """How many tokens it takes, as its config says."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


def _about(spec: ModelSpec, model: Any, devices: Sequence[torch.device]) -> dict[str, str]:
    """What answers depend on beyond what every adapter says."""
    said = {"class": type(model).__name__, "attention": str(getattr(model.config, "_attn_implementation", ""))}
    said |= {"devices": ",".join(map(str, devices))} if len(devices) > 1 else {}
    return said | ({"trust_remote_code": "true"} if spec.trust_remote_code else {})
