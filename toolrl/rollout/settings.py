"""What an engine is started with, in plain values, and the environment its processes need."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from toolrl.config.asking import DistillConfig, EvaluateConfig
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig

GIB = 2**30
MIN_BATCHED_TOKENS = 8192
"""Prompt tokens computed in one step, at least: a step costs more than the tokens in it for small models."""
_NOT_SHAPE = frozenset({"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"})
"""Entries of a model's config.json that say nothing of its tensors."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One engine. Picklable, and made without vLLM."""

    name: str
    model_path: str
    dtype: str
    tensor_parallel: int
    max_num_seqs: int
    max_model_len: int
    kv_cache_gib: float
    gpu_memory_utilization: float
    enforce_eager: bool
    threads: int
    device: str
    """cpu or cuda."""
    weights_backend: str
    """gloo, nccl or ipc."""
    sample_timeout_s: float
    stop_token_ids: tuple[int, ...] = ()
    """Tokens that end a completion, beside the tokenizer's own end: that of a turn may be another."""
    sleeps: bool = False
    """Whether it must be able to give its GPU's memory back: it shares the GPU with learner ranks."""

    @classmethod
    def from_config(cls, config: RlConfig | SftConfig | DistillConfig | EvaluateConfig, model_path: str, name: str) -> EngineSettings:
        """Settings of the engine `name` of a run; `model_path` is the resolved `model.path`."""
        engine = config.engine
        if isinstance(config, DistillConfig | EvaluateConfig):  # nobody trains, so nobody sends; yet vLLM wants to know how
            backend, max_model_len = ("gloo" if config.cluster.device == "cpu" else "nccl"), engine.max_model_len
        else:
            backend, max_model_len = config.weights.backend, config.max_model_len
        return cls(
            name=name,
            model_path=model_path,
            dtype=config.model.dtype,
            tensor_parallel=engine.tensor_parallel,
            max_num_seqs=engine.max_num_seqs,
            max_model_len=max_model_len,
            kv_cache_gib=engine.kv_cache_gib,
            gpu_memory_utilization=engine.gpu_memory_utilization,
            enforce_eager=engine.enforce_eager,
            threads=engine.threads,
            device=config.cluster.device,
            weights_backend=backend,
            sample_timeout_s=engine.sample_timeout_s,
            sleeps=config.cluster.colocated,
        )

    @property
    def kv_cache_bytes(self) -> int | None:
        """Size of the key-value cache; None on GPU, where it is what `gpu_memory_utilization` leaves."""
        return int(self.kv_cache_gib * GIB) if self.device == "cpu" else None

    @property
    def batched_tokens(self) -> int:
        """Most prompt tokens computed in one step: a whole prompt, since prefills are not cut into chunks."""
        return max(self.max_model_len, MIN_BATCHED_TOKENS)


def interchangeable(one: EngineSettings, other: EngineSettings) -> bool:
    """Whether an engine of `one` may serve for `other` once it has the other's weights: the same but for the values of the weights."""
    plain = [replace(each, model_path="", sample_timeout_s=0.0) for each in (one, other)]
    return plain[0] == plain[1] and _shape(one.model_path) == _shape(other.model_path)


def _shape(model_path: str) -> tuple[object, ...]:
    """Return what the tensors and the tokens of a model folder are; a name on the hub stands for itself."""
    folder = Path(model_path)
    if not (folder / "config.json").is_file():
        return (model_path,)
    config = json.loads((folder / "config.json").read_text())
    tokenizer = folder / "tokenizer.json"
    digest = blake2b(tokenizer.read_bytes()).hexdigest() if tokenizer.is_file() else model_path
    return {key: value for key, value in config.items() if key not in _NOT_SHAPE}, digest


def environment(settings: EngineSettings) -> dict[str, str]:
    """Return the variables to set before vLLM is imported; the processes it starts inherit them."""
    common = {
        "VLLM_LOGGING_LEVEL": "ERROR",  # its warnings are a dozen lines a start about choices made here on purpose
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "PYTHONWARNINGS": "ignore::FutureWarning",
        "VLLM_NO_USAGE_STATS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if settings.weights_backend == "ipc":
        # The description of shared GPU memory holds Python types, which vLLM pickles from its front to its own worker processes. Nothing
        # from outside is read so.
        common["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"
    if settings.device != "cpu":
        return common
    return {
        **common,
        "OMP_NUM_THREADS": str(settings.threads),
        # Threads that spin while they wait take ten times the time where something else needs the core: 18 s of CPU instead of 1.8.
        "OMP_WAIT_POLICY": "PASSIVE",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # engines, learners and tests share the cores; binding would stack them on the same ones
        # A single worker stays inside vLLM's core process: 13,000 instead of 5,000 tokens/s on two cores, 0.8M parameters.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # oneDNN keeps the code made for a shape, 1,024 by default: hundreds of MiB, since hardly a step has the shape of another.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
        # Eager mode still compiles a helper of the sampler: 18 s of the first request for nothing measurable after it.
        **({"TORCH_COMPILE_DISABLE": "1"} if settings.enforce_eager else {}),
    }
