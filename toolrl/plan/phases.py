"""Who holds what, when: the phases of a run, each with the memory of one GPU or one node.

    engines and learner apart:  engine starts, samples, is pushed to │ learner steps, updates, pushes │ node
    in turns on the same GPUs:  engine starts, learner steps, updates, pushes, probe, engine samples │ node

A phase is the most that is held while it lasts. On a CPU all of a run is one phase of one machine.
"""

from __future__ import annotations

from toolrl.plan.engine_memory import CONTEXT, EngineMemory
from toolrl.plan.hardware import GIB
from toolrl.plan.terms import Phase, Term, some
from toolrl.plan.workload import Workload

PROCESS = 4.0 * GIB
"""Host memory of a process that uses a GPU: libraries, and pages that a loader or NCCL keeps. Assumed."""
PACKED_BUFFERS = 2
"""Buckets in flight with NCCL (vLLM's `packed_num_buffers`)."""


def phases(load: Workload, max_tokens: int | None = None) -> tuple[Phase, ...]:
    """Return the phases of a run.

    Args:
        load: The run.
        max_tokens: Of a micro-batch; None: `learner.max_tokens_per_microbatch`.
    """
    tokens = max_tokens or load.config.learner.max_tokens_per_microbatch
    return (*(_in_turns(load, tokens) if load.config.cluster.colocated else _apart(load, tokens)), _node(load))


def bucket_bytes(load: Workload) -> float:
    """Return the bytes of the largest bucket of a push: a tensor that is larger travels alone."""
    return max(load.config.weights.bucket_mib * 2**20, load.width * load.shape.embedding)


def _memory(load: Workload) -> float:
    return load.cluster.accelerator.memory_gib * GIB


def _apart(load: Workload, tokens: int) -> tuple[Phase, ...]:
    engine, learner, memory = EngineMemory(load), load.learner, _memory(load)
    context = Term("context and NCCL", CONTEXT)
    bucket = Term("buckets in flight", PACKED_BUFFERS * bucket_bytes(load), ("weights.bucket_mib",))
    gathered = Term("gathered bucket and its copy", 2 * bucket_bytes(load), ("weights.bucket_mib",))
    return (
        Phase("engine GPU", "start", engine.requested, engine.least()),
        Phase("engine GPU", "sampling", memory, engine.whole()),
        Phase("engine GPU", "push and probe", memory, (*engine.whole(), bucket, engine.probe())),
        Phase("learner GPU", "forward and backward", memory, (context, *learner.step(tokens))),
        Phase("learner GPU", "optimizer step", memory, (context, *learner.update())),
        Phase("learner GPU", "push", memory, (context, *learner.states(), gathered, bucket)),
    )


def _in_turns(load: Workload, tokens: int) -> tuple[Phase, ...]:
    engine, learner, memory = EngineMemory(load), load.learner, _memory(load)
    both = Term("contexts and NCCL of both", 2 * CONTEXT)
    other = Term("context of the learner", CONTEXT)
    kept = 0 if load.config.learner.offload_parameters else learner.weights
    stays = some((Term("learner's weights", kept, ("learner.num_ranks", "learner.offload_parameters")), learner.persistent()))
    weights = Term("engine's weights", engine.weights, ("engine.tensor_parallel",))
    buckets = Term("gathered bucket, copy, shared buffer", 3 * bucket_bytes(load), ("weights.bucket_mib",))
    gathered = Term("learner's gathered parameters", learner.gathered)
    return (
        Phase("GPU", "engine starts", engine.requested, engine.least()),
        Phase("GPU", "forward and backward", memory, (both, *learner.step(tokens))),
        Phase("GPU", "optimizer step", memory, (both, *learner.update())),
        Phase("GPU", "push", memory, (both, weights, *stays, buckets)),
        Phase("GPU", "probe", memory, (other, *engine.whole(), *stays, gathered, engine.probe())),
        Phase("GPU", "sampling", memory, (other, *engine.whole())),
    )


def _node(load: Workload) -> Phase:
    """Return the host memory of the fullest node: where as many learner ranks are as it has GPUs for."""
    config, cluster = load.config, load.cluster
    ranks = min(config.learner.num_ranks, cluster.gpus_per_node)
    colocated = config.cluster.colocated
    held = (*(load.learner.parked() if colocated else ()), *load.learner.on_host())
    terms = [Term(f"{ranks} × {term.name}", ranks * term.num_bytes, term.settings) for term in held]
    if colocated and config.engine.sleep_level == 1:
        terms.append(Term("weights of sleeping engines", ranks * EngineMemory(load).weights, ("engine.sleep_level",)))
    processes = min(load.gpus, cluster.gpus_per_node) * (2 if colocated else 1)
    terms.append(Term(f"{processes} × a process on a GPU", processes * PROCESS))
    return Phase("node", "host memory", cluster.host_memory_gib * GIB, some(terms))
