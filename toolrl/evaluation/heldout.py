"""Held-out reward of the live weights: every prompt greedy, and sampled once where that is asked for, all in flight at once.

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
Judged = Sequence[tuple[GroupRef, Sequence[Verdict]]]


class HeldoutEvaluator:
    """Implements `protocols.Evaluator` over the engines and reward workers of the run itself.

    Args:
        draws: The prompts.
        engines: Answer them.
        scorer: Judges the answers.
        temperature: Of the sampled answers; None: there are greedy ones only.
        max_tokens: Longest answer.
    """

    def __init__(self, draws: Sequence[Draw], *, engines: Engines, scorer: Scorer, temperature: float | None, max_tokens: int) -> None:
        self._draws = draws
        self._engines = engines
        self._scorer = scorer
        self._temperatures = (GREEDY,) if temperature is None else (GREEDY, temperature)
        self._max_tokens = max_tokens

    async def evaluate(self, version: WeightVersion) -> Mapping[str, float]:
        """Return the metrics of the live weights; `version` names them in errors raised by the parts."""
        greedy, *sampled = await asyncio.gather(*map(self._pass, self._temperatures))
        verdicts = [v for groups in (greedy, *sampled) for v in _flatten(groups)[0]]
        metrics = _greedy(greedy) | {"heldout/failed": float(sum(v.reason.is_failure for v in verdicts))}
        return _sampled(sampled[0]) | metrics if sampled else metrics

    async def _pass(self, temperature: float) -> Judged:
        sampling = Sampling(n=1, temperature=temperature, top_p=1.0, max_tokens=self._max_tokens)

        async def one(draw: Draw) -> tuple[GroupRef, Sequence[Verdict]]:
            group = await self._engines.sample(draw, sampling)
            return group, (await self._scorer.score(group)).verdicts

        return await asyncio.gather(*map(one, self._draws))


def _sampled(groups: Judged) -> dict[str, float]:
    verdicts, lengths = _flatten(groups)
    reward, stderr = _mean([v.reward for v in verdicts])
    return {
        "heldout/reward": reward,
        "heldout/stderr": stderr,
        "heldout/format_right": _share(verdicts, "format_right"),
        "heldout/content_right": _share(verdicts, "content_right"),
        "heldout/completion_tokens_mean": _mean([float(n) for n in lengths])[0],
    }


def _greedy(groups: Judged) -> dict[str, float]:
    verdicts, lengths = _flatten(groups)
    reward, stderr = _mean([v.reward for v in verdicts])
    return {
        "heldout/greedy": reward,
        "heldout/greedy_stderr": stderr,
        "heldout/greedy_format_right": _share(verdicts, "format_right"),
        "heldout/greedy_content_right": _share(verdicts, "content_right"),
        "heldout/greedy_completion_tokens_mean": _mean([float(n) for n in lengths])[0],
    }


def _share(verdicts: Sequence[Verdict], what: str) -> float:
    return _mean([None if v.reason.is_failure else float(getattr(v, what)) for v in verdicts])[0]


def _flatten(groups: Judged) -> tuple[list[Verdict], list[int]]:
    return [v for _, verdicts in groups for v in verdicts], [n for group, _ in groups for n in group.completion_tokens]


def _mean(values: Sequence[float | None]) -> tuple[float, float]:
    """Mean and its standard error over the values there are; 0 and 0 where there is none."""
    there = [v for v in values if v is not None]
    if not there:
        return 0.0, 0.0
    mean = math.fsum(there) / len(there)
    variance = math.fsum((v - mean) ** 2 for v in there) / max(len(there) - 1, 1)
    return mean, math.sqrt(variance / len(there))
