"""Every published checkpoint is of an architecture that the installed transformers has, with a class that answers."""

import pytest
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as SEEING

from videval.models.cards import cards
from videval.models.families import family_of

FAMILIES = sorted({card.spec.family for card in cards().values()})
THINKERS = {"qwen2_5_omni": "qwen2_5_omni_thinker", "qwen3_omni_moe": "qwen3_omni_moe_thinker"}
"""`model_type` of a whole that also speaks -> of the part that answers in text."""


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_family_s_config_and_model_class_are_there(model_type: str) -> None:
    assert CONFIG_MAPPING[model_type]().model_type == model_type
    family = family_of(model_type)
    own = family.model if family else ""
    assert hasattr(transformers, own or SEEING[THINKERS.get(model_type, model_type)])
