"""BFCL's multi-turn categories: upstream's own program asks our server, or the endpoint that is measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from toolrl.config.asking import EvaluateConfig
from toolrl.evaluation.averages import Counts
from toolrl.evaluation.benchmark import Official
from toolrl.evaluation.bfcl.multi_turn import Served, multi_turn
from toolrl.pipelines.asking import AskedModel
from toolrl.pipelines.evaluating.benchmarks import tell
from toolrl.pipelines.serve import api_key, serving


def multi_turn_verdicts(config: EvaluateConfig, asked: AskedModel, categories: Sequence[str], folder: Path) -> Official:
    """Return upstream's verdicts on every entry of `categories`, or the first `data.limit` of each. Raises RunError, or UserError kin."""
    if config.model.is_endpoint:
        served = Served(
            url=asked.path,
            model=config.endpoint.model,
            key=os.environ.get(config.endpoint.key_variable, ""),
            in_flight=config.endpoint.in_flight,
            max_tokens=config.sampling.max_tokens,
            timeout_s=config.endpoint.timeout_s,
        )
        return multi_turn(served, folder, categories, limit=config.data.limit, tell=tell)
    name = f"{Path(asked.path).name}-{asked.identity()['weights']}"  # so that a folder's answers are of one model
    tell(f"starting a server of {asked.path} for the multi-turn entries …")
    with serving(asked.path, config, name=name) as server:
        served = Served(server.url, server.model, api_key(), in_flight=config.engine.max_num_seqs, max_tokens=config.sampling.max_tokens)
        return multi_turn(served, folder, categories, limit=config.data.limit, tell=tell)


def counts_of(official: Official) -> Counts:
    """Return right entries and all by category, which the id of an entry begins with."""
    counts: dict[str, tuple[int, int]] = {}
    for key, right in official.right.items():
        category = key.rpartition("_")[0]
        before, entries = counts.get(category, (0, 0))
        counts[category] = (before + right, entries + 1)
    return counts
