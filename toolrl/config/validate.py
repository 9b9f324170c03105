"""What must hold of a configuration before anything starts.

Each rule yields one line: the key, what was got, what to do. All of them are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolrl.config.schema import ClusterConfig, ModelConfig, RlConfig
from toolrl.config.sft import SftConfig
from toolrl.config.task import NO_CALL, REWARD_MODES, function_problems

CHOICES = {
    "model.dtype": ("bfloat16", "float32"),
    "model.attention": ("sdpa", "eager", "flash_attention_2"),
    "reward.mode": REWARD_MODES,
    "reward.no_call": NO_CALL,
    "algo.importance": ("token", "off"),
    "learner.optimizer": ("adamw", "muon"),
    "learner.schedule": ("constant", "linear", "cosine"),
    "weights.backend": ("gloo", "nccl"),
    "weights.in_flight": ("recompute", "keep_kv", "drain"),
    "monitor.wandb": ("off", "offline", "online"),
    "monitor.rollouts": ("all", "share", "no_tokens"),
    "cluster.device": ("cpu", "cuda"),
}
"""Settings with a fixed set of values."""

AT_LEAST_ONE = (
    "run.steps", "data.max_prompt_tokens", "data.max_tokens", "sampling.max_tokens", "engine.num", "engine.tensor_parallel",
    "engine.max_num_seqs", "engine.threads", "reward.workers", "reward.groups_per_call", "loop.prompts_per_batch", "loop.rows_per_batch",
    "data.copy_warmup_rows",
    "loop.max_dull_in_row", "learner.num_ranks", "learner.minibatches", "learner.max_tokens_per_microbatch", "learner.threads",
    "weights.probe_prompts", "weights.bucket_mib", "eval.prompts", "checkpoint.keep",
)  # fmt: skip
AT_LEAST_ZERO = (
    "engine.max_model_len", "reward.audit_rows", "loop.max_staleness", "algo.clip_low", "algo.clip_high", "algo.kl_coef",
    "learner.warmup_steps", "learner.weight_decay", "learner.clip_grad_norm", "weights.probe_every", "eval.every", "eval.temperature",
    "checkpoint.every", "cluster.num_cpus", "data.copy_warmup_steps", "run.seed",
)  # fmt: skip
ABOVE_ZERO = (
    "sampling.temperature", "sampling.top_p", "engine.kv_cache_gib", "engine.gpu_memory_utilization", "engine.cpus",
    "engine.start_timeout_s", "engine.sample_timeout_s", "reward.cpus_per_worker", "reward.deadline_s", "algo.advantage_eps",
    "algo.importance_cap", "learner.lr", "learner.muon_lr", "learner.cpus_per_rank", "learner.start_timeout_s", "learner.step_timeout_s",
    "weights.parity_bound", "weights.timeout_s", "checkpoint.timeout_s", "cluster.placement_timeout_s",
)  # fmt: skip


def problems(config: RlConfig | SftConfig) -> list[str]:
    """Return every contradiction in `config`, in the order of the schema."""
    found = [*_values(config), *_shared(config.model, config.cluster)]
    return found + list(_rl(config) if isinstance(config, RlConfig) else _sft(config))


def _value(config: Any, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section, None), name, None)


def _values(config: RlConfig | SftConfig) -> Iterator[str]:
    for key, allowed in CHOICES.items():
        value = _value(config, key)
        if value is not None and value not in allowed:
            yield f"{key}: got {value!r}; choose one of {', '.join(allowed)}"
    for keys, least, what in ((AT_LEAST_ONE, 1, "1 or more"), (AT_LEAST_ZERO, 0, "0 or more")):
        for key in keys:
            value = _value(config, key)
            if value is not None and value < least:
                yield f"{key}: got {value}; set it to {what}"
    for key in ABOVE_ZERO:
        value = _value(config, key)
        if value is not None and value <= 0:
            yield f"{key}: got {value}; set it above 0"


def _shared(model: ModelConfig, cluster: ClusterConfig) -> Iterator[str]:
    if not model.path:
        yield "model.path: got nothing; name a Hugging Face folder, a hub model, or demo://start"
    if model.attention == "flash_attention_2" and cluster.device == "cpu":
        yield "model.attention: flash_attention_2 needs cluster.device=cuda; use sdpa"


def _rl(config: RlConfig) -> Iterator[str]:
    if not config.data.train:
        yield "data.train: got nothing; name a JSONL file, a prepared folder, or demo://train"
    if config.sampling.n < 2:
        yield f"sampling.n: got {config.sampling.n}; a group needs 2 or more completions to compare"
    if config.sampling.top_p > 1:
        yield f"sampling.top_p: got {config.sampling.top_p}; set it to 1 or less"
    need = config.data.max_prompt_tokens + config.sampling.max_tokens
    if config.max_model_len < need:
        yield f"engine.max_model_len: got {config.max_model_len}, prompts and completions may have {need} tokens; set it to {need} or 0"
    if config.learner.max_tokens_per_microbatch < need:
        yield (
            f"learner.max_tokens_per_microbatch: got {config.learner.max_tokens_per_microbatch}, the longest sequence has {need} tokens; "
            f"set it to {need} or more"
        )
    if config.loop.prompts_per_batch < config.learner.minibatches:
        yield f"learner.minibatches: got {config.learner.minibatches} for {config.loop.prompts_per_batch} groups in a batch; lower it"
    if config.weights.backend == "nccl" and config.cluster.device == "cpu":
        yield "weights.backend: nccl needs cluster.device=cuda; use gloo"
    if config.cluster.colocated:
        yield "cluster.colocated: got true; engines and learners cannot share GPUs yet, set it to false"
    yield from function_problems(config.reward.functions)
    if config.algo.clip_low >= 1:
        yield f"algo.clip_low: got {config.algo.clip_low}; set it below 1"


def _sft(config: SftConfig) -> Iterator[str]:
    if not config.data.train:
        yield "data.train: got nothing; name a JSONL file of demonstrations, or demo://sft"
    if config.learner.max_tokens_per_microbatch < config.data.max_tokens:
        yield (
            f"learner.max_tokens_per_microbatch: got {config.learner.max_tokens_per_microbatch}, the longest row may have "
            f"data.max_tokens={config.data.max_tokens}; set it to that or more"
        )
