"""Held-out reward of the live weights: every prompt once sampled and once greedy, all in flight at once.

prompts ─> Draws (fixed seeds) ─> Engines.sample ─> Scorer.score ─> metrics with their standard errors

The seeds are the same at every evaluation, so that two versions are compared on the same noise. Verifier failures
leave the means; they are counted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from toolrl.protocols import Engines, Scorer
from toolrl.types import Draw, GroupRef, Sampling, Verdict, WeightVersion

GREEDY = 0.0


class HeldoutEvaluator:
    """Implements `protocols.Evaluator` over the engines and reward workers of the run itself."""

    def __init__(self, draws: Sequence[Draw], *, engines: Engines, scorer: Scorer, temperature: float, max_tokens: int) -> None:
        self._draws = draws
        self._engines = engines
        self._scorer = scorer
        self._temperature = temperature
        self._max_tokens = max_tokens

    async def evaluate(self, version: WeightVersion) -> Mapping[str, float]:
        """Return the metrics of the live weights; `version` names them in errors raised by the parts."""
        sampled, greedy = await asyncio.gather(self._pass(self._temperature), self._pass(GREEDY))
        verdicts, lengths = _flatten(sampled)
        greedy_verdicts, _ = _flatten(greedy)
        reward, stderr = _mean([v.reward for v in verdicts])
        greedy_reward, greedy_stderr = _mean([v.reward for v in greedy_verdicts])
        return {
            "heldout/reward": reward,
            "heldout/stderr": stderr,
            "heldout/greedy": greedy_reward,
            "heldout/greedy_stderr": greedy_stderr,
            "heldout/format_right": _mean([None if v.reason.is_failure else float(v.format_right) for v in verdicts])[0],
            "heldout/content_right": _mean([None if v.reason.is_failure else float(v.content_right) for v in verdicts])[0],
            "heldout/greedy_format_right": _mean([None if v.reason.is_failure else float(v.format_right) for v in greedy_verdicts])[0],
            "heldout/greedy_content_right": _mean([None if v.reason.is_failure else float(v.content_right) for v in greedy_verdicts])[0],
            "heldout/completion_tokens_mean": _mean([float(n) for n in lengths])[0],
            "heldout/failed": float(sum(v.reason.is_failure for v in (*verdicts, *greedy_verdicts))),
        }

    async def _pass(self, temperature: float) -> list[tuple[GroupRef, Sequence[Verdict]]]:
        sampling = Sampling(n=1, temperature=temperature, top_p=1.0, max_tokens=self._max_tokens)

        async def one(draw: Draw) -> tuple[GroupRef, Sequence[Verdict]]:
            group = await self._engines.sample(draw, sampling)
            return group, (await self._scorer.score(group)).verdicts

        return await asyncio.gather(*map(one, self._draws))


def _flatten(groups: Sequence[tuple[GroupRef, Sequence[Verdict]]]) -> tuple[list[Verdict], list[int]]:
    return [v for _, verdicts in groups for v in verdicts], [n for group, _ in groups for n in group.completion_tokens]


def _mean(values: Sequence[float | None]) -> tuple[float, float]:
    """Mean and its standard error over the values there are; 0 and 0 where there is none."""
    there = [v for v in values if v is not None]
    if not there:
        return 0.0, 0.0
    mean = math.fsum(there) / len(there)
    variance = math.fsum((v - mean) ** 2 for v in there) / max(len(there) - 1, 1)
    return mean, math.sqrt(variance / len(there))
