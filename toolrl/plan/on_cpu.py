"""The memory of a run on this machine's CPU: every actor's, all at once.

Its seconds are not planned: nobody knows what else the cores do.
"""

from __future__ import annotations

from toolrl.config.schema import RlConfig
from toolrl.plan.hardware import GIB
from toolrl.plan.learner_memory import LearnerMemory
from toolrl.plan.shapes import Shape
from toolrl.plan.terms import BYTES, Phase, Term, total

MIB = 2**20
ENGINE, LEARNER, REWARD, REST = 1400 * MIB, 700 * MIB, 130 * MIB, 1100 * MIB
"""Of a process before it holds anything of the model, as measured in runs of the demo: vLLM's two, a learner rank, a reward worker; the
driver and Ray's own together."""


def on_cpu(config: RlConfig, shape: Shape, memory: float) -> Phase:
    """Return what a run takes of a machine with `memory` bytes."""
    width, learner = BYTES[config.model.dtype], config.learner
    rank = LearnerMemory(shape, config.model, learner, config.algo, "cpu")
    step = max(total(rank.step(learner.max_tokens_per_microbatch)), total(rank.update())) + total(rank.on_host())
    engines = config.engine.num
    return Phase(
        "this machine",
        "all actors",
        memory,
        (
            Term("processes of engines", engines * config.engine.tensor_parallel * ENGINE, ("engine.num",)),
            Term("weights of engines", engines * width * shape.parameters, ("engine.num",)),
            Term("key-value caches", engines * config.engine.kv_cache_gib * GIB, ("engine.kv_cache_gib",)),
            Term("processes of learner ranks", learner.num_ranks * LEARNER, ("learner.num_ranks",)),
            Term("a step of the learner", learner.num_ranks * step, ("learner.max_tokens_per_microbatch",)),
            Term("reward workers", config.reward.workers * REWARD, ("reward.workers",)),
            Term("driver and Ray", REST),
        ),
    )
