"""What the learner's ranks are made of: the same in a run, supervised or not, and in its replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig


def rank_arguments(config: RlConfig | SftConfig, model_path: str) -> dict[str, Any]:
    """Return the arguments of `LearnerRank` in a run with these settings; `model_path` is the folder or hub name of the start model."""
    if isinstance(config, SftConfig):
        return {
            "model": replace(config.model, path=model_path),
            "learner": config.learner,
            "device": config.cluster.device,
            "seed": config.run.seed,
            "total_steps": config.run.steps,
        }
    return {
        "model": replace(config.model, path=model_path),
        "learner": config.learner,
        "algo": replace(config.algo, loss_constant=config.algo.loss_constant or config.sampling.max_tokens),
        "temperature": config.sampling.temperature,
        "device": config.cluster.device,
        "seed": config.run.seed,
        "total_steps": config.run.steps * config.learner.minibatches,
    }
