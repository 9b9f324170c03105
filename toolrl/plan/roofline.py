"""Seconds of a step: each part takes what its slowest resource takes, at a stated share of what the data sheet says.

    sampling = prefill (operations) + decoding (memory of the GPU, or operations, or latency)
    learning = reference + old log-probabilities + forward and backward (operations, or links) + optimizer (memory)
    push     = gathering (links) + sending (links, or memory)        turns = states to the host and back

Not in it: reward workers (they judge while others sample), checkpoints, failures. docs/planner.md has each formula and its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from toolrl.plan.engine_memory import EngineMemory
from toolrl.plan.hardware import GB
from toolrl.plan.phases import bucket_bytes
from toolrl.plan.terms import total
from toolrl.plan.workload import Workload


@dataclass(frozen=True, slots=True)
class Efficiencies:
    """What is reached of a data sheet, and what a step costs however little there is in it. Sources are in docs/planner.md."""

    training: float = 0.40
    """Of the operations, forward and backward."""
    forward: float = 0.50
    """Of the operations, forward alone: prefill, reference, old log-probabilities."""
    decoding: float = 0.70
    """Of the memory's bandwidth, while tokens are decoded and while the optimizer steps."""
    links: float = 0.75
    """Of the links between GPUs and nodes, and to the host."""
    host_memory_gb_s: float = 100.0
    """Of a node's memory, for an optimizer that steps there."""
    layer_graph_s: float = 20e-6
    """Latency of a layer in a decoding step from a captured graph."""
    layer_eager_s: float = 200e-6
    """The same without graphs (`engine.enforce_eager`)."""
    scheduling_s: float = 3e-3
    """Of a decoding step: scheduling, sampling and the way to the host."""
    all_reduce_s: float = 15e-6
    """Latency of an all-reduce of tensor parallelism; two a layer."""
    tail: float = 3.0
    """Longest completion over the mean."""
    bucket_s: float = 0.02
    """Of each bucket of a push: calls to the engines."""
    push_s: float = 0.5
    """Of each push: pause, manifests, caches, probe."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where the seconds of a step go."""

    prefill: float
    decode: float
    reference: float
    old_logprobs: float
    forward_backward: float
    optimizer: float
    push: float
    turns: float
    decode_bound: str
    """What bounds decoding: memory, operations or latency."""
    learner_bound: str
    """What bounds forward and backward: operations or links."""

    @property
    def sampling(self) -> float:
        """Seconds of the engines."""
        return self.prefill + self.decode

    @property
    def learning(self) -> float:
        """Seconds of the learner."""
        return self.reference + self.old_logprobs + self.forward_backward + self.optimizer

    def step(self, *, overlapped: bool) -> float:
        """Return the seconds of a step; overlapped: engines sample while the learner works (`loop.max_staleness` above 0)."""
        both = max(self.sampling, self.learning) if overlapped else self.sampling + self.learning
        return both + self.push + self.turns


def step_seconds(load: Workload, at: Efficiencies) -> Seconds:
    """Return where the seconds of a step go."""
    config = load.config
    prefill, decode, decode_bound = sampling_seconds(load, at, load.completions, config.sampling.n)
    train, learner_bound = _train(load, at)
    forward = max(_forward_flops(load) / _flops(load, at.forward), _passes(load) * _gather(load, at))
    several = config.learner.minibatches > 1 or (config.algo.kl_coef > 0 and config.algo.kl_in == "reward")
    return Seconds(
        prefill=prefill,
        decode=decode,
        reference=forward if config.algo.kl_coef else 0.0,
        old_logprobs=forward if several else 0.0,
        forward_backward=train,
        optimizer=config.learner.minibatches * _optimizer(load, at),
        push=push_seconds(load, at),
        turns=_turns(load, at),
        decode_bound=decode_bound,
        learner_bound=learner_bound,
    )


