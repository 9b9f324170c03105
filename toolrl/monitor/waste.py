"""Accelerator time that trained or sampled nothing, by its cause: the seconds of a version's line -> `waste/*`.

    Sink.write(version, metrics) ─> WasteSink ─> the same metrics, waste/* and run/accelerator_s ─> the sinks behind it

In accelerator seconds: a GPU that is idle for a second, or works in vain for one. On CPU an engine worker and a learner rank count as one
each. The causes share no second, so together they are never more than `run/accelerator_s`:

| cause | accelerators of | while |
|---|---|---|
| no_groups | the learner | it waits for the groups of its batch |
| no_slots | the engines | they have nothing to sample: every slot waits for the learner |
| push | both | weights are pushed and probed |
| evaluation | the learner | the version is measured |
| checkpoint | the learner | a checkpoint is written |
| learner_overhead | the learner | it fetches, packs and adds up: a batch less its passes and optimizer steps |
| driver | the learner | the loop is between its stages |
| lost_engines | the engines | they are replaced, or given up |
| dull_groups | the engines | they sample groups whose rewards all agree |
| turns | both | where they share GPUs: these change hands |

Where GPUs are shared, that the learner waits while engines sample is no waste, nor the reverse: then `no_groups` is what the engines leave
idle in their turn. Of a supervised run the learner's accelerators count alone, since engines only measure there. All of it comes from
metrics that the line has anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.protocols import Sink
from toolrl.types import WeightVersion

_PASSES = ("forward_s", "backward_s", "optimizer_s", "old_logprobs_s", "reference_s")
Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Accelerators:
    """How many a run has."""

    of_an_engine: int
    of_engines: int
    of_learner: int
    shared: bool
    """They are the same ones."""

    @classmethod
    def of(cls, config: RlConfig | SftConfig) -> Accelerators:
        """Return those of a configuration; of a supervised run the learner's, since engines only measure there."""
        if isinstance(config, SftConfig):
            return cls(0, 0, config.learner.num_ranks, shared=False)
        per_engine = config.engine.tensor_parallel
        return cls(per_engine, config.engine.num * per_engine, config.learner.num_ranks, config.cluster.colocated)


def wasted(metrics: Metrics, accelerators: Accelerators) -> dict[str, float]:
    """Return `waste/*` and `run/accelerator_s` of a version; nothing where it trained nothing.

    Args:
        metrics: Of the version.
        accelerators: Of the run.
    """
    if "learner/step_s" not in metrics:
        return {}
    engines, ranks = accelerators.of_engines, accelerators.of_learner
    stage = {name: metrics[f"loop/{name}_s"] for name in ("step", "learner", "push", "eval", "checkpoint")}
    waited = metrics["loop/wait_generation_s"] if engines else 0.0
    lap = stage["step"] + stage["eval"]
    turn = metrics.get("learner/turn_s", 0.0)
    passes = sum(metrics.get(f"learner/{name}", 0.0) for name in _PASSES)
    between = lap - waited - sum(stage[name] for name in ("learner", "push", "eval", "checkpoint"))
    busy = metrics["engine/busy_sum_s"] * accelerators.of_an_engine if engines else 0.0
    found = {
        "push": stage["push"] * (ranks if accelerators.shared else ranks + engines),
        "checkpoint": stage["checkpoint"] * ranks,
        "learner_overhead": (stage["learner"] - turn - passes) * ranks,
        "driver": between * ranks,
        "turns": turn * ranks,
    }
    if engines:
        found["dull_groups"] = busy * metrics["loop/dull_share"]
    if accelerators.shared:
        found["no_groups"] = (waited + stage["eval"]) * ranks - busy
    else:
        found["evaluation"] = stage["eval"] * ranks
    if engines and not accelerators.shared:
        lost = (engines - metrics["engine/serving"] * accelerators.of_an_engine) * (lap - stage["push"])
        found["no_groups"] = waited * ranks
        found["lost_engines"] = lost
        found["no_slots"] = engines * (lap - stage["push"]) - busy - lost
    total = lap * (ranks if accelerators.shared else ranks + engines)
    return {"run/accelerator_s": total, **{f"waste/{cause}": max(seconds, 0.0) for cause, seconds in found.items()}}


class WasteSink:
    """Adds the waste to the metrics of each version and passes them on."""

    def __init__(self, sink: Sink, accelerators: Accelerators) -> None:
        self._sink = sink
        self._accelerators = accelerators

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Write `metrics` and their waste to the sink behind."""
        self._sink.write(version, {**metrics, **wasted(metrics, self._accelerators)})

    def close(self) -> None:
        """Close the sink behind."""
        self._sink.close()
