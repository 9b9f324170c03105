"""What must hold of a configuration before anything starts.

Each rule yields one line: the key, what was got, what to do. All of them are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from toolrl.config.asking import KEEP, AskedSamplingConfig, DistillConfig, EvaluateConfig
from toolrl.config.learning import ADVANTAGES, IMPORTANCE, LOSSES, AlgoConfig, LearnerConfig
from toolrl.config.schema import ClusterConfig, ModelConfig, RlConfig
from toolrl.config.serving import ServeConfig
from toolrl.config.sft import SftConfig
from toolrl.config.task import NO_CALL, REWARD_MODES, function_problems, subset_bounds
from toolrl.config.versions import versions

AnyConfig = RlConfig | SftConfig | DistillConfig | EvaluateConfig | ServeConfig

CHOICES = {
    "model.dtype": ("bfloat16", "float32"),
    "model.attention": ("auto", "sdpa", "varlen", "flash_attention_2"),
    "data.keep": KEEP,
    "reward.mode": REWARD_MODES,
    "reward.no_call": NO_CALL,
    "algo.advantage": ADVANTAGES,
    "algo.loss": LOSSES,
    "algo.aggregation": ("token_mean", "sequence_mean", "constant"),
    "algo.kl_estimator": ("k1", "k2", "k3"),
    "algo.kl_in": ("loss", "reward"),
    "algo.truncated": ("keep", "mask", "shape"),
    "algo.importance": IMPORTANCE,
    "learner.optimizer": ("adamw", "muon"),
    "learner.schedule": ("constant", "linear", "cosine"),
    "engine.sleep_level": (1, 2),
    "weights.backend": ("gloo", "nccl", "ipc"),
    "weights.in_flight": ("recompute", "keep_kv", "drain"),
    "run.on_divergence": ("stop", "rewind"),
    "monitor.wandb": ("off", "offline", "online"),
    "monitor.rollouts": ("all", "share", "no_tokens"),
    "cluster.device": ("cpu", "cuda"),
}
"""Settings with a fixed set of values."""

AT_LEAST_ONE = (
    "run.steps", "data.max_prompt_tokens", "data.max_tokens", "sampling.max_tokens", "engine.num", "engine.tensor_parallel",
    "engine.min_num",
    "engine.max_num_seqs", "engine.threads", "reward.workers", "reward.groups_per_call", "loop.prompts_per_batch", "loop.rows_per_batch",
    "data.copy_warmup_rows",
    "loop.max_dull_in_row", "learner.num_ranks", "learner.minibatches", "learner.max_tokens_per_microbatch", "learner.threads",
    "learner.sequence_parallel", "learner.hpz_ranks",
    "weights.probe_prompts", "weights.bucket_mib", "eval.prompts", "eval.max_tokens", "checkpoint.keep", "endpoint.in_flight",
    "endpoint.attempts",
)  # fmt: skip
AT_LEAST_ZERO = (
    "engine.max_restarts", "reward.memory_gib", "reward.quarantine_after",
    "engine.max_model_len", "reward.audit_rows", "loop.max_staleness", "algo.clip_low", "algo.clip_high", "algo.kl_coef",
    "algo.entropy_coef", "algo.loss_constant", "algo.overlong_buffer", "algo.importance_floor", "algo.mismatch_bound",
    "learner.lora_rank", "learner.persistent_elements", "learner.prefetch_elements",
    "learner.warmup_steps", "learner.weight_decay", "learner.clip_grad_norm",
    "learner.max_grad_norm", "run.max_rewinds", "weights.probe_every", "eval.every", "eval.temperature",
    "checkpoint.every", "cluster.num_cpus", "data.copy_warmup_steps", "loop.epochs", "learner.warmup_share", "run.seed", "data.limit",
    "endpoint.requests_per_minute", "endpoint.prompt_price", "endpoint.completion_price",
)  # fmt: skip
ABOVE_ZERO = (
    "sampling.top_p", "engine.kv_cache_gib", "engine.gpu_memory_utilization", "engine.cpus",
    "engine.start_timeout_s", "engine.sample_timeout_s", "engine.health_every_s", "engine.health_timeout_s",
    "reward.cpus_per_worker", "reward.deadline_s", "reward.start_timeout_s", "algo.advantage_eps",
    "algo.importance_cap", "learner.lora_alpha",
    "checkpoint.preempt_timeout_s",
    "learner.lr", "learner.muon_lr", "learner.cpus_per_rank", "learner.start_timeout_s", "learner.step_timeout_s",
    "weights.parity_bound", "weights.timeout_s", "checkpoint.timeout_s", "cluster.placement_timeout_s", "endpoint.timeout_s",
)  # fmt: skip


def problems(config: AnyConfig) -> list[str]:
    """Return every contradiction in `config`, in the order of the schema."""
    found = [*_values(config), *_subset(config)]
    if isinstance(config, ServeConfig):
        return found
    if isinstance(config, DistillConfig | EvaluateConfig):
        return [*found, *_asking(config)]
    found += [*_shared(config.model, config.cluster), *_learner(config.learner)]
    return found + list(_rl(config) if isinstance(config, RlConfig) else _sft(config))


def _value(config: Any, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section, None), name, None)


def _values(config: AnyConfig) -> Iterator[str]:
    for key, allowed in CHOICES.items():
        value = _value(config, key)
        if value is not None and value not in allowed:
            yield f"{key}: got {value!r}; choose one of {', '.join(map(str, allowed))}"
    for keys, least, what in ((AT_LEAST_ONE, 1, "1 or more"), (AT_LEAST_ZERO, 0, "0 or more")):
        for key in keys:
            value = _value(config, key)
            if value is not None and value < least:
                yield f"{key}: got {value}; set it to {what}"
    for key in ABOVE_ZERO:
        value = _value(config, key)
        if value is not None and value <= 0:
            yield f"{key}: got {value}; set it above 0"
    try:
        versions(_value(config, "monitor.trace") or "")
    except ValueError as error:
        yield f"monitor.trace: got {_value(config, 'monitor.trace')!r}: {error}; name versions, as in 3,10-12"
    for section in fields(config):
        for name, value in vars(getattr(config, section.name)).items():
            if isinstance(value, float) and not isfinite(value):
                yield f"{section.name}.{name}: got {value}; set it to a finite number"


def _subset(config: AnyConfig) -> Iterator[str]:
    subset = _value(config, "data.subset") or ""
    try:
        subset_bounds(subset)
    except ValueError:
        yield f"data.subset: got {subset!r}; write two ends in percent of the dialogues, the lower first, as in 0-50"


def _asking(config: DistillConfig | EvaluateConfig) -> Iterator[str]:
    if not config.model.path:
        yield "model.path: got nothing; name a Hugging Face folder, a hub model, demo://start, or the URL of an endpoint"
    if config.model.is_endpoint:
        yield from _url(config.model.path)
    if isinstance(config, DistillConfig) and not config.data.train:
        yield "data.train: got nothing; name a JSONL file, a prepared folder, or demo://train"
    if not config.run.dir:
        yield "run.dir: got nothing; name the folder to write"
    if config.cluster.colocated:
        yield "cluster.colocated: got true; nothing is trained here that an engine could share a GPU with, set it to false"
    if not config.model.is_endpoint and config.engine.max_model_len <= config.sampling.max_tokens:
        yield (
            f"engine.max_model_len: got {config.engine.max_model_len}, completions alone may have {config.sampling.max_tokens} tokens; "
            "set it to the longest prompt and completion together"
        )
    yield from _asked_sampling(config.sampling)
    if isinstance(config, EvaluateConfig) and config.sampling.n > 1 and config.sampling.temperature > 0:
        yield f"sampling.n: got {config.sampling.n}; an evaluation asks each item once, set it to 1"
    yield from function_problems(config.reward.functions)


def _url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound:
        yield f"model.path: got {url!r}; write an endpoint as in http://host:8000/v1"
    elif parts.username or parts.password or parts.query:  # it would stand in every file, so it is not repeated here
        yield "model.path: holds a user name, a password or a query; write the bare URL, and put the key into endpoint.key_variable"


def _asked_sampling(sampling: AskedSamplingConfig) -> Iterator[str]:
    if sampling.n < 1:
        yield f"sampling.n: got {sampling.n}; set it to 1 or more"
    if sampling.temperature < 0:
        yield f"sampling.temperature: got {sampling.temperature}; set it to 0 (greedy) or more"
    if sampling.temperature == 0 and sampling.n > 1:
        yield f"sampling.n: got {sampling.n} at temperature 0, where all are the same; set it to 1, or sampling.temperature above 0"
    if sampling.top_p > 1:
        yield f"sampling.top_p: got {sampling.top_p}; set it to 1 or less"


def _shared(model: ModelConfig, cluster: ClusterConfig) -> Iterator[str]:
    if not model.path:
        yield "model.path: got nothing; name a Hugging Face folder, a hub model, or demo://start"
    if model.attention in ("flash_attention_2", "varlen") and cluster.device == "cpu":
        yield f"model.attention: {model.attention} needs cluster.device=cuda; use auto or sdpa"


def _learner(learner: LearnerConfig) -> Iterator[str]:
    if learner.sequence_parallel > 0 and learner.num_ranks % learner.sequence_parallel:
        yield (
            f"learner.sequence_parallel: got {learner.sequence_parallel} for {learner.num_ranks} ranks; "
            "set it to a divisor of learner.num_ranks"
        )
    if learner.hpz_ranks > 0 and learner.num_ranks % learner.hpz_ranks:
        yield f"learner.hpz_ranks: got {learner.hpz_ranks} for {learner.num_ranks} ranks; set it to a divisor, as the ranks of one node"
    for name, beta in (("beta1", learner.beta1), ("beta2", learner.beta2)):
        if not 0 <= beta < 1:
            yield f"learner.{name}: got {beta}; set it to 0 or more and below 1"
    if learner.warmup_share > 1:
        yield f"learner.warmup_share: got {learner.warmup_share}; set it to 1 or less, as in 0.1 for a tenth of the run"
    if learner.warmup_share and learner.warmup_steps:
        yield f"learner.warmup_share: got {learner.warmup_share} beside learner.warmup_steps={learner.warmup_steps}; set one of them to 0"
    if learner.optimizer == "muon" and learner.lora_rank:
        yield "learner.optimizer: muon is for whole matrices; use adamw with learner.lora_rank, or set that to 0"
    if learner.optimizer == "muon" and learner.offload_optimizer:
        yield "learner.optimizer: muon cannot step in host memory; use adamw, or set learner.offload_optimizer=false"


def _algo(algo: AlgoConfig, max_tokens: int) -> Iterator[str]:
    if algo.clip_low >= 1:
        yield f"algo.clip_low: got {algo.clip_low}; set it below 1"
    if algo.loss == "dual_clip" and algo.dual_clip <= 1:
        yield f"algo.dual_clip: got {algo.dual_clip}; set it above 1"
    if algo.truncated == "shape" and not 0 < algo.overlong_buffer <= max_tokens:
        yield f"algo.overlong_buffer: got {algo.overlong_buffer}; algo.truncated=shape needs 1 to sampling.max_tokens={max_tokens}"
    if algo.importance == "masked" and algo.importance_floor >= algo.importance_cap:
        yield f"algo.importance_floor: got {algo.importance_floor}; set it below algo.importance_cap={algo.importance_cap}"


def _engines(config: RlConfig | SftConfig, need: int) -> Iterator[str]:
    """Look at engines that the learner sends its weights to; `need` is the longest prompt and completion, in tokens."""
    if config.max_model_len < need:
        yield f"engine.max_model_len: got {config.max_model_len}, prompts and completions may have {need} tokens; set it to {need} or 0"
    if config.engine.min_num > config.engine.num:
        yield f"engine.min_num: got {config.engine.min_num} of engine.num={config.engine.num}; set it to that or less"
    if config.cluster.colocated:
        yield from _colocated(config)
    elif config.weights.backend == "ipc":
        yield "weights.backend: ipc needs cluster.colocated=true; use nccl, or gloo on CPU"
    elif config.weights.backend == "nccl" and config.cluster.device == "cpu":
        yield "weights.backend: nccl needs cluster.device=cuda; use gloo"
    yield from function_problems(config.reward.functions)


def _colocated(config: RlConfig | SftConfig) -> Iterator[str]:
    workers = config.engine.num * config.engine.tensor_parallel
    if config.cluster.device == "cpu":
        yield "cluster.colocated: got true with cluster.device=cpu; there is no GPU to share, set it to false"
    if config.weights.backend != "ipc":
        yield f"weights.backend: got {config.weights.backend} with cluster.colocated=true; use ipc, which hands weights over within a GPU"
    if config.learner.num_ranks != workers:
        yield (
            f"learner.num_ranks: got {config.learner.num_ranks} with cluster.colocated=true; each rank shares a GPU with one of the "
            f"engine.num × engine.tensor_parallel = {workers} engine workers, set it to {workers}"
        )


def _rl(config: RlConfig) -> Iterator[str]:
    if not config.data.train:
        yield "data.train: got nothing; name a JSONL file, a prepared folder, or demo://train"
    if config.sampling.temperature <= 0:
        yield f"sampling.temperature: got {config.sampling.temperature}; set it above 0"
    if config.sampling.n < 2:
        yield f"sampling.n: got {config.sampling.n}; a group needs 2 or more completions to compare"
    if config.sampling.top_p > 1:
        yield f"sampling.top_p: got {config.sampling.top_p}; set it to 1 or less"
    need = config.data.max_prompt_tokens + config.sampling.max_tokens
    if config.learner.max_tokens_per_microbatch < need:
        yield (
            f"learner.max_tokens_per_microbatch: got {config.learner.max_tokens_per_microbatch}, the longest sequence has {need} tokens; "
            f"set it to {need} or more"
        )
    if config.loop.prompts_per_batch < config.learner.minibatches:
        yield f"learner.minibatches: got {config.learner.minibatches} for {config.loop.prompts_per_batch} groups in a batch; lower it"
    if config.cluster.colocated and config.loop.max_staleness:
        yield (
            f"loop.max_staleness: got {config.loop.max_staleness} with cluster.colocated=true; engine and learner take turns, set it to 0"
        )
    yield from _engines(config, need)
    yield from _algo(config.algo, config.sampling.max_tokens)


def _sft(config: SftConfig) -> Iterator[str]:
    if not config.data.train:
        yield "data.train: got nothing; name a JSONL file of demonstrations, or demo://sft"
    if config.run.on_divergence == "rewind":
        yield "run.on_divergence: got 'rewind', but a supervised run would come to the same batch again; use stop"
    if config.learner.max_tokens_per_microbatch < config.data.max_tokens:
        yield (
            f"learner.max_tokens_per_microbatch: got {config.learner.max_tokens_per_microbatch}, the longest row may have "
            f"data.max_tokens={config.data.max_tokens}; set it to that or more"
        )
    if config.eval.heldout:  # else nothing is started that these settings could be wrong for
        yield from _engines(config, config.data.max_tokens + config.eval.max_tokens)
