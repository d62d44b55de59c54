"""Any video model of Hugging Face transformers that has a chat template: one adapter, families as data.

What differs from family to family is in `videval.models.families`; functions for what data cannot say are in `ways`.
The harness's frames go in with their numbers and the source's rate, the processor samples nothing, and what it made of
them is read back from the inputs that the model gets.
"""

from videval.models.hf_chat.loading import load

__all__ = ["load"]
