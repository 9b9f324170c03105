"""The settings of `toolrl serve`: names and meanings are those of the commands with engines, where they mean anything for a server."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolrl.config.task import PromptConfig


@dataclass(frozen=True)
class ServedModelConfig:
    """The model that is served; its folder is the command's argument."""

    dtype: str = "bfloat16"
    """Compute type: bfloat16 or float32."""


@dataclass(frozen=True)
class ServingEngineConfig:
    """vLLM behind the server."""

    tensor_parallel: int = 1
    """Devices the model spreads over."""
    max_num_seqs: int = 256
    """Answers in the making at once; further requests wait."""
    max_model_len: int = 8192
    """Longest conversation and answer together, in tokens; 0: as long as the model can."""
    kv_cache_gib: float = 1.0
    """Key-value cache on CPU, in GiB."""
    gpu_memory_utilization: float = 0.85
    """Share of a GPU's memory that is taken."""
    enforce_eager: bool = True
    """Skip graph capture: a faster start, slower decoding on GPU."""
    threads: int = 2
    """Compute threads on CPU."""
    start_timeout_s: float = 600.0
    """Longest wait for the server to be ready."""


@dataclass(frozen=True)
class ServingDeviceConfig:
    """Where the server runs."""

    device: str = "cpu"
    """What the model computes on: cpu or cuda."""


@dataclass(frozen=True)
class ServeConfig:
    """Settings of `toolrl serve`."""

    model: ServedModelConfig = field(default_factory=ServedModelConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    engine: ServingEngineConfig = field(default_factory=ServingEngineConfig)
    cluster: ServingDeviceConfig = field(default_factory=ServingDeviceConfig)