def sampling_seconds(load: Workload, at: Efficiencies, completions: int, group: int) -> tuple[float, float, str]:
    """Return seconds of prefill and of decoding, and what bounds the latter, of completions in groups, shared out over all engines."""
    config, shape, engine = load.config, load.shape, EngineMemory(load)
    share = ceil(completions / config.engine.num)
    width = config.engine.tensor_parallel
    prompts = ceil(share / group)
    prompt_flops = prompts * (2 * shape.body * load.prompt_tokens + _attention(load, load.prompt_tokens, 0))
    prefill = prompt_flops / (width * load.cluster.accelerator.tflops * 1e12 * at.forward)
    batch = min(engine.in_flight, share)
    full, bound = _decode_step(load, at, batch)
    alone, _ = _decode_step(load, at, max(batch // 10, 1))
    longest = min(at.tail * load.completion_tokens, config.sampling.max_tokens)
    decode = share * load.completion_tokens / batch * full + max(longest - load.completion_tokens, 0) * alone
    return prefill, decode, bound


def _decode_step(load: Workload, at: Efficiencies, batch: int) -> tuple[float, str]:
    """Return seconds of one decoding step of `batch` sequences, and what bounds it."""
    shape, config, gpu = load.shape, load.config, load.cluster.accelerator
    engine, width = EngineMemory(load), config.engine.tensor_parallel
    read = load.width * (shape.body + shape.embedding) / width  # of the input embedding a few rows only
    context = load.prompt_tokens + load.completion_tokens / 2
    memory = (read + batch * context * engine.token) / (gpu.memory_gb_s * GB * at.decoding)
    flops = batch * (2 * (shape.body + shape.embedding) + 4 * shape.layers * shape.attention * context)
    operations = flops / (width * gpu.tflops * 1e12 * at.forward)
    latency = at.scheduling_s + shape.layers * (at.layer_eager_s if config.engine.enforce_eager else at.layer_graph_s)
    if width > 1:
        reduced = 2 * (width - 1) / width * batch * shape.hidden * load.width / (gpu.gpu_gb_s * GB * at.links)
        latency += 2 * shape.layers * (at.all_reduce_s + reduced)
    bound = "latency" if latency > max(memory, operations) else "memory" if memory > operations else "operations"
    return max(memory, operations) + latency, bound


def _attention(load: Workload, queries: float, before: float) -> float:
    """Return the operations of causal attention of `queries` tokens behind `before` others, in all layers, forward."""
    return 4 * load.shape.layers * load.shape.attention * queries * (before + queries / 2)


def _forward_flops(load: Workload) -> float:
    """Return the operations of one forward pass over a batch: 2 for each weight and token, the head for trained tokens only."""
    shape, config = load.shape, load.config
    trained = load.completions * load.completion_tokens
    prompts = config.loop.prompts_per_batch if config.learner.share_prompts else load.completions
    attention = prompts * _attention(load, load.prompt_tokens, 0)
    attention += load.completions * _attention(load, load.completion_tokens, load.prompt_tokens)
    return 2 * shape.body * load.computed_tokens + 2 * shape.embedding * trained + attention


def _train_flops(load: Workload) -> float:
    """Return the operations of forward and backward: three forward passes, two of a frozen model, one more where layers are recomputed.

    The head makes its logits again in the backward pass.
    """
    passes = (2 if load.config.learner.lora_rank else 3) + load.config.model.gradient_checkpointing
    head = 2 * load.shape.embedding * load.completions * load.completion_tokens
    return passes * (_forward_flops(load) - head) + (passes - load.config.model.gradient_checkpointing + 1) * head


def _flops(load: Workload, share: float) -> float:
    """Return the operations a second of all learner ranks."""
    return load.config.learner.num_ranks * load.cluster.accelerator.tflops * 1e12 * share


def _passes(load: Workload) -> int:
    """Return the micro-batches of a batch on a rank."""
    learner = load.config.learner
    each = load.computed_tokens / learner.minibatches / learner.data_parallel
    return learner.minibatches * max(ceil(each / learner.max_tokens_per_microbatch), 1)


def _gather(load: Workload, at: Efficiencies, ranks: int = 0) -> float:
    """Return the seconds in which every rank gathers all parameters once, or reduces all their gradients."""
    ranks = ranks or load.config.learner.num_ranks
    moved = load.width * load.learner.parameters * (ranks - 1) / ranks
    return moved / (load.cluster.ring_gb_s(ranks) * GB * at.links)


def _train(load: Workload, at: Efficiencies) -> tuple[float, str]:
    """Return the seconds of forward and backward, and what bounds them: links carry two gathers and one reduction, beside computing."""
    operations = _train_flops(load) / _flops(load, at.training)
    learner = load.config.learner
    reduced = _gather(load, at) * load.learner.trained / load.learner.parameters
    again = _gather(load, at, learner.hpz_ranks if learner.hpz_ranks > 1 else 0)
    links = _passes(load) * (_gather(load, at) + again + reduced)
    return max(operations, links), "links" if links > operations else "operations"


def _optimizer(load: Workload, at: Efficiencies) -> float:
    """Return the seconds of an optimizer step.

    The gradient is copied and read, master weights and two moments are read and written, weights are written.
    """
    trained, gpu, cluster = load.learner.shard(load.learner.trained), load.cluster.accelerator, load.cluster
    if not load.config.learner.offload_optimizer:
        return trained * (12 + 8 + 16 + load.width) / (gpu.memory_gb_s * GB * at.decoding)
    ranks = min(load.config.learner.num_ranks, cluster.gpus_per_node)
    moved = trained * (4 + load.width) / (gpu.host_gb_s * GB * at.links)
    return moved + ranks * trained * (4 + 8 + 16) / (at.host_memory_gb_s * GB)


def pushed_bytes(load: Workload) -> float:
    """Return what a push sends: every tensor under each of its names, so a tied head twice."""
    return load.width * (load.shape.parameters + (load.shape.embedding if load.shape.tied else 0))


def push_seconds(load: Workload, at: Efficiencies) -> float:
    """Return the seconds of a push: buckets are gathered and sent one after the other."""
    config, cluster, num_bytes = load.config, load.cluster, pushed_bytes(load)
    ranks = config.learner.num_ranks
    gather = num_bytes * (ranks - 1) / ranks / (cluster.ring_gb_s(ranks) * GB * at.links)
    if config.weights.backend == "ipc":  # copied, read by the digest, and copied into the engine
        send = 3 * num_bytes / (cluster.accelerator.memory_gb_s * GB * at.decoding)
    else:
        send = num_bytes / (cluster.ring_gb_s(load.gpus) * GB * at.links)
    return gather + send + ceil(num_bytes / bucket_bytes(load)) * at.bucket_s + at.push_s


def _turns(load: Workload, at: Efficiencies) -> float:
    """Return the seconds in which a colocated learner leaves its GPU and comes back, and a shallow sleeper too."""
    if not load.config.cluster.colocated:
        return 0.0
    moved = 2 * total(load.learner.states())
    if load.config.engine.sleep_level == 1:
        moved += 2 * EngineMemory(load).weights
    return moved / (load.cluster.accelerator.host_gb_s * GB * at.links)
