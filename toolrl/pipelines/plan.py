"""`toolrl plan CONF`: what a run needs and takes on a cluster, in a second; nothing is started, loaded or asked of a network.

settings ─> shape of the model, cluster ─> placement and plan ─> page, JSON, or a table over sizes
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources

from toolrl.actors.placement import Node, bundles_of, fit
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import ConfigError, UserError
from toolrl.plan import page
from toolrl.plan.compare import compared, table
from toolrl.plan.hardware import GIB, Cluster, read_cluster
from toolrl.plan.on_cpu import on_cpu
from toolrl.plan.plan import Plan
from toolrl.plan.roofline import Efficiencies
from toolrl.plan.shapes import Shape, shape_of
from toolrl.plan.terms import Phase
from toolrl.plan.workload import COMPLETION_TOKENS, PROMPT_TOKENS, Workload

_DEMO_MODEL = "demo://start"
_MANY = 1e9
"""CPUs of a planned node: only its GPUs are counted."""
_COMPARED = "Qwen2.5-7B,Qwen2.5-14B"
_TOO_SMALL = 2


@dataclass(frozen=True)
class Asked:
    """What the command line says beside the settings."""

    cluster: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    compare: bool = False
    """A table over sizes of the cluster and models."""
    models: str | None = None
    """Names of those models, separated by commas; None: 7B and 14B."""
    as_json: bool = False


def plan(arguments: Sequence[str], asked: Asked) -> int:
    """Print a plan; return 0 where it fits, else 2. Raises UserError kin."""
    config = load(RlConfig, arguments)
    if asked.models is not None and not asked.compare:
        raise ConfigError("--models: names what --compare compares; add --compare, or set model.path")
    shape = _shape(config)
    if config.cluster.device == "cpu":
        _require_gpus(asked)
        phase = on_cpu(config, shape, _memory_of_this_machine())
        print(json.dumps(_cpu_values(phase)) if asked.as_json else "\n".join(_cpu_lines(phase)))
        return 0 if phase.fits else _TOO_SMALL
    cluster = read_cluster(asked.cluster) if asked.cluster else assumed_cluster(config)
    found = planned(config, shape, cluster, asked.prompt_tokens, asked.completion_tokens)
    if asked.compare:
        plans = list(compared(found, [shape_of(name.strip()) for name in (asked.models or _COMPARED).split(",")]))
        print(json.dumps([page.values(each) for each in plans]) if asked.as_json else table(plans))
        return 0
    if asked.as_json:
        print(json.dumps(page.values(found)))
    else:
        title = f"{' '.join(arguments)} on {cluster}" + ("" if asked.cluster else " (assumed; --cluster says better)")
        print(page.page(found, title=title, assumed=None in (asked.prompt_tokens, asked.completion_tokens)))
    return 0 if found.fits else _TOO_SMALL


def planned(config: RlConfig, shape: Shape, cluster: Cluster, prompt_tokens: int | None, completion_tokens: int | None) -> Plan:
    """Return the plan of a run on a cluster of GPUs; lengths that are None are guessed, within the limits of the settings."""
    prompt = min(PROMPT_TOKENS, config.data.max_prompt_tokens) if prompt_tokens is None else prompt_tokens
    completion = min(COMPLETION_TOKENS, config.sampling.max_tokens) if completion_tokens is None else completion_tokens
    for what, mean, limit in (
        ("--prompt-tokens", prompt, config.data.max_prompt_tokens),
        ("--completion-tokens", completion, config.sampling.max_tokens),
    ):
        if not 0 < mean <= limit:
            raise ConfigError(f"{what}: got {mean}; a mean lies above 0 and is at most {limit}, the limit that the settings have")
    return Plan(Workload(config, shape, cluster, prompt, completion), Efficiencies(), _short(config, cluster))


def assumed_cluster(config: RlConfig) -> Cluster:
    """Return as many nodes of the default kind as hold what a run asks for."""
    cluster = Cluster()
    while _short(config, cluster) and cluster.nodes < sum(bundle.gpus for bundle in bundles_of(config)):
        cluster = replace(cluster, nodes=cluster.nodes + 1)
    return cluster


def dry_run_lines(config: RlConfig, model_path: str) -> list[str]:
    """Return the planner's figures for a dry run, a line each; for a model that it cannot count, a line that says so."""
    try:
        shape = shape_of(model_path)
    except UserError as error:
        return [f"plan: none ({error})"]
    if config.cluster.device == "cpu":
        return _cpu_lines(on_cpu(config, shape, _memory_of_this_machine()))
    return page.dry_run(planned(config, shape, assumed_cluster(config), None, None), cluster_is_assumed=True)


def _shape(config: RlConfig) -> Shape:
    path = config.model.path
    return shape_of(str(resources.files("toolrl") / "testing" / "start") if path == _DEMO_MODEL else path)


def _short(config: RlConfig, cluster: Cluster) -> str:
    """Say which GPUs are missing, empty where none are."""
    bundles = bundles_of(config)
    placement = fit(bundles, [Node(f"node {i}", _MANY, cluster.gpus_per_node) for i in range(cluster.nodes)])
    if placement.fits:
        return ""
    homeless = [bundle for bundle, node in zip(bundles, placement.node_of, strict=True) if node is None]
    asked = sum(bundle.gpus for bundle in bundles)
    return (
        f"{asked} GPUs asked, {cluster.gpus} there ({cluster}); no room for {', '.join(homeless[0].roles)}"
        + (f" and {len(homeless) - 1} more" if len(homeless) > 1 else "")
        + "; lower learner.num_ranks, engine.num or engine.tensor_parallel"
    )


def _require_gpus(asked: Asked) -> None:
    if asked.cluster or asked.compare:
        raise ConfigError(
            "cluster.device: got cpu, and the plan is asked for a cluster of GPUs; add cluster.device=cuda weights.backend=nccl"
        )


def _memory_of_this_machine() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _cpu_lines(phase: Phase) -> list[str]:
    terms = ", ".join(f"{term.name} {term.num_bytes / GIB:.1f}" for term in phase.terms)
    end = "it fits" if phase.fits else f"does not fit; most of it {phase.largest.name}: lower {', '.join(phase.largest.settings)}"
    return [f"plan: {phase.used / GIB:.1f} of {phase.capacity / GIB:.1f} GiB of {phase.where} at most; {end}", f"  GiB: {terms}"]


def _cpu_values(phase: Phase) -> dict[str, object]:
    terms = {term.name: term.num_bytes for term in phase.terms}
    return {"fits": phase.fits, "bytes": phase.used, "capacity_bytes": phase.capacity, "terms": terms}
