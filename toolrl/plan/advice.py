"""A plan that does not fit -> the settings that would help, each tried: what the phase takes with it, and whether all fits then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from toolrl.config.schema import RlConfig
from toolrl.config.validate import problems
from toolrl.plan.hardware import GIB
from toolrl.plan.plan import Plan
from toolrl.plan.terms import Phase

LORA_RANK = 32
"""What is tried where nothing less helps: it trains other weights."""
MOST_UTILIZATION = 0.92
"""Of a GPU's memory; above it vLLM seldom starts."""
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Advice:
    """Settings to change for one phase."""

    settings: Mapping[str, Any]
    """New values, by `section.name`."""
    used: float
    """Bytes of the phase with them."""
    fits: bool
    """Whether the phase then fits, and nothing else does not that did."""

    def __str__(self) -> str:
        """Write the settings as they stand behind a command."""
        return written(self.settings)


def advice(plan: Plan, phase: Phase) -> tuple[Advice, ...]:
    """Return what would help a phase that does not fit: the settings that suffice by themselves, or else all that take something off it."""
    tried = [found for changes in _changes(plan, phase) if (found := _tried(plan, phase, changes)) and found.used < phase.used]
    return tuple([each for each in tried if each.fits] or tried)


def remedy(plan: Plan) -> Mapping[str, Any] | None:
    """Return settings that together make all of a plan fit, found step by step; None where none were found.

    LoRA is tried last: it trains other weights.
    """
    for without in ({"learner.lora_rank"}, set()):
        found: dict[str, Any] = {}
        now = plan
        while now.tight:
            allowed = [changes for phase in now.tight for changes in _changes(now, phase) if not without & set(changes)]
            tried = [(changes, other) for changes in allowed if (other := _with(now, changes))]
            if not tried:
                break
            changes, best = min(tried, key=lambda each: _excess(each[1]))
            if _excess(best) >= _excess(now):
                break
            found, now = {**found, **changes}, best
        if not now.tight:
            return found
    return None


def _excess(plan: Plan) -> float:
    """Return by how much the phases of a plan do not fit, each as a share of what there is."""
    return sum(phase.used / phase.capacity - 1 for phase in plan.tight)


def written(settings: Mapping[str, Any]) -> str:
    """Return settings as they stand behind a command."""
    return " ".join(f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items())


def _with(plan: Plan, changes: Mapping[str, Any]) -> Plan | None:
    """Return a plan under changed settings; None where they contradict others."""
    config = changed(plan.load.config, changes)
    return None if problems(config) else replace(plan, load=replace(plan.load, config=config))


def _tried(plan: Plan, phase: Phase, changes: Mapping[str, Any]) -> Advice | None:
    """Return what a phase takes under changed settings; None where they contradict others."""
    other = _with(plan, changes)
    if other is None:
        return None
    after = next(each for each in other.phases if (each.where, each.name) == (phase.where, phase.name))
    fitted = {(each.where, each.name) for each in plan.phases if each.fits}
    broken = any((each.where, each.name) in fitted for each in other.tight)
    return Advice(changes, after.used, after.fits and not broken)


def changed(config: RlConfig, changes: Mapping[str, Any]) -> RlConfig:
    """Return a configuration with other settings, by `section.name`."""
    for key, value in changes.items():
        section, _, name = key.partition(".")
        config = replace(config, **{section: replace(getattr(config, section), **{name: value})})
    return config


def _changes(plan: Plan, phase: Phase) -> Iterator[dict[str, Any]]:
    """Yield what may be changed, the terms that take most first."""
    seen: set[str] = set()
    for term in sorted(phase.terms, key=lambda term: -term.num_bytes):
        for setting in term.settings:
            if setting in _CHANGES and setting not in seen:
                seen.add(setting)
                yield from _CHANGES[setting](plan, phase)
    if phase.where != "engine GPU" and phase.where != "node" and "model.gradient_checkpointing" in seen:
        yield {"learner.lora_rank": LORA_RANK}


