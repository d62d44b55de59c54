"""Loading a checkpoint with vLLM: its engine in this process, tensor parallel over a group of devices."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from videval.errors import ModelUnavailable
from videval.models import generating, hf
from videval.models.catalog import concrete_dtype
from videval.models.checkpoints import checkpoint_folder, checkpoint_source
from videval.models.hf_chat.loading import processor_of
from videval.models.hf_chat.processing import Processing
from videval.models.on_vllm import INSTALL, vllm_version
from videval.models.vllm_engine.line import Line
from videval.models.vllm_engine.prompts import Prompts
from videval.models.vllm_engine.server import Answers, VllmServer
from videval.settings import Settings
from videval.types import ModelSpec

__all__ = ["load"]

TYPICAL = 8192
"""Tokens of a question about a video, of which the cache holds so many at once as there are slots."""
MOST_SLOTS = 128
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
"""The engine is stepped here, and its workers are started clean."""
DEFAULTS = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""Nobody is told of what is run here, unless the user says so."""
ON_CPU = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
"""Several seats share the cores of a machine without GPUs, and its memory."""
OURS = frozenset({"model", "revision", "dtype", "tensor_parallel_size", "trust_remote_code", "attention_backend"})
"""Arguments of the engine that an order and the devices decide."""
EXAMPLE = """VIDEVAL_VLLM_ARGS='{"gpu_memory_utilization": 0.8}', names of vLLM's engine arguments with _ for -"""


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> VllmServer:
    """Load weights and processor on a device or a group of them. Raises ModelUnavailable."""
    _prepare_environment(devices)
    targets = [hf.use_device(device) for device in devices]
    kind = concrete_dtype(dtype, targets[0].type)
    hf.require_dtype(kind, targets)
    arguments = _arguments(spec, kind, devices, Settings())
    with hf.explained_load(spec):
        _, family, processor = processor_of(spec)
        engine = _engine(arguments)
    context = min(spec.context or engine.model_config.max_model_len, engine.model_config.max_model_len)
    tokenizer = processor.tokenizer
    eos = _eos(engine, tokenizer)
    prompts = Prompts(Processing(processor, family, context=context), engine.renderer, tokenizer, eos=eos)
    room = _room(engine)
    slots = min(engine.vllm_config.scheduler_config.max_num_seqs, MOST_SLOTS, max(2, room // min(TYPICAL, context)))
    line = Line(slots=slots, tokens=room, shares=arguments["enable_prefix_caching"])
    answers = Answers(tokenizer=tokenizer, eos=eos, thinking=family.thinking)
    about = hf.provenance(spec, dtype=kind, device=targets[0]) | _about(engine, arguments, devices)
    server = VllmServer(engine, prompts, answers, line, slots=slots, about=about)
    engine.model_executor.register_failure_callback(lambda: server.died("one of its workers ended"))
    return server


def _prepare_environment(devices: Sequence[str]) -> None:
    """What vLLM reads when it is imported. Raises ModelUnavailable if it is not installed."""
    if find_spec("vllm") is None:
        raise ModelUnavailable("vLLM is not installed here", hint=INSTALL)
    os.environ.update(ENVIRONMENT)
    on_cpu = ON_CPU if devices[0].startswith("cpu") else {}
    for name, value in {**DEFAULTS, **on_cpu}.items():
        os.environ.setdefault(name, value)


def _arguments(spec: ModelSpec, dtype: str, devices: Sequence[str], settings: Settings) -> dict[str, Any]:
    """The arguments of vLLM's engine: weights from safetensors only, as long a context as the cache holds."""
    given: dict[str, Any] = {
        "model": checkpoint_source(spec),
        "dtype": dtype,
        "tensor_parallel_size": len(devices),
        "trust_remote_code": spec.trust_remote_code,
        "max_model_len": -1,
        "load_format": "safetensors",
        "enforce_eager": devices[0].startswith("cpu"),
        "enable_prefix_caching": settings.prefix_gb != 0,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if spec.attention:
        given["attention_backend"] = spec.attention
    if spec.revision and checkpoint_folder(spec) is None:
        given["revision"] = spec.revision
    return given | _asked_for(settings.vllm_args)


def _asked_for(text: str) -> dict[str, Any]:
    """The user's own arguments; ModelUnavailable for one that vLLM does not have, or that is not theirs to give."""
    from vllm import EngineArgs

    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise ModelUnavailable(f"VIDEVAL_VLLM_ARGS is no JSON: {error}", hint=EXAMPLE) from error
    if not isinstance(given, dict):
        raise ModelUnavailable(f"VIDEVAL_VLLM_ARGS is no JSON object: {text}", hint=EXAMPLE)
    unknown = sorted(given.keys() - ({field.name for field in fields(EngineArgs)} - OURS))
    if unknown:
        raise ModelUnavailable(f"VIDEVAL_VLLM_ARGS: {', '.join(unknown)} cannot be given to vLLM", hint=EXAMPLE)
    return given


def _engine(arguments: Mapping[str, Any]) -> Any:
    from vllm import EngineArgs, LLMEngine

    return LLMEngine.from_engine_args(EngineArgs(**arguments))


def _eos(engine: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end an answer, as the checkpoint's generation_config.json has them."""
    found = engine.model_config.try_get_generation_config().get("eos_token_id")
    return generating.token_ids(found, tokenizer.eos_token_id)


def _room(engine: Any) -> int:
    """How many tokens the cache of keys and values holds."""
    cache = engine.vllm_config.cache_config
    return int(cache.num_gpu_blocks * cache.block_size)


def _about(engine: Any, arguments: Mapping[str, Any], devices: Sequence[str]) -> dict[str, str]:
    """What answers depend on beyond what every adapter says."""
    import vllm.envs as envs

    cache = engine.vllm_config.cache_config
    said = {
        "vllm": vllm_version(),
        "attention": ",".join(sorted(set().union(*engine.collective_rpc(_attention)))),
        "max_model_len": str(engine.model_config.max_model_len),
        "prefix": "shared" if arguments["enable_prefix_caching"] else "off",
        "enforce_eager": str(arguments["enforce_eager"]).lower(),
        "kv_cache_dtype": str(cache.cache_dtype),
        "block_size": str(cache.block_size),
        "batch_invariant": str(envs.VLLM_BATCH_INVARIANT).lower(),
    }
    said |= {"quantization": str(engine.model_config.quantization)} if engine.model_config.quantization else {}
    said |= {"devices": ",".join(devices), "tensor_parallel": str(len(devices))} if len(devices) > 1 else {}
    said |= {"trust_remote_code": "true"} if arguments["trust_remote_code"] else {}
    own = Settings().vllm_args
    return said | ({"vllm_args": own} if own else {})


def _attention(worker: Any) -> set[str]:
    """The attention backends that a worker of the engine uses; called in its process."""
    groups = worker.model_runner.attn_groups
    return {group.backend.get_name() for of_cache in groups for group in of_cache}
