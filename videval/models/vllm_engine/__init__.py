"""The models of `hf_chat`, answered by vLLM: its `LLMEngine` is stepped in the engine process, as a Server.

Text, frames and what is told of them are hf_chat's own, so that both engines are asked the same; vLLM's processor makes
the inputs, and what it made of each clip is read back and held against the clip, as it is there. vllm is imported when
a model is loaded, by `loading` and `prompts` alone.
"""

from videval.models.vllm_engine.loading import load

__all__ = ["load"]