def _switch(key: str, value: Any) -> Callable[[Plan, Phase], Iterator[dict[str, Any]]]:
    """Return the change of a setting to one value, where it has another."""

    def change(plan: Plan, _phase: Phase) -> Iterator[dict[str, Any]]:
        section, _, name = key.partition(".")
        if getattr(getattr(plan.load.config, section), name) != value:
            yield {key: value}

    return change


def _micro_batch(plan: Plan, _phase: Phase) -> Iterator[dict[str, Any]]:
    tokens = max(plan.largest_micro_batch // 256 * 256, plan.load.longest)
    if tokens < plan.load.config.learner.max_tokens_per_microbatch:
        yield {"learner.max_tokens_per_microbatch": tokens}


def _sequence_parallel(plan: Plan, _phase: Phase) -> Iterator[dict[str, Any]]:
    for size in (2, 4, 8):
        if size > plan.load.config.learner.sequence_parallel and plan.load.shape.heads % size == 0:
            yield {"learner.sequence_parallel": size}


def _tensor_parallel(plan: Plan, _phase: Phase) -> Iterator[dict[str, Any]]:
    engine = plan.load.config.engine
    for width in (2, 4, 8):
        if width <= engine.tensor_parallel or plan.load.shape.heads % width or width > plan.load.cluster.gpus_per_node:
            continue
        fewer = engine.num * engine.tensor_parallel // width
        if fewer:
            yield {"engine.tensor_parallel": width, "engine.num": fewer}


def _utilization(plan: Plan, phase: Phase) -> Iterator[dict[str, Any]]:
    now = plan.load.config.engine.gpu_memory_utilization
    if phase.name in ("start", "engine starts"):
        more = MOST_UTILIZATION
    else:
        more = int(_PERCENT * (now - (phase.used - phase.capacity) / (plan.load.cluster.accelerator.memory_gib * GIB))) / _PERCENT
    if 0 < more != now:
        yield {"engine.gpu_memory_utilization": more}


def _max_num_seqs(plan: Plan, _phase: Phase) -> Iterator[dict[str, Any]]:
    now = plan.load.config.engine.max_num_seqs
    if now > 64:
        yield {"engine.max_num_seqs": max(now // 4, 64)}


def _ranks(plan: Plan, _phase: Phase) -> Iterator[dict[str, Any]]:
    """More ranks on the GPUs that the cluster has to spare."""
    config, spare = plan.load.config, plan.load.cluster.gpus - plan.load.gpus
    ranks = config.learner.num_ranks
    if config.cluster.colocated:
        if spare >= plan.load.gpus:
            yield {"learner.num_ranks": 2 * ranks, "engine.num": 2 * config.engine.num}
    elif spare:
        yield {"learner.num_ranks": ranks + spare}


def _reference(plan: Plan, phase: Phase) -> Iterator[dict[str, Any]]:
    wanted = phase.where != "node"
    if plan.load.config.learner.offload_reference != wanted:
        yield {"learner.offload_reference": wanted}


def _optimizer(plan: Plan, phase: Phase) -> Iterator[dict[str, Any]]:
    wanted = phase.where != "node"
    if plan.load.config.learner.offload_optimizer != wanted:
        yield {"learner.offload_optimizer": wanted}


_CHANGES: dict[str, Callable[[Plan, Phase], Iterator[dict[str, Any]]]] = {
    "model.gradient_checkpointing": _switch("model.gradient_checkpointing", True),
    "learner.max_tokens_per_microbatch": _micro_batch,
    "learner.sequence_parallel": _sequence_parallel,
    "learner.offload_optimizer": _optimizer,
    "learner.offload_parameters": _switch("learner.offload_parameters", True),
    "learner.offload_reference": _reference,
    "learner.num_ranks": _ranks,
    "learner.hpz_ranks": _switch("learner.hpz_ranks", 1),
    "engine.tensor_parallel": _tensor_parallel,
    "engine.gpu_memory_utilization": _utilization,
    "engine.max_num_seqs": _max_num_seqs,
    "engine.enforce_eager": _switch("engine.enforce_eager", True),
    "engine.sleep_level": _switch("engine.sleep_level", 2),
}
"""By setting that a term names: what is tried."""
