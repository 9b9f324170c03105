"""A plan as a page for a terminal, as lines of a dry run, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from toolrl.plan.advice import Advice, advice, remedy, written
from toolrl.plan.hardware import GB, GIB
from toolrl.plan.plan import Plan
from toolrl.plan.roofline import pushed_bytes
from toolrl.plan.terms import Phase

_SHOWN_TERMS = 3
_SHOWN_ADVICE = 6
_HOUR = 3600


def page(plan: Plan, *, title: str, assumed: bool) -> str:
    """Return what `toolrl plan` prints.

    Args:
        plan: The plan.
        title: What is planned, and where.
        assumed: Whether the mean lengths are a guess that the page should own up to.
    """
    return "\n".join([*_head(plan, title, assumed), "", *_memory(plan), "", *_verdict(plan), "", *figures(plan)])


def figures(plan: Plan) -> list[str]:
    """Return the figures of a plan, a line each: what fits, the seconds of a step, the run."""
    config, engine = plan.load.config, plan.engine
    longest = engine.cache_tokens // config.max_model_len
    return [
        _line("largest micro-batch", f"{plan.largest_micro_batch:,} tokens (set: {config.learner.max_tokens_per_microbatch:,})"),
        _line("engine concurrency", f"{engine.concurrency:,} completions of mean length, {longest:,} of the longest"),
        _line("  in flight", f"{engine.in_flight:,} of engine.max_num_seqs={config.engine.max_num_seqs}"),
        *(_times(plan) if plan.fits else [_line("a step", "not planned, since the run does not fit")]),
        _line("a checkpoint", f"{plan.checkpoint_bytes / GB:,.0f} GB, and {config.checkpoint.keep} are kept"),
    ]


def _times(plan: Plan) -> list[str]:
    """Return the lines on seconds and hours."""
    load, seconds, config = plan.load, plan.seconds, plan.load.config
    at_once = ", engines and learner at once" if config.loop.max_staleness else ""
    evaluated = f" and {plan.evaluations} evaluations of {plan.evaluation_s:.0f} s" if plan.evaluations else ""
    tokens = load.computed_tokens / seconds.learning / config.learner.num_ranks
    return [
        _line("a step", f"{plan.step_s:.1f} s{at_once}"),
        *(_line(f"  {name}", f"{each:.1f}{note}") for name, each, note in _parts(plan) if each),
        _line("  that is", f"{load.completions / plan.step_s:.0f} completions/s, {tokens:,.0f} tokens/s on a learner rank"),
        _line("the run", f"{config.run.steps} steps{evaluated}: {plan.run_s / _HOUR:.1f} h, {plan.gpu_hours:,.0f} GPU-hours"),
    ]


def _parts(plan: Plan) -> list[tuple[str, float, str]]:
    """Return name and seconds of each part of a step, with what bounds it or is moved."""
    seconds = plan.seconds
    pushed = f", {pushed_bytes(plan.load) / GB:.1f} GB by {plan.load.config.weights.backend}"
    return [
        ("prefill", seconds.prefill, ""),
        ("decode", seconds.decode, f", bound by {seconds.decode_bound}"),
        ("reference", seconds.reference, ""),
        ("old log-probabilities", seconds.old_logprobs, ""),
        ("forward, backward", seconds.forward_backward, f", bound by {seconds.learner_bound}"),
        ("optimizer", seconds.optimizer, ""),
        ("push", seconds.push, pushed),
        ("turns", seconds.turns, ""),
    ]


def _line(name: str, said: str) -> str:
    return f"{name:<24}{said}"


def dry_run(plan: Plan, *, cluster_is_assumed: bool) -> list[str]:
    """Return what a dry run says of a plan."""
    why = " (assumed; `toolrl plan … --cluster FILE` plans for others)" if cluster_is_assumed else ""
    tight = max(plan.phases, key=lambda phase: phase.used / phase.capacity)
    return [
        f"plan, on {plan.load.cluster}{why}:",
        *(f"  {line}" for line in _verdict(plan)),
        f"  tightest: {tight.where}, {tight.name}: {_gib(tight.used)} of {_gib(tight.capacity)} GiB",
        *(f"  {line}" for line in figures(plan)),
    ]


def _head(plan: Plan, title: str, assumed: bool) -> list[str]:
    load = plan.load
    guess = " (assumed; --prompt-tokens, --completion-tokens)" if assumed else ""
    turns = "engines and learner in turns on each" if load.config.cluster.colocated else "engines and learner apart"
    return [
        f"plan: {title}",
        f"model: {load.shape.name}, {load.shape.parameters / 1e9:.2f}e9 parameters, {load.config.model.dtype}",
        f"mean lengths: {load.prompt_tokens} tokens of prompt, {load.completion_tokens} of completion{guess}",
        f"GPUs: {load.gpus} asked, {load.cluster.gpus} there ({load.cluster}, {load.cluster.accelerator.memory_gib:g} GiB each), {turns}",
    ]


def _memory(plan: Plan) -> list[str]:
    names = [f"{phase.where}, {phase.name}" for phase in plan.phases]
    width = max(map(len, names))
    lines = [f"{'memory, GiB':<{width}}    used      of"]
    for name, phase in zip(names, plan.phases, strict=True):
        mark = " " if phase.fits else "!"
        largest = sorted(phase.terms, key=lambda term: -term.num_bytes)[:_SHOWN_TERMS]
        shown = ", ".join(f"{term.name} {_gib(term.num_bytes)}" for term in largest)
        lines.append(f"{name:<{width}} {mark} {_gib(phase.used):>6}  {_gib(phase.capacity):>6}   {shown}")
    return lines


def _verdict(plan: Plan) -> list[str]:
    if plan.fits:
        return ["it fits"]
    lines = [f"does not fit: {plan.short}"] if plan.short else []
    found = [(phase, advice(plan, phase)) for phase in plan.tight]
    for phase, helps in found:
        lines += [
            f"does not fit: {phase.where}, {phase.name} takes {_gib(phase.used)} of {_gib(phase.capacity)} GiB, "
            f"most of it {phase.largest.name}: {_gib(phase.largest.num_bytes)}",
            *(f"  {line}" for line in _advised(helps, phase)),
        ]
    if len(found) > 1 or not any(each.fits for _, helps in found for each in helps):
        together = remedy(plan)
        lora = " (which trains other weights)" if together and "learner.lora_rank" in together else ""
        lines += [f"the memory of all fits with: {written(together)}{lora}"] if together else []
    return lines


def _advised(found: Sequence[Advice], phase: Phase) -> list[str]:
    if not found:
        what = "nodes with more memory" if phase.where == "node" else "GPUs with more memory, or more of them"
        return [f"no setting that was tried helps: use {what}"]
    return [f"{each}: {_gib(each.used)} GiB" + (", fits" if each.fits else "") for each in found[:_SHOWN_ADVICE]]


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / GIB:,.1f}"


def values(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values: bytes, seconds, and what would help."""
    load, seconds = plan.load, plan.seconds
    return {
        "fits": plan.fits,
        "model": asdict(load.shape) | {"parameters": load.shape.parameters},
        "cluster": asdict(load.cluster) | {"accelerator": asdict(load.cluster.accelerator)},
        "gpus": load.gpus,
        "gpus_short": plan.short,
        "prompt_tokens": load.prompt_tokens,
        "completion_tokens": load.completion_tokens,
        "phases": [_phase(plan, phase) for phase in plan.phases],
        "fits_with": remedy(plan) if plan.tight else {},
        "largest_micro_batch_tokens": plan.largest_micro_batch,
        "engine_concurrency": plan.engine.concurrency,
        "engine_in_flight": plan.engine.in_flight,
        "cache_tokens": plan.engine.cache_tokens,
        "push_bytes": pushed_bytes(load),
        "seconds": asdict(seconds) | {"sampling": seconds.sampling, "learning": seconds.learning, "step": plan.step_s},
        "evaluations": plan.evaluations,
        "evaluation_s": plan.evaluation_s,
        "run_s": plan.run_s,
        "gpu_hours": plan.gpu_hours,
        "checkpoint_bytes": plan.checkpoint_bytes,
        "efficiencies": asdict(plan.efficiencies),
    }


def _phase(plan: Plan, phase: Phase) -> dict[str, Any]:
    helps = [] if phase.fits else [{"settings": dict(a.settings), "bytes": a.used, "fits": a.fits} for a in advice(plan, phase)]
    return {
        "where": phase.where,
        "phase": phase.name,
        "bytes": phase.used,
        "capacity_bytes": phase.capacity,
        "fits": phase.fits,
        "terms": {term.name: term.num_bytes for term in phase.terms},
        "would_help": helps,
    }
