"""What may be set and is seldom meant: configuration -> a line for each such setting. It stops nothing; what cannot be is in `validate`."""

from __future__ import annotations

from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig

SEQUENCE_CLIP = 0.01
"""A clip of GSPO above this is one of tokens: its paper (arXiv 2507.18071) has 3e-4 and 4e-4."""
CALLS_ALONE = frozenset({"no_think", "match", "names"})
"""Reward functions that ask for no form: what an answer without reasoning can earn."""


def remarks(config: RlConfig | SftConfig) -> list[str]:
    """Return what a person should know of `config` before it runs."""
    return [f"note: {each}" for each in (_supervised(config) if isinstance(config, SftConfig) else _reinforced(config))]


def _supervised(config: SftConfig) -> list[str]:
    found = []
    judged = [name for name, weight in config.reward.functions.items() if weight and ":" not in name] or ["binary"]
    if config.eval.heldout and not config.data.reasoning and not CALLS_ALONE.issuperset(judged):
        found.append(
            f"data.reasoning=false: {', '.join(name for name in judged if name not in CALLS_ALONE)} wants reasoning before the calls, so "
            "greedy answers earn nothing for their form; reward.functions={no_think: 1} judges the calls alone"
        )
    if config.learner.minibatches > 1:
        found.append(f"learner.minibatches={config.learner.minibatches}: without effect here; a step trains loop.rows_per_batch rows")
    return found


def _reinforced(config: RlConfig) -> list[str]:
    algo, found = config.algo, []
    if algo.loss == "gspo" and max(algo.clip_low, algo.clip_high) > SEQUENCE_CLIP:
        found.append(
            f"algo.clip_low={algo.clip_low}, algo.clip_high={algo.clip_high}: gspo clips a completion's mean ratio, which is seldom so far "
            "from 1; its paper has 3e-4 and 4e-4"
        )
    if algo.kl_coef and algo.kl_estimator == "k1" and algo.kl_in == "loss":
        found.append("algo.kl_estimator=k1: its gradient in the loss is 0 in expectation; k2 and k3 have one, and k1 in the reward")
    if algo.kl_in == "reward" and not algo.kl_coef:
        found.append("algo.kl_in=reward: without effect while algo.kl_coef is 0")
    if algo.overlong_buffer and algo.truncated != "shape":
        found.append(f"algo.overlong_buffer={algo.overlong_buffer}: without effect unless algo.truncated is shape")
    return found
