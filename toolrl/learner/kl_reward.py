"""The KL penalty in the reward: each completion loses `kl_coef · Σ over its tokens of KL`, and advantages are made anew from the rest.

    reward - kl_coef · Σ_t kl_t(old ‖ reference) ─> estimator of `algo.advantage` ─> advantage

Source: InstructGPT (arXiv 2203.02155, equation 2), over a completion as a whole because it is rewarded as a whole.
A group whose rewards agree stays at advantage 0: estimators that divide by the group's deviation would make whole advantages of
differences in KL, however small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from toolrl.algo.advantage import advantages
from toolrl.algo.kl import kl
from toolrl.config.learning import AlgoConfig
from toolrl.learner.collate import PolicyTokens

Rewards = Mapping[int, Sequence[float | None]]
"""Draw number -> reward of each completion of the group."""


def penalties(
    algo: AlgoConfig, micro: PolicyTokens, old_logp: Tensor | None, reference_logp: Tensor | None
) -> dict[tuple[int, int], float]:
    """Return the KL penalty of each completion of a micro-batch, by (draw, sample).

    Args:
        algo: Coefficient and estimator.
        micro: The micro-batch.
        old_logp: The learner's log-probabilities `[N]` at the start of the batch.
        reference_logp: The start checkpoint's `[N]`.

    Raises:
        ValueError: One of them is missing.
    """
    if old_logp is None or reference_logp is None:
        raise ValueError("a KL penalty needs the log-probabilities of the learner and of the start checkpoint")
    each = micro.segments.sums(kl(algo.kl_estimator, old_logp, reference_logp).double()) * algo.kl_coef
    return dict(zip([(row.draw, row.sample) for row in micro.rows], each.tolist(), strict=True))


def penalised(rewards: Rewards, penalties: Mapping[tuple[int, int], float]) -> dict[int, tuple[float | None, ...]]:
    """Return rewards less penalties; None where there is no reward, or no penalty because the completion is not trained.

    A group whose rewards agree, of those of its completions that are trained, keeps these rewards as they are.

    Args:
        rewards: By draw.
        penalties: By (draw, sample).
    """
    made: dict[int, tuple[float | None, ...]] = {}
    for draw, group in rewards.items():
        kept = tuple(reward if (draw, i) in penalties else None for i, reward in enumerate(group))
        agree = len(set(kept) - {None}) < 2
        made[draw] = kept if agree else tuple(None if reward is None else reward - penalties[draw, i] for i, reward in enumerate(kept))
    return made


def advantages_by_draw(algo: AlgoConfig, rewards: Rewards) -> dict[int, tuple[float, ...]]:
    """Return the advantages of the groups of a whole batch, which must be complete: estimators may compare across groups."""
    draws = sorted(rewards)  # one order of addition on all ranks
    return dict(zip(draws, advantages(algo, [rewards[draw] for draw in draws]), strict=True))


def with_advantages(micro: PolicyTokens, made: Mapping[int, Sequence[float]]) -> PolicyTokens:
    """Return the micro-batch with other advantages, by draw."""
    rows = tuple(replace(row, advantage=made[row.draw][row.sample]) for row in micro.rows)
    each = torch.tensor([row.advantage for row in rows], dtype=torch.float32, device=micro.advantage.device)
    return replace(micro, rows=rows, advantage=micro.segments.spread(each))
