"""Memory of one GPU of an engine: what vLLM takes, and what is left of it for keys and values.

    engine.gpu_memory_utilization × memory = weights + context + activations of a prefill + sampler + graphs + key-value cache

vLLM measures all but the cache in a trial run when it starts, and gives the rest to the cache. Bytes throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolrl.plan.hardware import GIB
from toolrl.plan.terms import Term, some, total
from toolrl.plan.workload import Workload

CONTEXT = 1.0 * GIB
"""Of a process on a GPU, outside torch's allocator: its CUDA context (about 0.6 GiB on an H200) and buffers of NCCL. Assumed."""
GRAPHS = 1.0 * GIB
"""Captured CUDA graphs of an engine. Assumed."""
SAMPLER_BYTES = 18
"""Of each logit of each sequence: bfloat16, then float32 logits, log-probabilities, probabilities and noise (`vllm/v1/sample`)."""
PROBE_BYTES = 10
"""Of each logit of a probed prompt: bfloat16, float32, and log-probabilities."""
MIN_BATCHED_TOKENS = 8192
"""Tokens of a prefill, at least, as `toolrl.rollout.settings` has it."""


@dataclass(frozen=True, slots=True)
class EngineMemory:
    """An engine's share of one of its GPUs."""

    load: Workload

    @property
    def requested(self) -> float:
        """Bytes that vLLM takes."""
        return self.load.config.engine.gpu_memory_utilization * self.load.cluster.accelerator.memory_gib * GIB

    @property
    def weights(self) -> float:
        """Bytes of the weights of a worker."""
        return self.load.width * self.load.shape.parameters / self.load.config.engine.tensor_parallel

    def fixed(self) -> tuple[Term, ...]:
        """Return all but the cache."""
        shape, engine, width = self.load.shape, self.load.config.engine, self.load.width
        batched = max(self.load.config.max_model_len, MIN_BATCHED_TOKENS)
        inner = 3 * shape.intermediate + shape.attention + 2 * shape.key_value
        prefill = batched * width * (4 * shape.hidden + inner / engine.tensor_parallel)
        return some(
            (
                Term("weights", self.weights, ("engine.tensor_parallel",)),
                Term("context and NCCL", CONTEXT),
                Term("activations of a prefill", prefill, ("engine.max_model_len", "engine.tensor_parallel")),
                Term("sampler", engine.max_num_seqs * shape.vocabulary * SAMPLER_BYTES, ("engine.max_num_seqs",)),
                Term("CUDA graphs", 0 if engine.enforce_eager else GRAPHS, ("engine.enforce_eager",)),
            )
        )

    @property
    def token(self) -> float:
        """Bytes of the keys and values of a token on one GPU; with more workers than key-value heads each head lies on several."""
        return self.load.width * self.load.shape.kv_elements / min(self.load.config.engine.tensor_parallel, self.load.shape.kv_heads)

    @property
    def cache(self) -> float:
        """Bytes left for keys and values."""
        return max(self.requested - total(self.fixed()), 0)

    @property
    def cache_tokens(self) -> int:
        """Tokens that the cache holds."""
        return int(self.cache / self.token)

    @property
    def concurrency(self) -> int:
        """Completions of mean length in flight at once, if there were no `engine.max_num_seqs`; siblings share their prompt."""
        load = self.load
        return int(self.cache_tokens / (load.completion_tokens + load.prompt_tokens / load.config.sampling.n))

    @property
    def in_flight(self) -> int:
        """Completions really in flight: no more than `engine.max_num_seqs`, and than an engine's share of a batch."""
        share = -(-self.load.completions // self.load.config.engine.num)
        return max(min(self.concurrency, self.load.config.engine.max_num_seqs, share), 1)

    def least(self) -> tuple[Term, ...]:
        """Return what an engine needs to start: vLLM refuses a cache that does not hold one longest sequence."""
        fewer = ("data.max_prompt_tokens", "sampling.max_tokens", "engine.tensor_parallel")
        return (*self.fixed(), Term("cache of one longest sequence", self.load.config.max_model_len * self.token, fewer))

    def whole(self) -> tuple[Term, ...]:
        """Return what it holds while it samples, the cache filled."""
        return (*self.fixed(), Term("key-value cache", self.cache, ("engine.gpu_memory_utilization",)))

    def probe(self) -> Term:
        """Return the logits of the longest prompt of a parity probe, which vLLM makes outside what it has measured."""
        num_bytes = self.load.config.data.max_prompt_tokens * self.load.shape.vocabulary * PROBE_BYTES
        return Term("logits of a probe", num_bytes, ("data.max_prompt_tokens", "engine.gpu_memory_utilization"))
