"""A plan as a page for a terminal, as lines of a dry run, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from toolrl.plan.advice import Advice, advice
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
    """Return the figures of a plan, a line each: what fits, and the seconds of a step."""
    load, engine, seconds = plan.load, plan.engine, plan.seconds
    config = load.config
    parts = [
        f"prefill {seconds.prefill:.1f}",
        f"decode {seconds.decode:.1f} (bound by {seconds.decode_bound})",
        *([f"reference {seconds.reference:.1f}"] if seconds.reference else []),
        *([f"old log-probabilities {seconds.old_logprobs:.1f}"] if seconds.old_logprobs else []),
        f"forward and backward {seconds.forward_backward:.1f} (bound by {seconds.learner_bound})",
        f"optimizer {seconds.optimizer:.2f}",
        f"push {seconds.push:.1f}",
        *([f"turns {seconds.turns:.1f}"] if seconds.turns else []),
    ]
    longest = engine.cache_tokens // max(config.max_model_len, 1)
    rate = load.completions / plan.step_s
    tokens = load.computed_tokens / seconds.learning / config.learner.num_ranks
    evaluated = f" and {plan.evaluations} evaluations of {plan.evaluation_s:.0f} s" if plan.evaluations else ""
    overlap = ", engines and learner at once" if config.loop.max_staleness else ""
    return [
        f"largest micro-batch   {plan.largest_micro_batch:,} tokens (set: {config.learner.max_tokens_per_microbatch:,})",
        f"engine concurrency    {engine.concurrency:,} completions of mean length, {longest:,} of the longest; "
        f"in flight {engine.in_flight:,} (engine.max_num_seqs={config.engine.max_num_seqs})",
        f"push                  {pushed_bytes(load) / GB:.1f} GB by {config.weights.backend}: {seconds.push:.1f} s",
        f"a step                {plan.step_s:.1f} s{overlap}: {', '.join(parts)}",
        f"                      {rate:.0f} completions/s, {tokens:,.0f} tokens/s on a learner rank",
        f"the run               {config.run.steps} steps{evaluated}: {plan.run_s / _HOUR:.1f} h, {plan.gpu_hours:,.0f} GPU-hours; "
        f"checkpoints of {plan.checkpoint_bytes / GB:,.0f} GB",
    ]


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
    lengths = f"{load.prompt_tokens} and {load.completion_tokens} tokens of prompt and completion on average"
    guess = " (assumed; --prompt-tokens and --completion-tokens say better)" if assumed else ""
    turns = "engines and learner in turns on each" if load.config.cluster.colocated else "engines and learner apart"
    return [
        f"plan: {title}",
        f"model: {load.shape.name}, {load.shape.parameters / 1e9:.2f}e9 parameters, {load.config.model.dtype}; {lengths}{guess}",
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
    for phase in plan.tight:
        lines += [
            f"does not fit: {phase.where}, {phase.name} takes {_gib(phase.used)} of {_gib(phase.capacity)} GiB; "
            f"most of it {phase.largest.name}, {_gib(phase.largest.num_bytes)} GiB",
            *(f"  {line}" for line in _advised(advice(plan, phase), phase)),
        ]
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
